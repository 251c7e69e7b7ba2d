"""The conformance run: vectors, walks, a machine's own regions, and batches, for each device.

Each device runs in a process of its own when there is more than one. A difference counts once it
has been seen again on a fresh device; it is then written as a trace.
"""

import fnmatch
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from conformance import walk
from conformance.adapters.found import is_foreign
from conformance.adapters.found import specs as foreign_specs
from conformance.area import EFFORTS, Area, Task
from conformance.areas import area_of, areas, rule_ids
from conformance.batch import IN_BULK, make_batch, plain_trace, run_batches
from conformance.builtin import twins
from conformance.conform_report import (
    ConformReport,
    DeviceReport,
    Difference,
    RuleRow,
    Speed,
)
from conformance.device import Maker, find_device
from conformance.doors import doors
from conformance.isolate import DeviceCrash, crashing_door, in_child, stop_all, take_part
from conformance.parts import groups, whole
from conformance.regions import region_trace
from conformance.remote import away, brought
from conformance.trace import Finding, Reached, Steps, judge, save, trace_of
from spec.catalogue import SUBJECTS, rules, subject_of
from spec.prove.matrix import situation
from spec.prove.world import Symbolic
from spec.rule import Rule
from spec.validation.bitmap import Bitmap, Policy

MOST_DIFFERENCES = 5


class NoSuchRule(ValueError):
    """No rule has an id that matches."""


def chosen(only: str) -> list[str]:
    """The ids of the rules that match.

    Raises: NoSuchRule where none does.
    """
    found = fnmatch.filter(rules(), only)
    if not found and not fnmatch.filter(rule_ids(), only):
        raise NoSuchRule(f"--only {only}: no rule matches; try 'validation.bitmap.claim_*'")
    return found


def applying(only: str, policy: Policy) -> list[str]:
    """The ids that match of the rules for devices of a policy: a bitmap's, or a run tracker's."""
    own = {rule.id for rule in subject_of(policy).rules}
    return [i for i in chosen(only) if i in own]


def run(
    devices: Sequence[str],
    profile: str,
    seed: int = 0,
    only: str = "*",
    jobs: int = 0,
    seconds: float | None = None,
    traces: Path = Path(".svsm-conformance/traces"),
    regions: Sequence[tuple[int, int]] = (),
    progress: Callable[[str], None] = lambda _said: None,
    journal: Path | None = None,
    pool: Executor | None = None,
    examples: str | None = None,
) -> ConformReport:
    """Run every device; `impl` stands for both twins of the built-in one.

    seconds: for the batches of each device, in place of the profile's. journal: where the runs of
    foreign devices are written down; one that is there already is gone on from. pool: what runs
    them in place of processes of this machine; it keeps no journal. examples: where Hypothesis
    keeps what failed.

    Raises: NoSuchRule, DeviceError before anything is run.
    """
    chosen(only)
    effort = EFFORTS[profile]
    if seconds is not None:
        patience = effort.patience_seconds + seconds
        effort = replace(effort, batches=None, batch_seconds=seconds, patience_seconds=patience)
    specs = [spec for named in devices for spec in _meant(named, only)]
    for spec in specs:
        area = area_of(spec)
        area.start(spec) if area else find_device(spec)()
    tasks = [Task(s, effort, seed, only, traces, tuple(regions)) for s in dict.fromkeys(specs)]
    tasks = [_lighter(replace(task, journal=journal, examples=examples)) for task in tasks]
    report = ConformReport(profile=profile, seed=seed, only=only)
    began = time.monotonic()
    try:
        report.devices.extend(_run_all(tasks, jobs, progress, pool))
        if effort.kills and all(spec.startswith("impl") for spec in specs):
            report.kills.extend(_kills(only, jobs, progress, pool))
    except KeyboardInterrupt:
        report.partial = True
    report.seconds = round(time.monotonic() - began, 3)
    return report


def _meant(named: str, only: str) -> list[str]:
    """The devices that a name stands for: `impl` for all of the built-in ones that are asked."""
    if is_foreign(named):
        return foreign_specs(named)
    if named != "impl":
        return [named]
    plain = list(twins()) if chosen(only) else []
    theirs = [(area, spec) for area in areas() for spec in area.builtin()]
    return plain + [spec for area, spec in theirs if fnmatch.filter(area.beside(spec), only)]


