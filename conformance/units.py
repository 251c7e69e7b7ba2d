"""A device's run unit by unit, each in the journal: for areas whose devices take calls.

A unit that the journal tells to be done is not done again. A difference is made small and written
down at once, so that whoever is killed afterwards has it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from conformance.adapters.journal import Journal
from conformance.adapters.link import GivenUp
from conformance.conform_report import Difference
from conformance.trace import Finding, Reached

P = TypeVar("P")
MOST_DIFFERENCES = 5


@dataclass(frozen=True)
class Unit(Generic[P]):
    """Some work: what kind it is, its name, and what does it.

    do: counts what is reached, and tells what parts from the rules, made by what, as it is seen.
    """

    kind: str
    name: str
    do: Callable[[Reached], Iterator[tuple[str, P]]]


@dataclass(frozen=True)
class Ways(Generic[P]):
    """What an area does with what parts from the rules.

    once: the kinds of unit of which no more is done once one of them has parted.
    """

    finding: Callable[[P], Finding]
    smaller: Callable[[P], P]
    difference: Callable[[str, P], Difference]
    once: tuple[str, ...] = ()


@dataclass
class Ran:
    """What units did: by kind, the cases reached and the seconds; what differs; how it ended.

    parted: the kinds of unit in which something differed.
    """

    counts: dict[str, Reached]
    seconds: dict[str, float]
    differences: list[Difference] = field(default_factory=list)
    given_up: str = ""
    parted: set[str] = field(default_factory=set)

    def rate(self, kind: str) -> int:
        """Checked steps a second of one kind of unit."""
        spent = self.seconds[kind]
        return round(sum(self.counts[kind].values()) / spent) if spent else 0

    def measured(self, measure: Callable[[], float]) -> int:
        """A rate that is measured apart, of a device that is not given up."""
        try:
            return 0 if self.given_up else round(measure())
        except GivenUp as end:
            self.given_up = str(end)
            return 0

    def note(self, made_by: str, parted: P, ways: Ways[P], journal: Journal, kind: str) -> None:
        """Keep what parts from the rules, if none like it is kept yet, as small as can be."""
        seen = ways.finding(parted)
        kept = {_kind(one.finding) for one in self.differences}
        is_new = _kind(seen) not in kept and len(self.differences) < MOST_DIFFERENCES
        if is_new or kind in ways.once:
            journal.seen(made_by, seen)
            self.parted.add(kind)
        if not is_new:
            return
        try:
            parted = ways.smaller(parted)
        except GivenUp as end:
            # It is kept as it was seen.
            self.given_up = str(end)
        self.differences.append(ways.difference(made_by, parted))
        journal.found(self.differences[-1])


def _kind(finding: Finding) -> tuple[str, str]:
    """What tells differences apart: the rule and the field, of whichever page or vCPU."""
    return finding.rule, finding.field.partition("[")[0]


def run_units(
    units: Iterable[Unit[P]], kinds: Sequence[str], ways: Ways[P], journal: Journal
) -> Ran:
    """Do what is not done yet, until the device is given up or has shown enough."""
    ran = Ran({kind: Counter() for kind in kinds}, dict.fromkeys(kinds, 0.0))
    ran.differences += [one.difference for one in journal.past.found]
    try:
        for unit in units:
            if ran.given_up or len(ran.differences) >= MOST_DIFFERENCES:
                break
            if unit.kind not in ran.parted.intersection(ways.once):
                _do(unit, ran, ways, journal)
    except GivenUp as end:
        ran.given_up = str(end)
    if ran.given_up:
        journal.given_up(ran.given_up)
    return ran


def _do(unit: Unit[P], ran: Ran, ways: Ways[P], journal: Journal) -> None:
    journal.unit = unit.name
    past = journal.past
    if unit.name in past.done:
        ran.counts[unit.kind].update(past.reached(unit.name))
        ran.seconds[unit.kind] += past.done[unit.name].seconds
        ran.parted.update([unit.kind] if unit.name in past.parted else [])
        return
    reached: Reached = Counter()
    spent, began = 0.0, time.perf_counter()
    for made_by, parted in unit.do(reached):
        spent += time.perf_counter() - began
        ran.note(made_by, parted, ways, journal, unit.kind)
        began = time.perf_counter()
        if len(ran.differences) >= MOST_DIFFERENCES:
            break
    spent += time.perf_counter() - began
    ran.counts[unit.kind].update(reached)
    ran.seconds[unit.kind] += spent
    journal.done(reached, sum(reached.values()), spent)
