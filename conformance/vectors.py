"""Vectors: doors with what the rules answer, as files that anyone can run without a solver.

One JSON file for each rule, named by its id. The same rules and policy give the same bytes, so a
change to a rule is seen in review as the vectors that it changes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from conformance.codec import CodecError, decode, encode
from conformance.device import Device, DeviceFault
from conformance.doors import doors
from conformance.files import write_atomically
from conformance.guard import guarded
from conformance.trace import Finding, difference, expected_value
from spec.catalogue import rules
from spec.rule import step
from spec.validation.bitmap import Bitmap, Policy

SCHEMA = "svsm-conformance/vector/1"


class VectorError(ValueError):
    """Vectors cannot be used; one line that names the file and the place."""


class Vector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step, and what is expected of it.

    start, op, state: encoded records (`conformance.codec`). value: a number, or the words of an
    export. state: what the step leaves behind.
    """

    id: str
    rule: str
    case: str
    aim: str
    start: dict[str, Any]
    op: dict[str, Any]
    outcome: int
    value: int | tuple[int, ...]
    state: dict[str, Any]


class VectorFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The vectors of one rule."""

    schema: str
    rule: str
    source: str
    vectors: list[Vector]


def make(policy: Policy) -> list[Vector]:
    """A vector for each door of devices that choose `policy`, in the order of the doors."""
    made = []
    for door in doors(policy):
        right = step(door.rule, door.start, door.op)
        made.append(
            Vector(
                id=door.id,
                rule=door.rule.id,
                case=right.case,
                aim=door.aim,
                start=encode(door.start),
                op=encode(door.op),
                outcome=right.outcome,
                value=expected_value(right.value, door.start),
                state=encode(right.state),
            )
        )
    return made


def fill(folder: Path, *policies: Policy) -> int:
    """Write the vectors into `folder`, one file for each rule; how many vectors.

    Raises: WriteError where a file cannot be written.
    """
    made = [vector for policy in policies for vector in make(policy)]
    for rule in rules().values():
        mine = [vector for vector in made if vector.rule == rule.id]
        file = VectorFile(schema=SCHEMA, rule=rule.id, source=str(rule.source), vectors=mine)
        write_atomically(folder / f"{rule.id}.json", _lines(file))
    return len(made)


def _lines(file: VectorFile) -> bytes:
    """A file with each vector on a line of its own, so that a diff shows whole vectors."""
    shell = msgspec.json.encode(msgspec.structs.replace(file, vectors=[]), order="deterministic")
    head, tail = shell.split(b'"vectors":[]')
    body = b",\n".join(msgspec.json.encode(v, order="deterministic") for v in file.vectors)
    return head + b'"vectors":[\n' + body + b"\n]" + tail + b"\n"


def read(folder: Path) -> list[Vector]:
    """The vectors that `fill` wrote into `folder`, by file name; none if there is no such file.

    Raises: VectorError where the folder or a file cannot be used or the rules answer otherwise.
    """
    if not folder.is_dir():
        raise VectorError(f"{folder}: not a directory")
    return [vector for path in sorted(folder.glob("*.json")) for vector in _file(path)]


def _file(path: Path) -> list[Vector]:
    try:
        data = path.read_bytes()
        schema = msgspec.json.decode(data, type=dict).get("schema")
        if schema != SCHEMA:
            raise VectorError(f"{path}: schema is {schema!r}, this version reads {SCHEMA!r}")
        file = msgspec.json.decode(data, type=VectorFile)
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VectorError(f"{path}: not a file of vectors: {error}") from error
    if file.rule not in rules():
        raise VectorError(f"{path}: unknown rule {file.rule!r}")
    for number, vector in enumerate(file.vectors):
        _verify(vector, file.rule, f"{path}: vector {number} ({vector.id})")
    return file.vectors


def _verify(vector: Vector, rule: str, place: str) -> None:
    if vector.rule not in rules():
        raise VectorError(f"{place}: unknown rule {vector.rule!r}")
    if vector.rule != rule:
        raise VectorError(f"{place}: rule {vector.rule!r} in the file of {rule!r}")
    try:
        start, op = _decoded(vector)
        decode(Bitmap, vector.state, "state.")
    except CodecError as error:
        raise VectorError(f"{place}: {error}") from error
    right = step(rules()[rule], start, op)
    told = (right.case, right.outcome, expected_value(right.value, start), encode(right.state))
    if told != (vector.case, vector.outcome, vector.value, vector.state):
        says = f"the rules take {right.case}, the file says {vector.case}"
        if right.case == vector.case:
            says = f"the rules' answer to {right.case} is not the file's"
        raise VectorError(f"{place}: {says}; fill the directory again")


def _decoded(vector: Vector) -> tuple[Bitmap, Any]:
    start: Bitmap = decode(Bitmap, vector.start, "start.")
    return start, decode(rules()[vector.rule].operands, vector.op, "op.")


def check(vectors: Sequence[Vector], device: Device) -> list[Finding]:
    """The differences between a device and `vectors` of rules that it claims, one for a vector.

    Raises: VectorError where the vectors are for another policy than the device's.
    """
    asked = guarded(device)
    mine = [vector for vector in vectors if vector.rule in asked.claims]
    policy = encode(asked.policy)
    for vector in mine:
        if vector.start["policy"] != policy:
            wants = f"made for {_choices(vector.start['policy'])}"
            raise VectorError(f"{vector.id}: {wants}, but {asked.name} has {_choices(policy)}")
    found = (_finding(vector, asked) for vector in mine)
    return [finding for finding in found if finding is not None]


def _choices(policy: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in policy.items())


def _finding(vector: Vector, device: Device) -> Finding | None:
    start, op = _decoded(vector)
    state: Bitmap = decode(Bitmap, vector.state)
    shown: Bitmap | None = None
    try:
        device.reset(start)
        answer = device.apply(vector.rule, op)
        shown = device.observe()
    except DeviceFault as fault:
        parted: tuple[str, str, str] | None = ("fault", "an answer", str(fault))
    else:
        parted = difference(vector.outcome, vector.value, state, answer, shown)
    if parted is None:
        return None
    field, expected, got = parted
    return Finding(
        step=0,
        rule=vector.rule,
        case=vector.case,
        field=field,
        expected=expected,
        got=" ".join(got.split()),
        before=vector.start,
        op=vector.op,
        expected_state=vector.state,
        got_state=None if shown is None else encode(shown),
    )
