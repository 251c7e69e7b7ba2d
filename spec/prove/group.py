"""Proving obligations that have suppositions in common in one session of each solver."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spec.prove.obligation import Heard, Obligation, Query, concluded, turned, witnesses
from spec.prove.sessions import OPEN, Session, Texts
from spec.prove.solvers import Answer, Budget
from spec.prove.verdict import Result, Verdict
from spec.prove.world import Symbolic
from spec.terms import all_of, negate, truth

Ask = Callable[[str, Any, bool], Answer]
"""Asks a solver by name whether a term can hold; the last says whether a model is wanted."""


def prove_group(
    obligations: Sequence[Obligation], solvers: Sequence[str], budget: Budget
) -> list[Result]:
    """What `solvers` make of obligations that share a group, in their order.

    What all of them suppose is told each solver once. That what is supposed is possible is asked of
    one, once for each case.
    """
    began = time.perf_counter()
    shared = Symbolic()
    worlds = [Symbolic() if one.alone else shared for one in obligations]
    queries = [one.ask(world) for one, world in zip(obligations, worlds, strict=True)]
    supposed, asked = _asked(queries)
    questions = [term for one in asked for term in (one.plainly, one.given, *one.broken)]
    texts = Texts(supposed, questions if "cvc5" in solvers else ())
    sessions: dict[str, Session] = {}

    def ask(name: str, term: Any, show: bool) -> Answer:
        if name not in sessions:
            sessions[name] = OPEN[name](supposed, texts, budget)
        return sessions[name].ask(term, show)

    built = (time.perf_counter() - began) / len(obligations)
    known: dict[tuple[str, int], Answer] = {}
    results = []
    for obligation, world, one in zip(obligations, worlds, asked, strict=True):
        for shower in dict.fromkeys((shows(solvers), "z3")):
            heard = _heard(obligation, one, solvers, shower, ask, known)
            heard.seconds = heard.solver_seconds + built
            result = concluded(obligation, world, heard)
            # Another solver's values may replay where one's do not; only then are they an error.
            if result.verdict != Verdict.ERROR:
                break
        results.append(result)
    return results


@dataclass(frozen=True)
class Asked:
    """An obligation as terms, beside what all of a group suppose.

    plainly: as `given`, of those values that are plain. broken: each goal's opposite.
    """

    plainly: Any
    given: Any
    broken: Sequence[Any]


def _asked(queries: Sequence[Query]) -> tuple[list[Any], list[Asked]]:
    """What all queries suppose, and the rest of each."""
    # Queries of one rule have one list of what they suppose, which is looked at once.
    lists = {id(query.hypotheses): query.hypotheses for query in queries}
    numbered = {place: _numbered(listed) for place, listed in lists.items()}
    told = [numbered[id(query.hypotheses)] for query in queries]
    common = set(told[0]).intersection(*numbered.values())
    asked = []
    for query, hypotheses in zip(queries, told, strict=True):
        own = [term for number, term in hypotheses.items() if number not in common]
        given = _all([*own, query.given])
        broken = [_all([given, negate(goal)]) for goal in query.then]
        plainly = given if query.plain is True else _all([given, query.plain])
        asked.append(Asked(plainly, given, broken))
    return [term for number, term in told[0].items() if number in common], asked


def _numbered(hypotheses: Sequence[Any]) -> dict[int, Any]:
    """What is supposed as terms, each once, by the number that z3 gives it."""
    told = [truth(term) for term in hypotheses if term is not True]
    return {term.get_id(): term for term in told}


def _all(terms: Sequence[Any]) -> Any:
    """All of some terms, as a term."""
    told = [truth(term) for term in terms if term is not True]
    return all_of(*told) if told else truth(True)


def shows(solvers: Sequence[str]) -> str:
    """Who is asked for values: bitwuzla where nobody else is asked anything, or z3."""
    return "bitwuzla" if tuple(solvers) == ("bitwuzla",) else "z3"


def _heard(
    obligation: Obligation,
    one: Asked,
    solvers: Sequence[str],
    shower: str,
    ask: Ask,
    known: dict[tuple[str, int], Answer],
) -> Heard:
    started = time.perf_counter()
    is_shown = obligation.method == "witness"

    def possible(name: str) -> Answer:
        place, show = (name, one.given.get_id()), is_shown and name == shower
        found = known.get(place)
        if found is None or (show and found.word == "sat" and found.model is None):
            found = ask(name, one.plainly, show)
            if found.word != "sat" and not one.plainly.eq(one.given):
                found = ask(name, one.given, show)
            known[place] = found
        return found

    heard = Heard(possible(shower), dict.fromkeys(solvers, "unsat"))
    if is_shown:
        asked = witnesses(solvers) if len(solvers) > 1 else (shower,)
        heard.answers = {name: turned(possible(name).word) for name in asked}
    for term in one.broken:
        for name in solvers:
            heard.hear(name, ask(name, term, False))
        if heard.refuting is not None and heard.refuting.model is None:
            heard.refuting = ask("z3", term, True)
    heard.solver_seconds = time.perf_counter() - started
    return heard
