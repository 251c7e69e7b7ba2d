"""Random traces in bulk: the rules run on arrays, the device takes whole traces in one call.

A batch is many lanes, each a small region with a trace of its own; at each step every lane does
the same rule with operands of its own, drawn near the edges of regions, words and runs. Results
and states after every step are compared as whole arrays.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.codec import encode
from conformance.device import Device
from conformance.draw import Drawn, draw_op, draw_start, plain_op, plain_state
from conformance.lanes import Array, LaneStep, lane_step
from conformance.trace import Finding, Reached, Steps, judge
from spec.rule import Rule
from spec.validation.bitmap import Bitmap, Policy
from spec.validation.outcomes import Outcome

OPCODES = (
    "create",
    "fill",
    "claim_4k",
    "claim_2m",
    "claim_range",
    "release_4k",
    "release_2m",
    "release_range",
    "query",
    "test_range",
    "count",
    "first_unclaimed",
    "export_words",
    "import_words",
)
IN_BULK = "in bulk"
STEPS = 16
# Lanes and words a lane: mostly small regions, now and then one whose loops unroll.
SMALL, LARGE = ((1024, 20), (1024, 9), (512, 40)), (64, 320)
LARGE_EVERY = 8
# What a device finds in the words that it is to write, so that each word it must not write shows.
UNWRITTEN = np.uint64(0xD1CE_D1CE_D1CE_D1CE)


@dataclass
class BatchResult:
    """What batches did: checked steps, seconds, cases reached, and the traces that failed."""

    steps: int = 0
    seconds: float = 0.0
    reached: Reached = field(default_factory=Counter)
    failures: list[tuple[Bitmap, Steps, Finding]] = field(default_factory=list)

    @property
    def steps_per_second(self) -> float:
        """Checked steps a second."""
        return self.steps / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Batch:
    """Traces in step: the start, the rules with their operands, and what is expected of each."""

    start: Bitmap
    rules: tuple[Rule, ...]
    ops: tuple[Drawn, ...]
    done: tuple[LaneStep, ...]

    @property
    def lanes(self) -> int:
        """How many traces there are."""
        return int(self.start.claimed.lanes)

    def states(self) -> list[Bitmap]:
        """The state before each step."""
        return [self.start, *(step.state for step in self.done[:-1])]


def make_batch(
    rng: np.random.Generator,
    rules: Sequence[Rule],
    shape: tuple[int, int],
    policy: Policy,
    each: bool = False,
) -> Batch:
    """Draw a batch and run the rules on it.

    each: every rule is among its steps, if there are enough.
    """
    rules = [rule for rule in rules if rule.name in OPCODES]
    start = draw_start(rng, *shape, policy)
    state, chosen, ops, done = start, [], [], []
    seen: dict[type, Drawn] = {}
    listed = list(rng.permutation(len(rules))) if each else []
    for _ in range(STEPS):
        rule = rules[int(listed.pop() if listed else rng.integers(len(rules)))]
        drawn = seen[rule.operands] = draw_op(rng, rule, state, seen.get(rule.operands))
        result = lane_step(rule, state, drawn.op)
        chosen.append(rule)
        ops.append(drawn)
        done.append(result)
        state = result.state
    return Batch(start, tuple(chosen), tuple(ops), tuple(done))


def shape_of(number: int) -> tuple[int, int]:
    """The lanes and words of batch `number`."""
    is_large = number % LARGE_EVERY == LARGE_EVERY - 1
    return LARGE if is_large else SMALL[number % len(SMALL)]


def run_batches(
    make_device: Callable[[], Device],
    rules: Sequence[Rule],
    seed: int,
    seconds: float,
    batches: int | None = None,
) -> BatchResult:
    """Run some batches, or as many as there is time for, until a trace fails.

    Rules that the device does not claim are left out. The traces are a function of the seed.
    seconds: where `batches` is given, only a backstop.
    """
    device, result = make_device(), BatchResult()
    rules = [rule for rule in rules if rule.id in device.claims and rule.name in OPCODES]
    rng = np.random.Generator(np.random.PCG64(seed))
    at_once = hasattr(device, "load") and hasattr(device, "run")
    checked = _checked_at_once if at_once else _checked_one_by_one
    began = time.perf_counter()
    number = 0
    while rules and number != batches and time.perf_counter() - began < seconds:
        batch = make_batch(rng, rules, shape_of(number), device.policy)
        number += 1
        failed = checked(batch, device, result)
        if failed:
            result.failures.append(explained(batch, failed[0], make_device))
            break
    result.seconds = time.perf_counter() - began
    return result


def _count(batch: Batch, result: BatchResult, agreed: Sequence[int]) -> None:
    """Count the lanes that were compared to their end and agreed."""
    result.steps += len(agreed) * len(batch.rules)
    for rule, done in zip(batch.rules, batch.done, strict=True):
        taken = done.case if len(agreed) == batch.lanes else done.case[list(agreed)]
        for case, times in enumerate(np.bincount(taken, minlength=len(done.names))):
            if times:
                result.reached[rule.id, done.names[case]] += int(times)


class _Raised(Exception):
    """A device raised in bulk, in `lane`: whatever it is, that is a difference."""

    def __init__(self, lane: int, said: str) -> None:
        super().__init__(said)
        self.lane = lane


def _checked_at_once(batch: Batch, device: Any, result: BatchResult) -> list[int]:
    """The lanes in which the device differs, each trace taken in one call."""
    try:
        wrong = bulk_differences(batch, device, range(batch.lanes))
    except _Raised as raised:
        # The lanes before it were run but not compared, so none is counted.
        return [raised.lane]
    failed = set(wrong)
    _count(batch, result, [lane for lane in range(batch.lanes) if lane not in failed])
    return wrong


def bulk_differences(batch: Batch, device: Any, lanes: Sequence[int]) -> list[int]:
    """Those of `lanes` in which the device's `run` differs from the rules in anything it writes.

    Raises: _Raised where the device raises.
    """
    width = batch.start.claimed.rows.shape[1]
    room = width + 1
    ops, payload, wanted = _program(batch, room)
    results = np.zeros((batch.lanes, STEPS), np.int64)
    shown = np.zeros((batch.lanes, STEPS, 2 + width), np.uint64)
    bases, pages = batch.start.base.tolist(), batch.start.pages.tolist()
    for lane in lanes:
        words = batch.start.claimed.rows[lane, : -(-pages[lane] // 64)].tobytes()
        try:
            device.load(bases[lane], pages[lane], words)
            device.run(ops[lane], payload[lane], results[lane], shown[lane])
        except Exception as error:
            raise _Raised(lane, f"{type(error).__name__}: {error}") from error
    wrong = np.any(payload != wanted, axis=1)
    for place, done in enumerate(batch.done):
        wrong |= results[:, place] != _expected(done, batch.rules[place], batch.ops[place])
        wrong |= shown[:, place, 0] != done.state.base
        wrong |= shown[:, place, 1] != done.state.pages
        wrong |= np.any(shown[:, place, 2:] != done.state.claimed.rows, axis=1)
    return [lane for lane in lanes if wrong[lane]]


def _expected(done: LaneStep, rule: Rule, drawn: Drawn) -> Array:
    """What a device's `run` answers: the value, or minus the outcome."""
    value = drawn.op.length if rule.name == "export_words" else done.value
    accepted = done.outcome == int(Outcome.OK)
    answers: Array = np.where(accepted, value.astype(np.int64), -done.outcome.astype(np.int64))
    return answers


