"""Traces of MMIO calls: the machine, the rule and the operands of each, with the host's answers."""

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from conformance.files import has_schema, write_atomically
from conformance.mmio.calls import ROUND, Call
from conformance.mmio.judge import Parting
from conformance.mmio.world import SETTINGS
from conformance.trace import Finding, TraceError
from spec.catalogue import mmio_rules
from spec.mmio.access import LENGTH
from spec.rule import Rule, hints
from spec.terms import MASK

SCHEMA = "svsm-conformance/mmio-trace/1"
MOST_BYTES = 1 << 16
"""As long as a slice that is written may be."""
MOST_ROUNDS = 1 << 10


class MmioStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call; `ops` has one record, or one for each round."""

    machine: int
    rule: str
    ops: list[dict[str, int]]


class MmioTrace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls, and the difference that they showed on `device`."""

    schema: str = SCHEMA
    device: str
    made_by: str
    seed: int
    steps: list[MmioStep]
    finding: Finding | None = None


def encoded(calls: Sequence[Call]) -> list[MmioStep]:
    """Calls as plain values."""
    return [
        MmioStep(call.machine, call.rule.id, [dict(vars(op)) for op in call.ops]) for call in calls
    ]


def finding_of(found: Parting) -> Finding:
    """A parting as every report shows it; its states are what was to go out, and what did."""
    outs = import_module("conformance.mmio.picture").outs
    slot = found.calls[-1].ops[0].slot
    return Finding(
        step=len(found.calls) - 1,
        rule=found.rule,
        case=found.case,
        field=found.field,
        expected=found.expected,
        got=found.got,
        before={"seen": "counted on a page that traps" if found.trapped else "told to the bus"},
        op=dict(vars(found.calls[-1].ops[0])),
        expected_state={"out": outs(found.wanted, found.before, slot)},
        got_state={"out": outs(found.made, found.before, slot)},
    )


def save(found: Parting, device: str, made_by: str, seed: int, folder: Path) -> Path:
    """Write the trace of a parting under a name made of what is in it; the path."""
    trace = MmioTrace(
        device=device,
        made_by=made_by,
        seed=seed,
        steps=encoded(found.calls),
        finding=finding_of(found),
    )
    data = msgspec.json.format(msgspec.json.encode(trace, order="deterministic"), indent=1)
    digest = hashlib.sha256(data).hexdigest()[:10]
    path = folder / f"mmio-{found.calls[-1].name}-{digest}.json"
    write_atomically(path, data + b"\n")
    return path


def is_mmio(path: Path) -> bool:
    """Whether a file holds a trace of this kind; one that cannot be read does not."""
    return has_schema(path, SCHEMA)


def load(path: Path) -> list[Call]:
    """The calls of a trace.

    Raises: TraceError, one line naming the file and what is wrong in it.
    """
    try:
        trace = msgspec.json.decode(path.read_bytes(), type=MmioTrace)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: not a trace: {error}") from error
    return decoded(trace, str(path))


def decoded(trace: MmioTrace, place: str) -> list[Call]:
    """The calls of a trace as plain values.

    Raises: TraceError, one line that begins with `place`.
    """
    if trace.schema != SCHEMA:
        raise TraceError(f"{place}: schema is {trace.schema!r}, must be {SCHEMA!r}")
    if not trace.steps:
        raise TraceError(f"{place}: no step to replay")
    return [_call(one, f"{place}: step {number}") for number, one in enumerate(trace.steps)]


def _call(one: MmioStep, place: str) -> Call:
    rule = mmio_rules().get(one.rule)
    if rule is None:
        raise TraceError(f"{place}: unknown rule {one.rule!r}")
    if not 0 <= one.machine < len(SETTINGS):
        raise TraceError(f"{place}: machine {one.machine} is none of 0 to {len(SETTINGS) - 1}")
    most = MOST_ROUNDS if rule.id == ROUND.id else 1
    if not 1 <= len(one.ops) <= most:
        raise TraceError(f"{place}: {len(one.ops)} records of operands, must be 1 to {most}")
    return Call(one.machine, rule, tuple(_operands(rule, op, place) for op in one.ops))


def _operands(rule: Rule, op: dict[str, int], place: str) -> Any:
    marks = hints(rule.operands)
    if set(op) != set(marks):
        odd = sorted(set(op) ^ set(marks))[0]
        raise TraceError(f"{place}: {odd}: missing or unknown operand")
    top = {"offset": 1 << 32} if rule.id == ROUND.id else {}
    if "value" in op:
        length = LENGTH.get(rule.name) or op.get("length", 8)
        top = {"value": 1 << 8 * min(length, 8), "length": MOST_BYTES}
    for name, value in op.items():
        if isinstance(value, bool) or not 0 <= value < top.get(name, MASK + 1):
            raise TraceError(f"{place}: {name}: {value!r} does not fit")
    return rule.operands(**op)
