"""The conformance run of an SVSM: vectors, walks, and what became of each rule's cases."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import cast

from conformance.adapters import found as foreign
from conformance.adapters.found import is_foreign
from conformance.adapters.journal import Journal
from conformance.area import Part, Task
from conformance.conform_report import DeviceReport, Difference, RuleRow, Speed
from conformance.device import DeviceFault
from conformance.protocol import compiled, machines
from conformance.protocol.compiled import Programs
from conformance.protocol.device import SvsmDevice
from conformance.protocol.doors import Door, doors
from conformance.protocol.judge import Differs, Joint, Reached
from conformance.protocol.places import Drawn
from conformance.protocol.trace import finding_of, save
from conformance.protocol.vectors import kept
from conformance.protocol.walk import Failure, again, drawn, failure, reduced, walk
from conformance.protocol.ways import WAYS, Way
from conformance.protocol.world import cold, starts
from conformance.units import Unit, Ways, run_units
from spec.rule import Rule
from spec.validation.svsm import Svsm

Make = Callable[[], SvsmDevice]
KINDS = ("vectors", "walks")


BUILTIN = {
    "impl:svsm": ("", 0),
    "impl:svsm+runs": ("", 5),
    "impl:svsm+tdx": ("tdx", 0),
    "impl:svsm+native": ("native", 0),
}
"""The built-in SVSM: on which machine, and how many runs its record has room for before it becomes
a bitmap; 0 is one from the start."""


def is_svsm(spec: str) -> bool:
    """Whether a device's name is that of an SVSM: the built-in one, or a known-bad variant."""
    kind, _, name = spec.partition(":")
    known = import_module("conformance.protocol.defects").named
    return spec in BUILTIN or (kind == "defect" and known(name) is not None)


def maker(spec: str) -> Make:
    """How to make the SVSM with a name."""
    if spec in BUILTIN:
        return lambda: SvsmDevice(name=spec, most_runs=BUILTIN[spec][1])
    if is_foreign(spec):
        return lambda: cast(SvsmDevice, foreign.svsm(spec))
    made: Make = import_module("conformance.protocol.defects").maker(spec.partition(":")[2])
    return made


def machine_of(spec: str) -> str:
    """The machine on which the SVSM with a name is run."""
    if spec in BUILTIN:
        return BUILTIN[spec][0]
    if is_foreign(spec):
        return ""
    found = import_module("conformance.protocol.defects").named(spec.partition(":")[2])
    return str(found.machine)


def rule_ids(spec: str) -> list[str]:
    """The ids of the rules that an SVSM with a name is run beside, as reports call them."""
    here = machines.MACHINES[machine_of(spec)]
    return [here.called(rule) for rule in here.rules]


def run(task: Task, ids: Sequence[str], journal: Journal) -> DeviceReport:
    """Run a task's SVSM; see `run_protocol`."""
    spec, walks = task.device, task.effort.walks
    asked = maker(spec), ids, walks, task.seed, task.traces, machine_of(spec), task.part
    return run_protocol(*asked, journal=journal)


def through(
    door: Door, device: SvsmDevice, reached: Reached, programs: Programs = compiled.program
) -> Failure | None:
    """What becomes of a device on the way to a case."""
    begins = starts(door.machine)
    start = begins[door.seed % len(begins)]
    return along(
        start, lambda j: islice(drawn(door.seed, j), door.length), device, reached, programs
    )


def along(
    start: Svsm,
    way: Way,
    device: SvsmDevice,
    reached: Reached,
    programs: Programs = compiled.program,
) -> Failure | None:
    """What becomes of a device on a way from a start."""
    taken: list[Drawn] = []
    joint: Joint | None = None
    try:
        joint = Joint(device, start, reached, programs)
        for rule, op in way(joint):
            taken.append((rule, op))
            joint.do(rule, op)
        joint.compare()
    except (Differs, DeviceFault) as parted:
        return failure(start, taken, joint, parted)
    return None