def _lighter(task: Task) -> Task:
    """The built-in devices that need less: the plain twin is slow in bulk, and the other policy
    says another word for a mixed 2 MiB alone.
    """
    if task.device.startswith("impl:pure") and task.effort.batches is not None:
        task = replace(task, effort=replace(task.effort, batches=task.effort.batches // 10))
    if task.device.startswith("impl") and task.device.endswith("+size_mismatch"):
        both = [i for i in chosen(task.only) if i.endswith("_2m")]
        effort = replace(task.effort, batches=task.effort.batches and task.effort.batches // 4)
        return replace(task, only="*_2m" if both else task.only, effort=effort, regions=())
    return task


def _run_all(
    tasks: Sequence[Task], jobs: int, progress: Callable[[str], None], workers: Executor | None
) -> list[DeviceReport]:
    """Every device, in as many processes at once as `jobs` says, or each part by some worker."""
    jobs = jobs or len(os.sched_getaffinity(0))
    made = groups(tasks, jobs if workers is None else None)
    jobs = min(jobs, len(made))
    stopped = Event()
    pool = workers or ThreadPoolExecutor(jobs, initializer=take_part, initargs=(stopped,))
    call: Callable[[Sequence[Task]], Any] = _isolated_all
    here: Callable[[Any], list[DeviceReport]] = list
    if workers is not None:
        call, here = partial(away, _isolated_all), partial(brought, traces=tasks[0].traces)
    try:
        futures = [pool.submit(call, group) for group in made]
        waiting = set(futures)
        while waiting:
            left = [g for g, f in zip(made, futures, strict=True) if not f.done()]
            still = dict.fromkeys(task.device for group in left for task in group)
            progress(f"running {', '.join(still)}: {len(futures) - len(left)} of {len(futures)}")
            _, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
        found: dict[str, dict[int, DeviceReport]] = {task.device: {} for task in tasks}
        for group, future in zip(made, futures, strict=True):
            for task, report in zip(group, here(future.result()), strict=True):
                found[task.device][task.part.index] = report
        return [whole([reports[n] for n in sorted(reports)]) for reports in found.values()]
    except BaseException:
        # Interrupted: nothing is left running.
        stop_all(stopped)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _run_each(tasks: Sequence[Task]) -> list[DeviceReport]:
    return [_runner(task.device)(task) for task in tasks]


def _isolated_all(tasks: Sequence[Task]) -> list[DeviceReport]:
    """The reports on devices that share a process; each has its own where they crash."""
    if len(tasks) > 1:
        try:
            patience = sum(task.effort.patience_seconds for task in tasks)
            return in_child(_run_each, tasks, seconds=patience)  # type: ignore[no-any-return]
        except DeviceCrash:
            pass
    return [_isolated(task) for task in tasks]


def _isolated(task: Task) -> DeviceReport:
    area = area_of(task.device)
    try:
        return in_child(_runner(task.device), task, seconds=task.effort.patience_seconds)  # type: ignore[no-any-return]
    except DeviceCrash as crash:
        return _crashed(area, task, str(crash)) if area else _crash_report(task, str(crash))


def _runner(spec: str) -> Callable[[Task], DeviceReport]:
    area = area_of(spec)
    if area is not None:
        return area.run
    if not is_foreign(spec):
        return run_device
    found: Callable[[Task], DeviceReport] = import_module("conformance.adapters.run").run_foreign
    return found


def _crashed(area: Area, task: Task, said: str) -> DeviceReport:
    """The report on a device of an area whose process died."""
    return DeviceReport(
        device=task.device,
        twin_note=task.device,
        rules=[],
        not_claimed=fnmatch.filter(area.beside(task.device), task.only),
        differences=[],
        speed=Speed(batch=0, step_by_step=0),
        crash=said,
    )


def _crash_report(task: Task, said: str) -> DeviceReport:
    """The report on a device whose process died: the step that does it, if one step does."""
    made = find_device(task.device)()
    ids = [i for i in applying(task.only, made.policy) if i in made.claims]
    found = crashing_door(task.device, made.policy, ids)
    differences = []
    if found is not None:
        door, finding = found
        steps: Steps = [(door.rule, door.op)]
        trace = trace_of(task.device, f"vector {door.id}", task.seed, door.start, steps, finding)
        path = str(save(trace, task.traces))
        differences.append(Difference(finding, f"vector {door.id}", 1, path, True))
    return DeviceReport(
        device=made.name,
        twin_note=task.device,
        rules=[],
        not_claimed=[i for i in applying(task.only, made.policy) if i not in made.claims],
        differences=differences,
        speed=Speed(batch=0, step_by_step=0),
        crash=said,
    )


def _kills(
    only: str, jobs: int, progress: Callable[[str], None], pool: Executor | None
) -> list[object]:
    """What finds each known-bad variant of those rules that are all asked for."""
    from conformance.defects import in_pool, kill_matrix

    def asked(ids: Iterable[str]) -> bool:
        return all(fnmatch.fnmatchcase(i, only) for i in ids)

    found: list[object] = list(kill_matrix(progress, jobs, pool=pool)) if asked(rules()) else []
    for area in areas():
        if asked(area.rules()):
            found += in_pool(area.kill, list(area.defects()), jobs, progress, pool)
    return found


# One device


def run_device(task: Task, progress: Callable[[str], None] = lambda _said: None) -> DeviceReport:
    """Run one device through all there is."""
    make = find_device(task.device)
    device = make()
    ids = applying(task.only, device.policy)
    claimed = [rules()[i] for i in ids if i in device.claims]
    counts: dict[str, Reached] = {"vectors": Counter(), "walks": Counter(), "batches": Counter()}
    differences: list[Difference] = []

    def note(made_by: str, start: Bitmap, steps: Steps, finding: Finding) -> None:
        if all(
            d.finding.rule != finding.rule or d.finding.case != finding.case for d in differences
        ):
            differences.append(difference_of(task, make, made_by, start, steps, finding))

    progress(f"{task.device}: vectors")
    named = {rule.id for rule in claimed}
    opened = doors(device.policy, frozenset(named))
    for door in task.part.share(opened):
        if len(differences) < MOST_DIFFERENCES:
            steps: Steps = [(door.rule, door.op)]
            finding = judge(door.start, steps, device, counts["vectors"])
            if finding is not None:
                small = walk.shrink(make, door.start, steps) or (door.start, steps, finding)
                note(f"vector {door.id}", *small)
                device = make()
    progress(f"{task.device}: walks")
    for number, walks in task.part.units(task.effort.examples):
        seed, kept = (task.seed << 16) + number, task.examples
        walked = walk.walk(make, claimed, seed, len(walks), opened, kept=kept)
        counts["walks"].update(walked.reached)
        for start, steps, finding in walked.findings:
            note("walk", start, steps, finding)
        if walked.findings:
            break
    for base, pages in task.part.share(task.regions):
        progress(f"{task.device}: region {base:#x}")
        start, steps = region_trace(base, pages, device.policy, claimed, task.seed)
        finding = judge(start, steps, make(), counts["walks"])
        if finding is not None:
            note("region", start, steps, finding)
    progress(f"{task.device}: batches")
    effort = task.effort
    # A device that takes a step at a time is some twenty times slower: fewer lanes a batch.
    mine = effort.batches and len(list(task.part.share(range(effort.batches))))
    seed = (task.seed << 16) + task.part.index
    batched = run_batches(make, claimed, seed, effort.batch_seconds, mine)
    counts["batches"] = batched.reached
    for failed in batched.failures:
        note("batch", *(walk.shrink(make, *failed[:2]) or failed))
    rows = [row_of(rule, counts, differences) for rule in claimed]
    alone = step_by_step(make, claimed, task.seed) if task.part.is_first else 0.0
    speed = Speed(batch=round(batched.steps_per_second), step_by_step=round(alone))
    return DeviceReport(
        device=device.name,
        twin_note=task.device,
        rules=rows,
        not_claimed=[i for i in ids if i not in device.claims],
        differences=differences,
        speed=speed,
    )


def difference_of(
    task: Task, make: Maker, made_by: str, start: Bitmap, steps: Steps, finding: Finding
) -> Difference:
    """A difference, with the trace that shows it written, and whether a fresh device shows it."""
    again = judge(start, steps, make()) or finding.field == IN_BULK
    trace = trace_of(task.device, made_by, task.seed, start, steps, finding)
    return Difference(
        finding=finding,
        made_by=made_by,
        steps=len(trace.steps),
        trace=str(save(trace, task.traces)),
        confirmed=bool(again),
    )


def row_of(rule: Rule, counts: dict[str, Reached], differences: Sequence[Difference]) -> RuleRow:
    """What tried a rule, and which of its cases were reached."""
    subject = next(s for s in SUBJECTS if rule in s.rules)
    _, _, cases = situation(subject, rule, Symbolic())
    reached = {
        case.name: sum(count[rule.id, case.name] for count in counts.values()) for case in cases
    }

    def total(kind: str) -> int:
        return sum(times for (i, _), times in counts[kind].items() if i == rule.id)

    return RuleRow(
        rule=rule.id,
        vectors=total("vectors"),
        walks=total("walks"),
        batches=total("batches"),
        reached=reached,
        differences=sum(d.finding.rule == rule.id for d in differences),
    )


def step_by_step(make: Maker, claimed: Sequence[Rule], seed: int, seconds: float = 0.5) -> float:
    """Checked steps a second, one at a time, over the traces that batches are made of."""
    if not claimed:
        return 0.0
    device = make()
    batch = make_batch(np.random.Generator(np.random.PCG64(seed)), claimed, (64, 20), device.policy)
    traces = [plain_trace(batch, lane) for lane in range(batch.lanes)]
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        start, steps = traces[done % len(traces)]
        judge(start, steps, device)
        done += 1
    return done * len(batch.rules) / (time.perf_counter() - began)
