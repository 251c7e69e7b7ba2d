"""One foreign record of pages, run through all there is, unit by unit, each in the journal.

The first thing is a batch: what is wrong with a range's end shows there in a moment, long before
the solver has opened its doors. A unit that the journal tells to be done is not done again.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, islice

from conformance import walk
from conformance.adapters import found
from conformance.adapters.bulk import Bulk, Parted, drawing, run_sheet
from conformance.adapters.compiled import used
from conformance.adapters.journal import Journal
from conformance.adapters.link import GivenUp
from conformance.adapters.record import ForeignRecord
from conformance.area import Task
from conformance.batch import OPCODES
from conformance.conform_report import DeviceReport, Difference, Speed
from conformance.doors import Door, doors
from conformance.histories import histories
from conformance.regions import region_trace
from conformance.runner import applying, difference_of, row_of, step_by_step
from conformance.trace import Finding, Reached, Steps, judge
from spec.catalogue import rules
from spec.rule import Rule, step
from spec.validation.bitmap import Bitmap

MOST_DIFFERENCES = 5
KINDS = ("vectors", "walks", "batches")


class Run:
    """A run of one device: what has been reached and found so far."""

    def __init__(self, task: Task, journal: Journal) -> None:
        self.task, self.journal = task, journal
        self.device = self._made()
        ids = applying(task.only, self.device.policy)
        self.claimed: list[Rule] = [rules()[i] for i in ids if i in self.device.claims]
        self.own = list(task.part.share(self.claimed))
        self.not_claimed = [i for i in ids if i not in self.device.claims]
        self.counts: dict[str, Reached] = {kind: Counter() for kind in KINDS}
        self.differences: list[Difference] = [one.difference for one in journal.past.found]
        self.bulk_steps, self.bulk_seconds = 0, 0.0
        self.given_up = ""
        self._batched: set[str] = set()

    def _made(self) -> ForeignRecord:
        made = found.record(self.task.device)
        made.link.ahead = self.journal.ahead
        return made

    def everything(self) -> None:
        """All that the profile asks for, until the device is given up or has shown enough."""
        units = (self._batches(1), self._vectors(), self._histories(), self._walks())
        steps = (*units, self._regions())
        try:
            for part in (*steps, self._batches(None)):
                for _unit in part:
                    if len(self.differences) >= MOST_DIFFERENCES:
                        return
        except GivenUp as end:
            self.given_up = str(end)
            self.journal.given_up(self.given_up)

    def _again(self, kind: str, unit: str) -> bool:
        """Whether a unit is still to be done; what it had reached is counted if it is not."""
        self.journal.unit = unit
        past = self.journal.past
        if unit not in past.done:
            return True
        self.counts[kind].update(past.reached(unit))
        self.bulk_steps += past.done[unit].steps
        self.bulk_seconds += past.done[unit].seconds
        return False

    def _note(self, made_by: str, start: Bitmap, steps: Steps, finding: Finding) -> None:
        """Keep a difference, if none like it is kept yet, as small as it can be made."""
        kinds = {(d.finding.rule, d.finding.case) for d in self.differences}
        if (finding.rule, finding.case) in kinds or len(self.differences) >= MOST_DIFFERENCES:
            return
        self.journal.seen(made_by, finding)
        if finding.field == "fault":
            small = self._alone(start, steps, finding)
        else:
            found_small = walk.shrink(lambda: self.device, start, steps)
            small = found_small or (start, list(steps), finding)
        one = difference_of(self.task, self._made, made_by, *small)
        self.differences.append(one)
        self.journal.found(one)

    def _alone(self, start: Bitmap, steps: Steps, finding: Finding) -> Parted:
        """A fault's step alone, if it faults from the state before it: a try costs a start."""
        before = start
        for rule, op in steps[: finding.step]:
            before = step(rule, before, op).state
        last = list(steps[finding.step : finding.step + 1])
        alone = judge(before, last, self.device) if finding.step else None
        if alone is not None and alone.field == "fault":
            return before, last, alone
        return start, list(steps), finding

    def _vectors(self) -> Iterator[str]:
        for rule in self.own:
            unit = f"vectors {rule.id}"
            if not self._again("vectors", unit):
                continue
            reached: Reached = Counter()
            for door in doors(self.device.policy, frozenset((rule.id,))):
                steps: Steps = [(door.rule, door.op)]
                finding = judge(door.start, steps, self.device, reached)
                if finding is not None:
                    self._note(f"vector {door.id}", door.start, steps, finding)
                    if finding.field == "fault":
                        # Whoever dies or hangs here does so again, and each time takes long.
                        break
            self.counts["vectors"].update(reached)
            self.journal.done(reached)
            yield unit

    def _histories(self) -> Iterator[str]:
        unit, reached = "histories", Reached()
        if not self.claimed or not self._again("walks", unit):
            return
        policy = self.device.policy
        listed = histories(policy, self.claimed, self._doors(), self.task.seed)
        for name, start, steps in self.task.part.share(listed):
            finding = judge(start, steps, self.device, reached) if steps else None
            if finding is not None:
                self._note(f"history {name}", start, steps, finding)
                if finding.field == "fault":
                    break
        self.counts["walks"].update(reached)
        self.journal.done(reached)
        yield unit

    def _walks(self) -> Iterator[str]:
        opened = self._doors()
        for number, walks in self.task.part.units(self.task.effort.examples):
            unit = f"walks {number}"
            if not self._again("walks", unit):
                continue
            seed = (self.task.seed << 16) + number
            walked = walk.walk(lambda: self.device, self.claimed, seed, len(walks), opened)
            self.counts["walks"].update(walked.reached)
            for start, steps, finding in walked.findings:
                self._note("walk", start, steps, finding)
            self.journal.done(walked.reached)
            yield unit

    def _regions(self) -> Iterator[str]:
        for base, pages in self.task.part.share(self.task.regions):
            unit = f"region {base:#x}"
            if not self._again("walks", unit):
                continue
            policy, reached = self.device.policy, Reached()
            start, steps = region_trace(base, pages, policy, self.claimed, self.task.seed)
            finding = judge(start, steps, self.device, reached)
            if finding is not None:
                self._note("region", start, steps, finding)
            self.counts["walks"].update(reached)
            self.journal.done(reached)
            yield unit

    def _doors(self) -> Sequence[Door]:
        """The doors of this part's rules: a solver takes long for those that are not kept."""
        return doors(self.device.policy, frozenset(rule.id for rule in self.own))

    def _batches(self, most: int | None) -> Iterator[str]:
        """Batches by number: the first so many, or all that are asked for or have the time."""
        numbers = islice(count(), self.task.effort.batches)
        if not any(rule.name in OPCODES for rule in self.claimed):
            return
        made = drawing(self.claimed, self.device)
        until = time.monotonic() + self.task.effort.batch_seconds
        for number in islice(self.task.part.share(numbers), most):
            if time.monotonic() > until:
                return
            unit = f"batch {number}"
            if unit in self._batched or not self._again("batches", unit):
                continue
            self._batched.add(unit)
            self.journal.ahead({"seed": self.task.seed, "number": number})
            result = Bulk()
            began = time.perf_counter()
            sheet = made(self.task.seed, number)
            result.seconds = time.perf_counter() - began
            run_sheet(self.device, sheet, result)
            self.counts["batches"].update(result.reached)
            self.bulk_steps += result.steps
            self.bulk_seconds += result.seconds
            if result.parted is not None:
                self._note("batch", *result.parted)
            self.journal.done(result.reached, result.steps, result.seconds)
            yield unit
            if result.parted is not None:
                return

    def report(self) -> DeviceReport:
        """What was found."""
        bulk = self.bulk_steps / self.bulk_seconds if self.bulk_seconds else 0.0
        slow = 0.0
        if self.task.part.is_first and not self.differences and not self.given_up:
            slow = step_by_step(lambda: self.device, self.claimed, self.task.seed)
        return DeviceReport(
            device=self.device.name,
            twin_note=self.task.device,
            rules=[row_of(rule, self.counts, self.differences) for rule in self.claimed],
            not_claimed=self.not_claimed,
            differences=self.differences,
            speed=Speed(round(bulk), round(slow), used(self.device.policy)),
            crash=self.given_up,
        )


def run_foreign(task: Task) -> DeviceReport:
    """Run one foreign record of pages through all there is."""
    journal = Journal(task.journal, task.called)
    if journal.past.report is not None:
        return journal.past.report
    run = Run(task, journal)
    run.everything()
    report = run.report()
    run.device.link.end()
    journal.reported(report)
    return report
