"""Proving obligations that have suppositions in common in one session of each solver."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from spec.prove.kept import Values, seen
from spec.prove.obligation import Heard, Obligation, Query, concluded, turned, witnesses
from spec.prove.premises import Premises, Wanted
from spec.prove.sessions import OPEN, Session, Texts
from spec.prove.solvers import LOGIC, NUMBERS, READS, Answer, Budget
from spec.prove.verdict import Result, Verdict
from spec.prove.world import Symbolic
from spec.terms import all_of, negate, truth


def prove_group(
    obligations: Sequence[Obligation],
    solvers: Sequence[str],
    budget: Budget,
    kept: Mapping[str, Values] = MappingProxyType({}),
    needed: Mapping[str, Wanted] = MappingProxyType({}),
    first: bool = False,
) -> list[Result]:
    """What `solvers` make of obligations that share a group, in their order.

    What all of them suppose is told each solver once. That what is supposed is possible is asked of
    one, once for each case; of none where `kept` values, by the id of what they show, show it.
    needed: by group, what was enough to suppose; a goal that does not follow of it is asked about
    where all is supposed. first: only the first of the solvers that knows its logic is asked.
    """
    began = time.perf_counter()
    shared = Symbolic()
    worlds = [Symbolic() if one.alone else shared for one in obligations]
    queries = [one.ask(world) for one, world in zip(obligations, worlds, strict=True)]
    if first:
        logic = NUMBERS if any(world.naturals for world in worlds) else LOGIC
        solvers = [name for name in solvers if name in READS[logic]][:1]
    supposed, asked = in_common(queries)
    questions = [term for one in asked for term in (one.plainly, one.given, *one.broken)]
    whole = Sessions(supposed, questions, budget)
    few = enough(queries, needed.get(obligations[0].shares))
    ask = Asking(whole, whole if few is None else Sessions(lambda: few, questions, budget))
    built = (time.perf_counter() - began) / len(obligations)
    known: dict[tuple[str, int], Answer] = {}
    showers = list(dict.fromkeys((shower_of(solvers), "z3")))
    results = []
    for obligation, world, one in zip(obligations, worlds, asked, strict=True):
        heard_of = seen(obligation, kept)
        if heard_of is not None:
            known[showers[0], one.given.get_id()] = heard_of.known
            results.append(concluded(obligation, world, heard_of))
            continue
        for shower in showers:
            heard = _heard(obligation, one, solvers, shower, ask, known)
            heard.seconds = heard.solver_seconds + built
            result = concluded(obligation, world, heard)
            # Another solver's values may replay where one's do not; only then are they an error.
            if result.verdict != Verdict.ERROR:
                break
        results.append(result)
    return results


@dataclass
class Sessions:
    """A session of each solver that is asked anything, begun when it is."""

    supposed: Callable[[], Sequence[Any]]
    questions: Sequence[Any]
    budget: Budget
    opened: dict[str, Session] = field(default_factory=dict)

    def ask(self, name: str, term: Any, show: bool = False) -> Answer:
        """Whether a term can hold; `show`: with values, where it can."""
        if name not in self.opened:
            supposed = self.supposed()
            texts = Texts(supposed, self.questions if name == "cvc5" else ())
            self.opened[name] = OPEN[name](supposed, texts, self.budget)
        return self.opened[name].ask(term, show)


@dataclass(frozen=True)
class Asking:
    """Solvers that are told all that is supposed, and solvers that are told what is needed."""

    whole: Sessions
    few: Sessions

    def possible(self, name: str, term: Any, show: bool) -> Answer:
        """Whether a term can hold beside all that is supposed."""
        return self.whole.ask(name, term, show)

    def against(self, name: str, term: Any) -> Answer:
        """Whether a goal's opposite can hold; not if a part of what is supposed forbids it."""
        answer = self.few.ask(name, term)
        if answer.word == "unsat" or self.few is self.whole:
            return answer
        beside_all = self.whole.ask(name, term)
        return replace(beside_all, rlimit=beside_all.rlimit + answer.rlimit)


