"""An obligation: something to be shown, as a function from a world to a query."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from spec.assumptions import Assumption
from spec.prove.solvers import ASK, Answer, Budget, reads, text_of
from spec.prove.verdict import Result, Verdict, Witness
from spec.prove.world import Concrete, Symbolic, World
from spec.sources import Source
from spec.terms import Bool, negate, truth


@dataclass(frozen=True)
class Query:
    """Where all of `hypotheses` and `given` hold, each of `then` is to hold.

    plain: where there is a choice of values that show `given` possible, those for which it holds.
    """

    hypotheses: Sequence[Bool]
    then: Sequence[Bool]
    given: Bool = True
    plain: Bool = True


@dataclass(frozen=True)
class Obligation:
    """One thing to be shown.

    `ask` writes it in a world. Obligations that share the name of a group suppose much in common,
    and are asked in one session (`spec.prove.group`); they are written in one world, but for those
    that are `alone` in one. `method` is `witness` where it is to be shown that `given` can be (then
    is empty); anything else is to be proved. `best`: who is asked where one solver is enough.
    """

    id: str
    claim: str
    source: Source
    ask: Callable[[World], Query]
    assumptions: tuple[Assumption, ...] = ()
    method: str = "pointwise"
    shares: str = ""
    best: str = "bitwuzla"
    alone: bool = False


@dataclass
class Cache:
    """Answers to texts asked before: many obligations share an antecedent."""

    answers: dict[str, Answer]

    def ask(self, text: str, budget: Budget) -> Answer:
        """z3's answer to `text`."""
        if text not in self.answers:
            self.answers[text] = ASK["z3"](text, budget)
        return self.answers[text]


def texts(obligation: Obligation) -> dict[str, str]:
    """The SMT-LIB texts of an obligation: `possible` is to be sat, each `goal-N` unsat."""
    query = obligation.ask(Symbolic())
    return dict(zip(_labels(query), _texts(query), strict=True))


def _labels(query: Query) -> list[str]:
    return ["possible", *(f"goal-{i}" for i in range(len(query.then)))]


def _texts(query: Query) -> list[str]:
    base = [truth(h) for h in (*query.hypotheses, query.given) if h is not True]
    return [text_of(base), *(text_of([*base, truth(negate(goal))]) for goal in query.then)]


@dataclass
class Heard:
    """What solvers have answered about one obligation so far.

    known: the answer on what is supposed. answers: the worst word of each solver. witness: what
    kept values have shown.
    """

    known: Answer
    answers: dict[str, str]
    refuting: Answer | None = None
    witness: Witness | None = None
    rlimit: int = 0
    seconds: float = 0.0
    solver_seconds: float = 0.0

    def hear(self, name: str, answer: Answer) -> None:
        """Take in a solver's answer on a goal."""
        self.rlimit += answer.rlimit
        self.answers[name] = _worse(self.answers[name], answer.word)
        if answer.word == "sat" and (self.refuting is None or self.refuting.model is None):
            self.refuting = answer


def prove(
    obligation: Obligation,
    solvers: Sequence[str],
    budget: Budget,
    cache: Cache | None = None,
    first: bool = False,
) -> Result:
    """What `solvers` make of an obligation; with more than one, two must agree on `PROVED`.

    first: only the first of them that knows its logic is asked.
    """
    began = time.perf_counter()
    world = Symbolic()
    query = obligation.ask(world)
    possible, *goals = _texts(query)
    solvers = [name for name in solvers if reads(name, (possible, *goals))]
    solvers = solvers[:1] if first else solvers
    started = time.perf_counter()
    known = (cache or Cache({})).ask(possible, budget)
    heard = Heard(known, dict.fromkeys(solvers, "unsat"), rlimit=known.rlimit)
    if obligation.method == "witness":
        asked = {n: known if n == "z3" else ASK[n](possible, budget) for n in witnesses(solvers)}
        heard.answers = {name: turned(answer.word) for name, answer in asked.items()}
    for goal in goals:
        for name in solvers:
            heard.hear(name, ASK[name](goal, budget))
        if heard.refuting is not None and heard.refuting.model is None:
            heard.refuting = ASK["z3"](goal, budget)
    heard.solver_seconds = time.perf_counter() - started
    heard.seconds = time.perf_counter() - began
    return concluded(obligation, world, heard)