def run_protocol(
    make: Make,
    ids: Sequence[str],
    walks: int,
    seed: int,
    traces: Path,
    machine: str = "",
    part: Part = Part(),  # noqa: B008
    journal: Journal | None = None,
) -> DeviceReport:
    """Run a device through all there is on a machine for the rules with some ids.

    On the way to each case a rule's program is held to its text; where they part, ProgramError is
    raised. walks: how many walks; their seeds count on from `seed` times as many. journal: where a
    foreign device's run is written down as it goes.
    """
    here = machines.MACHINES[machine]
    rules = [rule for rule in here.rules if here.called(rule) in ids]
    device = make()
    journal = journal or Journal(None, device.name)
    link = getattr(device, "link", None)
    if link is not None:
        # A process of another's is gone on with: it is started again where it has ended.
        link.ahead = journal.ahead
    fresh: Make = make if link is None else lambda: device
    ways = Ways[Failure](
        finding=finding_of,
        # Where each try is the end of a process, what was seen is kept as it is.
        smaller=lambda failed: (
            failed if link is not None and failed.field == "fault" else reduced(fresh, failed)
        ),
        difference=partial(_difference, make, seed=seed, traces=traces),
    )
    first = seed * walks
    units = _units(fresh, [rule.id for rule in rules], range(first, first + walks), machine, part)
    ran = run_units(units, KINDS, ways, journal)
    bulk = ran.measured(lambda: _speed(fresh, first, machine)) if part.is_first else 0
    return DeviceReport(
        device=device.name,
        twin_note=device.name,
        rules=[
            _row(here, rule, ran.counts["vectors"], ran.counts["walks"], ran.differences)
            for rule in rules
        ],
        not_claimed=[],
        differences=ran.differences,
        speed=Speed(batch=bulk, step_by_step=ran.rate("walks")),
        crash=ran.given_up,
    )


def _units(
    make: Make, rules: Sequence[str], walks: range, machine: str, part: Part
) -> Iterator[Unit[Failure]]:
    """All that a part of a run asks: ways to each rule's cases, those with names, and walks."""
    for rule in part.share(rules):
        yield Unit("vectors", f"vectors {rule}", partial(_vectors, make, rule, machine))
    yield Unit("vectors", "vectors with names", partial(_named, make, machine, part))
    for number, listed in part.units(len(walks)):
        seeds = walks[listed.start : listed.stop]
        yield Unit("walks", f"walks {number}", partial(_walks, make, seeds, machine))


def _vectors(
    make: Make, rule: str, machine: str, reached: Reached
) -> Iterator[tuple[str, Failure]]:
    device = make()
    for door in doors(machine):
        failed = None
        if door.rule == rule:
            failed = through(door, device, reached, compiled.checked)
        if failed is not None:
            yield f"vector {door.rule}.{door.case}", failed
            device = make()


def _named(make: Make, machine: str, part: Part, reached: Reached) -> Iterator[tuple[str, Failure]]:
    device = make()
    for name, way in part.share(WAYS.items()):
        failed = along(cold(machine=machine), way(machine), device, reached)
        if failed is not None:
            yield f"vector {name}", failed
            device = make()
    for one in part.share(kept(machine)):
        failed = again(make, one.start, one.steps, reached, compiled.checked)
        if failed is not None:
            yield f"kept vector {one.defect}", failed


def _walks(
    make: Make, seeds: Sequence[int], machine: str, reached: Reached
) -> Iterator[tuple[str, Failure]]:
    device = make()
    with _without_collecting():
        for seed in seeds:
            _, failed = walk(device, seed, reached, machine)
            if failed is not None:
                yield "walk", failed
                device = make()
        gc.collect(0)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Walks make no cycles; collecting them would cost a tenth."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


TIMED = 60


def _speed(make: Make, first: int, machine: str) -> int:
    """Checked steps a second over walks that have been drawn before."""
    begins, reached, device = starts(machine), Reached(), make()
    drawn_before: list[tuple[Svsm, list[Drawn]]] = []
    for seed in range(first, first + TIMED):
        joint = Joint(device, begins[seed % len(begins)])
        steps: list[Drawn] = []
        try:
            for rule, op in drawn(seed, joint):
                joint.do(rule, op)
                steps.append((rule, op))
        except (Differs, DeviceFault):
            device = make()
        drawn_before.append((begins[seed % len(begins)], steps))
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    for start, steps in drawn_before:
        joint = Joint(device, start, reached)
        for rule, op in steps:
            joint.do(rule, op)
    spent = time.perf_counter() - began
    gc.enable()
    return round(sum(reached.values()) / spent)


def _difference(make: Make, made_by: str, small: Failure, seed: int, traces: Path) -> Difference:
    confirmed = again(make, small.start, small.steps) is not None
    path = save(small, make().name, made_by, seed, traces)
    return Difference(
        finding=finding_of(small),
        made_by=made_by,
        steps=len(small.steps),
        trace=str(path),
        confirmed=confirmed,
    )


def _row(
    here: machines.Machine,
    rule: Rule,
    vectors: Reached,
    walks: Reached,
    differences: Sequence[Difference],
) -> RuleRow:
    def total(count: Reached) -> int:
        return sum(times for (i, _), times in count.items() if i == rule.id)

    return RuleRow(
        rule=here.called(rule),
        vectors=total(vectors),
        walks=total(walks),
        batches=0,
        reached={
            n: vectors[rule.id, n] + walks[rule.id, n] for n in machines.names(here.name, rule.id)
        },
        differences=sum(d.finding.rule == here.called(rule) for d in differences),
    )