@dataclass(frozen=True)
class Asked:
    """An obligation as terms, beside what all of a group suppose.

    plainly: as `given`, of those values that are plain. broken: each goal's opposite.
    """

    plainly: Any
    given: Any
    broken: Sequence[Any]


def in_common(queries: Sequence[Query]) -> tuple[Callable[[], Sequence[Any]], list[Asked]]:
    """What all queries suppose, written when it is asked for, and the rest of each."""
    first = queries[0].hypotheses
    if all(query.hypotheses is first for query in queries):
        return lambda: list(_numbered(first).values()), [_asked(query, ()) for query in queries]
    # Queries of one rule have one list of what they suppose, which is looked at once.
    lists = {id(query.hypotheses): query.hypotheses for query in queries}
    numbered = {place: _numbered(listed) for place, listed in lists.items()}
    told = [numbered[id(query.hypotheses)] for query in queries]
    common = set(told[0]).intersection(*numbered.values())
    owned = ([term for n, term in one.items() if n not in common] for one in told)
    asked = [_asked(query, own) for query, own in zip(queries, owned, strict=True)]
    return lambda: [term for number, term in told[0].items() if number in common], asked


def _asked(query: Query, own: Sequence[Any]) -> Asked:
    """A query as terms, with what it alone supposes."""
    given = _all([*own, query.given])
    broken = [_all([given, negate(goal)]) for goal in query.then]
    return Asked(given if query.plain is True else _all([given, query.plain]), given, broken)


def enough(queries: Sequence[Query], wanted: Wanted | None) -> Sequence[Any] | None:
    """What is enough to suppose, where all suppose the same and it is known.

    It is written before all that is supposed, which would have more said of the sets in it.
    """
    first = queries[0].hypotheses
    alike = isinstance(first, Premises) and all(query.hypotheses is first for query in queries)
    if wanted is None or not alike or not isinstance(first, Premises):
        return None
    return list(_numbered(first.few(wanted)).values())


def _numbered(hypotheses: Sequence[Any]) -> dict[int, Any]:
    """What is supposed as terms, each once, by the number that z3 gives it."""
    told = [truth(term) for term in hypotheses if term is not True]
    return {term.get_id(): term for term in told}


def _all(terms: Sequence[Any]) -> Any:
    """All of some terms, as a term."""
    told = [truth(term) for term in terms if term is not True]
    return all_of(*told) if told else truth(True)


def shower_of(solvers: Sequence[str]) -> str:
    """Who is asked for values: bitwuzla where nobody else is asked anything, or z3."""
    return "bitwuzla" if tuple(solvers) == ("bitwuzla",) else "z3"


def _heard(
    obligation: Obligation,
    one: Asked,
    solvers: Sequence[str],
    shower: str,
    ask: Asking,
    known: dict[tuple[str, int], Answer],
) -> Heard:
    started = time.perf_counter()
    is_shown = obligation.method == "witness"

    def possible(name: str) -> Answer:
        place, show = (name, one.given.get_id()), is_shown and name == shower
        found = known.get(place)
        if found is None or (show and found.word == "sat" and found.model is None):
            found = ask.possible(name, one.plainly, show)
            if found.word != "sat" and not one.plainly.eq(one.given):
                found = ask.possible(name, one.given, show)
            known[place] = found
        return found

    heard = Heard(possible(shower), dict.fromkeys(solvers, "unsat"))
    if is_shown:
        asked = witnesses(solvers) if len(solvers) > 1 else (shower,)
        heard.answers = {name: turned(possible(name).word) for name in asked}
    for term in one.broken:
        for name in solvers:
            heard.hear(name, ask.against(name, term))
        if heard.refuting is not None and heard.refuting.model is None:
            heard.refuting = ask.possible("z3", term, True)
    heard.solver_seconds = time.perf_counter() - started
    return heard
