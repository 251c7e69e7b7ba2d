"""A divergence, step by step: what the slider goes through.

Steps come from the trace that the run wrote; where that cannot be read, the step that differs is
all there is. Numbers of a file are looked at before anything is drawn of them.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from conformance import trace as plain
from conformance.aims import asked
from conformance.codec import CodecError, decode
from conformance.handoff import calls as handoff_calls
from conformance.handoff import oracle as handoff_oracle
from conformance.handoff import picture as handoff_picture
from conformance.handoff.map_picture import Row, Span
from conformance.mmio import picture as mmio_picture
from conformance.mmio import trace as mmio_trace
from conformance.mmio.calls import expected
from conformance.mmio.world import SETTINGS, at_first
from conformance.protocol import trace as svsm_trace
from conformance.protocol.oracle import told_of
from conformance.protocol.picture import touched
from conformance.protocol.words import held, told
from conformance.report.parts import Frame, Lanes, Sent, Timeline, cut, strip
from conformance.stream.area import describe as describe_stream
from conformance.trace import Finding, TraceError
from spec.catalogue import rules
from spec.rule import Rule, step
from spec.validation.bitmap import Bitmap, gfn

MOST_STEPS = 40
MOST_TRACE_BYTES = 1 << 20
BAR = {"memory": "memory", "other": "reserved", "kept": "kept", "excluded": "excluded"}


class NoPicture(ValueError):
    """A finding does not make sense, so nothing can be drawn of it; one line that says why."""


def frames(area: str, finding: Finding, path: Path) -> tuple[tuple[Frame, ...], str]:
    """The frames of a divergence, and a note on what is not shown; '' for a record of pages.

    Raises: NoPicture.
    """
    try:
        if area == "handoff":
            return _handoff(finding), ""
        if not (path.is_file() and path.stat().st_size <= MOST_TRACE_BYTES):
            return _alone(area, finding), f"the trace {path} is not there: only its last step"
        made = _AREAS[area](finding, path)
    except (TraceError, CodecError, LookupError, ValueError, TypeError, OSError) as error:
        raise NoPicture(" ".join(f"{error}".split())) from error
    left = len(made) - MOST_STEPS
    return made[-MOST_STEPS:], f"the first {left} steps are not shown" if left > 0 else ""


def _alone(area: str, finding: Finding) -> tuple[Frame, ...]:
    if area == "":
        before: Bitmap = decode(Bitmap, finding.before)
        rule = rules()[finding.rule]
        return _strips([(before, rule, decode(rule.operands, finding.op))], finding)
    if area == "mmio":
        return (Frame(finding.rule, "", _sides(finding)),)
    return ()


# A record of pages


def _record(finding: Finding, path: Path) -> tuple[Frame, ...]:
    start, steps = plain.decoded(plain.load(path), str(path))
    state, taken = start, []
    for rule, op in steps[: finding.step + 1]:
        taken.append((state, rule, op))
        state = step(rule, state, op).state
    return _strips(taken, finding)


def _strips(taken: Sequence[tuple[Bitmap, Rule, object]], finding: Finding) -> tuple[Frame, ...]:
    shown = None if finding.got_state is None else decode(Bitmap, finding.got_state)
    drawn, said = [], []
    for number, (state, rule, op) in enumerate(taken, 1):
        right = step(rule, state, op)
        is_last = number == len(taken)
        rows = [_pages("before", state), _asked(rule, op), _pages("rules", right.state)]
        if is_last and shown is not None:
            rows += [_pages("device", shown), _parted(right.state, shown)]
        drawn.append(rows)
        title = f"{number}. {rule.id}({_operands(op)})"
        says = f"{right.case}: {plain.name_of(right.outcome)}"
        said.append((title, f"{says}; the device says {finding.got}" if is_last else says))
    shared = [row for rows in drawn for row in rows]
    return tuple(
        Frame(cut(title), cut(says), strip(rows, shared))
        for (title, says), rows in zip(said, drawn, strict=True)
    )


def _pages(label: str, state: Bitmap) -> Row:
    region = Span(*state.span(), "unclaimed")
    return Row(label, (region, *(Span(a, b, "claimed") for a, b in state.claimed.runs())))


def _asked(rule: Rule, op: object) -> Row:
    span = asked(rule, op)
    if span is None:
        return Row("asked", ())
    first, stop = (gfn(edge) for edge in span)
    return Row("asked", (Span(first, max(stop, first + 1), "asked"),))


def _parted(right: Bitmap, shown: Bitmap) -> Row:
    edges = sorted({*right.claimed.bounds, *shown.claimed.bounds})
    parted = (
        Span(a, b, "differs")
        for a, b in itertools.pairwise(edges)
        if right.claimed.has(a) != shown.claimed.has(a)
    )
    return Row("differs", tuple(parted))


def _operands(op: object) -> str:
    def word(value: object) -> str:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return f"{value:#x}" if is_number and int(value) > 9 else cut(str(value), 80)  # type: ignore[call-overload]

    return ", ".join(f"{name}={word(value)}" for name, value in vars(op).items())


# The handoff: one call, its map growing row by row


def _handoff(finding: Finding) -> tuple[Frame, ...]:
    call = handoff_picture.call_of(finding)
    if not handoff_calls.suits(call):
        raise NoPicture("no stage is ever asked this call")
    told_ = handoff_oracle.answer(call, Counter())
    rows = [
        Row(name, tuple(Span(one[0], one[1], BAR[sort]) for sort, one in listed))
        for name, listed in handoff_picture.rows_of(call)
    ]
    if shown := _told_ranges(finding.got):
        rows.append(Row("device", shown))
    stage = handoff_calls.stage_of(call)
    says = f"the rules: {told_.case}: {told_.answer.name}; expected {finding.expected}"
    return tuple(
        Frame(
            cut(f"{stage}: {row.label}"),
            cut(f"{says}, got {finding.got}" if number == len(rows) else ""),
            strip(rows[:number], rows),
        )
        for number, row in enumerate(rows, 1)
    )


RANGE = re.compile(r"\[0x([0-9a-f]{1,13}), 0x([0-9a-f]{1,13})\)( type [1-9])?")


def _told_ranges(said: str) -> tuple[Span, ...]:
    """The ranges that a device answered, as a finding tells them; none where it told others."""
    found = (match.groups() for match in RANGE.finditer(said[:MOST_TRACE_BYTES]))
    spans = (Span(int(a, 16), int(b, 16), "reserved" if kind else "memory") for a, b, kind in found)
    return tuple(itertools.islice((one for one in spans if one.first < one.stop), MOST_STEPS))


# MMIO


def _mmio(finding: Finding, path: Path) -> tuple[Frame, ...]:
    calls = mmio_trace.load(path)
    lines = mmio_picture.told(calls)
    states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
    made = []
    for line, call in zip(lines, calls, strict=True):
        before = states[call.machine]
        meant = expected(before, call)
        states[call.machine] = meant.after
        sent = mmio_picture.outs(meant.wires, before, call.ops[0].slot)
        lane = tuple(Sent(one, _bits(one), False) for one in sent)
        made.append(Frame(cut(" ".join(line.split())), "", Timeline((("rules", lane),))))
    says = f"expected {finding.expected}, got {finding.got}"
    return (*made[:-1], Frame(made[-1].title, cut(says), _sides(finding)))


def _sides(finding: Finding) -> Timeline:
    """What was to go out beside what did, each transaction beside that of its place."""
    wanted, got = (_outs(side) for side in (finding.expected_state, finding.got_state or {}))
    pairs = list(itertools.zip_longest(wanted, got))
    lanes = []
    for label, place in (("rules", 0), ("device", 1)):
        sent = (Sent(p[place], _bits(p[place]), p[0] != p[1]) for p in pairs if p[place])
        lanes.append((label, tuple(sent)))
    return Timeline(tuple(lanes))


def _outs(side: dict[str, object]) -> list[str]:
    listed = msgspec.convert(side.get("out", []), list[str])
    return [cut(one, 200) for one in listed[:MOST_STEPS]]


def _bits(said: str) -> int:
    number = said.partition(" bits")[0].rpartition(" ")[2]
    return int(number) if number in ("8", "16", "32", "64") else 8


# The SVSM among vCPUs, host and guest


def _protocol(finding: Finding, path: Path) -> tuple[Frame, ...]:
    start, steps = svsm_trace.load(path)
    moves = list(told_of(start, steps))
    lines = [told(rule, op, before, taken) for rule, op, before, taken in moves]
    actors = sorted({line.partition(":")[0] for line in lines})
    order = tuple(actors.index(line.partition(":")[0]) for line in lines)
    made = []
    for number, (_, op, _, taken) in enumerate(moves):
        frame = touched(taken.state, op)
        holds = "" if frame is None else f"the rules hold: {held(taken.state, frame)}"
        place = range(number, number + 1)
        made.append(
            Frame(f"{number + 1}. {lines[number]}", holds, Lanes(tuple(actors), order, place))
        )
    last = f"expected {finding.expected}, got {finding.got}; {made[-1].says}"
    return (*made[:-1], Frame(made[-1].title, cut(last), made[-1].picture))


def _stream(finding: Finding, path: Path) -> tuple[Frame, ...]:
    """What a stream is made of, in words: its pieces are a list, of which the odd ones count."""
    told_ = " ".join(describe_stream(finding, path).split())
    return (Frame(f"the stream: {finding.rule}.{finding.case}", cut(told_)),)


_AREAS: dict[str, Callable[[Finding, Path], tuple[Frame, ...]]] = {
    "": _record,
    "mmio": _mmio,
    "protocol": _protocol,
    "stream": _stream,
}
