"""The rules themselves, executed on plain values, as a device."""

from typing import Any

from conformance.device import Answer
from conformance.trace import expected_value
from spec.catalogue import rules, subject_of
from spec.pages import ListedPages
from spec.rule import step
from spec.validation.bitmap import Bitmap, Policy


class Oracle:
    """The device that agrees by definition; a base for devices that are to be wrong."""

    name = "spec"

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.claims = frozenset(rule.id for rule in subject_of(policy).rules)
        self.state = Bitmap(policy, 0, 0, ListedPages())

    def reset(self, start: Bitmap) -> None:
        """Take on the state `start`."""
        self.state = start

    def apply(self, rule: str, op: Any) -> Answer:
        """Do one step."""
        before = self.state
        done = step(rules()[rule], before, op)
        self.state = done.state
        return Answer(done.outcome, expected_value(done.value, before))

    def observe(self) -> Bitmap:
        """The state."""
        return self.state
