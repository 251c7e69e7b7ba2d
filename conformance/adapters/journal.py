"""What a run is about to do and what it has found, line by line, so that no death loses any of it.

A line is written before a trace is run and after a unit of work has come to its end, and lines are
only added. Each is handed to the kernel with one call, so it outlives this process however that is
killed; what was found is also forced to the disk, should the machine go down.
A line that was cut off, which only such a machine leaves, is left out when the file is read.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from conformance.adapters.found import is_foreign
from conformance.conform_report import DeviceReport, Difference
from conformance.files import WriteError
from conformance.trace import Finding, Reached, TraceError

SCHEMA = "svsm-conformance/journal/1"
Row = tuple[str, str, int]
"""A rule's id, a case, and how often it was reached."""


class Line(msgspec.Struct, frozen=True, tag_field="is"):
    """Any line."""


class Run(Line, frozen=True, tag="run", kw_only=True):
    """The first line: what the run is of. seconds: the budget, where one was given."""

    schema: str = SCHEMA
    devices: list[str]
    profile: Literal["quick", "ci", "nightly"]
    seed: int
    only: str
    seconds: float | None
    traces: str


class Ahead(Line, frozen=True, tag="ahead"):
    """What is asked of a device next: a message, or of a batch what it is made from."""

    device: str
    unit: str
    asked: Any


class Seen(Line, frozen=True, tag="seen"):
    """A difference as it was seen, before it is made small."""

    device: str
    unit: str
    made_by: str
    finding: Finding


class Found(Line, frozen=True, tag="found"):
    """A difference, as reports have it."""

    device: str
    unit: str
    difference: Difference


class Done(Line, frozen=True, tag="done"):
    """A unit of work has come to its end: what it reached, its steps, and its seconds."""

    device: str
    unit: str
    reached: list[Row]
    steps: int = 0
    seconds: float = 0.0


class Reported(Line, frozen=True, tag="report"):
    """All that there is to say of a device, whose run has come to its end."""

    device: str
    report: DeviceReport


class Ended(Line, frozen=True, tag="given_up"):
    """A device was given up, and why."""

    device: str
    why: str


Lines = Run | Ahead | Seen | Found | Done | Reported | Ended
ENCODE, DECODE = msgspec.json.Encoder(), msgspec.json.Decoder(Lines)


class Past:
    """What a journal tells of one device: the units that are done, and what was found."""

    def __init__(self, lines: list[Any], device: str) -> None:
        mine = [line for line in lines if getattr(line, "device", None) == device]
        self.done: Mapping[str, Done] = {x.unit: x for x in mine if isinstance(x, Done)}
        self.found = [x for x in mine if isinstance(x, Found)]
        self.parted = {x.unit for x in mine if isinstance(x, Seen)}
        self.report = next((x.report for x in mine if isinstance(x, Reported)), None)

    def reached(self, unit: str) -> Reached:
        """What a unit that is done had reached."""
        return Reached({(rule, case): times for rule, case, times in self.done[unit].reached})


class Journal:
    """One device's part of a journal."""

    def __init__(self, path: Path | None, device: str) -> None:
        """path: None where nothing is to be kept."""
        self.device, self.unit = device, ""
        self.past = Past(read(path) if path else [], device)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND) if path else None

    def ahead(self, asked: Any) -> None:
        """Write down what is asked next."""
        self._add(Ahead(self.device, self.unit, asked))

    def seen(self, made_by: str, finding: Finding) -> None:
        """Write down what was seen, and see it on the disk."""
        self._add(Seen(self.device, self.unit, made_by, finding), sync=True)

    def found(self, difference: Difference) -> None:
        """Write down what was found, and see it on the disk."""
        self._add(Found(self.device, self.unit, difference), sync=True)

    def done(self, reached: Reached, steps: int = 0, seconds: float = 0.0) -> None:
        """Write down that the unit has come to its end."""
        rows = [(rule, case, times) for (rule, case), times in sorted(reached.items())]
        self._add(Done(self.device, self.unit, rows, steps, seconds))

    def reported(self, report: DeviceReport) -> None:
        """Write down that the device's run has come to its end."""
        self._add(Reported(self.device, report), sync=True)

    def given_up(self, why: str) -> None:
        """Write down that the device is given up."""
        self._add(Ended(self.device, why), sync=True)

    def _add(self, line: Line, sync: bool = False) -> None:
        if self._file is None:
            return
        append(self._file, line)
        if sync:
            os.fsync(self._file)


def append(file: int, line: Line) -> None:
    """One line, by one call wherever the kernel takes it whole."""
    data = memoryview(ENCODE.encode(line) + b"\n")
    while data:
        data = data[os.write(file, data) :]


def begin(path: Path, run: Run) -> None:
    """A new journal.

    Raises: OSError where it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    append(file, run)
    os.fsync(file)
    os.close(file)


def read(path: Path) -> list[Any]:
    """The lines of a journal that are whole.

    Raises: TraceError where it is none.
    """
    try:
        rows = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    lines: list[Any] = []
    for row in rows:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            lines.append(DECODE.decode(row))
    if not lines or not isinstance(lines[0], Run) or lines[0].schema != SCHEMA:
        raise TraceError(f"{path}: is no journal of a run; conform tells where it writes one")
    return lines


def opened(of: Run, resume: Path | None) -> tuple[Run, Path | None]:
    """What is to be run, and its journal: that of an earlier run, or a fresh one.

    Only runs of foreign devices have one. Raises: TraceError where the earlier one is none,
    WriteError where there can be none.
    """
    if resume is not None:
        return begun(resume), resume
    if not any(map(is_foreign, of.devices)):
        return of, None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = Path(of.traces).parent / "journals" / f"{stamp}-{os.getpid()}.jsonl"
    try:
        begin(path, of)
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror or error}") from error
    return of, path


def begun(path: Path) -> Run:
    """What the run was of that a journal is of.

    Raises: TraceError.
    """
    first: Run = read(path)[0]
    return first
