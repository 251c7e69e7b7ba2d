"""JSON schemas of every file that is written, generated from the types that are written.

`python -m conformance.schema FOLDER` writes them; with `--check` it only tells which are stale.
They are strict: every field is there, and no other.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from conformance import bench, conform_report, prove_report, trace, vectors
from conformance.adapters import journal
from conformance.audit import kernel_report
from conformance.audit import report as audit_report
from conformance.files import write_atomically
from conformance.handoff import figures
from conformance.handoff import judge as handoff_trace
from conformance.handoff import vector_files as handoff_vectors
from conformance.known_bad import Kill
from conformance.mmio import trace as mmio_trace
from conformance.mmio import vector_files as mmio_vectors
from conformance.protocol import trace as protocol_trace
from conformance.stream import trace as stream_trace
from conformance.vector_file import FLAGS
from spec.catalogue import rules
from spec.prove.verdict import Verdict
from spec.rule import hints, kind
from spec.terms import Bits, PageSet, WordTable
from spec.validation.bitmap import Bitmap

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

FILES: dict[str, type] = {
    prove_report.SCHEMA: prove_report.ProveReport,
    conform_report.SCHEMA: conform_report.ConformReport,
    bench.SCHEMA: bench.BenchReport,
    figures.SCHEMA: figures.Figures,
    audit_report.SCHEMA: audit_report.AuditReport,
    kernel_report.SCHEMA: kernel_report.KernelReport,
    trace.SCHEMA: trace.Trace,
    handoff_trace.SCHEMA: handoff_trace.HandoffTrace,
    mmio_trace.SCHEMA: mmio_trace.MmioTrace,
    protocol_trace.SCHEMA: protocol_trace.ProtocolTrace,
    stream_trace.SCHEMA: stream_trace.StreamTrace,
    vectors.SCHEMA: vectors.RecordVectors,
    handoff_vectors.SCHEMA: handoff_vectors.HandoffVectors,
    mmio_vectors.SCHEMA: mmio_vectors.MmioVectors,
}
"""What is written, by the name that a file gives its schema."""

TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
FLAG: Schema = {"type": "array", "items": {"enum": list(FLAGS)}, "uniqueItems": True}


def record(shape: type) -> Schema:
    """The schema of a record as `conformance.codec` writes it."""
    marks = hints(shape)
    fields = {name: _value(mark) for name, mark in marks.items()}
    return _strict({"type": "object", "properties": fields})


def _value(mark: Any) -> Schema:
    match kind(mark):
        case Bits(1):
            return {"type": "boolean"}
        case Bits():
            return _words(64)
        case PageSet() | WordTable():
            pair = {"type": "array", "items": _words(64), "minItems": 2, "maxItems": 2}
            return {"type": "array", "items": pair}
        case _:
            return record(mark)


def _words(bits: int) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": 2**bits - 1}


def _operands() -> Schema:
    shapes = dict.fromkeys(rule.operands for rule in rules().values())
    return {"anyOf": [record(shape) for shape in shapes]}


def additions() -> dict[str, Schema]:
    """What the types do not say: by type, fields that are narrower or that are added in writing."""
    word: Schema = {"enum": [str(verdict) for verdict in Verdict]}
    text: Schema = {"type": "string", "minLength": 1}
    code: Schema = {"type": "integer", "minimum": 0, "maximum": 6}
    kills: Schema = {"type": "array", "items": {"$ref": "#/$defs/Kill"}}
    return {
        "Result": {"verdict": word},
        "DeviceReport": {"verdict": text, "unreached": TEXTS},
        "ConformReport": {"survivors": TEXTS, "exit_code": code, "kills": kills},
        "Vector": {"start": record(Bitmap), "step": _operands(), "flags": FLAG},
        "Expected": {"state": record(Bitmap)},
        "HandoffVector": {"flags": FLAG},
        "MmioVector": {"flags": FLAG},
    }


def schema(name: str) -> Schema:
    """The schema that a file names."""
    root = FILES[name]
    types = (root, Kill) if root is conform_report.ConformReport else (root,)
    made, parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    found = additions()
    for part, shape in parts.items():
        if "properties" in shape:
            known = found.get(part, {})
            fits = {field for field in known if part != "Expected" or field in shape["properties"]}
            shape["properties"] |= {field: known[field] for field in sorted(fits)}
            _strict(shape)
    parts[root.__name__]["properties"]["schema"] = {"const": name}
    identity = f"urn:{name.replace('/', ':')}"
    return {"$schema": DIALECT, "$id": identity, "title": name, **made[0], "$defs": parts}


def _strict(shape: Schema) -> Schema:
    shape["required"] = list(shape["properties"])
    shape["additionalProperties"] = False
    return shape


def journal_line() -> Schema:
    """The schema of one line of a journal, whose first line names it."""
    made, parts = msgspec.json.schema_components((journal.Lines,), ref_template="#/$defs/{name}")
    for shape in parts.values():
        if "properties" in shape:
            _strict(shape)
    parts["Run"]["properties"]["schema"] = {"const": journal.SCHEMA}
    identity = f"urn:{journal.SCHEMA.replace('/', ':')}"
    return {"$schema": DIALECT, "$id": identity, "title": journal.SCHEMA, **made[0], "$defs": parts}


def files() -> Iterator[tuple[str, bytes]]:
    """Every schema's file name and bytes."""
    for name in (*FILES, journal.SCHEMA):
        stem = name.partition("/")[2].replace("/", "-")
        made = journal_line() if name == journal.SCHEMA else schema(name)
        text = msgspec.json.encode(made, order="deterministic")
        yield f"{stem}.json", msgspec.json.format(text, indent=1) + b"\n"


def main(arguments: list[str]) -> int:
    """Write the schemas, or with `--check` tell which are stale; 0 if none is."""
    folder = Path(arguments[-1])
    made = dict(files())
    if "--check" not in arguments:
        for name, data in made.items():
            write_atomically(folder / name, data)
        return 0
    there = {path.name: path.read_bytes() for path in folder.glob("*.json")}
    stale = sorted(name for name in there.keys() | made.keys() if there.get(name) != made.get(name))
    for name in stale:
        print(f"{folder / name}: stale; run: make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