def concluded(obligation: Obligation, world: Symbolic, heard: Heard) -> Result:
    """The result that the answers amount to; values that refute or show are replayed."""
    began = time.perf_counter()
    witness = heard.witness
    if heard.refuting is not None and heard.refuting.model is not None:
        witness = replay(obligation, world, heard.refuting.model)
    elif obligation.method == "witness" and heard.known.model is not None:
        witness = replay(obligation, world, heard.known.model)
    verdict, reason = _verdict(obligation, heard.known.word, heard.answers, witness)
    return Result(
        id=obligation.id,
        verdict=str(verdict),
        method=obligation.method,
        solvers={name: _spoken(word) for name, word in heard.answers.items()},
        rlimit=heard.rlimit,
        seconds=round(heard.seconds + time.perf_counter() - began, 6),
        solver_seconds=round(heard.solver_seconds, 6),
        citation=str(obligation.source),
        assumptions=[a.name for a in obligation.assumptions],
        claim=obligation.claim,
        reason=reason,
        witness=witness if verdict is Verdict.REFUTED or verdict is Verdict.ERROR else None,
    )


def witnesses(solvers: Sequence[str]) -> Sequence[str]:
    """Who is asked that something can be: z3 where one solver is enough, since it shows values.

    They are replayed, so the oracle vouches for them and no other solver need.
    """
    return solvers if len(solvers) > 1 else ("z3",)


def turned(word: str) -> str:
    """What an answer on a supposition means where it is to be shown possible."""
    return {"sat": "unsat", "unsat": "sat"}.get(word, word)


def _worse(left: str, right: str) -> str:
    ranks = ("unsat", "unknown", "sat")
    return max(left, right, key=lambda word: ranks.index(word.split(":")[0]))


def _spoken(word: str) -> str:
    plain = {"unsat": Verdict.PROVED, "sat": Verdict.REFUTED}
    return str(plain[word]) if word in plain else word.replace("unknown", str(Verdict.UNKNOWN))


def _verdict(
    obligation: Obligation, possible: str, answers: dict[str, str], witness: Witness | None
) -> tuple[Verdict, str]:
    words = [word.split(":")[0] for word in answers.values()]
    must_agree = min(2, len(words))
    if not words:
        return Verdict.UNKNOWN, "no solver that was asked for knows numbers; ask z3 or cvc5"
    if "sat" in words and "unsat" in words:
        return Verdict.DISAGREE, f"the solvers disagree: {answers}"
    if possible == "unsat":
        return Verdict.VACUOUS, "what it supposes cannot be"
    if possible != "sat":
        return Verdict.UNKNOWN, f"what it supposes was not shown to be possible ({possible})"
    if "sat" in words:
        if witness is None or not witness.replays:
            return Verdict.ERROR, "the refuting values do not replay in the oracle"
        return Verdict.REFUTED, "refuted by the values shown"
    if words.count("unsat") < must_agree:
        told = next((word for word in answers.values() if word != "unsat"), "")
        return Verdict.UNKNOWN, told.removeprefix("unknown: ")
    if obligation.method == "witness" and not (witness and witness.replays):
        return Verdict.ERROR, "the values that show it do not replay in the oracle"
    return Verdict.PROVED, ""


def replay(obligation: Obligation, world: Symbolic, model: Any) -> Witness:
    """The model's values, and whether they refute (or show) the obligation on plain numbers."""
    values = {
        d.name(): str(model[d])
        for d in sorted(model.decls(), key=lambda d: str(d.name()))
        if d.arity() == 0
    }
    tried = (obligation.ask(Concrete(model, world, otherwise)) for otherwise in OTHERWISE)
    if obligation.method == "witness":
        replays = any(is_shown(query) for query in tried)
    else:
        replays = any(is_shown(query) and not all(map(_holds, query.then)) for query in tried)
    return Witness({name: _short(text) for name, text in values.items()}, replays)


OTHERWISE = ("clear", "claimed", "inside")
"""What a set is made to hold where the proof did not look, one after the other."""


def is_shown(query: Query) -> bool:
    """Whether all that is supposed holds, on plain numbers."""
    return all(_holds(said) for said in (*query.hypotheses, query.given))


def _holds(term: Bool) -> bool:
    return z3.is_true(z3.simplify(term)) if isinstance(term, z3.ExprRef) else bool(term)


def _short(text: str) -> str:
    return hex(int(text)) if text.isdigit() else text