def _program(batch: Batch, room: int) -> tuple[Array, Array, Array]:
    """The operations of a batch in the layout of `run`, its words before, and its words after."""
    lanes = batch.lanes
    ops = np.zeros((lanes, STEPS, 4), np.uint64)
    before = np.full((lanes, STEPS * room), UNWRITTEN, np.uint64)
    after = before.copy()
    for place, (rule, drawn) in enumerate(zip(batch.rules, batch.ops, strict=True)):
        ops[:, place, 0] = OPCODES.index(rule.name)
        for column, value in enumerate(drawn.columns(place * room), 1):
            ops[:, place, column] = value
        slot = slice(place * room, place * room + room)
        if drawn.words is not None:
            before[:, slot] = after[:, slot] = drawn.words
        done = batch.done[place]
        if done.words is not None:
            listed = np.pad(done.words, ((0, 0), (0, 1)))
            accepted = (done.outcome == int(Outcome.OK))[:, None]
            written = accepted & (np.arange(room) < drawn.op.length.astype(np.intp)[:, None])
            after[:, slot] = np.where(written, listed, after[:, slot])
    return ops, before, after


def _checked_one_by_one(batch: Batch, device: Device, result: BatchResult) -> list[int]:
    """The same for a device that takes a step at a time: fewer lanes, as they are slow."""
    lanes = range(min(32, batch.lanes))
    failed = (lane for lane in lanes if judge(*plain_trace(batch, lane), device) is not None)
    first = list(itertools.islice(failed, 1))
    _count(batch, result, lanes[: first[0]] if first else lanes)
    return first


def plain_trace(batch: Batch, lane: int) -> tuple[Bitmap, Steps]:
    """The trace of one lane on plain values."""
    pairs = zip(batch.rules, batch.ops, strict=True)
    return plain_state(batch.start, lane), [(rule, plain_op(op, lane)) for rule, op in pairs]


def explained(
    batch: Batch, lane: int, make_device: Callable[[], Device]
) -> tuple[Bitmap, Steps, Finding]:
    """A lane that failed as a trace that fails: one step from the state before it, if it can be.

    Where the trace agrees when it is done step by step, the difference is in the bulk path alone,
    and is told as that.
    """
    start, steps = plain_trace(batch, lane)
    finding = judge(start, steps, make_device())
    if finding is None:
        return start, steps, _in_bulk(batch, lane, start, steps, make_device())
    before = plain_state(batch.states()[finding.step], lane)
    alone = steps[finding.step : finding.step + 1]
    short = judge(before, alone, make_device())
    return (start, steps[: finding.step + 1], finding) if short is None else (before, alone, short)


def _in_bulk(batch: Batch, lane: int, start: Bitmap, steps: Steps, device: Any) -> Finding:
    got = "something else in bulk, and the same as the rules step by step"
    try:
        if not bulk_differences(batch, device, [lane]):
            got += "; a fresh device did not do it again"
    except _Raised as raised:
        got = f"{raised} in bulk, and the same as the rules step by step"
    rule, op = steps[-1]
    return Finding(
        step=len(steps) - 1,
        rule=rule.id,
        case="",
        field=IN_BULK,
        expected="what the rules answer to each step",
        got=" ".join(got.split()),
        before=encode(start),
        op=encode(op),
        expected_state=encode(plain_state(batch.done[-1].state, lane)),
    )
