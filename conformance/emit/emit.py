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
from conformance.trace import load

Language = Literal["rust", "c", "python"]
WRITERS = {"rust": rust, "c": c}


def emitted(path: Path, language: Language, device: str | None = None) -> str:
    """The text of a test. device: in Python, what it is run on; else the one of the trace.

    Raises: TraceError where the file is no trace; EmitError where the language has no such test.
    """
    area = area_replaying(path)
    kind = area.id if area else ""
    if language == "python":
        return _python(path, kind, device)
    if kind == "protocol":
        raise EmitError(f"{path}: an SVSM among vCPUs is emitted as a test in python alone")
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
    head = _svsm(path) if kind == "protocol" else _script(path, kind).head
    plain = msgspec.json.decode(path.read_bytes())
    plain["finding"] = None
    return python.python_of_trace(head, kind, plain, device or plain["device"])


def _svsm(path: Path) -> Head:
    """The head of a test about an SVSM's last step, whose case the trace's finding names."""
    start, steps = svsm_trace.load(path)
    rule = steps[-1][0]
    _, cited = machines.every_rule()[machines.of(start).called(rule)]
    trace = msgspec.json.decode(path.read_bytes(), type=svsm_trace.ProtocolTrace)
    case = trace.finding.case if trace.finding else "step"
    asked = str(trace.steps)
    case = case if case.isidentifier() else "step"
    return head_of(cited, case, trace.device, trace.made_by, trace.seed, asked)
