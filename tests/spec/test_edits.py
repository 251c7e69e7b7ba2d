"""Single edits of the rules are noticed; `make edits` makes all of them."""

import ast

import pytest

from spec.prove import edits
from spec.prove.edit_list import all_edits
from spec.prove.edit_text import Text
from spec.prove.edits import EditReport, Fate
from spec.prove.variant import BITMAP, source_of

EVERY = 53
"""One edit in so many is proved here: a prime, so that all kinds and rules have their turn."""
SOURCE = source_of(BITMAP)


def test_a_sample_is_noticed_but_for_what_is_listed() -> None:
    sample = {edit.id for edit in edits.edits()[::EVERY]}
    told: list[str] = []
    report = edits.run(told.append, 1, lambda edit: edit.id in sample)
    assert not report.failures
    assert report.passes
    assert sorted(told) == sorted(sample)
    assert report.total + len(report.broken) == len(sample)


@pytest.mark.parametrize(
    "name",
    [
        "claim_4k: case left out: without already_claimed",
        "import_words: case left out: without wrong_length",
        "query: constant: 1 -> 0",
        "claim_range: refusal that writes: mixed: writes all the same",
    ],
)
def test_an_edit_that_matters_is_noticed(name: str) -> None:
    report = edits.run(None, 1, lambda edit: edit.id == name)
    assert (report.total, report.noticed) == (1, 1)
    assert report.percent == 100.0


def test_an_edit_that_means_the_same_is_not_noticed() -> None:
    name = "test_range: value left out: none_claimed: answers 0"
    report = edits.run(None, 1, lambda edit: edit.id == name)
    (survivor,) = report.survivors
    assert survivor.edit == name
    assert "`Extent.NONE` is 0" in survivor.reason


def test_every_edit_has_a_name_of_its_own_and_changes_the_syntax_tree() -> None:
    made = edits.edits()
    assert len({edit.id for edit in made}) == len(made) > 600
    tree = ast.dump(ast.parse(SOURCE))
    for edit in made:
        changed = edit.made(SOURCE)
        assert ast.dump(ast.parse(changed)) != tree
        assert edit.rules


def test_every_listed_edit_is_made() -> None:
    assert set(edits.listed()) <= {edit.id for edit in edits.edits()}


def test_an_edit_refuses_another_text() -> None:
    with pytest.raises(ValueError, match="does not read"):
        edits.edits()[0].made("x" * len(SOURCE))


def test_what_no_rule_uses_is_not_edited() -> None:
    rule = "@rule()\ndef one(s, op):\n    return (Case('a', True, USED, s),)\n"
    text = f"UNUSED = 1 + 2\nUSED = 3\n{rule}"
    assert {edit.function for edit in all_edits(text)} <= {"USED", "one"}


def test_places_are_counted_in_bytes() -> None:
    text = Text("A = 'é'\nB = 7\n")
    assert text.of(text.tree.body[1]) == "B = 7"


# What the report makes of fates


def fates(*noticed: str) -> tuple[Fate, ...]:
    """A hundred fates: the edits `noticed`, and as many more as that takes."""
    more = (Fate(f"edit {i}", "kind", 1, "REFUTED", "o") for i in range(99))
    return (*more, *(Fate(name, "kind", 7) for name in noticed))


def test_a_survivor_without_a_reason_fails() -> None:
    report = EditReport(fates("lost"), {})
    assert report.percent == 99.0
    assert not report.passes
    assert report.failures == ("not noticed, and no reason is listed: line 7, lost",)


def test_a_survivor_with_a_reason_passes() -> None:
    report = EditReport(fates("lost"), {"lost": "it is the same"})
    assert report.passes
    assert [one.reason for one in report.survivors] == ["it is the same"]


def test_a_listed_edit_that_is_noticed_fails() -> None:
    report = EditReport(fates(), {"edit 3": "it is the same"})
    assert report.stale == ("edit 3",)
    assert report.failures == ("listed as meaning the same, and noticed or gone: edit 3",)


def test_too_few_noticed_fails_whatever_the_reasons() -> None:
    lost = [f"lost {i}" for i in range(10)]
    report = EditReport(fates(*lost), dict.fromkeys(lost, "it is the same"))
    (failure,) = report.failures
    assert "90.8 percent of 109 edits are noticed, must be at least 95" in failure


def test_nothing_made_is_no_pass() -> None:
    assert not EditReport((), {}).passes


def test_an_edit_that_makes_no_rule_is_not_counted() -> None:
    report = EditReport((*fates(), Fate("torn", "kind", 1, broken="NameError: x")), {})
    assert (report.total, report.noticed, len(report.broken)) == (99, 99, 1)


def test_an_edit_listed_twice_or_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="listed once"):
        edits.reasons_of('[[same]]\nreason = "r"\nedits = ["a", "a"]\n')
    with pytest.raises(ValueError, match="listed once"):
        edits.reasons_of('[[same]]\nedits = ["a"]\n')
