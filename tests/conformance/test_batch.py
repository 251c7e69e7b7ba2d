"""Batches compare what a device does with the rules, and find it when it errs."""

import numpy as np
import pytest

from conformance.batch import OPCODES, STEPS, make_batch, run_batches
from conformance.builtin import BUILTIN_POLICY, Builtin, device, maker
from conformance.device import Answer, DeviceFault
from conformance.draw import draw_start, next_flip, plain_state
from conformance.guard import guarded
from conformance.oracle import Oracle
from impl.abi import Opcode
from spec.validation.bitmap import RULES, Policy, claim_range
from spec.validation.outcomes import Outcome

TWINS = ("fast", "pure")


def twin(name):
    if name == "fast":
        pytest.importorskip("impl._fast", reason="the compiled twin is not built")
    return device(name)


def test_opcodes_are_those_of_the_implementation():
    assert {o.name.lower(): o.value for o in Opcode} == {n: i for i, n in enumerate(OPCODES)}
    assert [r.name for r in RULES] == list(OPCODES)


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_conforms_and_every_case_is_reached(name):
    twin(name)
    result = run_batches(maker_of(name), RULES, seed=3, seconds=1.5 if name == "fast" else 4)
    assert result.failures == []
    assert result.steps > 10_000
    assert len(result.reached) == 70


def maker_of(name):
    return lambda: device(name)


def test_the_same_seed_draws_the_same_batch():
    def made(seed):
        rng = np.random.Generator(np.random.PCG64(seed))
        batch = make_batch(rng, RULES, (16, 3), BUILTIN_POLICY)
        return [r.name for r in batch.rules], batch.done[-1].state.claimed.rows.tobytes()

    assert made(5) == made(5)
    assert made(5) != made(6)


class Wrong(Oracle):
    """The rules, with one answer changed."""

    def __init__(self, change):
        super().__init__(BUILTIN_POLICY)
        self.change = change

    def apply(self, rule, op):
        return self.change(self, rule, op, super().apply(rule, op))


def tells_ok(device, rule, op, answer):
    return Answer(0) if answer.outcome == Outcome.ALREADY_CLAIMED else answer


def one_too_many(device, rule, op, answer):
    counted = rule.endswith(".count") and answer.outcome == 0 and answer.value > 3
    return Answer(0, answer.value + 1) if counted else answer


def raises(device, rule, op, answer):
    if answer.outcome == Outcome.REVERSED:
        raise DeviceFault("it raised")
    return answer


@pytest.mark.parametrize("change", [tells_ok, one_too_many, raises], ids=lambda c: c.__name__)
def test_a_device_that_errs_is_found_step_by_step(change):
    result = run_batches(lambda: Wrong(change), RULES, seed=1, seconds=20)
    assert len(result.failures) == 1
    _, steps, finding = result.failures[0]
    assert len(steps) == 1
    assert finding.field in ("outcome", "value", "fault")


