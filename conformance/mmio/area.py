"""MMIO as an area of the suite: its rules, its devices, one device's run, its defects."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from conformance.adapters import found as foreign
from conformance.adapters.found import is_foreign
from conformance.adapters.journal import Journal
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
from conformance.units import Unit, Ways, run_units
from spec.catalogue import mmio_rules
from spec.rule import Rule

ID = "mmio"
BUILTIN = "impl:mmio"
KINDS = ("vectors", "walks")


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
    journal = Journal(task.journal if is_foreign(task.device) else None, task.called)
    if journal.past.report is not None:
        return journal.past.report
    make = maker(task.device)
    device = make()
    if isinstance(device, ForeignMmio):
        device.link.ahead = journal.ahead
    ids = [i for i in rules() if fnmatch(i, task.only)]
    claimed = [i for i in ids if i in device.claims]
    ways = Ways[Parting](
        finding=finding_of,
        smaller=partial(_smaller, device, make),
        difference=partial(_difference, task, make),
    )
    ran = run_units(_units(task, device, claimed), KINDS, ways, journal)
    report = DeviceReport(
        device=device.name,
        twin_note=task.device,
        rules=[_row(rules()[i], ran.counts, ran.differences) for i in claimed],
        not_claimed=[i for i in ids if i not in device.claims],
        differences=ran.differences,
        speed=Speed(batch=0, step_by_step=ran.rate("walks")),
        crash=ran.given_up,
    )
    journal.reported(report)
    return report


def _units(task: Task, device: MmioDevice, claimed: Sequence[str]) -> Iterator[Unit[Parting]]:
    """All that a part of the run asks: the vectors of each rule, and walks."""
    for rule in task.part.share(claimed):
        yield Unit("vectors", f"vectors {rule}", partial(_vectors, device, claimed, rule))
    first = task.seed * task.effort.walks
    for number, walks in task.part.units(task.effort.walks if claimed else 0):
        seeds = [first + at for at in walks]
        yield Unit("walks", f"walks {number}", partial(_walks, device, claimed, seeds))


def _vectors(
    device: MmioDevice, claimed: Sequence[str], rule: str, reached: Reached
) -> Iterator[tuple[str, Parting]]:
    for one in (*ways(), *kept()):
        if one.calls[-1].rule.id == rule:
            parted = judged(device, one.calls, reached)
            if parted is not None and parted.rule in claimed:
                yield f"vector {one.name}", parted


def _walks(
    device: MmioDevice, claimed: Sequence[str], seeds: Sequence[int], reached: Reached
) -> Iterator[tuple[str, Parting]]:
    for seed in seeds:
        parted = walk(device, seed, reached)
        if parted is not None and parted.rule in claimed:
            yield "walk", parted


def _smaller(device: MmioDevice, make: Make, parted: Parting) -> Parting:
    """A foreign device is asked to make a difference small, unless each try is its end."""
    if not isinstance(device, ForeignMmio):
        return reduced(make, parted)
    return parted if parted.field == "fault" else reduced(lambda: device, parted)


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
