"""What is kept of earlier proofs shortens later ones, and can make none of them succeed."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from spec.prove import group
from spec.prove.group import prove_group
from spec.prove.inductive import of_rule, sentence
from spec.prove.kept import NAME, Values, kept_premises, kept_values, shows
from spec.prove.kept_file import found, needed, write
from spec.prove.obligation import Obligation
from spec.prove.run import PROFILES, catalogue, matching, prove_ids
from spec.prove.solvers import NAMES, Answer, Budget
from spec.prove.verdict import Result, Verdict
from spec.terms import is_symbolic, word
from tests.spec.test_inductive import (
    CITE,
    Shelf,
    mark,
    marks_are_near,
    marks_are_nearer,
    model,
    the_number_is_small,
)

REACHED = "test.shelf.mark.marked/is_reached"
NEAR = "test.shelf.mark.marked/marks_are_near"


@sentence(CITE)
def nothing_is(_s: Shelf) -> bool:
    """Of no shelf is this true."""
    return False


def shelf(*sentences: object) -> list[Obligation]:
    return list(of_rule(model(*sentences), mark))


def proved(
    kept: Mapping[str, Values], needed: Mapping[str, Mapping[str, list[int]]], *sentences: object
) -> dict[str, Result]:
    results = prove_group(shelf(*sentences), ("bitwuzla",), Budget(), kept, needed)
    return {result.id: result for result in results}


def test_each_case_of_a_session_has_values_and_they_show_it() -> None:
    asking = [o for o in catalogue().values() if o.method == "witness" and o.shares]
    assert {o.id for o in asking} == set(kept_values())
    assert [o.id for o in asking if not shows(o, kept_values()[o.id])] == []


def test_values_that_show_a_case_are_said_to_be_kept() -> None:
    kept = dict(found([o for o in shelf(marks_are_near) if o.method == "witness"]))
    result = proved(kept, {}, marks_are_near)[REACHED]
    assert (result.verdict, result.solvers) == (Verdict.PROVED, {NAME: Verdict.PROVED})


@pytest.mark.parametrize("values", [{"op_gfn": 10}, {"op_gfn": 3, "s_marked": [12, 13]}])
def test_values_that_show_another_case_or_none_are_of_no_use(values: Values) -> None:
    """The first is of the refusal; in the second a place is marked that none may mark."""

    def looks_at_twelve(_s, op, things):
        twelve = word(12) if is_symbolic(op.gfn) else 12
        return {"gfn": [things["g"], op.gfn, twelve]}

    sees_the_mark = replace(model(marks_are_near), named=looks_at_twelve)
    obligations = list(of_rule(sees_the_mark, mark))
    results = prove_group(obligations, ("bitwuzla",), Budget(), {REACHED: values})
    told = {result.id: result.solvers for result in results}
    assert told[REACHED] == {"bitwuzla": Verdict.PROVED}


def test_values_of_a_case_that_is_never_taken_make_it_no_less_vacuous() -> None:
    fits_nothing = replace(model(marks_are_near), given=(nothing_is,))
    obligations = [o for o in of_rule(fits_nothing, mark) if o.id in (REACHED, NEAR)]
    results = prove_group(obligations, ("bitwuzla",), Budget(), {REACHED: {"op_gfn": 3}})
    assert {result.verdict for result in results} == {Verdict.VACUOUS}


def test_what_is_needed_is_told_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    enough = needed(shelf(marks_are_near, the_number_is_small))
    assert enough == {"marks_are_near": [0]}
    asked = opened(monkeypatch)
    results = proved({}, {"test.shelf.mark": enough}, marks_are_near, the_number_is_small)
    assert {result.verdict for result in results.values()} == {Verdict.PROVED}
    assert sorted(asked) == [1, 3]  # what is needed, and all of it where it has to be possible


def test_a_goal_that_does_not_follow_of_what_was_needed_is_asked_beside_all() -> None:
    result = proved({}, {"test.shelf.mark": {"no_such_sentence": [0]}}, marks_are_near)[NEAR]
    assert result.verdict == Verdict.PROVED


def test_a_goal_that_follows_of_nothing_is_refuted_whatever_is_said_to_be_needed() -> None:
    result = proved({}, {"test.shelf.mark": {"marks_are_nearer": [0]}}, marks_are_nearer)
    assert result["test.shelf.mark.marked/marks_are_nearer"].verdict == Verdict.REFUTED


@pytest.mark.parametrize("solver", NAMES)
def test_what_is_needed_is_enough_for_each_solver(
    solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, beside_all = group.Sessions.ask, list[str]()
    name = "validation.pvalidate.validate"
    sizes = {len(kept_premises()[name]), 512}

    def ask(sessions: group.Sessions, name: str, term: object, show: bool = False) -> Answer:
        answer = honest(sessions, name, term, show)
        if len(sessions.supposed()) > max(sizes) // 2 and answer.word == "unsat":
            beside_all.append(name)
        return answer

    monkeypatch.setattr(group.Sessions, "ask", ask)
    goals = [catalogue()[i] for i in matching([f"{name}.*"])][:12]
    results = prove_group(goals, (solver,), Budget(), kept_values(), kept_premises())
    assert {result.verdict for result in results} == {Verdict.PROVED}
    assert beside_all == []


def test_values_are_used_where_one_solver_is_enough_and_nowhere_else() -> None:
    ids = matching(["validation.pvalidate.flush.*/is_reached"])
    for profile, names in (("quick", {NAME}), ("ci", set(NAMES))):
        told = [set(r.solvers) for r in prove_ids(ids, PROFILES[profile], Budget())]
        assert told == [names] * len(ids)


def test_what_is_found_anew_is_written(tmp_path) -> None:
    said: list[str] = []
    write(shelf(marks_are_near), tmp_path, said.append)
    values = json.loads((tmp_path / "kept_values.json").read_text())
    premises = json.loads((tmp_path / "kept_premises.json").read_text())
    assert said == ["test.shelf.mark"]
    assert set(values) == {REACHED, "test.shelf.mark.too_far/is_reached"}
    assert premises == {"test.shelf.mark": {"marks_are_near": [0]}}


def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much is supposed in each session that is opened."""
    honest, sizes = group.OPEN["bitwuzla"], list[int]()

    def open_session(supposed, texts, budget):
        sizes.append(len(supposed))
        return honest(supposed, texts, budget)

    monkeypatch.setitem(group.OPEN, "bitwuzla", open_session)
    return sizes
