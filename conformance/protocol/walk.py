"""Walks: everybody does something, one after another, and the device must keep up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from conformance.device import DeviceFault
from conformance.protocol import compiled
from conformance.protocol.compiled import Programs
from conformance.protocol.device import SvsmDevice
from conformance.protocol.draw import next_step
from conformance.protocol.judge import Differs, Joint, Reached
from conformance.protocol.places import Drawn
from conformance.protocol.world import starts
from spec.rule import Rule, Step
from spec.validation.svsm import Did, Svsm

LENGTH = 250
HOSTILITIES = (0.02, 0.1, 0.3)
Steps = Sequence[Drawn]


@dataclass(frozen=True)
class Failure:
    """Where a device and the rules part: the start, the steps, and at the last of them why."""

    start: Svsm
    steps: tuple[Drawn, ...]
    case: str
    field: str
    expected: str
    got: str

    @property
    def rule(self) -> Rule:
        """The rule of the step at which they part."""
        return self.steps[-1][0]


class Scene(Protocol):
    """What a walk is drawn over."""

    state: Svsm
    last: Step

    def can(self, rule: Rule, op: Any) -> bool:
        """Whether a step can be taken now."""


def drawn(seed: int, joint: Scene) -> Iterator[Drawn]:
    """The steps of one walk, as far as it goes; each is to be taken before the next is drawn."""
    random = Random(seed)
    hostility = random.choice(HOSTILITIES)
    exits: list[int] = []
    for _ in range(LENGTH):
        rule, op = next_step(random, joint.state, exits, hostility)
        if not joint.can(rule, op):
            continue
        yield rule, op
        vcpu = getattr(op, "vcpu", None)
        if vcpu is not None:
            exits = [vcpu] if joint.last.outcome == Did.EXIT else []
        if joint.state.halted and random.random() < 0.3:
            return


def walk(
    device: SvsmDevice, seed: int, reached: Reached, machine: str = ""
) -> tuple[int, Failure | None]:
    """One walk on a machine: how many steps it took, and where it failed, if it did."""
    begins = starts(machine)
    start = begins[seed % len(begins)]
    taken: list[Drawn] = []
    joint: Joint | None = None
    try:
        joint = Joint(device, start, reached)
        for rule, op in drawn(seed, joint):
            taken.append((rule, op))
            joint.do(rule, op)
        joint.compare()
    except (Differs, DeviceFault) as parted:
        return len(taken), failure(start, taken, joint, parted)
    return len(taken), None


def failure(
    start: Svsm, taken: Steps, joint: Joint | None, parted: Differs | DeviceFault
) -> Failure:
    """What is known of the step at which they part."""
    case = joint.last.case if joint is not None else ""
    if isinstance(parted, Differs):
        field, expected, got = parted.field, str(parted.expected), str(parted.got)
    else:
        field, expected, got = "fault", "an answer", str(parted)
    return Failure(start, tuple(taken), case, field, expected, " ".join(got.split()))


def again(
    make: Callable[[], SvsmDevice],
    start: Svsm,
    steps: Steps,
    reached: Reached | None = None,
    programs: Programs = compiled.program,
) -> Failure | None:
    """What a fresh device makes of some steps; those that cannot be taken are left out."""
    taken: list[Drawn] = []
    joint: Joint | None = None
    try:
        joint = Joint(make(), start, reached, programs)
        for rule, op in steps:
            if joint.can(rule, op):
                taken.append((rule, op))
                joint.do(rule, op)
        joint.compare()
    except (Differs, DeviceFault) as parted:
        return failure(start, taken, joint, parted)
    return None


MOST_TRIES = 400


def reduced(make: Callable[[], SvsmDevice], found: Failure) -> Failure:
    """A failure of the same kind with fewer steps: ever smaller pieces are left out."""
    best, size, tries = found, max(1, len(found.steps) // 2), 0
    while size and tries < MOST_TRIES:
        place = 0
        while place < len(best.steps) and tries < MOST_TRIES:
            fewer = (*best.steps[:place], *best.steps[place + size :])
            tries += 1
            seen = again(make, best.start, fewer) if fewer else None
            if seen and (seen.field, seen.rule.id) == (best.field, best.rule.id):
                best = seen
            else:
                place += size
        size //= 2
    return best
