"""Devices that are wrong in one known way each, made of the rules themselves."""

from dataclasses import replace

from conformance.device import Answer, DeviceFault
from conformance.trace import expected_value
from spec.catalogue import rules
from spec.pages import ListedPages
from spec.rule import step
from spec.validation.bitmap import PAGE_4K, Bitmap, Policy
from spec.validation.outcomes import Outcome

POLICY = Policy(cap_pages=1 << 28, mixed_2m=int(Outcome.MIXED))


class Faithful:
    """The rules as a device."""

    name = "faithful"
    policy = POLICY

    def __init__(self):
        self.claims = frozenset(rules())
        self.state = Bitmap(self.policy, 0, 0, ListedPages())

    def reset(self, start):
        self.state = start

    def apply(self, rule, op):
        done = step(rules()[rule], self.state, op)
        value = expected_value(done.value, self.state)
        self.state = done.state
        return Answer(done.outcome, value)

    def observe(self):
        return self.state


class ShortRange(Faithful):
    """A range of more than a word ends one page early."""

    def apply(self, rule, op):
        before, answer = self.state, super().apply(rule, op)
        if rule.endswith("claim_range") and self.state != before and op.stop - op.first > 64 << 12:
            self.state = self.state.marked(op.stop - PAGE_4K, op.stop, False)
        return answer


class LongRange(Faithful):
    """A released range ends one page late."""

    def apply(self, rule, op):
        before, answer = self.state, super().apply(rule, op)
        if rule.endswith("release_range") and self.state != before:
            stop = min(op.stop + PAGE_4K, self.state.end)
            self.state = self.state.marked(op.first, stop, False)
        return answer


class LostTail(Faithful):
    """A fill leaves out the last word where it is a partial one."""

    def apply(self, rule, op):
        answer = super().apply(rule, op)
        if rule.endswith("fill") and self.state.pages % 64:
            tail = self.state.end - PAGE_4K * (self.state.pages % 64)
            self.state = self.state.marked(tail, self.state.end, False)
        return answer


class WrongOutcome(Faithful):
    """A page that is claimed already is said to be mixed."""

    def apply(self, rule, op):
        answer = super().apply(rule, op)
        wrong = rule.endswith("claim_4k") and answer.outcome == Outcome.ALREADY_CLAIMED
        return Answer(int(Outcome.MIXED)) if wrong else answer


class LastPageMissed(Faithful):
    """A claim of 2 MiB does not look at its last page."""

    def apply(self, rule, op):
        before = self.state
        if rule.endswith("claim_2m"):
            stop = op.gpa + (1 << 21)
            if stop <= before.end and op.gpa >= before.base:
                self.state = before.marked(stop - PAGE_4K, stop, False)
        answer = super().apply(rule, op)
        if answer.outcome != Outcome.OK:
            self.state = before
        return answer


class Raises(Faithful):
    """A count of more than a word's pages divides by zero."""

    def apply(self, rule, op):
        if rule.endswith("count") and op.stop - op.first > 64 << 12:
            return 1 // 0
        return super().apply(rule, op)


class Faults(Faithful):
    """An export of a region of whole words is a fault."""

    def apply(self, rule, op):
        if rule.endswith("export_words") and self.state.pages % 64 == 0:
            raise DeviceFault("no reply")
        return super().apply(rule, op)


class Garbage(Faithful):
    """A query answers a text."""

    def apply(self, rule, op):
        return "yes" if rule.endswith("query") else super().apply(rule, op)


class GarbageState(Faithful):
    """After a release the set shown is a list."""

    shown = None

    def apply(self, rule, op):
        self.shown = [] if "release" in rule else None
        return super().apply(rule, op)

    def observe(self):
        return self.state if self.shown is None else replace(self.state, claimed=self.shown)


class Forgets(Faithful):
    """A released page can be claimed once only: what is wrong needs two steps."""

    def reset(self, start):
        super().reset(start)
        self.released = set()

    def apply(self, rule, op):
        if rule.endswith("claim_4k") and op.gpa in self.released:
            return Answer(int(Outcome.ALREADY_CLAIMED))
        answer = super().apply(rule, op)
        if rule.endswith("release_4k") and answer.outcome == Outcome.OK:
            self.released.add(op.gpa)
        return answer


ONE_STEP = (
    ShortRange,
    LongRange,
    LostTail,
    WrongOutcome,
    LastPageMissed,
    Raises,
    Faults,
    Garbage,
    GarbageState,
)
"""What one step shows."""
