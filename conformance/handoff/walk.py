"""Calls beside the rules: many at random, and some of Hypothesis, made small where they differ."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from conformance.example_database import walking, whatever_is_loaded
from conformance.handoff.calls import Call, suits
from conformance.handoff.device import HandoffDevice
from conformance.handoff.draw import DRAWS, Drawn, Random, draws
from conformance.handoff.judge import judge
from conformance.handoff.oracle import Reached
from conformance.handoff.reduce import reduced
from conformance.trace import Finding

Parted = tuple[Call, Finding]


@dataclass
class Walked:
    """What calls did: how many, which cases they reached, and what differed."""

    calls: int = 0
    reached: Reached = field(default_factory=Counter)
    parted: list[Parted] = field(default_factory=list)


class PartedError(Exception):
    """A device and the rules part; tells Hypothesis to make the call small."""


@st.composite
def calls_of(draw: st.DrawFn, stages: Sequence[str]) -> Call:
    """A call of one of some stages."""
    chooser = Drawn(draw, st.integers)
    return DRAWS[chooser.one_of(stages)](chooser)


def walk(
    device: HandoffDevice,
    stages: Sequence[str],
    seed: int,
    examples: int,
    kept: str | None = None,
) -> Walked:
    """Ask a device so many calls of Hypothesis, until one parts from the rules.

    kept: where examples that failed are kept.
    """
    done = Walked()

    def beside_the_rules(call: Call) -> None:
        if not suits(call):
            return
        if done.parted and _costs_a_start(device, done.parted[-1][1]):
            raise PartedError
        counted: Reached = Counter()
        finding = judge(call, device, counted)
        if not done.parted:
            # What is asked again to make a call small is not counted.
            done.calls += 1
            done.reached.update(counted)
        if finding is not None:
            done.parted.append((call, finding))
            raise PartedError

    if examples < 1 or not stages:
        return done
    asked = given(calls_of(stages))(beside_the_rules)
    try:
        # A seed forgets what is kept, so settings come after it.
        with whatever_is_loaded():
            walking(examples, kept)(seeded(seed)(asked))()
    except (PartedError, Flaky):
        # The last one to part is the smallest; a device that answers at random has one as well.
        done.parted = done.parted[-1:]
    return done


def batch(
    device: HandoffDevice, stages: Sequence[str], seed: int, count: int, small: bool = True
) -> Walked:
    """Ask a device so many calls drawn at random, until one parts from the rules.

    small: that one is then made plain.
    """
    done = Walked()
    source = draws(Random(random.Random(seed)), stages)
    for _ in range(count if stages else 0):
        call = next(source)
        finding = judge(call, device, done.reached)
        done.calls += 1
        if finding is not None:
            done.parted.append(smaller(device, (call, finding)) if small else (call, finding))
            break
    return done


def _costs_a_start(device: HandoffDevice, finding: Finding) -> bool:
    """Whether a device in a process of its own ends at what is found: then it is not made small."""
    return finding.field == "fault" and hasattr(device, "asked")


def smaller(device: HandoffDevice, parted: Parted) -> Parted:
    """The plainest call found that shows the same field of the same rule to differ."""
    call, finding = parted
    if _costs_a_start(device, finding):
        return parted

    def seen(other: Call) -> Finding | None:
        return judge(other, device, Counter())

    def shows(other: Call) -> bool:
        found = seen(other)
        return found is not None and (found.rule, found.field) == (finding.rule, finding.field)

    small = reduced(call, shows)
    return small, seen(small) or finding
