"""A call to each case of each rule, as plain as was found; and those beside it, edge by edge.

Beside them some whole maps: what takes several ranges to be seen is not seen in the plainest.
The calls were found by drawing and made plain; `python -m conformance.handoff.doors FILE` does it
again. That each leads to its case is looked at whenever they are used.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache, partial
from importlib.resources import files
from itertools import islice
from pathlib import Path

import msgspec

from conformance.files import write_atomically
from conformance.handoff import oracle
from conformance.handoff.calls import RULES, Call
from conformance.handoff.draw import DRAWS, Random, draws
from conformance.handoff.oracle import Reached
from conformance.handoff.reduce import neighbours, reduced, weight
from spec.catalogue import HANDOFF, handoff_rules
from spec.prove.matrix import situation
from spec.prove.world import Symbolic

FILE = "handoff_vectors.json"
DRAWN = 4000
CROWDS = 20
"""Whole maps of each stage that are kept as they were drawn."""
FEW, MANY = 12, 40
"""The least and most numbers of a call with several ranges."""
Case = tuple[str, str]


class Door(msgspec.Struct, frozen=True):
    """A call in which a rule takes a case."""

    rule: str
    case: str
    call: Call


@cache
def names(rule: str) -> tuple[str, ...]:
    """The cases of a rule, by its id."""
    subject = next(s for s in HANDOFF if rule in {r.id for r in s.rules})
    found = handoff_rules()[rule]
    return tuple(case.name for case in situation(subject, found, Symbolic())[2])


@cache
def cases() -> tuple[Case, ...]:
    """Every case of every rule that a stage is made of."""
    rules = [rule for stage in RULES.values() for rule in stage]
    return tuple((rule, name) for rule in rules for name in names(rule))


@cache
def doors() -> tuple[Door, ...]:
    """The calls that are kept."""
    data = (files("conformance") / "data" / FILE).read_bytes()
    return msgspec.json.decode(data, type=tuple[Door, ...])


@cache
def vectors() -> tuple[Door, ...]:
    """Each door, and the calls that differ from it by one in one number."""
    made: dict[bytes, Door] = {}
    for door in doors():
        for call in (door.call, *neighbours(door.call)):
            made.setdefault(msgspec.json.encode(call), Door(door.rule, door.case, call))
    return tuple(made.values())


def led(call: Call) -> set[Case]:
    """The cases that a call leads to: those that are taken where all ends well, or the last.

    A step whose result is not seen in the answer, since something else is refused, shows nothing.
    """
    reached: Reached = Counter()
    told = oracle.answer(call, reached)
    last = told.rule, told.case
    return set(reached) if told.is_ok and last != UNSEEN else {last}


UNSEEN = ("handoff.size", "untracked")
"""An end that tells nothing of what was before it."""


def reaches(call: Call, case: Case) -> bool:
    """Whether a call leads to a case."""
    return case in led(call)


def search(seed: int = 0, drawn: int = DRAWN) -> Iterator[Door]:
    """A plain call to each case, among so many that are drawn."""
    best: dict[Case, Call] = {}
    source = draws(Random(random.Random(seed)), list(DRAWS))
    for _ in range(drawn):
        call = next(source)
        for case in led(call):
            if case not in best or weight(call) < weight(best[case]):
                best[case] = call
    for case in cases():
        if case in best:
            plainest = reduced(best[case], partial(reaches, case=case))
            yield Door(*case, plainest)
    yield from crowded(seed)


def crowded(seed: int) -> Iterator[Door]:
    """Some calls of each stage with several ranges, which end well: whole maps as they come."""
    for stage, rules in RULES.items():
        source = draws(Random(random.Random(seed)), [stage])
        some = (call for call in source if FEW <= weight(call)[0] <= MANY)
        ends = ((oracle.answer(call, Counter()), call) for call in some)
        good = (Door(told.rule, told.case, call) for told, call in ends if told.is_ok)
        yield from (door for door in islice(good, CROWDS) if door.rule in rules)


def main(arguments: list[str]) -> int:
    """Search the doors and write them."""
    found = list(search())
    data = msgspec.json.format(msgspec.json.encode(found), indent=1)
    write_atomically(Path(arguments[0]), data + b"\n")
    return 0 if {(door.rule, door.case) for door in found} >= set(cases()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
