"""Walks: Hypothesis goes on from the doors, step by step beside the rules, and shrinks.

What a device gets wrong only after some history, the doors alone do not show. A walk that parts
from the rules is made small: fewer steps, a smaller region, fewer runs, the plainest arguments.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import seed as seeded
from hypothesis.errors import Flaky

from conformance.device import Device
from conformance.doors import Door
from conformance.example_database import walking, whatever_is_loaded
from conformance.guard import Guarded, guarded
from conformance.reduce import Parted, reduce, weight
from conformance.strategies import MOST_PAGES, Bounds, walks
from conformance.trace import Finding, Reached, Steps, judge
from spec.rule import Rule
from spec.validation.bitmap import Bitmap

SHRINK_EXAMPLES = 200
"""How many walks `shrink` draws in search of a plainer one that shows the same."""
FEW_STEPS = 2
"""A trace of so many steps is plain enough."""

MakeDevice = Callable[[], Device]


@dataclass
class WalkResult:
    """What walks did: how many steps and examples, which cases they reached, what they found."""

    steps: int = 0
    examples: int = 0
    reached: Reached = field(default_factory=Counter)
    findings: list[Parted] = field(default_factory=list)


class PartedError(Exception):
    """A walk and the rules part; tells Hypothesis to shrink it."""


def walk(
    make_device: MakeDevice,
    rules: Sequence[Rule],
    seed: int,
    examples: int,
    doors: Sequence[Door] = (),
    steps: int = 12,
    pages: int = MOST_PAGES,
    kept: str | None = None,
) -> WalkResult:
    """Walk a device through `examples` walks of `rules`, until one parts from the rules.

    steps: the most steps of a walk. pages: the most pages of a drawn region. kept: where examples
    that failed are kept. Rules that the device does not claim are left out. The same seed gives
    the same walks, where none are kept.
    """
    device = guarded(make_device())
    mine = [rule for rule in rules if rule.id in device.claims]
    result = WalkResult()
    if not mine or examples < 1:
        return result
    own = [door for door in doors if door.start.policy == device.policy and door.rule in mine]
    parted: list[Parted] = []

    def beside_the_rules(walked: tuple[Bitmap, list[tuple[Rule, Any]]]) -> None:
        start, taken = walked
        if parted and _costs_a_start(device, parted[-1][2]):
            raise PartedError
        counted: Reached = Counter()
        finding = judge(start, taken, device, counted)
        if not parted:
            # What shrinking does again is not counted.
            result.examples += 1
            result.steps += len(taken) if finding is None else finding.step + 1
            result.reached.update(counted)
        if finding is not None:
            parted.append((start, taken[: finding.step + 1], finding))
            raise PartedError

    asked = given(walks(mine, device.policy, own, Bounds(pages, steps)))(beside_the_rules)
    try:
        # A seed forgets what is kept, so settings come after it.
        with whatever_is_loaded():
            walking(examples, kept)(seeded(seed)(asked))()
    except (PartedError, Flaky):
        # The last one to part is the smallest; a device that answers at random has one as well.
        last = parted[-1]
        is_kept = _costs_a_start(device, last[2])
        result.findings.append(last if is_kept else reduce(last, device))
    return result


def _costs_a_start(device: Guarded, finding: Finding) -> bool:
    """Whether a device in a process of its own ends at what is found: then it is not made small."""
    return finding.field == "fault" and device.play is not None


def shrink(make_device: MakeDevice, start: Bitmap, steps: Steps) -> Parted | None:
    """The smallest trace found that shows what `steps` from `start` show; None if they do not.

    It is reduced as it is; if that leaves more than two steps, Hypothesis looks for a plainer one
    of the same rules in regions as small, which is taken if the same field of the same rule parts.
    """
    device = guarded(make_device())
    finding = judge(start, steps, device)
    if finding is None:
        return None
    small = reduce((start, list(steps), finding), device)
    if len(small[1]) <= FEW_STEPS:
        return small
    most_steps, most_pages = len(small[1]), max(1, small[0].pages)
    rules = list(dict.fromkeys(rule for rule, _ in small[1]))
    for other in walk(make_device, rules, 0, SHRINK_EXAMPLES, (), most_steps, most_pages).findings:
        found = reduce(other, device)
        if _shows(found) == _shows(small) and weight(found) < weight(small):
            return found
    return small


def _shows(parted: Parted) -> tuple[str, str]:
    return parted[2].rule, parted[2].field
