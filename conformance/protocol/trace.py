"""Traces of an SVSM: a start by its number, steps by rule and operands, and what went wrong."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from conformance.files import has_schema, write_atomically
from conformance.protocol import machines
from conformance.protocol.places import Drawn
from conformance.protocol.walk import Failure
from conformance.protocol.world import starts
from conformance.trace import Finding, TraceError
from spec.rule import Rule, hints, kind
from spec.terms import MASK, Bits
from spec.validation.svsm import Svsm

SCHEMA = "svsm-conformance/protocol-trace/1"


class ProtocolStep(msgspec.Struct, frozen=True):
    """One step: the rule's id and its operands."""

    rule: str
    op: dict[str, int | bool]


class ProtocolTrace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A start, steps, and the difference that they showed on `device`.

    machine: on which it is; SEV-SNP where it is left out. start: which of that machine's worlds in
    `conformance.protocol.world.starts`.
    """

    schema: str = SCHEMA
    device: str
    made_by: str
    seed: int
    start: int
    steps: list[ProtocolStep]
    machine: str = ""
    finding: Finding | None = None


def encoded(steps: Sequence[Drawn]) -> list[ProtocolStep]:
    """Steps as plain values."""
    return [ProtocolStep(rule.id, dict(vars(op))) for rule, op in steps]


def finding_of(found: Failure) -> Finding:
    """A failure as every report shows it."""
    rule, op = found.steps[-1]
    return Finding(
        step=len(found.steps) - 1,
        rule=machines.of(found.start).called(rule),
        case=found.case,
        field=found.field,
        expected=found.expected,
        got=found.got,
        before={},
        op=dict(vars(op)),
        expected_state={},
    )


def save(found: Failure, device: str, made_by: str, seed: int, folder: Path) -> Path:
    """Write the trace of a failure under a name made of what is in it; the path."""
    machine = machines.of(found.start).name
    trace = ProtocolTrace(
        machine=machine,
        device=device,
        made_by=made_by,
        seed=seed,
        start=starts(machine).index(found.start),
        steps=encoded(found.steps),
        finding=finding_of(found),
    )
    data = msgspec.json.format(msgspec.json.encode(trace, order="deterministic"), indent=1)
    digest = hashlib.sha256(data).hexdigest()[:10]
    path = folder / f"{found.rule.name}-{digest}.json"
    write_atomically(path, data + b"\n")
    return path


def is_protocol(path: Path) -> bool:
    """Whether a file holds a trace of this kind; one that cannot be read does not."""
    return has_schema(path, SCHEMA)


def load(path: Path) -> tuple[Svsm, list[Drawn]]:
    """The start and the steps of a trace.

    Raises: TraceError, one line naming the file and what is wrong in it.
    """
    try:
        trace = msgspec.json.decode(path.read_bytes(), type=ProtocolTrace)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: not a trace: {error}") from error
    return decoded(trace, str(path))


def decoded(trace: ProtocolTrace, place: str) -> tuple[Svsm, list[Drawn]]:
    """The start and the steps of a trace as plain values.

    Raises: TraceError, one line that begins with `place`.
    """
    if trace.machine not in machines.MACHINES:
        raise TraceError(f"{place}: no machine is called {trace.machine!r}")
    known = {rule.id: rule for rule in machines.MACHINES[trace.machine].rules}
    begins = starts(trace.machine)
    if not 0 <= trace.start < len(begins):
        raise TraceError(f"{place}: start {trace.start} is none of 0 to {len(begins) - 1}")
    if not trace.steps:
        raise TraceError(f"{place}: no step to replay")
    steps: list[Drawn] = []
    for number, listed in enumerate(trace.steps):
        if listed.rule not in known:
            raise TraceError(f"{place}: step {number}: unknown rule {listed.rule!r}")
        steps.append((known[listed.rule], _operands(known[listed.rule], listed.op, place, number)))
    return begins[trace.start], steps


def _operands(rule: Rule, op: dict[str, int | bool], place: str, number: int) -> Any:
    marks = hints(rule.operands)
    if set(op) != set(marks):
        odd = sorted(set(op) ^ set(marks))[0]
        raise TraceError(f"{place}: step {number}: {odd}: missing or unknown operand")
    for name, value in op.items():
        flag = kind(marks[name]) == Bits(1)
        if flag != isinstance(value, bool) or not 0 <= int(value) <= MASK:
            raise TraceError(f"{place}: step {number}: {name}: {value!r} does not fit")
    return rule.operands(**op)
