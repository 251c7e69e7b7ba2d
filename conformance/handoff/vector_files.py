"""Vectors of the handoff: calls of its stages with what the rules answer, as files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from conformance.files import write_atomically
from conformance.handoff import oracle
from conformance.handoff.calls import Call, suits
from conformance.handoff.device import HandoffDevice
from conformance.handoff.doors import doors, vectors
from conformance.handoff.judge import judge
from conformance.trace import Finding
from conformance.vector_file import (
    VectorError,
    VectorFile,
    check_hash,
    encoded,
    opened,
    stable_id,
    without_repeats,
)
from spec.catalogue import handoff_rules

SCHEMA = "svsm-conformance/handoff-vector/1"


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stage answers, and what it makes where that is OK; bytes are base64."""

    answer: str
    code: int
    made: Any


class HandoffVector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call of one stage, and what is expected of it. case: the last that is taken in it."""

    id: str
    rule: str
    case: str
    citation: str
    purpose: str
    flags: list[str]
    step: Call
    expected: Expected


class HandoffVectors(VectorFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The vectors whose call ends in one rule."""

    vectors: list[HandoffVector]


def make() -> list[HandoffVector]:
    """A vector for each call that is kept, and for those beside it, edge by edge."""
    kept = {msgspec.json.encode(door.call): f"{door.rule}.{door.case}" for door in doors()}
    made = []
    for door in vectors():
        leads = kept.get(msgspec.json.encode(door.call))
        purpose = f"a plain call to {leads}"
        if leads is None:
            purpose = f"one number more or less than in a plain call to {door.rule}.{door.case}"
        made.append(_vector(door.call, purpose, is_edge=leads is None))
    return without_repeats(made)


def _vector(call: Call, purpose: str, *, is_edge: bool) -> HandoffVector:
    told = oracle.answer(call, Counter())
    flags = ["accepted" if told.is_ok else "refused", *(["edge"] if is_edge else [])]
    return HandoffVector(
        id=stable_id(told.rule, told.case, call),
        rule=told.rule,
        case=told.case,
        citation=str(handoff_rules()[told.rule].source),
        purpose=purpose,
        flags=flags,
        step=call,
        expected=_expected(call),
    )


def _expected(call: Call) -> Expected:
    told = oracle.answer(call, Counter())
    made = msgspec.to_builtins(told.value) if told.is_ok else None
    return Expected(answer=told.answer.name, code=int(told.answer), made=_lists(made))


def _lists(made: Any) -> Any:
    return [_lists(one) for one in made] if isinstance(made, list | tuple) else made


def fill(folder: Path) -> int:
    """Write the vectors, one file for each rule that a call ends in; how many vectors."""
    made = make()
    for rule in handoff_rules().values():
        mine = [vector for vector in made if vector.rule == rule.id]
        if mine:
            file = HandoffVectors(
                schema=SCHEMA,
                rule=rule.id,
                claim=rule.claim,
                citation=str(rule.source),
                vectors=mine,
            )
            write_atomically(folder / f"{rule.id}.json", encoded(file))
    return len(made)


def read_file(path: Path) -> list[HandoffVector]:
    """The vectors of one file.

    Raises: VectorError where it cannot be used or the rules answer otherwise.
    """
    file = opened(path, SCHEMA, HandoffVectors)
    for number, vector in enumerate(file.vectors):
        place = f"{path}: vector {number} ({vector.id})"
        if not suits(vector.step):
            raise VectorError(f"{place}: step: no stage is ever asked this; see docs/handoff.md")
        told = oracle.answer(vector.step, Counter())
        if (told.rule, told.case) != (vector.rule, vector.case) or vector.rule != file.rule:
            says = f"the rules take {told.rule}.{told.case}"
            raise VectorError(f"{place}: {says}; fill the directory again")
        if _expected(vector.step) != vector.expected:
            raise VectorError(f"{place}: the rules' answer is not the file's")
    check_hash(path, file)
    return file.vectors


def check(found: Sequence[HandoffVector], device: HandoffDevice) -> Iterator[Finding]:
    """The differences between a device and the vectors of rules that it claims."""
    for vector in found:
        if vector.rule in device.claims:
            finding = judge(vector.step, device, Counter())
            if finding is not None:
                yield finding
