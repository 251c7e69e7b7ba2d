"""Mutated twins of the samples: each with one mistake that people make; the suite must find it.

Run as a module it builds them all, looks for a difference in each, and prints the table;
`--write` puts it into `docs/samples.md`. The exit code is 4 where one survives.
"""

import argparse
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from conformance import walk
from conformance.adapters import found
from conformance.adapters.bulk import Bulk, drawing, run_sheet
from conformance.adapters.link import GivenUp
from conformance.adapters.record import ForeignRecord
from conformance.area import EFFORTS
from conformance.doors import doors
from conformance.handoff import walk as handoff_walk
from conformance.handoff.calls import RULES as STAGES
from conformance.handoff.doors import vectors
from conformance.handoff.judge import judge as judge_call
from conformance.histories import histories
from conformance.samples.build import SOURCES, Workshop
from conformance.trace import Finding, Steps, judge
from spec.catalogue import rules
from spec.prove.variant import changed_text
from spec.rule import Rule, step
from spec.validation.bitmap import Bitmap

CATALOGUE = "twins.toml"
FIRST_SHEETS, MOST_SHEETS = 2, 40
CALLS_AT_ONCE, MOST_CALLS = 100, 4000
SEED = 0


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one place that reads `old` reads `new` instead."""

    old: str
    new: str


class Twin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sample with one mistake; profiles: the builds in which it is looked for."""

    id: str
    sample: str
    kind: str
    title: str
    edit: tuple[Edit, ...]
    profiles: tuple[str, ...] = ("release",)

    def text(self) -> str:
        """The source with the mistake in it.

        Raises: EditError where an edit does not fit.
        """
        text = SOURCES[self.sample].read_text()
        for one in self.edit:
            text = changed_text(text, one.old, one.new, self.sample)
        return text


@dataclass
class Hunt:
    """What became of one twin.

    by: what found it; empty where nothing did. steps: compared until then, the one that differed
    among them. seconds: that this took, without building and without making the trace small.
    """

    twin: Twin
    profile: str
    by: str = ""
    steps: int = 0
    seconds: float = 0.0
    finding: Finding | None = None
    trace_steps: int = 0


@cache
def all_twins() -> tuple[Twin, ...]:
    """Every twin, in the order of the catalogue."""
    rows = tomllib.loads((files("conformance") / "data" / CATALOGUE).read_text("utf-8"))["twin"]
    return msgspec.convert(rows, tuple[Twin, ...])


def hunt(twin: Twin, profile: str, workshop: Workshop) -> Hunt:
    """Build a twin, and look for a difference between it and the rules."""
    library = workshop.changed(twin.id, twin.sample, twin.text(), profile)
    looked = Hunt(twin, profile)
    look = _in_stages if twin.sample.startswith("handoff") else _in_record
    look(f"c:{library}", looked)
    return looked


# A record of pages

Parted = tuple[Bitmap, Steps, Finding]


def _in_record(spec: str, looked: Hunt) -> None:
    device = found.record(spec)
    with closing(_Ended(device)):
        ids = [i for i in rules() if i in device.claims]
        claimed = [rules()[i] for i in ids]
        _doors_of(device, claimed)
        began = time.perf_counter()
        for by, steps, parted in _tries(device, claimed):
            looked.steps += steps
            if parted is None:
                continue
            looked.seconds = time.perf_counter() - began
            looked.by = by
            _, small, looked.finding = _smaller(device, *parted)
            looked.trace_steps = len(small)
            return
        looked.seconds = time.perf_counter() - began


Try = tuple[str, int, Parted | None]


def _smaller(device: ForeignRecord, start: Bitmap, steps: Steps, finding: Finding) -> Parted:
    """The trace made small; of a fault, which may cost a start each time, its step alone."""
    if finding.field != "fault":
        with suppress(GivenUp):
            return walk.shrink(lambda: device, start, steps) or (start, steps, finding)
        return start, steps, finding
    before = start
    for rule, op in steps[: finding.step]:
        before = step(rule, before, op).state
    last = steps[finding.step : finding.step + 1]
    alone = judge(before, last, device)
    return (start, steps, finding) if alone is None else (before, last, alone)


