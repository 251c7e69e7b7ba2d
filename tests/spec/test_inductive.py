"""The engine of the one model proves what is kept, refutes what is not, and says what is absent."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import pytest
import z3

from spec.assumptions import ATOMIC_STEPS
from spec.catalogue import MODELS
from spec.prove.group import prove_group
from spec.prove.inductive import Model, obligations, of_rule, sentence
from spec.prove.run import catalogue
from spec.prove.solvers import NAMES, Budget
from spec.prove.translate import Translator
from spec.prove.verdict import Verdict
from spec.rule import Case, changed, rule
from spec.sources import definition
from spec.terms import Count, KeySet, at_most, below, implies, plus

CITE = definition("a test")


@dataclass(frozen=True)
class Shelf:
    """Some marked places, and a number."""

    marked: Annotated[Any, KeySet()]
    number: Count


@dataclass(frozen=True)
class At:
    """A place."""

    gfn: Count


@rule("test.shelf", At, cite=CITE)
def mark(s: Shelf, op: At) -> tuple[Case, ...]:
    """Mark a place below ten."""
    made = lambda: changed(s, marked=s.marked.with_block(op.gfn, False, True))  # noqa: E731
    return (Case("too_far", at_most(10, op.gfn), 1, s), Case("marked", True, 0, made))


@rule("test.shelf", At, cite=CITE)
def count(s: Shelf, op: At) -> tuple[Case, ...]:
    """Count up to ten, and never past it."""
    made = lambda: changed(s, number=plus(s.number, 1))  # noqa: E731
    return (
        Case("enough", s.number == 10, 1, s),
        Case("past", below(10, s.number), 1, s, never=True),
        Case("counted", True, 0, made),
    )


@sentence(CITE)
def marks_are_near(s: Shelf, g: int) -> bool:
    """Only places below ten are marked."""
    return implies(s.marked.has(g), below(g, 10))


@sentence(CITE)
def the_number_is_small(s: Shelf) -> bool:
    """The number is at most ten."""
    return at_most(s.number, 10)


@sentence(CITE)
def marks_are_nearer(s: Shelf, g: int) -> bool:
    """Only places below nine are marked."""
    return implies(s.marked.has(g), below(g, 9))


def looked(_s: Shelf, op: At | None, things: dict[str, int]) -> dict[str, list[int]]:
    return {"spn": [], "gfn": [things["g"], *([op.gfn] if op else [])], "vcpu": []}


def model(*kept: object) -> Model:
    return Model(
        "test.shelf",
        Shelf,
        (mark, count),
        (),
        tuple(kept),
        (),
        (),
        tuple(kept),
        looked,
        lambda _s, _op: True,
        (ATOMIC_STEPS,),
    )


def verdicts(of: Model, *solvers: str) -> dict[str, str]:
    found = {}
    for one in of.rules:
        for result in prove_group(list(of_rule(of, one)), solvers or ("z3",), Budget()):
            found[result.id] = result.verdict
    return found


@pytest.mark.parametrize("solver", NAMES)
def test_what_is_kept_is_proved_by_each_solver(solver: str) -> None:
    found = verdicts(model(marks_are_near, the_number_is_small), solver)
    assert found["test.shelf.mark.marked/marks_are_near"] == Verdict.PROVED
    assert found["test.shelf.count.counted/the_number_is_small"] == Verdict.PROVED
    assert found["test.shelf.count.past/is_never_taken"] == Verdict.PROVED
    assert found["test.shelf.mark.too_far/is_reached"] == Verdict.PROVED
    assert set(found.values()) == {str(Verdict.PROVED)}


def test_what_is_not_kept_is_refuted_by_values_that_replay() -> None:
    found = verdicts(model(marks_are_nearer))
    assert found["test.shelf.mark.marked/marks_are_nearer"] == Verdict.REFUTED


@pytest.mark.parametrize("solver", NAMES)
@pytest.mark.parametrize("place", [3, 9])
def test_a_goal_shown_in_cases_is_looked_at_in_each_and_in_none(solver: str, place: int) -> None:
    """Only the place 9 refutes it: that is the one case, or in none of them."""
    of = replace(model(marks_are_nearer), apart=lambda _s, op, _things: (op.gfn == place,))
    found = verdicts(of, solver)
    assert found["test.shelf.mark.marked/marks_are_nearer"] == Verdict.REFUTED


def test_values_that_do_not_replay_are_asked_of_another_solver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = Translator.model

    def wrong(made: Translator, solver: Any) -> Any:
        """A model in which the place is another than the one that was found."""
        found = honest(made, solver)
        found.update_value(z3.BitVec("op_gfn", 64), z3.BitVecVal(11, 64))
        return found

    monkeypatch.setattr(Translator, "model", wrong)
    reached = [o for o in of_rule(model(marks_are_near), mark) if "marked/is_reached" in o.id]
    (result,) = prove_group(reached, ("bitwuzla",), Budget())
    assert (result.verdict, set(result.solvers)) == (Verdict.PROVED, {"z3"})
    monkeypatch.setattr(Translator, "model", honest)
    (result,) = prove_group(reached, ("bitwuzla",), Budget())
    assert (result.verdict, set(result.solvers)) == (Verdict.PROVED, {"bitwuzla"})


def test_a_case_that_is_said_never_to_be_taken_and_is_taken_is_refuted() -> None:
    found = verdicts(model(marks_are_near))
    assert found["test.shelf.count.past/is_never_taken"] == Verdict.REFUTED


def test_what_a_step_does_not_touch_is_nothing_to_show() -> None:
    asked = {o.id for o in of_rule(model(marks_are_near, the_number_is_small), mark)}
    assert "test.shelf.mark.marked/the_number_is_small" not in asked
    assert "test.shelf.mark.marked/marks_are_near" in asked


def test_what_supposes_the_impossible_is_vacuous() -> None:
    @sentence(CITE)
    def nothing_is(s: Shelf) -> bool:
        """What cannot be."""
        return below(s.number, 0)

    found = verdicts(model(nothing_is))
    assert found["test.shelf.count.counted/nothing_is"] == Verdict.VACUOUS


def test_the_one_model_has_a_thousand_obligations_none_of_them_bounded() -> None:
    whole = list(obligations(MODELS[0]))
    assert len(whole) >= 1000
    assert {o.method for o in whole} == {"inductive", "witness", "follows"}
    assert {o.id for o in whole} <= set(catalogue())


def test_every_sentence_of_the_one_model_is_asked_somewhere() -> None:
    of = MODELS[0]
    asked = {o.id.rpartition("/")[2].removeprefix("at_first.") for o in obligations(of)}
    said = {one.name for one in (*of.kept, *of.follows, *of.steps)}
    assert said - asked <= {"only_the_host_assigns"}
