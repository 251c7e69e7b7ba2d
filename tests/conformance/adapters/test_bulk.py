"""Traces in bulk: what the compiled rules say is what the rules say, and what differs is found."""

import time
from collections import Counter

import numpy as np
import pytest
from traces import FEW

from conformance import doctor
from conformance.adapters import compiled, found
from conformance.adapters.bulk import Bulk, drawing, run_sheet
from conformance.adapters.emit import function
from conformance.adapters.sheet import case_names
from conformance.batch import IN_BULK, OPCODES, STEPS
from conformance.builtin import BUILTIN_POLICY, POLICIES, RUNS_POLICY
from conformance.packing import from_bytes
from conformance.trace import expected_value, judge
from spec.catalogue import rules, subject_of
from spec.pages import ListedPages
from spec.rule import Case, rule, step
from spec.sources import decision
from spec.validation.bitmap import At, Bitmap, Policy
from spec.validation.outcomes import Outcome
from spec.validation.runs import Nothing

needs_a_compiler = pytest.mark.skipif(compiled.compiler() is None, reason="there is no C compiler")


def in_bulk(policy):
    return [one for one in subject_of(policy).rules if one.name in OPCODES]


def same(sheet, lane, place, rule_, op, state, done):
    assert case_names(rule_)[sheet.cases[lane, place]] == done.case
    assert sheet.outcomes[lane, place] == done.outcome
    value = expected_value(done.value, state)
    if isinstance(value, tuple) and done.outcome == 0:
        first = int(sheet.ops[lane, place, 2])
        assert tuple(sheet.after[lane, first : first + op.length].tolist()) == value
    elif done.outcome == 0:
        assert int(sheet.values[lane, place]) == value
    base, pages, *words = sheet.shown[lane, place].tolist()
    assert (base, pages) == (done.state.base, done.state.pages)
    assert from_bytes(np.array(words, np.uint64).tobytes(), base >> 12) == done.state.claimed


@needs_a_compiler
@pytest.mark.parametrize("policy", [BUILTIN_POLICY, POLICIES["size_mismatch"], RUNS_POLICY])
def test_the_compiled_rules_say_what_the_rules_say(policy):
    reached = Counter()
    for number in (1, 2, 3, 7):
        sheet = compiled.drawn(policy, in_bulk(policy), 5, number)
        for lane in range(0, sheet.lanes, 1 if number == 7 else 17):
            state, steps = sheet.trace(lane)
            for place, (one, op) in enumerate(steps):
                done = step(one, state, op)
                same(sheet, lane, place, one, op, state, done)
                reached[one.id, done.case] += 1
                state = done.state
    assert sum(reached.values()) > 3000


@needs_a_compiler
@pytest.mark.parametrize("policy", [BUILTIN_POLICY, RUNS_POLICY])
def test_every_case_is_drawn(policy):
    reached = Counter()
    mine = in_bulk(policy)
    for number in range(1, 60):
        sheet = compiled.drawn(policy, mine, 1, number)
        sheet.count(reached, np.ones(sheet.lanes, bool))
    assert {(one.id, case) for one in mine for case in case_names(one)} == set(reached)


@needs_a_compiler
def test_the_same_seed_draws_the_same():
    mine = in_bulk(BUILTIN_POLICY)
    one, two, other = (compiled.drawn(BUILTIN_POLICY, mine, *at) for at in ((3, 4), (3, 4), (4, 4)))
    assert np.array_equal(one.ops, two.ops)
    assert np.array_equal(one.shown, two.shown)
    assert not np.array_equal(one.ops, other.ops)


def test_a_changed_rule_is_another_program():
    def cases(s, op):
        return (Case("all", True, Outcome.OK, s.marked(op.gpa, op.gpa + 8192, True)),)

    cases.__name__, cases.__doc__ = "claim_4k", "Claims two pages, always."
    wrong = rule("validation.bitmap", At, cite=decision("0003-mixed-2m"))(cases)
    assert "8192" in function(wrong)
    assert function(wrong) != function(rules()["validation.bitmap.claim_4k"])


def run(spec, sheets, seed=0):
    device = found.record(spec)
    made, result = drawing(in_bulk(device.policy), device), Bulk()
    for number in range(sheets):
        run_sheet(device, made(seed, number), result)
        if result.parted:
            break
    device.link.end()
    return result


