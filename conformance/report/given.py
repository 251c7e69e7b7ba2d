"""Files of results, read strictly: what a page is made of, and nothing that was not run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from conformance import bench
from conformance.bench import BenchReport
from conformance.conform_report import SCHEMA as CONFORM
from conformance.conform_report import ConformReport
from conformance.handoff.figures import SCHEMA as HANDOFF
from conformance.handoff.figures import Figures
from conformance.known_bad import Kill
from conformance.prove_report import SCHEMA as PROVE
from conformance.prove_report import ProveReport
from conformance.report.words import line
from spec.prove.verdict import Verdict

MOST_BYTES = 64 << 20
SHAPES: dict[str, type] = {
    PROVE: ProveReport,
    CONFORM: ConformReport,
    bench.SCHEMA: BenchReport,
    HANDOFF: Figures,
}


class ResultsError(ValueError):
    """A file of results cannot be used; one line that names it."""


@dataclass
class Given:
    """The results of a page, by what made them; a list that is empty was not run.

    names: of the files that were read, in order.
    """

    proofs: list[ProveReport] = field(default_factory=list)
    conforms: list[ConformReport] = field(default_factory=list)
    benches: list[BenchReport] = field(default_factory=list)
    maps: list[Figures] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def read(paths: Sequence[Path]) -> Given:
    """Everything that some files hold.

    Raises: ResultsError, one line that names the file and what is wrong in it.
    """
    found = Given()
    for path in paths:
        result = _file(path)
        found.names.append(path.name)
        match result:
            case ProveReport():
                _known_words(result, path)
                found.proofs.append(result)
            case ConformReport():
                found.conforms.append(result)
            case BenchReport():
                found.benches.append(result)
            case Figures():
                found.maps.append(result)
    return found


def _file(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise ResultsError(f"{path}: has more than {MOST_BYTES} bytes")
    try:
        schema = msgspec.json.decode(data, type=dict).get("schema")
        shape = SHAPES.get(schema) if isinstance(schema, str) else None
        if shape is None:
            known = ", ".join(SHAPES)
            named = f"{schema!a}"[:60]
            raise ResultsError(f"{path}: schema is {named}; a page is made of {known}")
        found: Any = msgspec.json.decode(data, type=shape)
        if isinstance(found, ConformReport):
            found.kills = msgspec.convert(found.kills, list[Kill])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ResultsError(f"{path}: no file of results: {line(str(error))}") from error
    return found


def _known_words(found: ProveReport, path: Path) -> None:
    """A word that no run writes is no verdict, and least of all a pass."""
    words = {str(word) for word in Verdict}
    for result in found.obligations:
        if result.verdict not in words:
            said = f"{result.verdict[:40]!a} is no verdict"
            raise ResultsError(f"{path}: {line(result.id[:100])}: {said}")
