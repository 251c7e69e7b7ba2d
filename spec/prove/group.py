"""Proving obligations that suppose the same in one session of each solver."""

import time
from collections.abc import Sequence
from typing import Any

from spec.prove.obligation import Heard, Obligation, Query, concluded, turned, witnesses
from spec.prove.sessions import OPEN, Session, Texts
from spec.prove.solvers import Answer, Budget
from spec.prove.verdict import Result
from spec.prove.world import Symbolic
from spec.terms import all_of, negate, truth


def prove_group(
    obligations: Sequence[Obligation], solvers: Sequence[str], budget: Budget
) -> list[Result]:
    """What `solvers` make of obligations that share a group, in their order.

    That what is supposed is possible is asked of z3, once for each case.
    """
    world = Symbolic()
    began = time.perf_counter()
    queries = [obligation.ask(world) for obligation in obligations]
    supposed = [truth(term) for term in queries[0].hypotheses if term is not True]
    questions = [term for query in queries for term in (query.plain, *_questions(query))]
    questions = [truth(term) for term in questions]
    texts = Texts(supposed, questions if set(solvers) != {"z3"} else ())
    names = dict.fromkeys(("z3", *solvers))
    sessions = {name: OPEN[name](supposed, texts, budget) for name in names}
    built = (time.perf_counter() - began) / len(obligations)
    known: dict[tuple[str, int], Answer] = {}
    results = []
    for obligation, query in zip(obligations, queries, strict=True):
        heard = _heard(obligation, query, solvers, sessions, known)
        heard.seconds = heard.solver_seconds + built
        results.append(concluded(obligation, world, heard))
    return results


def _questions(query: Query) -> list[Any]:
    given = truth(query.given)
    return [given, *(all_of(given, truth(negate(goal))) for goal in query.then)]


def _heard(
    obligation: Obligation,
    query: Query,
    solvers: Sequence[str],
    sessions: dict[str, Session],
    known: dict[tuple[str, int], Answer],
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
        heard.answers = {name: turned(possible(name).word) for name in witnesses(solvers)}
    for goal in goals:
        for name in solvers:
            heard.hear(name, sessions[name].ask(goal))
        if heard.refuting is not None and heard.refuting.model is None:
            heard.refuting = sessions["z3"].ask(goal)
    heard.solver_seconds = time.perf_counter() - started
    return heard