@pytest.mark.parametrize("with_compiler", [True, False])
def test_a_library_that_conforms_is_told_to(compiled, monkeypatch, with_compiler):
    if not with_compiler:
        no_compiler(monkeypatch)
    result = run(f"c:{compiled('flat.c', WORDS=1)}", 4)
    assert result.parted is None
    assert result.steps > 50_000


def test_a_run_tracker_that_conforms_is_told_to(compiled):
    result = run(f"c:{compiled('flat.c', RUNS=1)}", 4)
    assert result.parted is None
    assert ("validation.runs.claim_range", "out_of_runs") in result.reached


def test_a_run_tracker_becomes_a_bitmap(compiled):
    device = found.record(f"c:{compiled('flat.c', RUNS=1)}")
    named = {one.name: one for one in subject_of(device.policy).rules}
    start = Bitmap(device.policy, 0, 64, ListedPages())
    odd = [(named["claim_4k"], At(page << 12)) for page in range(0, 24, 2)]
    assert judge(start, [*odd, (named["switch"], Nothing()), *odd], device) is None
    device.link.end()


def no_compiler(monkeypatch):
    from conformance.adapters import compiled as home

    monkeypatch.setattr(home, "COMPILERS", ())
    home.rules_in_c.cache_clear()


WRONG = {
    "an answer": ({"ALREADY": "SVSM_MIXED"}, "outcome"),
    "a state": ({"STOP(s)": "s - 1"}, "claimed"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("first", [0, 1])
def test_what_differs_is_found_by_arrays_and_by_the_compiled_rules(compiled, what, first):
    macros, field = WRONG[what]
    device = found.record(f"c:{compiled('flat.c', **macros)}")
    sheet, result = drawing(in_bulk(device.policy), device)(0, first), Bulk()
    run_sheet(device, sheet, result)
    assert result.parted[2].field == field
    assert result.steps < sheet.lanes * STEPS
    device.link.end()


def test_an_off_by_one_in_a_range_end_is_found_in_less_than_a_second(compiled):
    device = found.record(f"c:{compiled('flat.c', **{'STOP(s)': 's - (s - first > 64)'})}")
    for seed in range(12):
        # Of processor time, since others may be at work here.
        began, result = time.process_time(), Bulk()
        run_sheet(device, drawing(in_bulk(device.policy), device)(seed, 0), result)
        assert result.parted is not None
        assert time.process_time() - began < 1.0
    device.link.end()


def test_a_death_in_bulk_names_the_step(compiled):
    result = run(f"c:{compiled('misdeeds.c', DEED='abort()')}", 40)
    _start, steps, finding = result.parted
    assert (finding.field, finding.got) == ("fault", "died of SIGABRT")
    assert len(steps) == finding.step + 1
    assert steps[-1][0].name in ("claim_range", "release_range")


def test_what_only_the_bulk_path_gets_wrong_is_told_as_that(compiled):
    spec = f"c:{compiled('run_is_wrong.c')}"
    finding = run(spec, 1).parted[2]
    assert (finding.field, finding.got.split(" in bulk")[0]) == (IN_BULK, "something else")
    device = found.record(f"c:{compiled('run_is_wrong.c', DIES=1)}")
    device.link.limits = FEW
    result = Bulk()
    run_sheet(device, drawing(in_bulk(device.policy), device)(0, 0), result)
    assert (result.parted[2].field, result.parted[2].got.split(" in bulk")[0]) == (
        IN_BULK,
        "died of SIGABRT",
    )
    device.link.end()


@pytest.fixture
def without_compiled_rules(monkeypatch, tmp_path):
    """A compiler that compiles nothing, and nothing that was compiled before."""
    compiled.rules_in_c.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled, "FLAGS", ("--no-such-flag",))
    yield
    compiled.rules_in_c.cache_clear()


def test_where_rules_do_not_compile_doctor_says_so(without_compiled_rules):
    said = "on arrays, which is slower: the compiled ones do not compile"
    assert compiled.used(Policy(cap_pages=1 << 28, mixed_2m=int(Outcome.MIXED))) == said
    assert list(doctor._bulk()) == [
        ("rules of batches", "on arrays", "slower: the compiled ones do not compile")
    ]


@needs_a_compiler
def test_where_rules_compile_doctor_says_so():
    assert next(doctor._bulk())[:2] == ("rules of batches", "compiled")
