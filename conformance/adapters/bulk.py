"""Batches on a foreign device: whole sheets of traces in one question, compared as arrays."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from conformance.adapters import compiled
from conformance.adapters.record import ForeignRecord
from conformance.adapters.sheet import Sheet, of_batch
from conformance.adapters.wire import Laned, Lanes
from conformance.batch import IN_BULK, OPCODES, STEPS, make_batch, shape_of
from conformance.codec import encode
from conformance.device import DeviceFault
from conformance.lanes import Array
from conformance.trace import Finding, Reached, Steps, judge
from spec.rule import Rule, step
from spec.validation.bitmap import Bitmap

LANES_ONE_BY_ONE = 32
SECONDS_A_LANE = 0.005
Parted = tuple[Bitmap, Steps, Finding]
Compared = tuple[Array, list[int], str]
MakeSheet = Callable[[int, int], Sheet]
"""The sheet with a number, of a seed."""


@dataclass
class Bulk:
    """What batches did: checked steps, seconds, cases reached, and the first trace that failed."""

    steps: int = 0
    seconds: float = 0.0
    reached: Reached = field(default_factory=Reached)
    parted: Parted | None = None


def drawing(rules: Sequence[Rule], device: ForeignRecord) -> MakeSheet:
    """How the sheets of some rules are made for a device."""
    mine = [rule for rule in rules if rule.id in device.claims and rule.name in OPCODES]

    def made(seed: int, number: int) -> Sheet:
        # The first is by the rules on arrays, which need no compiler and so no time for it; every
        # rule is in it, so that what is plainly wrong shows at once.
        sheet = compiled.drawn(device.policy, mine, seed, number) if number else None
        if sheet is not None:
            return sheet
        rng = np.random.Generator(np.random.PCG64([seed, number]))
        return of_batch(make_batch(rng, mine, shape_of(number), device.policy, each=not number))

    return made


def run_sheet(device: ForeignRecord, sheet: Sheet, result: Bulk) -> None:
    """Run one sheet, and note what came of it."""
    began = time.perf_counter()
    compared = _at_once if device.link.greeting.lanes else _one_by_one
    agreed, suspects, said = compared(device, sheet)
    result.steps += int(agreed.sum()) * STEPS
    sheet.count(result.reached, agreed)
    result.parted = next(filter(None, (_shown(device, sheet, n) for n in suspects)), None)
    if said and result.parted is None:
        start, steps = sheet.trace(suspects[0])
        result.parted = start, steps, _in_bulk(start, steps, said)
    result.seconds += time.perf_counter() - began


def _at_once(device: ForeignRecord, sheet: Sheet) -> Compared:
    """Which lanes agreed, those to be looked at where not all did, and what is wrong in bulk."""
    try:
        answers, words, shown = _asked(device, sheet)
    except DeviceFault as fault:
        # None was compared. The one that it was at is looked at first, if it could be told.
        first = _reached(device, sheet)
        others = (lane for lane in range(sheet.lanes) if lane != first)
        return np.zeros(sheet.lanes, bool), [first, *others], str(fault)
    codes, means = _codes(device, answers[:, :, 0])
    wrong = compiled.wrong_lanes(sheet, codes, means, answers, words, shown)
    if wrong is None:
        outcomes = means[np.searchsorted(codes, answers[:, :, 0].view(np.int64))]
        accepted = sheet.outcomes == 0
        wrong = np.any(outcomes != sheet.outcomes, axis=1)
        wrong |= np.any(accepted & (answers[:, :, 1] != sheet.values), axis=1)
        wrong |= np.any(words != sheet.after, axis=1)
        wrong |= np.any(shown != sheet.shown, axis=(1, 2))
    said = "something else" if wrong.any() else ""
    return ~wrong, np.flatnonzero(wrong)[:1].tolist(), said


def _asked(device: ForeignRecord, sheet: Sheet) -> tuple[Array, Array, Array]:
    """Answers, words and states of a sheet.

    Raises: DeviceFault.
    """
    lanes, width, room, at = sheet.lanes, sheet.width, sheet.room, sheet.places
    shape = device.group, lanes, STEPS, width, room
    link = device.link
    if not link.command.hosted:
        parts = (sheet.starts, sheet.ops, sheet.words)
        asked = Lanes(*shape, *(part.tobytes() for part in parts))
        told: Laned = link.ask(asked, Laned, lambda: SECONDS_A_LANE * lanes)
        sizes = (at.shown - at.answers, at.answers - at.words, at.end - at.shown)
        for data, size in zip((told.answers, told.words, told.shown), sizes, strict=True):
            if len(data) != size:
                raise DeviceFault(f"answered lanes with {len(data)} bytes where {size} are due")
        found = (np.frombuffer(d, np.uint64) for d in (told.answers, told.words, told.shown))
        answers, words, shown = found
    else:
        held = np.frombuffer(link.room.of(at.end), np.uint64, at.end // 8)
        cut = [place // 8 for place in at]
        for first, part in zip(cut[1:], (sheet.starts, sheet.ops, sheet.words), strict=False):
            held[first : first + part.size] = part.ravel()
        link.ask(Lanes(*shape), Laned, lambda: SECONDS_A_LANE * lanes)
        words, answers = held[cut[3] : cut[4]], held[cut[4] : cut[5]]
        shown = held[cut[5] : cut[6]]
    return (
        answers.reshape(lanes, STEPS, 2),
        words.reshape(lanes, room),
        shown.reshape(lanes, STEPS, 2 + width),
    )


def _reached(device: ForeignRecord, sheet: Sheet) -> int:
    """The lane at which a library's process ended; the first where it cannot be told."""
    if not device.link.command.hosted:
        return 0
    held = np.frombuffer(device.link.room.of(sheet.places.end), np.uint64, 1)
    return min(int(held[0]), sheet.lanes - 1)


def _codes(device: ForeignRecord, statuses: Array) -> tuple[Array, Array]:
    """The codes that a device answered, in order, and the rules' outcomes; -1 of none."""
    codes = np.unique(statuses.view(np.int64))
    means = []
    for code in codes.tolist():
        try:
            means.append(device.outcome(device.code(code)))
        except DeviceFault:
            means.append(-1)
    return codes, np.array(means, np.int64)


def _one_by_one(device: ForeignRecord, sheet: Sheet) -> Compared:
    """The same for a device that takes a trace at a time: fewer lanes, as they take longer."""
    agreed = np.zeros(sheet.lanes, bool)
    for lane in range(min(LANES_ONE_BY_ONE, sheet.lanes)):
        if judge(*sheet.trace(lane), device) is not None:
            return agreed, [lane], "something else"
        agreed[lane] = True
    return agreed, [], ""


def _shown(device: ForeignRecord, sheet: Sheet, lane: int) -> Parted | None:
    """A lane as a trace that parts from the rules step by step; None if it does not."""
    start, steps = sheet.trace(lane)
    finding = judge(start, steps, device)
    return None if finding is None else (start, steps[: finding.step + 1], finding)


def _in_bulk(start: Bitmap, steps: Steps, said: str) -> Finding:
    before = start
    for rule, op in steps[:-1]:
        before = step(rule, before, op).state
    rule, op = steps[-1]
    return Finding(
        step=len(steps) - 1,
        rule=rule.id,
        case="",
        field=IN_BULK,
        expected="what the rules answer to each step",
        got=f"{said} in bulk, and the same as the rules step by step",
        before=encode(before),
        op=encode(op),
        expected_state=encode(step(rule, before, op).state),
    )
