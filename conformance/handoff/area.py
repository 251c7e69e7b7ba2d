"""The handoff as an area of the suite: its rules, its devices, one device's run, its defects."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from importlib import import_module
from itertools import count, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

from conformance.adapters import found as foreign
from conformance.adapters.found import is_foreign
from conformance.adapters.handoff import ForeignHandoff
from conformance.adapters.journal import Journal
from conformance.area import Area, Replayed, Task
from conformance.conform_report import DeviceReport, Difference, RuleRow, Speed
from conformance.files import has_schema
from conformance.handoff import builtin, picture
from conformance.handoff.calls import RULES
from conformance.handoff.device import HandoffDevice
from conformance.handoff.doors import names, vectors
from conformance.handoff.judge import SCHEMA, HandoffTrace, judge, load, save
from conformance.handoff.oracle import Reached
from conformance.handoff.walk import Parted, Walked, batch, smaller, walk
from conformance.trace import Finding
from conformance.units import Unit, Ways, run_units
from spec.catalogue import handoff_rules
from spec.rule import Rule

ID = "handoff"
KINDS = ("vectors", "walks", "batches")
CALLS_A_BATCH = 20
"""Calls for each batch that a profile asks of a bitmap: a whole map costs as much as many steps."""
TIMED_SECONDS = 0.5


def rules() -> Mapping[str, Rule]:
    """Every rule of the handoff, by id."""
    return handoff_rules()


def specs() -> tuple[str, ...]:
    """The names of the built-in devices."""
    return tuple(builtin.TWINS)


def owns(spec: str) -> bool:
    """Whether a name is that of a device of the handoff."""
    kind, _, name = spec.partition(":")
    if spec in builtin.TWINS or (kind == "defect" and name in defects()):
        return True
    return foreign.belongs(spec, ID)


def start(spec: str) -> HandoffDevice:
    """A fresh device with a name.

    Raises: DeviceError where there is none, or it does not start.
    """
    kind, _, name = spec.partition(":")
    if spec in builtin.TWINS:
        return builtin.device(spec)
    if kind == "defect":
        made: HandoffDevice = import_module("conformance.handoff.defects").device(name)
        return made
    # It is asked whole calls, and has no method for each stage.
    return cast(HandoffDevice, foreign.handoff(spec))


def run(task: Task) -> DeviceReport:
    """Run one device through vectors, calls at random and calls of Hypothesis."""
    journal = Journal(task.journal if is_foreign(task.device) else None, task.called)
    if journal.past.report is not None:
        return journal.past.report
    device = start(task.device)
    if isinstance(device, ForeignHandoff):
        device.link.ahead = journal.ahead
    ids = [i for i in rules() if fnmatch(i, task.only)]
    claimed = [i for i in ids if i in device.claims]
    ways = Ways[Parted](
        finding=itemgetter(1),
        smaller=partial(smaller, device),
        difference=partial(_difference, task),
        once=("walks", "batches"),
    )
    ran = run_units(_units(task, device, claimed), KINDS, ways, journal)
    alone = 0
    if task.part.is_first and not ran.differences:
        alone = ran.measured(lambda: _speed(device, _stages(claimed), task.seed))
    report = DeviceReport(
        device=device.name,
        twin_note=task.device,
        rules=[_row(rule, ran.counts, ran.differences) for rule in claimed],
        not_claimed=[i for i in ids if i not in device.claims],
        differences=ran.differences,
        speed=Speed(batch=ran.rate("batches"), step_by_step=alone),
        crash=ran.given_up,
    )
    journal.reported(report)
    return report


def _stages(claimed: Sequence[str]) -> list[str]:
    return [stage for stage, of in RULES.items() if any(i in claimed for i in of)]


def _units(task: Task, device: HandoffDevice, claimed: Sequence[str]) -> Iterator[Unit[Parted]]:
    """All that a part of the run asks: the vectors of each rule, calls of Hypothesis, batches."""
    stages, part = _stages(claimed), task.part
    for rule in part.share(claimed):
        yield Unit("vectors", f"vectors {rule}", partial(_vectors, device, rule))
    for number, walks in part.units(task.effort.examples):
        asked = stages, (task.seed << 16) + number, len(walks), task.examples
        yield Unit("walks", f"walks {number}", partial(_asked, walk, device, *asked))
    until = time.monotonic() + task.effort.batch_seconds
    for number in part.share(islice(count(), task.effort.batches)):
        if time.monotonic() > until:
            return
        asked_for = stages, (task.seed << 32) + number, CALLS_A_BATCH, False
        yield Unit("batches", f"batch {number}", partial(_asked, batch, device, *asked_for))


def _vectors(device: HandoffDevice, rule: str, reached: Reached) -> Iterator[tuple[str, Parted]]:
    for door in vectors():
        finding = judge(door.call, device, reached) if door.rule == rule else None
        if finding is not None:
            yield f"vector {door.rule}.{door.case}", (door.call, finding)


def _asked(
    asking: Callable[..., Walked], device: HandoffDevice, *arguments: Any
) -> Iterator[tuple[str, Parted]]:
    """What comes of calls that are drawn; the last argument counts the cases that they reach."""
    *asked, reached = arguments
    done = asking(device, *asked)
    reached.update(done.reached)
    yield from ((asking.__name__, parted) for parted in done.parted)


def _speed(device: HandoffDevice, stages: Sequence[str], seed: int) -> float:
    """Checked steps a second over calls that have been drawn before."""
    if not stages:
        return 0.0
    reached: Reached = Counter()
    asked = [door.call for door in vectors() if set(RULES[_stage(door.call)]) & device.claims]
    began, number = time.perf_counter(), seed
    while asked and time.perf_counter() - began < TIMED_SECONDS:
        judge(asked[number % len(asked)], device, reached)
        number += 1
    return sum(reached.values()) / (time.perf_counter() - began)


def _stage(call: Any) -> str:
    return type(call).__name__.lower()


def _difference(task: Task, made_by: str, parted: Parted) -> Difference:
    call, finding = parted
    again: Finding | None = judge(call, start(task.device), Counter())
    trace = HandoffTrace(
        device=task.device, made_by=made_by, seed=task.seed, call=call, finding=finding
    )
    path = str(save(trace, task.traces))
    return Difference(finding, made_by, 1, path, again is not None)


def _row(rule: str, counts: Mapping[str, Reached], differences: Sequence[Difference]) -> RuleRow:
    def total(kind: str) -> int:
        return sum(times for (i, _), times in counts[kind].items() if i == rule)

    reached = {n: sum(count[rule, n] for count in counts.values()) for n in names(rule)}
    return RuleRow(
        rule=rule,
        vectors=total("vectors"),
        walks=total("walks"),
        batches=total("batches"),
        reached=reached,
        differences=sum(d.finding.rule == rule for d in differences),
    )


def defects() -> tuple[str, ...]:
    """The ids of the known-bad variants."""
    return tuple(d.id for d in import_module("conformance.handoff.defects").all_defects())


def kill(defect_id: str) -> Any:
    """What finds one known-bad variant: a `conformance.defects.Kill`."""
    return import_module("conformance.handoff.defects").kill(defect_id)


def beside(_spec: str) -> Sequence[str]:
    """The ids of the rules that a device is run beside: all."""
    return tuple(rules())


def replay(path: Path, device: str | None) -> Replayed:
    """What becomes of a trace."""
    trace = load(path)
    spec = device or trace.device
    return Replayed(spec, 1, judge(trace.call, start(spec), Counter()))


AREA = Area(
    ID,
    rules,
    specs,
    owns,
    beside,
    start,
    run,
    defects,
    kill,
    picture.describe,
    picture.strip,
    lambda path: has_schema(path, SCHEMA),
    replay,
)
