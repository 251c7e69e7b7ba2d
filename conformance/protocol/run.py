"""The conformance run of an SVSM: vectors, walks, and what became of each rule's cases."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import cast

from conformance.adapters import found as foreign
from conformance.adapters.found import is_foreign
from conformance.adapters.journal import Journal
from conformance.adapters.link import GivenUp
from conformance.conform_report import DeviceReport, Difference, RuleRow, Speed
from conformance.device import DeviceFault
from conformance.protocol import machines
from conformance.protocol.device import SvsmDevice
from conformance.protocol.doors import Door, doors
from conformance.protocol.judge import Differs, Joint, Reached
from conformance.protocol.places import Drawn
from conformance.protocol.trace import finding_of, save
from conformance.protocol.vectors import kept
from conformance.protocol.walk import Failure, again, drawn, failure, reduced, walk
from conformance.protocol.world import starts
from spec.rule import Rule
from spec.validation.svsm import Svsm

Make = Callable[[], SvsmDevice]
MOST_DIFFERENCES = 5


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


def run(
    spec: str, ids: Sequence[str], walks: int, seed: int, traces: Path, journal: Journal
) -> DeviceReport:
    """Run the SVSM with a name; see `run_protocol`."""
    return run_protocol(maker(spec), ids, walks, seed, traces, machine_of(spec), journal=journal)


def through(door: Door, device: SvsmDevice, reached: Reached) -> Failure | None:
    """What becomes of a device on the way to a case."""
    begins = starts(door.machine)
    start = begins[door.seed % len(begins)]
    taken = []
    joint: Joint | None = None
    try:
        joint = Joint(device, start, reached)
        for rule, op in drawn(door.seed, joint):
            taken.append((rule, op))
            joint.do(rule, op)
            if len(taken) == door.length:
                break
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
    progress: Callable[[str], None] = lambda _said: None,
    journal: Journal | None = None,
) -> DeviceReport:
    """Run a device through all there is on a machine for the rules with some ids.

    walks: how many walks; their seeds count on from `seed` times as many. journal: where a foreign
    device's run is written down as it goes.
    """
    here = machines.MACHINES[machine]
    asked = {rule.id for rule in here.rules if here.called(rule) in ids}
    device = make()
    journal = journal or Journal(None, device.name)
    link = getattr(device, "link", None)
    if link is not None:
        # A process of another's is gone on with: it is started again where it has ended.
        link.ahead = journal.ahead
    fresh: Make = make if link is None else lambda: device
    by_vectors: Reached = Counter()
    by_walks: Reached = Counter()
    failures: list[tuple[str, Failure]] = []
    given_up, one_by_one, bulk = "", 0, 0
    first = seed * walks
    try:
        progress(f"{device.name}: vectors")
        for door in doors(machine):
            if door.rule in asked and len(failures) < MOST_DIFFERENCES:
                failed = through(door, device, by_vectors)
                if failed is not None:
                    _note(failures, f"vector {door.rule}.{door.case}", failed, journal)
                    device = fresh()
        for one in kept(machine):
            failed = again(fresh, one.start, one.steps, by_vectors)
            if failed is not None:
                _note(failures, f"kept vector {one.defect}", failed, journal)
        began = time.perf_counter()
        with _without_collecting():
            for number in range(first, first + walks):
                if number % 50 == 0:
                    progress(f"{device.name}: walk {number - first} of {walks}")
                    gc.collect(0)
                _, failed = walk(device, number, by_walks, machine)
                if failed is not None:
                    _note(failures, "walk", failed, journal)
                    device = fresh()
                if len(failures) >= MOST_DIFFERENCES:
                    break
        spent = time.perf_counter() - began
        one_by_one = round(sum(by_walks.values()) / spent) if spent else 0
        bulk = _speed(fresh, first, machine)
    except GivenUp as end:
        given_up = str(end)
    differences = []
    for made_by, failed in failures:
        # Where each try is the end of a process, what was seen is kept as it is.
        ends = link is not None and failed.field == "fault"
        small = failed if ends else reduced(fresh, failed)
        differences.append(_difference(make, made_by, small, seed, traces))
        journal.found(differences[-1])
    rules = [rule for rule in here.rules if rule.id in asked]
    return DeviceReport(
        device=device.name,
        twin_note=device.name,
        rules=[_row(here, rule, by_vectors, by_walks, differences) for rule in rules],
        not_claimed=[],
        differences=differences,
        speed=Speed(batch=bulk, step_by_step=one_by_one),
        crash=given_up,
    )


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


def _note(
    failures: list[tuple[str, Failure]], made_by: str, failed: Failure, journal: Journal
) -> None:
    """Keep the first failure of each kind."""
    kinds = {(f.rule.id, f.field.split("[")[0]) for _, f in failures}
    if (failed.rule.id, failed.field.split("[")[0]) not in kinds:
        failures.append((made_by, failed))
        journal.seen(made_by, finding_of(failed))


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
