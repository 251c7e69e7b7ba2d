"""Traces of a migration stream: what it is made of, and the difference that it showed."""

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from conformance.files import has_schema, write_atomically
from conformance.stream.judge import Parting
from conformance.stream.made import Made
from conformance.trace import Finding, TraceError
from spec.catalogue import MODELS
from spec.terms import MASK

SCHEMA = "svsm-conformance/stream-trace/1"
MODEL = next(model for model in MODELS if model.machine == "stream")
MOST_RECORDS = 1 << 10
TOP = {"version": 1 << 32, "flags": 1 << 32, "cap": 1 << 40, "cut": 1 << 24}
"""What a field must be below, where it is not a word."""
LEAST = {"cut": -TOP["cut"]}


def called(rule_id: str) -> str:
    """The id of a rule in reports: as obligations have it."""
    area, _, rest = rule_id.partition(".")
    return f"{area}.{MODEL.machine}.{rest}"


class StreamTrace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stream, and the difference that it showed on `device`."""

    schema: str = SCHEMA
    device: str
    made_by: str
    seed: int
    stream: Made
    finding: Finding | None = None


def finding_of(found: Parting) -> Finding:
    """A parting as every report shows it."""
    return Finding(
        step=0,
        rule=called(found.rule),
        case=found.case,
        field=found.field,
        expected=found.expected,
        got=found.got,
        before={},
        op=msgspec.to_builtins(found.made),
        expected_state={},
    )


def save(found: Parting, device: str, made_by: str, seed: int, folder: Path) -> Path:
    """Write the trace of a parting under a name made of what is in it; the path."""
    trace = StreamTrace(
        device=device, made_by=made_by, seed=seed, stream=found.made, finding=finding_of(found)
    )
    data = msgspec.json.format(msgspec.json.encode(trace, order="deterministic"), indent=1)
    path = folder / f"stream-{found.case}-{hashlib.sha256(data).hexdigest()[:10]}.json"
    write_atomically(path, data + b"\n")
    return path


def is_stream(path: Path) -> bool:
    """Whether a file holds a trace of this kind; one that cannot be read does not."""
    return has_schema(path, SCHEMA)


def load(path: Path) -> Made:
    """The stream of a trace.

    Raises: TraceError, one line naming the file and what is wrong in it.
    """
    try:
        made = msgspec.json.decode(path.read_bytes(), type=StreamTrace).stream
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: not a trace: {error}") from error
    for field in fields(made):
        least, top = LEAST.get(field.name, 0), TOP.get(field.name, MASK + 1)
        if not _fits(getattr(made, field.name), least, top):
            raise TraceError(f"{path}: {field.name}: a number does not fit")
    if sum(max(0, stop - first) for first, stop in made.runs) > MOST_RECORDS:
        raise TraceError(f"{path}: runs: more than {MOST_RECORDS} frames to make records of")
    return made


def _fits(value: Any, least: int, top: int) -> bool:
    if isinstance(value, tuple):
        return all(_fits(one, least, top) for one in value)
    return value is None or least <= value < top
