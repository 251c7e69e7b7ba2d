"""A walk to each case of each rule: found once by walking, kept as a seed and a length.

Walks draw from the rules' state alone, so a seed leads to the same steps whatever the device.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

from conformance.protocol.device import SvsmDevice
from conformance.protocol.judge import Joint, Reached
from conformance.protocol.walk import drawn
from conformance.protocol.world import starts
from spec.prove.world import Symbolic, record
from spec.rule import Rule
from spec.validation.svsm_model import MODEL

MOST_WALKS = 3000


@dataclass(frozen=True)
class Door:
    """The walk with a seed comes to a case with its step number `length`, the first being 1."""

    rule: str
    case: str
    seed: int
    length: int


@cache
def cases() -> tuple[tuple[str, str], ...]:
    """Every case of every rule of the model that can be taken."""
    found: list[tuple[str, str]] = []
    for rule in MODEL.rules:
        found += [(rule.id, name) for name in names(rule)]
    return tuple(found)


@cache
def names(rule: Rule) -> tuple[str, ...]:
    """The cases of a rule that can be taken."""
    world = Symbolic()
    state, op = record(world, MODEL.state, "s"), record(world, rule.operands, "op")
    return tuple(case.name for case in rule(state, op) if not case.never)


@cache
def doors() -> tuple[Door, ...]:
    """The shortest way that was met to each case; a case that none leads to is missing."""
    best: dict[tuple[str, str], Door] = {}
    wanted = set(cases())
    begins, idle = starts(), Idle()
    for seed in range(MOST_WALKS):
        if wanted <= best.keys():
            break
        reached: Reached = Counter()
        joint = Joint(idle, begins[seed % len(begins)], reached)
        for length, (rule, op) in enumerate(drawn(seed, joint), 1):
            reached.clear()
            joint.do(rule, op)
            for key in reached:
                if key not in best or length < best[key].length:
                    best[key] = Door(*key, seed, length)
    return tuple(best[key] for key in cases() if key in best)


class Idle(SvsmDevice):
    """The built-in SVSM, which walks are tried out on."""
