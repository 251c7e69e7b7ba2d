"""Walks over all machines, ways to each case, and how a failing walk is made small."""

from collections import Counter
from dataclasses import dataclass
from functools import cache

from conformance.mmio.calls import Call, expected
from conformance.mmio.device import Make, MmioDevice
from conformance.mmio.draw import calls
from conformance.mmio.judge import Parting, Reached, run
from conformance.mmio.world import SETTINGS, at_first
from spec.catalogue import mmio_rules
from spec.mmio.state import Mmio
from spec.prove.world import Symbolic, record
from spec.rule import Rule

MOST_WALKS = 3000
MOST_TRIES = 300


@dataclass(frozen=True)
class Door:
    """The walk with a seed comes to a case with its call number `length`, the first being 1."""

    rule: str
    case: str
    seed: int
    length: int


@cache
def names(rule: Rule) -> tuple[str, ...]:
    """The cases of a rule that can be taken."""
    world = Symbolic()
    state, op = record(world, Mmio, "s"), record(world, rule.operands, "op")
    return tuple(case.name for case in rule(state, op) if not case.never)


@cache
def cases() -> tuple[tuple[str, str, int], ...]:
    """Every case of every rule that can be taken, on each machine on which it can be."""
    found = [(r.id, name) for r in mmio_rules().values() for name in names(r)]
    return tuple((i, name, machine) for i, name in found for machine in _machines(i, name))


HOSTED = tuple(n for n, s in enumerate(SETTINGS) if s.machine.backend)
PLAIN = tuple(n for n, s in enumerate(SETTINGS) if not s.machine.backend)


def _machines(_rule: str, case: str) -> tuple[int, ...]:
    if case in ("no_answer", "host_refused", "garbage") or case.endswith("_refused"):
        return HOSTED
    return PLAIN if case == "no_mapping" else (*HOSTED, *PLAIN)


@cache
def doors() -> tuple[Door, ...]:
    """The shortest way that was met to each case on each machine; a case without one is missing."""
    best: dict[tuple[str, str, int], Door] = {}
    wanted = set(cases())
    for seed in range(MOST_WALKS):
        if wanted <= best.keys():
            break
        states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
        for length, call in enumerate(calls(seed), 1):
            meant = expected(states[call.machine], call)
            states[call.machine] = meant.after
            for rule, case in meant.cases:
                key = (rule, case, call.machine)
                if key not in best or length < best[key].length:
                    best[key] = Door(rule, case, seed, length)
    return tuple(best[key] for key in cases() if key in best)


def way(door: Door) -> list[Call]:
    """The calls that lead to a case, on the machine of the last of them."""
    taken = [call for _, call in zip(range(door.length), calls(door.seed), strict=False)]
    return [call for call in taken if call.machine == taken[-1].machine]


def walk(device: MmioDevice, seed: int, reached: Reached) -> Parting | None:
    """Where a device parts from the rules in one walk, if it does."""
    return run(device, list(calls(seed)), reached)


def tried(make: Make, listed: list[Call]) -> Parting | None:
    """What a fresh device makes of some calls."""
    return run(make(), listed, Counter())


def reduced(make: Make, found: Parting) -> Parting:
    """A parting of the same kind with fewer calls: ever smaller pieces are left out."""
    best, size, tries = found, max(1, len(found.calls) // 2), 0
    while size and tries < MOST_TRIES:
        place = 0
        while place < len(best.calls) and tries < MOST_TRIES:
            fewer = [*best.calls[:place], *best.calls[place + size :]]
            tries += 1
            seen = tried(make, fewer) if fewer else None
            if seen and (seen.field, seen.rule) == (best.field, best.rule):
                best = seen
            else:
                place += size
        size //= 2
    return best
