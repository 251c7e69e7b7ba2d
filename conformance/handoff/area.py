"""The handoff as an area of the suite: its rules, its devices, one device's run, its defects."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from conformance.adapters import found as foreign
from conformance.adapters.found import is_foreign
from conformance.adapters.handoff import ForeignHandoff
from conformance.adapters.journal import Journal
from conformance.adapters.link import GivenUp
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
from spec.catalogue import handoff_rules
from spec.rule import Rule

ID = "handoff"
MOST_DIFFERENCES = 5
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
    journal = Journal(task.journal if is_foreign(task.device) else None, task.device)
    if journal.past.report is not None:
        return journal.past.report
    device = start(task.device)
    if isinstance(device, ForeignHandoff):
        device.link.ahead = journal.ahead
    ids = [i for i in rules() if fnmatch(i, task.only)]
    claimed = [i for i in ids if i in device.claims]
    stages = [stage for stage, of in RULES.items() if any(i in claimed for i in of)]
    differences: list[Difference] = []

    kinds: set[tuple[str, str]] = set()

    def note(made_by: str, parted: Parted) -> None:
        shown = parted[1].rule, parted[1].field
        if shown not in kinds and len(differences) < MOST_DIFFERENCES:
            kinds.add(shown)
            journal.seen(made_by, parted[1])
            differences.append(_difference(task, made_by, smaller(device, parted)))
            journal.found(differences[-1])

    by_vectors: Reached = Counter()
    walked, bulk, spent, given_up = Walked(), Walked(), 0.0, ""
    try:
        for door in vectors():
            if door.rule in claimed and len(differences) < MOST_DIFFERENCES:
                finding = judge(door.call, device, by_vectors)
                if finding is not None:
                    note(f"vector {door.rule}.{door.case}", (door.call, finding))
        walked = walk(device, stages, task.seed, task.effort.examples, task.examples)
        for parted in walked.parted:
            note("walk", parted)
        began = time.perf_counter()
        bulk = _batches(device, stages, task)
        spent = time.perf_counter() - began
        for parted in bulk.parted:
            note("batch", parted)
        alone = _speed(device, stages, task.seed) if not differences else 0.0
    except GivenUp as end:
        given_up, alone = str(end), 0.0
    counts = {"vectors": by_vectors, "walks": walked.reached, "batches": bulk.reached}
    report = DeviceReport(
        device=device.name,
        twin_note=task.device,
        rules=[_row(rule, counts, differences) for rule in claimed],
        not_claimed=[i for i in ids if i not in device.claims],
        differences=differences,
        speed=Speed(
            batch=round(sum(bulk.reached.values()) / spent) if spent else 0,
            step_by_step=round(alone),
        ),
        crash=given_up,
    )
    journal.reported(report)
    return report


def _batches(device: HandoffDevice, stages: Sequence[str], task: Task) -> Walked:
    """Batch after batch, as many as the profile says or as there is time for."""
    done = Walked()
    until = time.monotonic() + task.effort.batch_seconds
    for seed in _seeds(task):
        one = batch(device, stages, seed, CALLS_A_BATCH, small=False)
        done.calls += one.calls
        done.reached.update(one.reached)
        done.parted += one.parted
        if one.parted or time.monotonic() > until:
            break
    return done


def _seeds(task: Task) -> Iterator[int]:
    first, number = task.seed << 32, 0
    while task.effort.batches is None or number < task.effort.batches:
        yield first + number
        number += 1


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
