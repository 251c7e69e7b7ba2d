"""Vectors: doors with what the rules answer, as files that anyone can run without a solver.

One JSON file for each rule, named by its id. The same rules and policy give the same bytes, so a
change to a rule is seen in review as the vectors that it changes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from conformance.codec import CodecError, decode, encode
from conformance.device import Device, DeviceFault
from conformance.doors import Door, doors
from conformance.files import write_atomically
from conformance.guard import guarded
from conformance.trace import Finding, difference, expected_value, name_of
from conformance.vector_file import (
    VectorError,
    VectorFile,
    check_hash,
    encoded,
    opened,
    stable_id,
    without_repeats,
)
from spec.catalogue import rules
from spec.rule import Step, step
from spec.validation.bitmap import ANY_RUNS, Bitmap, Policy
from spec.validation.outcomes import Outcome

SCHEMA = "svsm-conformance/vector/2"
PLAIN_AIM = "any"


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a step does. code: the outcome's number. value: a number, or the words of an export.
    state: what it leaves behind.
    """

    outcome: str
    code: int
    value: int | tuple[int, ...]
    state: dict[str, Any]


class Vector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step, and what is expected of it.

    start, step: encoded records (`conformance.codec`). purpose: what it is for. flags: of
    `conformance.vector_file.FLAGS`.
    """

    id: str
    rule: str
    case: str
    citation: str
    purpose: str
    flags: list[str]
    start: dict[str, Any]
    step: dict[str, Any]
    expected: Expected


class RecordVectors(VectorFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The vectors of one rule of a record of pages."""

    vectors: list[Vector]


def make(policy: Policy) -> list[Vector]:
    """A vector for each door of devices that choose `policy`, in the order of the doors."""
    return without_repeats([_vector(door) for door in doors(policy)])


def _vector(door: Door) -> Vector:
    right = step(door.rule, door.start, door.op)
    start, asked = encode(door.start), encode(door.op)
    plain = "the case, as the solver finds it"
    return Vector(
        id=stable_id(door.rule.id, right.case, [start, asked]),
        rule=door.rule.id,
        case=right.case,
        citation=str(door.rule.source),
        purpose=plain if door.aim == PLAIN_AIM else door.aim,
        flags=list(_flags(door, right)),
        start=start,
        step=asked,
        expected=_expected(right, door.start),
    )


def _expected(right: Step, start: Bitmap) -> Expected:
    return Expected(
        outcome=name_of(right.outcome),
        code=right.outcome,
        value=expected_value(right.value, start),
        state=encode(right.state),
    )


def _flags(door: Door, right: Step) -> Iterator[str]:
    yield "accepted" if right.outcome == Outcome.OK else "refused"
    marks = {
        "changes": right.state != door.start,
        "answers": bool(expected_value(right.value, door.start)),
        "edge": door.aim != PLAIN_AIM,
        "choice": right.outcome in (Outcome.MIXED, Outcome.SIZE_MISMATCH),
        "little_room": door.start.policy.most_runs != ANY_RUNS,
    }
    yield from (flag for flag, is_so in marks.items() if is_so)


def fill(folder: Path, *policies: Policy) -> int:
    """Write the vectors into `folder`, one file for each rule; how many vectors.

    Raises: WriteError where a file cannot be written.
    """
    made = [vector for policy in policies for vector in make(policy)]
    for rule in rules().values():
        file = RecordVectors(
            schema=SCHEMA,
            rule=rule.id,
            claim=rule.claim,
            citation=str(rule.source),
            vectors=[vector for vector in made if vector.rule == rule.id],
        )
        write_atomically(folder / f"{rule.id}.json", encoded(file))
    return len(made)


def read(folder: Path) -> list[Vector]:
    """The vectors that `fill` wrote into `folder`, by file name; none if there is no such file.

    Raises: VectorError where the folder or a file cannot be used or the rules answer otherwise.
    """
    if not folder.is_dir():
        raise VectorError(f"{folder}: not a directory")
    return [vector for path in sorted(folder.glob("*.json")) for vector in read_file(path)]


def read_file(path: Path) -> list[Vector]:
    """The vectors of one file.

    Raises: VectorError where it cannot be used or the rules answer otherwise.
    """
    file = opened(path, SCHEMA, RecordVectors)
    if file.rule not in rules():
        raise VectorError(f"{path}: unknown rule {file.rule!r}")
    for number, vector in enumerate(file.vectors):
        _verify(vector, file.rule, f"{path}: vector {number} ({vector.id})")
    check_hash(path, file)
    return file.vectors


def _verify(vector: Vector, rule: str, place: str) -> None:
    if vector.rule not in rules():
        raise VectorError(f"{place}: unknown rule {vector.rule!r}")
    if vector.rule != rule:
        raise VectorError(f"{place}: rule {vector.rule!r} in the file of {rule!r}")
    try:
        start, op = _decoded(vector)
        decode(Bitmap, vector.expected.state, "expected.state.")
    except CodecError as error:
        raise VectorError(f"{place}: {error}") from error
    right = step(rules()[rule], start, op)
    if (right.case, _expected(right, start)) != (vector.case, vector.expected):
        says = f"the rules take {right.case}, the file says {vector.case}"
        if right.case == vector.case:
            says = f"the rules' answer to {right.case} is not the file's"
        raise VectorError(f"{place}: {says}; fill the directory again")


def _decoded(vector: Vector) -> tuple[Bitmap, Any]:
    start: Bitmap = decode(Bitmap, vector.start, "start.")
    return start, decode(rules()[vector.rule].operands, vector.step, "step.")


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
    wanted = vector.expected
    state: Bitmap = decode(Bitmap, wanted.state)
    shown: Bitmap | None = None
    try:
        device.reset(start)
        answer = device.apply(vector.rule, op)
        shown = device.observe()
    except DeviceFault as fault:
        parted: tuple[str, str, str] | None = ("fault", "an answer", str(fault))
    else:
        parted = difference(wanted.code, wanted.value, state, answer, shown)
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
        op=vector.step,
        expected_state=wanted.state,
        got_state=None if shown is None else encode(shown),
    )
