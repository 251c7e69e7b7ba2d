"""Each discipline of the SVSM is needed: without it there is an attack, with it there is none."""

import pytest

from conformance import stories
from conformance.explain import explained
from conformance.protocol import defects
from spec.prove.group import prove_group
from spec.prove.inductive import of_rule
from spec.prove.solvers import Budget
from spec.prove.verdict import Verdict
from spec.validation.disciplines import ALL
from spec.validation.svsm_model import MODEL

by_name = pytest.mark.parametrize("name", [one.name for one in ALL])


def test_every_need_is_a_discipline_and_every_discipline_has_a_story() -> None:
    models = (MODEL, stories.model_on("tdx"))
    needed = {
        name for model in models for one in (*model.kept, *model.follows) for name in one.needs
    }
    known = {one.name for one in ALL}
    assert needed <= known
    assert known == set(stories.DROPPED) == set(stories.kept())


@by_name
def test_without_it_the_story_ends_in_what_must_not_be(name: str) -> None:
    told = stories.story(name)
    assert told.lines
    assert told.sentence.name == stories.DROPPED[name][1]


@by_name
def test_it_is_explained_with_its_story(name: str) -> None:
    said = explained(name)
    assert said is not None
    for word in ("(discipline)", "needed by:", "  1. ", "consequence:", "conform --device defect:"):
        assert word in said


def test_a_story_that_does_not_hold_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = stories.kept()
    short = {**traces, "carry-is-fatal": traces["next-after-effect"]}
    monkeypatch.setattr(stories, "kept", lambda: short)
    with pytest.raises(stories.StoryError):
        stories.story.__wrapped__("carry-is-fatal")


@by_name
def test_without_it_the_solver_refutes_a_sentence(name: str) -> None:
    found = defects.named(stories.DROPPED[name][0])
    assert found is not None
    assert defects.is_refuted(found)


def test_the_rules_as_they_are_are_not_refuted() -> None:
    rule = next(rule for rule in MODEL.rules if rule.id == "validation.pvalidate.claim")
    results = prove_group(list(of_rule(MODEL, rule)), ("z3",), Budget())
    assert results
    assert {result.verdict for result in results} == {str(Verdict.PROVED)}
