"""A foreign record of pages as a device: its bitmap, or its run tracker."""

from collections.abc import Iterator, Sequence
from typing import Any

from conformance.adapters.link import Link
from conformance.adapters.wire import Answer as Told
from conformance.adapters.wire import Choices, Play, Played, Step
from conformance.adapters.wire import State as Shown
from conformance.codec import encode
from conformance.device import Answer, DeviceError, DeviceFault
from spec.pages import ListedPages
from spec.rule import Rule
from spec.terms import MASK
from spec.validation.bitmap import ANY_RUNS, Bitmap, Policy
from spec.validation.outcomes import Outcome

AREAS = {"bitmap": "validation.bitmap.", "runs": "validation.runs."}
NAMES = {outcome.name: int(outcome) for outcome in Outcome}
CODES: dict[int, str] = {int(outcome): outcome.name for outcome in Outcome}
FEW_SECONDS_A_STEP = 0.02


def policy_of(spec: str, choices: Choices) -> Policy:
    """What a device chooses.

    Raises: DeviceError where that is no choice.
    """
    if choices.mixed_2m not in ("MIXED", "SIZE_MISMATCH"):
        raise DeviceError(
            f"device {spec!r}: its mixed_2m is {choices.mixed_2m}; choose MIXED or SIZE_MISMATCH"
        )
    if not 0 < choices.cap_pages <= 1 << 40 or not 0 < choices.most_runs <= MASK:
        raise DeviceError(f"device {spec!r}: its cap_pages is 0 or above 2^40, or most_runs is 0")
    return Policy(choices.cap_pages, NAMES[choices.mixed_2m], choices.most_runs)


class ForeignRecord:
    """One record of pages, of somebody else's."""

    def __init__(self, link: Link, group: str) -> None:
        greeting = link.greeting
        choices = greeting.bitmap if group == "bitmap" else greeting.runs
        if choices is None:
            raise DeviceError(f"device {link.spec!r}: claims rules of {group}, but says no {group}")
        self.link, self.group = link, group
        self.name = greeting.name
        self.claims = frozenset(i for i in greeting.claims if i.startswith(AREAS[group]))
        self.policy = policy_of(link.spec, choices)
        if (group == "bitmap") != (self.policy.most_runs == ANY_RUNS):
            raise DeviceError(f"device {link.spec!r}: most_runs of its {group} does not suit it")
        self.errors = greeting.errors.get(group, {})
        self._shown = Bitmap(self.policy, 0, 0, ListedPages())
        self._cap_pages, self._mixed = self.policy.cap_pages, self.policy.mixed_2m

    # A step at a time

    def reset(self, start: Bitmap) -> None:
        """Take on the state `start`."""
        self._ask([], start)
        self._shown = start

    def apply(self, rule: str, op: Any) -> Answer:
        """Do one step."""
        told = self._ask([(rule, op)], None)
        if told.fault:
            raise DeviceFault(told.fault)
        answer, self._shown = self._understood(told.answers[0])
        return answer

    def observe(self) -> Bitmap:
        """Its own state, as it showed it with its last answer."""
        return self._shown

    # A trace at a time

    def play(
        self, start: Bitmap, steps: Sequence[tuple[Rule, Any]]
    ) -> Iterator[tuple[Answer, Bitmap]]:
        """What the device answers to each step of a trace, and shows after it.

        Raises: DeviceFault at the step that has no answer.
        """
        try:
            told = self._ask([(rule.id, op) for rule, op in steps], start)
        except DeviceFault as fault:
            if self.link.is_up and len(steps) == 1:
                raise
            yield from self._one_by_one(start, steps, fault)
            return
        for one in told.answers:
            yield self._understood(one)
        if told.fault:
            raise DeviceFault(told.fault)

    def _one_by_one(
        self, start: Bitmap, steps: Sequence[tuple[Rule, Any]], first: DeviceFault
    ) -> Iterator[tuple[Answer, Bitmap]]:
        """The same again, a step at a time, to see which of them it is."""
        if len(steps) == 1:
            raise first
        self.reset(start)
        for rule, op in steps:
            yield self.apply(rule.id, op), self._shown
        raise DeviceFault(f"{first}; but not when the steps came one by one")

    # Words

    def _ask(self, steps: Sequence[tuple[str, Any]], start: Bitmap | None) -> Played:
        listed = [Step(rule.rpartition(".")[2], encode(op)) for rule, op in steps]
        asked = Play(self.group, listed, None if start is None else shown(start))
        played: Played = self.link.ask(asked, Played, lambda: FEW_SECONDS_A_STEP * len(steps))
        answers = len(played.answers)
        if answers > len(steps) or (answers < len(steps) and not played.fault):
            raise DeviceFault(f"answered {answers} times to {len(steps)} steps")
        return played

    def _understood(self, told: Told) -> tuple[Answer, Bitmap]:
        outcome = self.outcome(told.outcome)
        value = told.value
        words = value if isinstance(value, list) else [value]
        if not all(0 <= word <= MASK for word in words):
            raise DeviceFault(f"answered {words!r:.60}, which is no 64-bit word")
        made = tuple(value) if isinstance(value, list) else value
        return Answer(outcome, made), self._state(told.state)

    def outcome(self, told: str | int) -> int:
        """The rules' number for what a device calls an outcome.

        Raises: DeviceFault where it is none, and the device's table says nothing of it.
        """
        name = self.errors.get(str(told), told)
        if name in NAMES:
            return NAMES[str(name)]
        raise self.link.nowhere(told)

    def code(self, status: int) -> str | int:
        """What a status in bulk is called one by one: 0 is success, and with no table ours hold."""
        if status == 0:
            return "OK"
        return status if self.errors else CODES.get(status, status)

    def _state(self, told: Shown) -> Bitmap:
        edges = [edge for run in told.claimed for edge in run]
        if edges != sorted(set(edges)) or any(not 0 <= edge <= MASK for edge in edges):
            raise DeviceFault(f"showed {told.claimed!r:.60}, which are no ranges in order, apart")
        claimed = ListedPages(tuple(edges))
        if not (0 <= told.base <= MASK and 0 <= told.pages <= MASK):
            raise DeviceFault(f"showed {told.pages} pages from {told.base}, which is no region")
        policy = Policy(self._cap_pages, self._mixed, told.most_runs)
        return Bitmap(policy, told.base, told.pages, claimed)


def shown(state: Bitmap) -> Shown:
    """A state as it is said."""
    claimed: Any = state.claimed
    return Shown(state.base, state.pages, list(claimed.runs()), state.policy.most_runs)
