"""A device's run somewhere else: what it writes there comes back with the report."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from conformance.area import Task
from conformance.conform_report import DeviceReport
from conformance.files import write_atomically

Group = Sequence[Task]
Brought = tuple[list[DeviceReport], dict[str, bytes]]
"""The reports, and each trace by its file's name."""


def away(runner: Callable[[Group], list[DeviceReport]], tasks: Group) -> Brought:
    """Run devices where this is called, with a folder for traces of its own."""
    with tempfile.TemporaryDirectory(prefix="svsm-conformance-") as folder:
        there = Path(folder)
        # A journal is a file of the machine that asks.
        reports = runner([replace(task, traces=there, journal=None) for task in tasks])
        return reports, {path.name: path.read_bytes() for path in there.iterdir()}


def brought(told: Brought, traces: Path) -> list[DeviceReport]:
    """The reports, with their traces written here."""
    reports, files = told
    for name, data in files.items():
        traces.mkdir(parents=True, exist_ok=True)
        write_atomically(traces / Path(name).name, data)
    return [_here(report, traces) for report in reports]


def _here(report: DeviceReport, traces: Path) -> DeviceReport:
    differences = [
        msgspec.structs.replace(one, trace=str(traces / Path(one.trace).name))
        for one in report.differences
    ]
    return msgspec.structs.replace(report, differences=differences)
