"""Vectors of MMIO: calls in order on a machine, with what goes out and what is answered."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from conformance.files import write_atomically
from conformance.mmio.calls import Call, Expected, expected
from conformance.mmio.device import MmioDevice
from conformance.mmio.judge import run as judged
from conformance.mmio.trace import MmioStep, MmioTrace, decoded, encoded, finding_of
from conformance.mmio.vectors import kept, ways
from conformance.mmio.world import SETTINGS, at_first
from conformance.trace import Finding, TraceError
from conformance.vector_file import (
    VectorError,
    VectorFile,
    check_hash,
    opened,
    stable_id,
    without_repeats,
)
from conformance.vector_file import encoded as file_bytes
from spec.catalogue import mmio_rules

SCHEMA = "svsm-conformance/mmio-vector/1"


class Transaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One access as it goes out; see `spec.mmio.wire.Wire`."""

    how: int
    address: int
    width: int
    extra: int
    value: int


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pages that are mapped or whose mapping is undone; see `conformance.mmio.calls.Mapped`."""

    what: str
    first_page: int
    pages: int
    home: int


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one call does. answer: a number, minus a refusal, or bytes in hex."""

    case: str
    answer: int | str
    transactions: list[Transaction]
    mapped: list[Mapping]


class On(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine: its back end, and what is fixed of it; see `spec.mmio.wire.Machine`."""

    name: str
    backend: int
    limit: int
    shared_bit: int
    buffer: int


class MmioVector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls, and what is expected of each. rule, case: of the last."""

    id: str
    rule: str
    case: str
    citation: str
    purpose: str
    flags: list[str]
    steps: list[MmioStep]
    expected: list[Told]


class MmioVectors(VectorFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The vectors whose last call is of one rule. machines: those that a step's number names."""

    machines: list[On]
    vectors: list[MmioVector]


def make() -> list[MmioVector]:
    """A vector for each way to a case, and for each trace that once showed a defect."""
    made = [_vector(one.calls, f"a way to {one.name}", []) for one in ways()]
    shows = "once showed the known-bad variant"
    made += [_vector(one.calls, f"{shows} {one.name}", ["regression"]) for one in kept()]
    return without_repeats(made)


def _vector(calls: Sequence[Call], purpose: str, flags: list[str]) -> MmioVector:
    told, steps = told_of(calls), encoded(calls)
    rule, answer = calls[-1].rule, told[-1].answer
    refused = isinstance(answer, int) and answer < 0
    marks = ["refused" if refused else "accepted", *(["answers"] if answer else []), *flags]
    return MmioVector(
        id=stable_id(rule.id, told[-1].case, steps),
        rule=rule.id,
        case=told[-1].case,
        citation=str(rule.source),
        purpose=purpose,
        flags=marks,
        steps=steps,
        expected=told,
    )


def told_of(calls: Sequence[Call]) -> list[Told]:
    """What the rules say of calls, one after another."""
    states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
    made = []
    for call in calls:
        meant = expected(states[call.machine], call)
        states[call.machine] = meant.after
        made.append(_told(meant))
    return made


def _told(meant: Expected) -> Told:
    answer = meant.answer
    return Told(
        case=meant.cases[-1][1],
        answer=answer.hex() if isinstance(answer, bytes) else answer,
        transactions=[Transaction(**asdict(wire)) for wire in meant.wires],
        mapped=[Mapping(**one._asdict()) for one in meant.mapped],
    )


def machines() -> list[On]:
    """The machines that steps name by number."""
    return [On(name=one.backend, **asdict(one.machine)) for one in SETTINGS]


def fill(folder: Path) -> int:
    """Write the vectors, one file for each rule of a last call; how many vectors."""
    made = make()
    for rule in mmio_rules().values():
        mine = [vector for vector in made if vector.rule == rule.id]
        if mine:
            file = MmioVectors(
                schema=SCHEMA,
                rule=rule.id,
                claim=rule.claim,
                citation=str(rule.source),
                machines=machines(),
                vectors=mine,
            )
            write_atomically(folder / f"{rule.id}.json", file_bytes(file))
    return len(made)


def read_file(path: Path) -> list[MmioVector]:
    """The vectors of one file.

    Raises: VectorError where it cannot be used or the rules answer otherwise.
    """
    file = opened(path, SCHEMA, MmioVectors)
    for number, vector in enumerate(file.vectors):
        place = f"{path}: vector {number} ({vector.id})"
        if vector.rule != file.rule or calls_of(vector, place)[-1].rule.id != file.rule:
            raise VectorError(f"{place}: its last call is not of {file.rule!r}")
        told = told_of(calls_of(vector, place))
        if (told, told[-1].case) != (vector.expected, vector.case):
            raise VectorError(f"{place}: the rules say otherwise; fill the directory again")
    if file.machines != machines():
        raise VectorError(f"{path}: machines are not those of this version")
    check_hash(path, file)
    return file.vectors


def calls_of(vector: MmioVector, place: str) -> list[Call]:
    """The calls of a vector.

    Raises: VectorError where they do not make sense.
    """
    trace = MmioTrace(device="", made_by="", seed=0, steps=vector.steps)
    try:
        return decoded(trace, place)
    except TraceError as error:
        raise VectorError(str(error)) from error


def check(found: Sequence[MmioVector], device: MmioDevice) -> Iterator[Finding]:
    """The differences between a device and the vectors of rules that it claims."""
    for vector in found:
        if vector.rule in device.claims:
            parted: Any = judged(device, calls_of(vector, vector.id), Counter())
            if parted is not None:
                yield finding_of(parted)
