"""Three solvers on one SMT-LIB text.

Each answers `sat`, `unsat` or `unknown: REASON`. Budgets are counted in the solver's own unit of
work where it has one, with a fixed seed, so that the same solver gives the same answer; the clock
is a backstop.
"""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import z3

PACKAGES = {"z3": "z3-solver", "bitwuzla": "bitwuzla", "cvc5": "cvc5"}
NAMES = tuple(PACKAGES)
LOGIC = "QF_UFBV"
NUMBERS = "QF_UFLIA"
READS = {LOGIC: NAMES, NUMBERS: ("z3", "cvc5")}
"""Which solvers read a logic: bitwuzla knows no numbers but bit-vectors."""


class MissingSolver(RuntimeError):
    """A solver's package is not installed."""


@dataclass(frozen=True)
class Budget:
    """What one query may cost: z3 and cvc5 work units, and seconds as the backstop."""

    z3_rlimit: int = 40_000_000
    cvc5_rlimit: int = 4_000_000
    seconds: int = 30
    seed: int = 0


@dataclass(frozen=True)
class Answer:
    """A solver's answer; `model` only from z3, `rlimit` z3's count of work."""

    word: str
    rlimit: int = 0
    model: Any = None


def text_of(assertions: Sequence[Any]) -> str:
    """The SMT-LIB 2.6 text that asks whether `assertions` can all hold."""
    solver = z3.SimpleSolver()
    solver.add(*{term.get_id(): term for term in assertions}.values())
    body = solver.sexpr()
    logic = NUMBERS if " Int)" in body else LOGIC
    return f"(set-logic {logic})\n{body}(check-sat)\n"


def reads(name: str, texts: Sequence[str]) -> bool:
    """Whether a solver knows the logic of all of some texts."""
    logics = {text[len("(set-logic ") : text.index(")")] for text in texts}
    return all(name in READS[logic] for logic in logics)


def ask_z3(text: str, budget: Budget) -> Answer:
    """What z3 says of `text`, with a model where it is satisfiable."""
    # The plain SMT core: on these short queries its preprocessing tactics cost more than they save.
    # In a context of its own, so that the answer does not depend on what was asked before.
    context = z3.Context()
    solver = z3.SimpleSolver(ctx=context)
    solver.set("rlimit", budget.z3_rlimit)
    solver.set("timeout", budget.seconds * 1000)
    solver.set("random_seed", budget.seed)
    solver.from_string(text)
    answer = solver.check()
    used = _rlimit(solver)
    if answer == z3.sat:
        return Answer("sat", used, solver.model().translate(z3.main_ctx()))
    if answer == z3.unsat:
        return Answer("unsat", used)
    return Answer(f"unknown: {solver.reason_unknown()}", used)


def _rlimit(solver: Any) -> int:
    statistics = solver.statistics()
    return int(next((v for k, v in statistics if k == "rlimit count"), 0))


def ask_bitwuzla(text: str, budget: Budget) -> Answer:
    """What bitwuzla says of `text`."""
    bitwuzla = module("bitwuzla")
    options = bitwuzla.Options()
    options.set(bitwuzla.Option.TIME_LIMIT_PER, budget.seconds * 1000)
    options.set(bitwuzla.Option.SEED, budget.seed + 1)
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    parser.parse(text, True, False)
    answer = str(parser.bitwuzla().check_sat())
    return Answer(answer if answer in ("sat", "unsat") else "unknown: limit reached")


def ask_cvc5(text: str, budget: Budget) -> Answer:
    """What cvc5 says of `text`."""
    cvc5 = module("cvc5")
    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("rlimit", str(budget.cvc5_rlimit))
    solver.setOption("tlimit-per", str(budget.seconds * 1000))
    solver.setOption("seed", str(budget.seed))
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "obligation")
    said = ""
    while not (command := parser.nextCommand()).isNull():
        said = command.invoke(solver, parser.getSymbolManager()).strip() or said
    return Answer(said if said in ("sat", "unsat") else f"unknown: {said or 'no answer'}")


ASK: dict[str, Callable[[str, Budget], Answer]] = {
    "z3": ask_z3,
    "bitwuzla": ask_bitwuzla,
    "cvc5": ask_cvc5,
}


def module(name: str) -> Any:
    """A solver's module.

    Raises: MissingSolver where it is not installed.
    """
    require([name])
    return importlib.import_module(name)


@cache
def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def require(names: Sequence[str]) -> None:
    """Raises: MissingSolver, naming the package to install, where a solver is not there."""
    for name in names:
        if not _is_installed(name):
            raise MissingSolver(
                f"solver {name}: package {PACKAGES[name]} is not installed; "
                f"install it, or choose another with --solver"
            )


def versions() -> dict[str, str]:
    """The version of each installed solver package."""
    return {
        name: importlib.metadata.version(package)
        for name, package in PACKAGES.items()
        if _is_installed(name)
    }
