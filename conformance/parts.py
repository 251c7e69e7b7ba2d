"""A device's run cut into parts, each a job of its own, and their reports made one again.

How many parts there are follows from the profile alone, never from how many processes or workers
there are to do them, and they are put together in their order. So what is found is the same
whoever does them; see docs/decisions/0055-parts.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from conformance.area import Part, Task
from conformance.areas import area_of
from conformance.conform_report import DeviceReport, Difference, RuleRow, Speed

MOST_DIFFERENCES = 5


def parts_of(task: Task) -> list[Task]:
    """The parts of a device's run, as many as its profile says.

    Where there is time for batches rather than a number of them, the parts share it.
    """
    of, effort = task.effort.parts, task.effort
    if effort.batches is None:
        effort = replace(effort, batch_seconds=effort.batch_seconds / of)
    return [replace(task, effort=effort, part=Part(index, of)) for index in range(of)]


def groups(tasks: Sequence[Task], jobs: int | None) -> list[list[Task]]:
    """What one process does each, so that there is work for `jobs`; None is a part for each.

    Built-in devices that are alike share one, and what is made in it once for all. Starting one
    costs about two seconds, so there are no more than are of use.
    """
    alike: dict[str, list[Task]] = {}
    for task in tasks:
        alike.setdefault(_shares(task), []).append(task)
    made = []
    for listed in alike.values():
        parts = [part for task in listed for part in parts_of(task)]
        most = max(part.part.of for part in parts)
        each = most if jobs is None else min(most, -(-jobs // len(alike)))
        made += [[p for p in parts if p.part.index % each == n] for n in range(each)]
    return made


def _shares(task: Task) -> str:
    """What tasks in one process have in common: the area of built-in devices, which are not
    expected to crash. Any other device is alone.
    """
    area = area_of(task.device)
    if not task.device.startswith("impl:"):
        return task.device
    return "twins" if area is None else area.id


def whole(reports: Sequence[DeviceReport]) -> DeviceReport:
    """One report of the parts' reports, in their order."""
    first = reports[0]
    if len(reports) == 1:
        return first
    differences = _kept([one for report in reports for one in report.differences])
    rows: dict[str, list[RuleRow]] = {}
    for report in reports:
        for row in report.rules:
            rows.setdefault(row.rule, []).append(row)
    claimed_by_none = set.intersection(*(set(report.not_claimed) for report in reports))
    return msgspec.structs.replace(
        first,
        rules=[_row(rule, listed, differences) for rule, listed in rows.items()],
        not_claimed=[i for i in first.not_claimed if i in claimed_by_none],
        differences=differences,
        speed=_speed([report.speed for report in reports]),
        crash=next((report.crash for report in reports if report.crash), ""),
    )


def _kept(found: Sequence[Difference]) -> list[Difference]:
    """The plainest difference of each kind: one seen again first, then one of fewer steps."""
    kept: list[Difference] = []
    for one in sorted(found, key=lambda d: (not d.confirmed, d.steps)):
        if len(kept) < MOST_DIFFERENCES and not any(_alike(one, other) for other in kept):
            kept.append(one)
    return kept


def _alike(one: Difference, other: Difference) -> bool:
    """Whether two parts have found the same: areas tell kinds by a rule's case, or by the field."""
    a, b = one.finding, other.finding
    return a.rule == b.rule and (a.case == b.case or a.field == b.field)


def _row(rule: str, rows: Sequence[RuleRow], differences: Sequence[Difference]) -> RuleRow:
    reached: Counter[str] = Counter()
    for row in rows:
        # A case that none has reached is kept, with a zero.
        reached.update(row.reached)
    return RuleRow(
        rule=rule,
        vectors=sum(row.vectors for row in rows),
        walks=sum(row.walks for row in rows),
        batches=sum(row.batches for row in rows),
        reached=dict(reached),
        differences=sum(d.finding.rule == rule for d in differences),
    )


def _speed(speeds: Sequence[Speed]) -> Speed:
    """The mean of what parts have measured."""
    bulk = [speed.batch for speed in speeds if speed.batch]
    alone = [speed.step_by_step for speed in speeds if speed.step_by_step]
    return Speed(
        batch=round(sum(bulk) / len(bulk)) if bulk else 0,
        step_by_step=round(sum(alone) / len(alone)) if alone else 0,
        rules=next((speed.rules for speed in speeds if speed.rules), ""),
    )
