"""An area of the suite: rules whose devices are of one kind, and how such a device is run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from conformance.conform_report import DeviceReport
from conformance.trace import Finding

T = TypeVar("T")
WALKS_A_UNIT = 60
"""How many walks are one piece of work."""


@dataclass(frozen=True)
class Effort:
    """How much a profile runs: Hypothesis examples, batches, and the kill matrix.

    batches: None is as many as there is time for. batch_seconds: else only a backstop. walks: of an
    SVSM among vCPUs and a lying host, or of a driver among slots.
    patience_seconds: what a part of a device's run may take before the device counts as hanging.
    parts: into how many a device's run is cut; each does about what a quick run does.
    """

    examples: int
    batches: int | None
    batch_seconds: float
    kills: bool
    patience_seconds: float
    walks: int
    parts: int = 1


EFFORTS = {
    "quick": Effort(60, 40, 30.0, False, 300.0, 80),
    "ci": Effort(400, 300, 120.0, True, 900.0, 1200, 4),
    "nightly": Effort(4000, 6000, 1800.0, True, 10800.0, 40000, 32),
}


@dataclass(frozen=True)
class Part:
    """Which part of how many of a device's run: each has its share of all that is numbered."""

    index: int = 0
    of: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it also does what is done once: measuring how fast single steps are."""
        return self.index == 0

    def share(self, listed: Iterable[T]) -> Iterable[T]:
        """Those of a list, or of numbers without an end, that are this part's."""
        return islice(listed, self.index, None, self.of)

    def units(self, walks: int) -> Iterable[tuple[int, range]]:
        """This part's of so many walks, in pieces: the number of each, and those in it."""
        pieces = enumerate(range(0, walks, WALKS_A_UNIT))
        for number, first in self.share(pieces):
            yield number, range(first, min(first + WALKS_A_UNIT, walks))


@dataclass(frozen=True)
class Task:
    """One device's run, or a part of it, as it is handed to a process.

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
    part: Part = Part()

    @property
    def called(self) -> str:
        """What a journal calls it: by the device, and the part where there are several."""
        if self.part.of == 1:
            return self.device
        return f"{self.device}, part {self.part.index + 1} of {self.part.of}"


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
