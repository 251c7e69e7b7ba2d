"""A trace: a start, the steps from it, and what went wrong, if anything did.

`judge` runs a device beside the rules, one step at a time, and stops at the first difference.
A saved trace replays against any device; what is expected is derived from the rules again and
never taken from the file.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from conformance.codec import CodecError, decode, encode
from conformance.device import Answer, Device, DeviceFault
from conformance.files import write_atomically
from spec.catalogue import rules
from spec.pages import ListedPages, PackedWords
from spec.rule import Rule, step
from spec.validation.bitmap import ANY_RUNS, Bitmap, word_count
from spec.validation.outcomes import Outcome

SCHEMA = "svsm-conformance/trace/1"
Steps = Sequence[tuple[Rule, Any]]
Reached = Counter[tuple[str, str]]
"""How often each (rule id, case) was taken."""
Play = Callable[[Bitmap, Steps], Iterator[tuple[Answer, Bitmap]]]
"""A device's answers to a whole trace, and what it shows after each step."""


class TraceError(ValueError):
    """A trace file cannot be used; one line that names the file and the place."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The first difference between a device and the rules.

    step: counts from 0. field: `outcome`, `value`, a field of the state, or `fault`. before,
    expected_state, got_state: encoded states; got_state is None where the device showed none.
    """

    step: int
    rule: str
    case: str
    field: str
    expected: str
    got: str
    before: dict[str, Any]
    op: dict[str, Any]
    expected_state: dict[str, Any]
    got_state: dict[str, Any] | None = None


class TraceStep(msgspec.Struct, frozen=True):
    """One step: the rule's id and its operands."""

    rule: str
    op: dict[str, Any]


class Trace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A start, steps, and the difference that they showed on `device`."""

    schema: str = SCHEMA
    device: str
    made_by: str
    seed: int
    start: dict[str, Any]
    steps: list[TraceStep]
    finding: Finding | None = None


def expected_value(value: Any, before: Bitmap) -> int | tuple[int, ...]:
    """A rule's value as a device answers it: a number, or the words of an export."""
    if isinstance(value, PackedWords):
        return value.first(word_count(before.pages))
    return int(value)


def judge(
    start: Bitmap, steps: Steps, device: Device, reached: Reached | None = None
) -> Finding | None:
    """The first step at which `device` and the rules part, or None.

    reached: counts the cases that the rules took.
    """
    state = start
    play: Play | None = getattr(device, "play", None)
    try:
        answers = play(start, steps) if play else _one_by_one(start, steps, device)
    except DeviceFault as fault:
        return _finding(0, steps[0][0], "", start, steps[0][1], start, "fault", "a start", fault)
    for place, (rule, op) in enumerate(steps):
        right = step(rule, state, op)
        if reached is not None:
            reached[rule.id, right.case] += 1
        try:
            answer, shown = next(answers)
        except DeviceFault as fault:
            return _finding(
                place, rule, right.case, state, op, right.state, "fault", "an answer", fault
            )
        parted = difference(
            right.outcome, expected_value(right.value, state), right.state, answer, shown
        )
        if parted is not None:
            field, expected, got = parted
            return _finding(
                place, rule, right.case, state, op, right.state, field, expected, got, shown
            )
        state = right.state
    return None


def _one_by_one(start: Bitmap, steps: Steps, device: Device) -> Iterator[tuple[Answer, Bitmap]]:
    """What a device answers to each step and shows after it, asked when it is wanted."""
    device.reset(start)
    return ((device.apply(rule.id, op), device.observe()) for rule, op in steps)


def difference(
    outcome: int, value: int | tuple[int, ...], state: Bitmap, answer: Answer, shown: Bitmap
) -> tuple[str, str, str] | None:
    """The first field in which an answer and the state shown differ from what is expected."""
    if answer.outcome != outcome:
        return "outcome", name_of(outcome), name_of(answer.outcome)
    if outcome == Outcome.OK and answer.value != value:
        return "value", _value(value), _value(answer.value)
    for field in ("base", "pages"):
        if getattr(shown, field) != getattr(state, field):
            return field, _value(getattr(state, field)), _value(getattr(shown, field))
    if shown.policy != state.policy:
        return "policy", _choices(state), _choices(shown)
    if shown.claimed != state.claimed:
        return "claimed", _runs(state.claimed), _runs(shown.claimed)
    return None


