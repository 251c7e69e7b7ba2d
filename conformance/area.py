"""An area of the suite: rules whose devices are of one kind, and how such a device is run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.conform_report import DeviceReport
from conformance.trace import Finding


@dataclass(frozen=True)
class Effort:
    """How much a profile runs: Hypothesis examples, batches, and the kill matrix.

    batches: None is as many as there is time for. batch_seconds: else only a backstop. walks: of an
    SVSM among vCPUs and a lying host, or of a driver among slots.
    patience_seconds: what a device may take for everything before it counts as hanging.
    """

    examples: int
    batches: int | None
    batch_seconds: float
    kills: bool
    patience_seconds: float
    walks: int


EFFORTS = {
    "quick": Effort(60, 40, 30.0, False, 300.0, 80),
    "ci": Effort(400, 300, 120.0, True, 900.0, 1200),
    "nightly": Effort(4000, 6000, 1800.0, True, 10800.0, 40000),
}


@dataclass(frozen=True)
class Task:
    """One device's run, as it is handed to a process.

    only: a glob of rules' ids. regions: a machine's own, base in bytes and pages, for a bitmap.
    journal: where a foreign device's run is written down as it goes. examples: where Hypothesis
    keeps what failed; see `conformance.example_database`.
    """

    device: str
    effort: Effort
    seed: int
    only: str
    traces: Path
    regions: tuple[tuple[int, int], ...] = ()
    journal: Path | None = None
    examples: str | None = None


@dataclass(frozen=True)
class Replayed:
    """What became of a trace: on which device, how many steps, and the difference, if one."""

    device: str
    steps: int
    finding: Finding | None


@dataclass(frozen=True)
class Area:
    """What the suite asks of an area.

    rules: by id, as reports call them. builtin: the devices that `impl` stands for. owns: whether
    a name is that of a device of this area. beside: the ids of the rules that one is run beside.
    start: makes one, or raises DeviceError. kill: what finds a known-bad variant. describe, strip:
    a difference in words, and drawn (plainly, or with blocks). replays: whether a file holds a
    trace of this area. replay: what becomes of it, on the device that it names or another.
    """

    id: str
    rules: Callable[[], Mapping[str, Any]]
    builtin: Callable[[], Sequence[str]]
    owns: Callable[[str], bool]
    beside: Callable[[str], Sequence[str]]
    start: Callable[[str], Any]
    run: Callable[[Task], DeviceReport]
    defects: Callable[[], Sequence[str]]
    kill: Callable[[str], Any]
    describe: Callable[[Finding, Path], str]
    strip: Callable[[Finding, bool], str]
    replays: Callable[[Path], bool]
    replay: Callable[[Path, str | None], Replayed]
