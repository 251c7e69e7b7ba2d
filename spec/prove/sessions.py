"""Many questions about the same suppositions, asked of one solver one after another.

What a group of obligations supposes is built, printed and read once; each question is then
pushed, asked and taken back. cvc5 reads a text, bitwuzla is told the same terms. A session begins
afresh with each group, so an answer depends on the questions of its own group alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import z3

from spec.prove.solvers import LOGIC, Answer, Budget, module
from spec.prove.translate import Translator


class Session(Protocol):
    """One solver that has been told what is supposed."""

    def ask(self, term: Any, show: bool = False) -> Answer:
        """Whether `term` can hold with what is supposed; `show`: with a model, if one is had."""


class Texts:
    """The SMT-LIB texts of a group: what is supposed, and each question."""

    def __init__(self, supposed: Sequence[Any], questions: Sequence[Any]) -> None:
        """Every symbol of `questions` is declared with what is `supposed`; none need no text."""
        self.opening = ""
        if questions:
            declared = "\n".join(_declarations([*supposed, *questions]))
            self.opening = f"(set-logic {LOGIC})\n{declared}\n{_assertions(supposed)}\n"


def _declarations(terms: Sequence[Any]) -> list[str]:
    """The declarations of all symbols in some terms; a solver's own printout leaves out those
    that its simplifier removes.
    """
    context = terms[0].ctx
    listed = (z3.Ast * len(terms))(*(term.as_ast() for term in terms))
    nothing = z3.BoolVal(True, context).as_ast()
    text: str = z3.Z3_benchmark_to_smtlib_string(
        context.ref(), "", "", "unknown", "", len(terms), listed, nothing
    )
    return [line for line in text.splitlines() if line.startswith("(declare-")]


def _assertions(terms: Sequence[Any]) -> str:
    """What is asserted, as text that shares what terms have in common."""
    solver = z3.SimpleSolver()
    solver.add(*{term.get_id(): term for term in terms}.values())
    text: str = solver.sexpr()
    place = text.find("(assert")
    return "" if place < 0 else text[place:]


class Z3Session:
    """z3, in a context of its own."""

    def __init__(self, supposed: Sequence[Any], _texts: Texts, budget: Budget) -> None:
        self.context = z3.Context()
        self.solver = z3.SimpleSolver(ctx=self.context)
        self.solver.set("rlimit", budget.z3_rlimit)
        self.solver.set("timeout", budget.seconds * 1000)
        self.solver.set("random_seed", budget.seed)
        self.solver.add(*(term.translate(self.context) for term in supposed))
        self.used = 0

    def ask(self, term: Any, _show: bool = False) -> Answer:
        """Whether `term` can hold, with a model where it can."""
        self.solver.push()
        self.solver.add(term.translate(self.context))
        said = self.solver.check()
        used = _rlimit(self.solver) - self.used
        self.used += used
        answer = Answer(f"unknown: {self.solver.reason_unknown()}", used)
        if said == z3.sat:
            answer = Answer("sat", used, self.solver.model().translate(z3.main_ctx()))
        elif said == z3.unsat:
            answer = Answer("unsat", used)
        self.solver.pop()
        return answer


def _rlimit(solver: Any) -> int:
    return int(next((v for k, v in solver.statistics() if k == "rlimit count"), 0))


LEFT_OUT = ("PP_NORMALIZE", "PP_SKELETON_PREPROC")
"""Passes that bitwuzla goes through before it solves, and that cost more here than they save."""


class BitwuzlaSession:
    """bitwuzla."""

    def __init__(self, supposed: Sequence[Any], _texts: Texts, budget: Budget) -> None:
        bitwuzla = module("bitwuzla")
        options = bitwuzla.Options()
        options.set(bitwuzla.Option.TIME_LIMIT_PER, budget.seconds * 1000)
        options.set(bitwuzla.Option.SEED, budget.seed + 1)
        options.set(bitwuzla.Option.PRODUCE_MODELS, True)
        for name in LEFT_OUT:
            options.set(getattr(bitwuzla.Option, name), False)
        self.translated = Translator(bitwuzla, bitwuzla.TermManager())
        self.solver = bitwuzla.Bitwuzla(self.translated.manager, options)
        for term in supposed:
            self.solver.assert_formula(self._told(term))

    def _told(self, term: Any) -> Any:
        """`term` as bitwuzla's, once it knows at the outermost level what functions imply of it."""
        made = self.translated.of(term)
        for said in self.translated.alike:
            self.solver.assert_formula(said)
        self.translated.alike.clear()
        return made

    def ask(self, term: Any, show: bool = False) -> Answer:
        """Whether `term` can hold; with a model where it can and one is to be shown."""
        # Where goals differ in a place alone, z3 makes each of them small by itself. But it writes
        # a difference as a sum with a product by 2**64 - 1, which bitwuzla then multiplies out.
        small = z3.simplify(term)
        asked = self._told(small)
        if self.translated.multiplies(small):
            asked = self._told(term)
        self.solver.push(1)
        self.solver.assert_formula(asked)
        said = str(self.solver.check_sat())
        model = self.translated.model(self.solver) if show and said == "sat" else None
        self.solver.pop(1)
        word = said if said in ("sat", "unsat") else "unknown: limit reached"
        return Answer(word, model=model)


class Cvc5Session:
    """cvc5."""

    def __init__(self, _supposed: Sequence[Any], texts: Texts, budget: Budget) -> None:
        self.cvc5 = module("cvc5")
        manager = self.cvc5.TermManager()
        self.solver = self.cvc5.Solver(manager)
        self.solver.setOption("incremental", "true")
        self.solver.setOption("rlimit-per", str(budget.cvc5_rlimit))
        self.solver.setOption("tlimit-per", str(budget.seconds * 1000))
        self.solver.setOption("seed", str(budget.seed))
        self.symbols = self.cvc5.SymbolManager(manager)
        self._run(texts.opening)

    def _run(self, text: str) -> str:
        parser = self.cvc5.InputParser(self.solver, self.symbols)
        parser.setStringInput(self.cvc5.InputLanguage.SMT_LIB_2_6, text, "obligation")
        said = ""
        while not (command := parser.nextCommand()).isNull():
            said = command.invoke(self.solver, self.symbols).strip() or said
        return said

    def ask(self, term: Any, _show: bool = False) -> Answer:
        """Whether `term` can hold."""
        said = self._run(f"(push 1)\n(assert {term.sexpr()})\n(check-sat)\n(pop 1)\n")
        return Answer(said if said in ("sat", "unsat") else f"unknown: {said or 'no answer'}")


OPEN: dict[str, Callable[[Sequence[Any], Texts, Budget], Session]] = {
    "z3": Z3Session,
    "bitwuzla": BitwuzlaSession,
    "cvc5": Cvc5Session,
}
