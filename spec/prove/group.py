"""Proving obligations that suppose the same in one session of each solver."""

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from spec.prove.obligation import Heard, Obligation, Query, concluded, turned
from spec.prove.sessions import OPEN, Session, Texts
from spec.prove.solvers import Answer, Budget
from spec.prove.verdict import Result
from spec.prove.world import Symbolic
from spec.terms import all_of, any_of, negate, truth


def prove_group(
    obligations: Sequence[Obligation], solvers: Sequence[str], budget: Budget
) -> list[Result]:
    """What `solvers` make of obligations that share a group, in their order.

    That what is supposed is possible is asked of z3, once for each case. All goals of a case are
    asked at once, and one by one where that does not settle them.
    """
    world = Symbolic()
    began = time.perf_counter()
    queries = [obligation.ask(world) for obligation in obligations]
    supposed = [truth(term) for term in queries[0].hypotheses if term is not True]
    questions = [term for query in queries for term in (query.plain, *_questions(query))]
    questions = [truth(term) for term in questions]
    texts = Texts(supposed, questions) if set(solvers) != {"z3"} else Texts([], [])
    names = dict.fromkeys(("z3", *solvers))
    sessions = {name: OPEN[name](supposed, texts, budget) for name in names}
    built = (time.perf_counter() - began) / len(obligations)
    known: dict[tuple[str, int], Answer] = {}
    results = []
    for _, members in groupby(zip(obligations, queries, strict=True), key=_case):
        listed = list(members)
        started = time.perf_counter()
        at_once = _at_once([query for _, query in listed], solvers, sessions)
        share = (time.perf_counter() - started) / len(listed)
        for obligation, query in listed:
            heard = _heard(obligation, query, solvers, sessions, known, at_once)
            heard.solver_seconds += share
            heard.seconds = heard.solver_seconds + built
            results.append(concluded(obligation, world, heard))
    return results


def _case(pair: tuple[Obligation, Query]) -> int:
    return int(truth(pair[1].given).get_id())


def _at_once(
    queries: Sequence[Query], solvers: Sequence[str], sessions: dict[str, Session]
) -> dict[str, Answer]:
    """What each solver says to all goals of one case at once: that none of them can be broken.

    Where it does not say so, nothing is known, and each goal is asked by itself.
    """
    broken = [truth(negate(goal)) for query in queries for goal in query.then]
    if len(broken) < 2:
        return {}
    asked = all_of(truth(queries[0].given), any_of(*broken))
    share = len(broken)
    said = {name: sessions[name].ask(asked) for name in solvers}
    return {
        name: Answer("unsat", answer.rlimit // share)
        for name, answer in said.items()
        if answer.word == "unsat"
    }


def _questions(query: Query) -> list[Any]:
    given = truth(query.given)
    return [given, *(all_of(given, truth(negate(goal))) for goal in query.then)]


def _heard(
    obligation: Obligation,
    query: Query,
    solvers: Sequence[str],
    sessions: dict[str, Session],
    known: dict[tuple[str, int], Answer],
    at_once: dict[str, Answer],
) -> Heard:
    started = time.perf_counter()
    given, *goals = _questions(query)

    def possible(name: str) -> Answer:
        place = (name, given.get_id())
        if place not in known:
            plain = sessions[name].ask(all_of(given, truth(query.plain)))
            known[place] = plain if plain.word == "sat" else sessions[name].ask(given)
        return known[place]

    heard = Heard(possible("z3"), dict.fromkeys(solvers, "unsat"))
    if obligation.method == "witness":
        heard.answers = {name: turned(possible(name).word) for name in solvers}
    for goal in goals:
        for name in solvers:
            heard.hear(name, at_once.get(name) or sessions[name].ask(goal))
        if heard.refuting is not None and heard.refuting.model is None:
            heard.refuting = sessions["z3"].ask(goal)
    heard.solver_seconds = time.perf_counter() - started
    return heard
