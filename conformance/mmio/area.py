"""MMIO as an area of the suite: its rules, its devices, one device's run, its defects."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

from conformance.adapters import found as foreign
from conformance.adapters.found import is_foreign
from conformance.adapters.journal import Journal
from conformance.adapters.link import GivenUp
from conformance.adapters.mmio import ForeignMmio
from conformance.area import Area, Replayed, Task
from conformance.conform_report import DeviceReport, Difference, RuleRow, Speed
from conformance.mmio import picture
from conformance.mmio.device import Make, MmioDevice, builtin
from conformance.mmio.judge import Parting, Reached
from conformance.mmio.judge import run as judged
from conformance.mmio.trace import finding_of, is_mmio, load, save
from conformance.mmio.vectors import kept, ways
from conformance.mmio.walk import names, reduced, tried, walk
from spec.catalogue import mmio_rules
from spec.rule import Rule

ID = "mmio"
BUILTIN = "impl:mmio"
MOST_DIFFERENCES = 5


def rules() -> Mapping[str, Rule]:
    """Every rule of MMIO that a device is held to, by id."""
    return mmio_rules()


def specs() -> tuple[str, ...]:
    """The names of the built-in devices."""
    return (BUILTIN,)


def owns(spec: str) -> bool:
    """Whether a name is that of a device of this area."""
    kind, _, name = spec.partition(":")
    if spec == BUILTIN or (kind == "defect" and name in defects()):
        return True
    return foreign.belongs(spec, ID)


def start(spec: str) -> MmioDevice:
    """A fresh device with a name.

    Raises: DeviceError where there is none, or it does not start.
    """
    return maker(spec)()


def maker(spec: str) -> Make:
    """How to make a device with a name.

    Raises: DeviceError where there is none.
    """
    kind, _, name = spec.partition(":")
    if spec == BUILTIN:
        return builtin
    if kind == "defect":
        made: Make = import_module("conformance.mmio.defects").maker(name)
        return made
    return lambda: foreign.mmio(spec)


def run(task: Task) -> DeviceReport:
    """Run one device through vectors and walks."""
    journal = Journal(task.journal if is_foreign(task.device) else None, task.device)
    if journal.past.report is not None:
        return journal.past.report
    make = maker(task.device)
    device = make()
    if isinstance(device, ForeignMmio):
        device.link.ahead = journal.ahead
    ids = [i for i in rules() if fnmatch(i, task.only)]
    claimed = [i for i in ids if i in device.claims]
    found: list[tuple[str, Parting]] = []
    counts: dict[str, Reached] = {"vectors": Counter(), "walks": Counter()}

    def note(made_by: str, parted: Parting | None) -> None:
        kinds = {(p.rule, p.field) for _, p in found}
        asked = parted is not None and parted.rule in claimed
        if parted is not None and asked and (parted.rule, parted.field) not in kinds:
            found.append((made_by, parted))
            journal.seen(made_by, finding_of(parted))

    given_up, speed = "", 0
    try:
        for one in (*ways(), *kept()):
            if one.calls[-1].rule.id in claimed and len(found) < MOST_DIFFERENCES:
                note(f"vector {one.name}", judged(device, one.calls, counts["vectors"]))
        began = time.perf_counter()
        first = task.seed * task.effort.walks
        for number in range(first, first + task.effort.walks):
            if claimed and len(found) < MOST_DIFFERENCES:
                note("walk", walk(device, number, counts["walks"]))
        spent = time.perf_counter() - began
        speed = round(sum(counts["walks"].values()) / spent) if claimed else 0
    except GivenUp as end:
        given_up = str(end)
    differences = []
    for made_by, parted in found:
        # A foreign device is asked to make a difference small, unless each try is its end.
        ends = isinstance(device, ForeignMmio) and parted.field == "fault"
        again: Make = (lambda: device) if isinstance(device, ForeignMmio) else make
        small = parted if ends else reduced(again, parted)
        differences.append(_difference(task, make, made_by, small))
        journal.found(differences[-1])
    report = DeviceReport(
        device=device.name,
        twin_note=task.device,
        rules=[_row(rules()[i], counts, differences) for i in claimed],
        not_claimed=[i for i in ids if i not in device.claims],
        differences=differences,
        speed=Speed(batch=0, step_by_step=speed),
        crash=given_up,
    )
    journal.reported(report)
    return report


def _difference(task: Task, make: Make, made_by: str, small: Parting) -> Difference:
    again = tried(make, list(small.calls)) is not None
    path = save(small, task.device, made_by, task.seed, task.traces)
    return Difference(finding_of(small), made_by, len(small.calls), str(path), again)


def _row(rule: Rule, counts: Mapping[str, Reached], found: Sequence[Difference]) -> RuleRow:
    def total(kind: str) -> int:
        return sum(times for (i, _), times in counts[kind].items() if i == rule.id)

    reached = {n: sum(count[rule.id, n] for count in counts.values()) for n in names(rule)}
    return RuleRow(
        rule=rule.id,
        vectors=total("vectors"),
        walks=total("walks"),
        batches=0,
        reached=reached,
        differences=sum(d.finding.rule == rule.id for d in found),
    )


def defects() -> tuple[str, ...]:
    """The ids of the known-bad variants."""
    return tuple(d.id for d in import_module("conformance.mmio.defects").all_defects())


def kill(defect_id: str) -> Any:
    """What finds one known-bad variant: a `conformance.defects.Kill`."""
    return import_module("conformance.mmio.defects").kill(defect_id)


def beside(_spec: str) -> Sequence[str]:
    """The ids of the rules that a device is run beside."""
    return list(rules())


def replay(path: Path, device: str | None) -> Replayed:
    """What becomes of a trace."""
    calls = load(path)
    spec = device or BUILTIN
    parted = tried(maker(spec), calls)
    return Replayed(spec, len(calls), finding_of(parted) if parted else None)


AREA = Area(
    id=ID,
    rules=rules,
    builtin=specs,
    owns=owns,
    beside=beside,
    start=start,
    run=run,
    defects=defects,
    kill=kill,
    describe=picture.describe,
    strip=picture.strip,
    replays=is_mmio,
    replay=replay,
)