def _tries(device: ForeignRecord, claimed: Sequence[Rule]) -> Iterator[Try]:
    """Sheets of random traces, the solver's doors, histories, walks, and sheets again."""
    sheets = _sheets(device, claimed)
    yield from (next(sheets) for _ in range(FIRST_SHEETS))
    for door in _doors_of(device, claimed):
        steps: Steps = [(door.rule, door.op)]
        finding = judge(door.start, steps, device)
        yield "a vector", 1, None if finding is None else (door.start, steps, finding)
    opened = _doors_of(device, claimed)
    for _name, start, taken in histories(device.policy, claimed, opened, SEED):
        finding = judge(start, taken, device)
        done = len(taken) if finding is None else finding.step + 1
        yield "a history", done, None if finding is None else (start, taken, finding)
    walked = walk.walk(lambda: device, claimed, SEED, EFFORTS["quick"].examples, opened)
    yield "a walk", walked.steps, walked.findings[0] if walked.findings else None
    yield from sheets


def _sheets(device: ForeignRecord, claimed: Sequence[Rule]) -> Iterator[Try]:
    made = drawing(claimed, device)
    for number in range(MOST_SHEETS):
        result = Bulk()
        run_sheet(device, made(SEED, number), result)
        parted = result.parted
        yield "a batch", result.steps + (parted is not None), parted


def _doors_of(device: ForeignRecord, claimed: Sequence[Rule]) -> Any:
    return doors(device.policy, frozenset(rule.id for rule in claimed))


class _Ended:
    """Ends a device's process."""

    def __init__(self, device: Any) -> None:
        self._link = device.link

    def close(self) -> None:
        """End it."""
        self._link.end()


# The handoff's stages


def _in_stages(spec: str, looked: Hunt) -> None:
    device: Any = found.handoff(spec)
    with closing(_Ended(device)):
        asked = vectors()
        began = time.perf_counter()
        for by, calls, parted in _calls(device, asked):
            looked.steps += calls
            if parted is not None:
                looked.seconds = time.perf_counter() - began
                looked.by, looked.trace_steps = by, 1
                looked.finding = handoff_walk.smaller(device, parted)[1]
                return
        looked.seconds = time.perf_counter() - began


def _calls(device: Any, asked: Sequence[Any]) -> Iterator[tuple[str, int, Any]]:
    for door in asked:
        finding = judge_call(door.call, device, Counter())
        yield "a vector", 1, None if finding is None else (door.call, finding)
    for number in range(MOST_CALLS // CALLS_AT_ONCE):
        done = handoff_walk.batch(device, tuple(STAGES), number, CALLS_AT_ONCE, small=False)
        yield "a batch", done.calls, done.parted[0] if done.parted else None


# The table


def hunts(twins: Sequence[Twin], folder: Path) -> Iterator[Hunt]:
    """Look for each of some twins, in each build that it is to be looked for in."""
    workshop = Workshop(folder)
    for twin in twins:
        for profile in twin.profiles:
            yield hunt(twin, profile, workshop)


def _kept(twins: Sequence[Twin], folder: Path) -> int:
    """Build twins to stay, and say how each is run."""
    folder.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(folder.resolve())
    for twin in twins:
        for profile in twin.profiles:
            library = workshop.changed(twin.id, twin.sample, twin.text(), profile)
            print(f"svsm-conformance conform --device c:{library}", flush=True)
    return 0


def main(arguments: Sequence[str]) -> int:
    """Look for all twins, or those named; print the table."""
    from conformance.samples import page

    parser = argparse.ArgumentParser(prog="python -m conformance.samples.twins")
    parser.add_argument("ids", nargs="*", help="twins to look for; all if none is given")
    parser.add_argument("--write", action="store_true", help="write docs/samples.md")
    keep = "build them into this directory and leave them there, to be run with conform"
    parser.add_argument("--keep", metavar="DIR", type=Path, help=keep)
    asked = parser.parse_args(arguments)
    known = [twin.id for twin in all_twins()]
    if missing := [one for one in asked.ids if one not in known]:
        parser.error(f"{missing[0]}: no such twin; those there are stand in {CATALOGUE}")
    chosen = [twin for twin in all_twins() if not asked.ids or twin.id in asked.ids]
    if asked.keep:
        return _kept(chosen, asked.keep)
    done: list[Hunt] = []
    with tempfile.TemporaryDirectory() as folder:
        for one in hunts(chosen, Path(folder)):
            done.append(one)
            print(page.line(one), file=sys.stderr, flush=True)
    table = page.table(done)
    print(table)
    if asked.write:
        page.write("twins", table)
    return 0 if done and all(one.by for one in done) else 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
