"""Vectors of every area: written into one directory, and each run on a device of its kind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from conformance import vector_lines, vectors
from conformance.areas import area_of
from conformance.builtin import BUILTIN_POLICY, RUNS_POLICY
from conformance.device import find_device
from conformance.handoff import vector_files as handoff
from conformance.mmio import vector_files as mmio
from conformance.trace import Finding
from conformance.vector_file import VectorError, schema_of

Form = Literal["json", "lines"]
BUILTIN = ("impl:fast", "impl:fast+runs", "impl:handoff", "impl:mmio")
"""What `impl` stands for here: a built-in device for the vectors of each kind."""
READERS: dict[str, Any] = {
    vectors.SCHEMA: vectors.read_file,
    handoff.SCHEMA: handoff.read_file,
    mmio.SCHEMA: mmio.read_file,
}
SCHEMA_OF = {"": vectors.SCHEMA, "handoff": handoff.SCHEMA, "mmio": mmio.SCHEMA}


@dataclass(frozen=True)
class Checked:
    """What came of vectors on a device; `compared`: how many are of rules that it claims."""

    device: str
    compared: int
    findings: tuple[Finding, ...]


def fill(folder: Path, form: Form = "json") -> int:
    """Write the vectors of every area; as lines, those of records of pages alone. How many.

    Raises: WriteError where a file cannot be written.
    """
    if form == "lines":
        policies = (BUILTIN_POLICY, RUNS_POLICY)
        made = [vector for policy in policies for vector in vectors.make(policy)]
        return vector_lines.fill(folder, made)
    record = vectors.fill(folder, BUILTIN_POLICY, RUNS_POLICY)
    return record + handoff.fill(folder) + mmio.fill(folder)


def read(folder: Path) -> dict[str, list[Any]]:
    """The vectors of a directory, by the schema of their file.

    Raises: VectorError where the folder or a file cannot be used or the rules answer otherwise.
    """
    if not folder.is_dir():
        raise VectorError(f"{folder}: not a directory")
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.json")):
        schema = schema_of(path)
        if schema not in READERS:
            known = ", ".join(READERS)
            raise VectorError(f"{path}: schema is {schema!r}, this version reads {known}")
        found.setdefault(schema, []).extend(READERS[schema](path))
    return found


def check(found: dict[str, list[Any]], device: str) -> Iterator[Checked]:
    """What comes of vectors on a device, or on the built-in ones.

    Raises: DeviceError where there is no such device; VectorError where they are for others.
    """
    for spec in BUILTIN if device == "impl" else (device,):
        yield _one(found, spec)


def _one(found: dict[str, list[Any]], spec: str) -> Checked:
    area = area_of(spec)
    mine = found.get(SCHEMA_OF.get(area.id if area else "", ""), [])
    tested: Any = area.start(spec) if area else find_device(spec)()
    claims: frozenset[str] = getattr(tested, "claims", frozenset())
    compared = sum(vector.rule in claims for vector in mine)
    return Checked(spec, compared, tuple(_findings(area.id if area else "", mine, tested)))


def _findings(area: str, mine: Sequence[Any], tested: Any) -> Sequence[Finding]:
    if area == "handoff":
        return list(handoff.check(mine, tested))
    if area == "mmio":
        return list(mmio.check(mine, tested))
    return vectors.check(mine, tested) if area == "" else []
