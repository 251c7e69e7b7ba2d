"""`svsm-conformance replay FILE --emit`: the text of a test, for the trace in a file."""

from pathlib import Path
from typing import Literal

import msgspec

from conformance.areas import area_replaying
from conformance.emit import python
from conformance.emit.c import c
from conformance.emit.rust import rust
from conformance.emit.script import (
    EmitError,
    Handoff,
    Head,
    Mmio,
    Record,
    called,
    handed,
    head_of,
    record,
)
from conformance.protocol import machines
from conformance.protocol import trace as svsm_trace
from conformance.stream import area as stream_area
from conformance.stream import trace as stream_trace
from conformance.trace import load

Language = Literal["rust", "c", "python"]
WRITERS = {"rust": rust, "c": c}
ALONE = {"protocol": "an SVSM among vCPUs", "stream": "a migration stream"}
"""What is no sequence of calls and answers: its test replays it by the rules."""


def emitted(path: Path, language: Language, device: str | None = None) -> str:
    """The text of a test. device: in Python, what it is run on; else the one of the trace.

    Raises: TraceError where the file is no trace; EmitError where the language has no such test.
    """
    area = area_replaying(path)
    kind = area.id if area else ""
    if language == "python":
        return _python(path, kind, device)
    if kind in ALONE:
        raise EmitError(f"{path}: {ALONE[kind]} is emitted as a test in python alone")
    return WRITERS[language](_script(path, kind))


def _script(path: Path, kind: str) -> Record | Handoff | Mmio:
    if kind == "":
        return record(load(path), path)
    return handed(path) if kind == "handoff" else called(path)


def _python(path: Path, kind: str, device: str | None) -> str:
    if kind == "":
        trace = load(path)
        ops = [one.op for one in trace.steps]
        return python.python_of_record(record(trace, path), device or trace.device, ops)
    heads = {"protocol": _svsm, "stream": _stream}
    head = heads[kind](path) if kind in heads else _script(path, kind).head
    plain = msgspec.json.decode(path.read_bytes())
    plain["finding"] = None
    return python.python_of_trace(head, kind, plain, device or plain["device"])


def _svsm(path: Path) -> Head:
    """The head of a test about an SVSM's last step, whose case the trace's finding names."""
    start, steps = svsm_trace.load(path)
    rule = steps[-1][0]
    named = machines.of(start).called(rule)
    _, cited = machines.every_rule()[named]
    trace = msgspec.json.decode(path.read_bytes(), type=svsm_trace.ProtocolTrace)
    case = trace.finding.case if trace.finding else "step"
    asked = str(trace.steps)
    case = case if case.isidentifier() else "step"
    return head_of(cited, case, trace.device, trace.made_by, trace.seed, asked, named)


def _stream(path: Path) -> Head:
    """The head of a test about a stream, of the rule and case that the trace's finding names."""
    stream_trace.load(path)
    trace = msgspec.json.decode(path.read_bytes(), type=stream_trace.StreamTrace)
    known = stream_area.rules()
    found = trace.finding
    named = found.rule if found and found.rule in known else next(iter(known))
    rule = known[named]
    case = found.case if found and found.case.isidentifier() else "stream"
    asked = str(trace.stream)
    return head_of(rule, case, trace.device, trace.made_by, trace.seed, asked, named)