def name_of(outcome: int) -> str:
    """The name of an outcome, or its number where it has none."""
    known = outcome in list(Outcome)
    return Outcome(outcome).name if known else f"outcome {outcome}"


def _value(value: int | tuple[int, ...]) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} words [{', '.join(map(hex, value[:4]))}{', ...' * (len(value) > 4)}]"
    return hex(value) if value > 9 else str(value)


def _choices(state: Bitmap) -> str:
    policy = state.policy
    room = "any runs" if policy.most_runs == ANY_RUNS else f"at most {policy.most_runs} runs"
    return f"cap {policy.cap_pages:#x} pages, {room}, mixed told {name_of(policy.mixed_2m)}"


def _runs(pages: Any) -> str:
    if not isinstance(pages, ListedPages):
        return repr(pages)
    runs = [f"[{a:#x}, {b:#x})" for a, b in pages.runs()]
    return f"frames {' '.join(runs[:6]) or 'none'}{' ...' * (len(runs) > 6)}"


def _finding(
    place: int,
    rule: Rule,
    case: str,
    before: Bitmap,
    op: Any,
    after: Bitmap,
    field: str,
    expected: str,
    got: object,
    shown: Bitmap | None = None,
) -> Finding:
    return Finding(
        step=place,
        rule=rule.id,
        case=case,
        field=field,
        expected=expected,
        got=" ".join(str(got).split()),
        before=encode(before),
        op=encode(op),
        expected_state=encode(after),
        got_state=None if shown is None else encode(shown),
    )


# Files


def trace_of(
    device: str, made_by: str, seed: int, start: Bitmap, steps: Steps, finding: Finding | None
) -> Trace:
    """A trace of plain values, cut behind the step that showed the difference."""
    kept = steps if finding is None else steps[: finding.step + 1]
    listed = [TraceStep(rule.id, encode(op)) for rule, op in kept]
    return Trace(
        device=device,
        made_by=made_by,
        seed=seed,
        start=encode(start),
        steps=listed,
        finding=finding,
    )


def save(trace: Trace, folder: Path) -> Path:
    """Write a trace under a name made of what is in it; the path."""
    data = msgspec.json.format(msgspec.json.encode(trace, order="deterministic"), indent=1)
    digest = hashlib.sha256(data).hexdigest()[:10]
    last = trace.steps[-1].rule.rsplit(".", 1)[-1] if trace.steps else "empty"
    path = folder / f"{last}-{digest}.json"
    write_atomically(path, data + b"\n")
    return path


def load(path: Path) -> Trace:
    """Read a trace.

    Raises: TraceError, one line naming the file and what is wrong in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    try:
        schema = msgspec.json.decode(data, type=dict).get("schema")
        if schema != SCHEMA:
            raise TraceError(f"{path}: schema is {schema!r}, this version reads {SCHEMA!r}")
        return msgspec.json.decode(data, type=Trace)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: not a trace: {error}") from error


def decoded(trace: Trace, place: str) -> tuple[Bitmap, list[tuple[Rule, Any]]]:
    """The start and steps of a trace as plain values.

    Raises: TraceError, one line that begins with `place`.
    """
    known = rules()
    try:
        start: Bitmap = decode(Bitmap, trace.start, "start.")
        steps = []
        for number, listed in enumerate(trace.steps):
            if listed.rule not in known:
                raise TraceError(f"{place}: step {number}: unknown rule {listed.rule!r}")
            rule = known[listed.rule]
            steps.append((rule, decode(rule.operands, listed.op, f"step {number}: ")))
    except CodecError as error:
        raise TraceError(f"{place}: {error}") from error
    if not steps:
        raise TraceError(f"{place}: no step to replay")
    return start, steps


def replay(trace: Trace, device: Device, place: str = "trace") -> Finding | None:
    """The first difference that a trace shows on `device`, or None.

    Raises: TraceError where the trace does not make sense.
    """
    start, steps = decoded(trace, place)
    return judge(start, steps, device)
