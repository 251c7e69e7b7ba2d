"""Each known-bad variant is refuted by the sentence that it names, and found by a run."""

from functools import cache, partial
from importlib import import_module

import pytest

from conformance import builtin, defects
from conformance.defects import DEFECTS, Defect
from conformance.device import DeviceError, find_device
from spec.catalogue import SUBJECTS, subject_of
from spec.prove.matrix import matrix
from spec.prove.obligation import Cache, prove
from spec.prove.solvers import Budget
from spec.prove.variant import EditError, only_rules, source_of
from spec.prove.verdict import Verdict


@cache
def sentences(area: str) -> set[str]:
    subject = next(subject for subject in SUBJECTS if subject.id == area)
    return {obligation.id.partition("/")[2] for obligation in matrix(subject)}


by_id = pytest.mark.parametrize("found", DEFECTS, ids=lambda found: found.id)


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(DEFECTS) >= 24
    assert len({found.id for found in DEFECTS}) == len(DEFECTS)
    assert len({found.title for found in DEFECTS}) == len(DEFECTS)


def test_the_reported_ones_are_among_them() -> None:
    origins = [found.origin for found in DEFECTS]
    assert origins.count("COCONUT-SVSM pull request 134") >= 2
    assert origins.count("COCONUT-SVSM pull request 512") >= 1


@by_id
def test_a_defect_names_what_there_is(found: Defect) -> None:
    assert found.breaks in sentences(found.area)
    assert found.rules
    assert set(found.rules) <= {rule.name for rule in subject_of(found.policy).rules}


@by_id
def test_each_edit_has_one_place(found: Defect) -> None:
    for modules, changes in ((defects.SPEC[found.area], found.rule), (defects.WHERE, found.code)):
        assert changes
        for change in changes:
            there = [source_of(module).count(change.old) for module in modules]
            # What both records of the twin say alike is changed in the one of the defect's area.
            assert set(there) <= {0, 1}, change.old
            assert 1 in there, change.old
            assert change.old != change.new


@by_id
def test_a_defect_is_refuted_by_the_sentence_that_it_names(found: Defect) -> None:
    asked, verdicts = Cache({}), []
    for obligation in defects.obligations(found):
        result = prove(obligation, ("z3",), Budget(), asked)
        verdicts.append(result.verdict)
        if result.verdict == Verdict.REFUTED:
            assert result.witness is not None
            assert result.witness.replays
            break
    assert Verdict.REFUTED in verdicts, verdicts


@by_id
def test_a_defect_is_found_by_random_traces(found: Defect) -> None:
    make = partial(defects.device, found.id)
    # More than is ever needed: others may be at work on the machine.
    assert defects.is_found_in_bulk(make, 10 * defects.BUDGET_SECONDS, found.policy)


def test_random_traces_find_nothing_wrong_with_the_real_twin() -> None:
    assert not defects.is_found_in_bulk(partial(builtin.device, "pure"), 1.0)


def test_the_real_rules_refute_nothing_of_the_kind() -> None:
    # What finds the defects must not find them where there is none.
    named = {found.breaks for found in DEFECTS if "claim_4k" in found.rules}
    of_rule = only_rules(SUBJECTS[0], ["validation.bitmap.claim_4k"])
    asked = Cache({})
    for obligation in matrix(of_rule):
        if obligation.id.partition("/")[2] in named:
            assert prove(obligation, ("z3",), Budget(), asked).verdict == Verdict.PROVED


def test_no_module_that_is_in_use_is_changed() -> None:
    twin = import_module(defects.TWIN)
    bad = defects.changed_module(DEFECTS[0])
    assert bad is not twin
    assert bad.ValidationBitmap is not twin.ValidationBitmap
    assert import_module(defects.TWIN) is twin


def test_a_device_is_found_by_the_defects_name() -> None:
    made = find_device(f"defect:{DEFECTS[0].id}")()
    assert made.name == f"defect:{DEFECTS[0].id}"


def test_an_unknown_defect_is_told() -> None:
    with pytest.raises(DeviceError, match="no defect is called 'nothing'"):
        find_device("defect:nothing")()


def test_an_edit_that_fits_nowhere_is_told() -> None:
    change = defects.Change("this stands nowhere", "")
    bad = Defect("x", "x", "x", ("fill",), (change,), (change,))
    with pytest.raises(EditError, match="0 places read"):
        defects.changed_module(bad)
    with pytest.raises(EditError, match="0 places read"):
        defects.changed_rules(bad)


def test_a_row_of_the_kill_matrix_says_what_found_it() -> None:
    row = defects.kill("query_is_inverted")
    assert row.is_killed
    assert (row.id, row.prove, row.conform, row.vectors) == ("query_is_inverted", True, True, True)
