"""A device beside the rules, one call at a time; and calls kept as traces.

What is expected is derived from the rules again whenever a trace is replayed, never read from it.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from conformance.device import DeviceFault
from conformance.files import write_atomically
from conformance.handoff import oracle
from conformance.handoff.calls import RULES, Call, Write, stage_of, suits
from conformance.handoff.device import HandoffDevice, ask
from conformance.handoff.oracle import Reached, Told
from conformance.trace import Finding, TraceError
from spec.handoff.words import PAGE_BYTES

SIZES, RESERVED = ("tracked", "bitmaps"), ("kernel", "region")
SEEN = ("ram", "reserved")
DONE = ("private", "validated", "zeroed")
SCHEMA = "svsm-conformance/handoff-trace/1"
MOST_TRACE_BYTES = 1 << 20


class HandoffTrace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call, and the difference that it showed on `device`."""

    schema: str = SCHEMA
    device: str
    made_by: str
    seed: int
    call: Call
    finding: Finding | None = None


def judge(call: Call, device: HandoffDevice, reached: Reached) -> Finding | None:
    """The difference between a device and the rules in one call, or None.

    reached: counts the cases that the rules took.
    """
    right = oracle.answer(call, reached)
    try:
        name, made = ask(device, call)
    except DeviceFault as fault:
        return _finding(call, right, "fault", "an answer", str(fault))
    if name != right.answer.name:
        return _finding(call, right, "outcome", right.answer.name, name)
    return _of_value(call, right, made) if right.is_ok else None


def _of_value(call: Call, right: Told, made: Any) -> Finding | None:
    for field, expected, got in _fields(call, right.value, made):
        if expected != got:
            return _finding(call, right, field, expected, got)
    return None


def _fields(call: Call, right: Any, made: Any) -> list[tuple[str, str, str]]:
    """The parts of what is made, each with its name, as expected and as got."""
    stage = stage_of(call)
    if stage in ("read", "carve"):
        return [("entries", ranges(right), ranges(made))]
    if isinstance(call, Write):
        place = _first_difference(right[1], made[1])
        held, got = (_byte(call, memory, place) for memory in (right[1], made[1]))
        return [("validated", span(right[0]), span(made[0])), ("memory", held, got)]
    if stage == "view":
        return [(n, ranges(a), ranges(b)) for n, a, b in zip(SEEN, right, made, strict=True)]
    if stage == "validate":
        return [(n, ranges(a), ranges(b)) for n, a, b in zip(DONE, right, made, strict=True)]
    if stage == "size":
        return [(n, hex(a), hex(b)) for n, a, b in zip(SIZES, right, made, strict=True)]
    return [(n, span(a), span(b)) for n, a, b in zip(RESERVED, right, made, strict=True)]


def span(one: tuple[int, ...]) -> str:
    """A range, with its type where that is not memory."""
    kind = f" type {one[2]}" if len(one) > 2 and one[2] else ""
    return f"[{one[0]:#x}, {one[1]:#x}){kind}"


def ranges(listed: list[tuple[int, ...]]) -> str:
    """A list of ranges in one line."""
    return f"{len(listed)}: {' '.join(map(span, listed))}".rstrip(": ")


def _first_difference(right: bytes, made: bytes) -> int:
    pairs = zip(right, made, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(right), len(made)))


def _byte(call: Write, memory: bytes, place: int) -> str:
    """What a byte is, and how many there are, for people."""
    address = call.address // PAGE_BYTES * PAGE_BYTES + place
    held = f"{memory[place]:#04x}" if place < len(memory) else "nothing"
    return f"{held} at {address:#x}, of {len(memory)} bytes"


def _finding(call: Call, right: Told, field: str, expected: str, got: str) -> Finding:
    return Finding(
        step=0,
        rule=right.rule,
        case=right.case,
        field=field,
        expected=expected,
        got=" ".join(got.split()),
        before={},
        op=msgspec.to_builtins(call),
        expected_state={},
    )


# Files


def save(trace: HandoffTrace, folder: Path) -> Path:
    """Write a trace under a name made of what is in it; the path."""
    data = msgspec.json.format(msgspec.json.encode(trace, order="deterministic"), indent=1)
    digest = hashlib.sha256(data).hexdigest()[:10]
    path = folder / f"handoff-{stage_of(trace.call)}-{digest}.json"
    write_atomically(path, data + b"\n")
    return path


def load(path: Path) -> HandoffTrace:
    """Read a trace.

    Raises: TraceError, one line naming the file and what is wrong in it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_TRACE_BYTES + 1)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    if len(data) > MOST_TRACE_BYTES:
        raise TraceError(f"{path}: has more than {MOST_TRACE_BYTES} bytes")
    return decoded(data, str(path))


def decoded(data: bytes, place: str) -> HandoffTrace:
    """A trace from its text.

    Raises: TraceError, one line that begins with `place`.
    """
    try:
        schema = msgspec.json.decode(data, type=dict).get("schema")
        if schema != SCHEMA:
            raise TraceError(f"{place}: schema is {schema!r}, this version reads {SCHEMA!r}")
        trace = msgspec.json.decode(data, type=HandoffTrace)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TraceError(f"{place}: not a trace: {error}") from error
    if not suits(trace.call):
        stage = stage_of(trace.call)
        raise TraceError(f"{place}: call: {stage} is never asked this; see docs/handoff.md")
    return trace


def rules_of(call: Call) -> tuple[str, ...]:
    """The ids of the rules that a call is judged by."""
    return RULES[stage_of(call)]