class Loses(Builtin):
    """The plain twin, whose claims of a range lose the last page."""

    def __init__(self):
        plain = device("pure")
        super().__init__(__import__("impl._pure", fromlist=["x"]), "loses", plain.policy)

    def run(self, ops, payload, results, snapshots):
        super().run(ops, payload, results, snapshots)
        for row, op in enumerate(ops):
            if op[0] == OPCODES.index(claim_range.name) and results[row] == 0:
                page = (int(op[2]) - int(snapshots[row, 0])) // 4096 - 1
                snapshots[row, 2 + page // 64] &= np.uint64(~(1 << page % 64) & (1 << 64) - 1)

    def apply(self, rule, op):
        answer = super().apply(rule, op)
        if rule.endswith(".claim_range") and answer.outcome == 0:
            self.bitmap.release_4k(op.stop - 4096)
        return answer


def test_a_lost_page_is_found_in_bulk_and_explained_in_one_step():
    result = run_batches(Loses, RULES, seed=2, seconds=30)
    assert len(result.failures) == 1
    _, steps, finding = result.failures[0]
    assert finding.rule == claim_range.id
    assert finding.field == "claimed"
    assert len(steps) == 1


class FlipsInBulk(Builtin):
    """The plain twin, whose batches alone show a wrong state."""

    def __init__(self):
        super().__init__(__import__("impl._pure", fromlist=["x"]), "flips", BUILTIN_POLICY)

    def run(self, ops, payload, results, snapshots):
        super().run(ops, payload, results, snapshots)
        snapshots[-1, 2] ^= np.uint64(1)


class WritesTooFar(FlipsInBulk):
    """The plain twin, whose batches write one word past an export."""

    def run(self, ops, payload, results, snapshots):
        Builtin.run(self, ops, payload, results, snapshots)
        for row, op in enumerate(ops):
            if op[0] == OPCODES.index("export_words") and results[row] > 0:
                payload[int(op[1] + op[2])] = 0


@pytest.mark.parametrize("made", [FlipsInBulk, WritesTooFar])
def test_what_differs_in_bulk_alone_is_not_lost(made):
    result = run_batches(made, RULES, seed=2, seconds=30)
    assert len(result.failures) == 1
    assert result.failures[0][2].field == "in bulk"


def test_the_same_seed_runs_the_same_batches():
    def run():
        result = run_batches(maker("pure"), [claim_range], seed=4, seconds=60, batches=2)
        return result.steps, result.reached

    assert run() == run()


def test_only_the_rules_asked_for_are_run():
    result = run_batches(maker("pure"), [claim_range], seed=0, seconds=0.3)
    assert {rule for rule, _ in result.reached} == {claim_range.id}
    assert run_batches(maker("pure"), [], seed=0, seconds=0.3).steps == 0


class RaisesInBulk(FlipsInBulk):
    """The plain twin, whose batches raise."""

    def run(self, ops, payload, results, snapshots):
        raise RuntimeError("no bulk today")


def test_what_raises_in_bulk_is_named_and_nothing_counts_as_checked():
    result = run_batches(RaisesInBulk, RULES, seed=2, seconds=30)
    assert "RuntimeError: no bulk today" in result.failures[0][2].got
    assert result.steps == 0
    assert not result.reached


class Few(Oracle):
    """The rules, one of them claimed."""

    def __init__(self):
        super().__init__(BUILTIN_POLICY)
        self.claims = frozenset({claim_range.id})


@pytest.mark.parametrize("made", [Few, lambda: guarded(Few())], ids=["bare", "guarded"])
def test_what_a_device_does_not_claim_is_not_asked(made):
    result = run_batches(made, RULES, seed=0, seconds=60, batches=1)
    assert result.failures == []
    assert {rule for rule, _ in result.reached} == {claim_range.id}


def test_a_trace_that_fails_ends_where_the_count_does():
    result = run_batches(lambda: Wrong(tells_ok), RULES, seed=1, seconds=60)
    assert result.failures
    assert result.steps % STEPS == 0
    assert sum(result.reached.values()) == result.steps


def test_the_next_flip_is_where_membership_changes():
    rng = np.random.Generator(np.random.PCG64(3))
    state = draw_start(rng, 100, 3, BUILTIN_POLICY)
    first = state.base >> np.uint64(12)
    flips = next_flip(state, first)
    for lane in range(100):
        plain, end = plain_state(state, lane), int(first[lane] + state.pages[lane])
        later = (b for b in plain.claimed.bounds if int(first[lane]) < b < end)
        assert flips[lane] == next(later, end)


@pytest.mark.parametrize("cap", [1, 100, 1000])
def test_a_start_is_within_the_cap_and_the_cap_itself_is_asked_for(cap):
    small = Policy(cap, int(Outcome.MIXED))
    result = run_batches(lambda: device("pure", small), RULES, seed=0, seconds=60, batches=3)
    assert result.failures == []
    assert result.reached["validation.bitmap.create", "over_cap"]
    batch = make_batch(np.random.Generator(np.random.PCG64(0)), RULES[:1], (500, 20), small)
    assert batch.start.pages.max() <= cap
    assert any((done.state.pages == cap).any() for done in batch.done)
