"""What a run writes beside its table, for build servers: JUnit XML, SARIF, a step summary."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.files import WriteError, write_atomically
from conformance.report.checks import Check
from conformance.report.junit import junit
from conformance.report.sarif import sarif
from conformance.report.summary import summary


@dataclass(frozen=True)
class Beside:
    """The files that are asked for; without `summary`, the one that GitHub names, if it does."""

    junit: Path | None = None
    sarif: Path | None = None
    summary: Path | None = None


def write(title: str, checks: Sequence[Check], exit_code: int, files: Beside) -> None:
    """Write what is asked for.

    Raises: WriteError where a file cannot be written.
    """
    if files.junit is not None:
        write_atomically(files.junit, junit(checks))
    if files.sarif is not None:
        write_atomically(files.sarif, sarif(checks, exit_code))
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    page = files.summary or (Path(named) if named else None)
    if page is not None:
        _append(page, summary(title, checks, exit_code))


def _append(path: Path, text: str) -> None:
    """Put a text behind what others wrote there."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror or error}") from error
