"""A call to each case of each rule, as plain as was found; and those beside it, edge by edge.

Beside them some whole maps: what takes several ranges to be seen is not seen in the plainest.
The calls were found by drawing and made plain; `python -m conformance.handoff.doors FILE` does it
again, or with names of stages behind, for those alone. That each leads to its case is looked at
whenever they are used.
"""

import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

import msgspec

from conformance.files import write_atomically
from conformance.handoff import oracle
from conformance.handoff.calls import RULES, Call, Reserve, stage_of
from conformance.handoff.draw import Random, draws
from conformance.handoff.oracle import Reached
from conformance.handoff.reduce import (
    byte_by_byte,
    in_the_way,
    neighbours,
    reduced,
    weight,
    wrapping,
)
from spec.catalogue import HANDOFF, handoff_rules
from spec.prove.matrix import situation
from spec.prove.world import Symbolic

FILE = "handoff_vectors.json"
DRAWN = 800
CROWD_DRAWN = 800
MOST_LOOKED_AT = 20 * CROWD_DRAWN
CROWDS, FEW_CROWDS = 8, 3
"""Whole maps that are kept as they were drawn: for each end that is well, and for each refusal."""
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
    """Each door; where it is plain, the calls that differ from it in one place, or wrap."""
    made: dict[bytes, Door] = {}
    for door in doors():
        beside = _beside(door.call) if weight(door.call)[0] < FEW else ()
        for call in (door.call, *beside):
            made.setdefault(msgspec.json.encode(call), Door(door.rule, door.case, call))
    return tuple(made.values())


def _beside(call: Call) -> Iterator[Call]:
    """The calls that a door's call is asked beside."""
    yield from neighbours(call)
    yield from wrapping(call)
    yield from byte_by_byte(call)
    if isinstance(call, Reserve):
        told = oracle.answer(call, Counter())
        if told.is_ok:
            _, region = told.value
            yield from in_the_way(call, region)


def led(call: Call) -> Reached:
    """The cases that a call leads to: those that are taken where all ends well, or the last.

    A step whose result is not seen in the answer, since something else is refused, shows nothing.
    """
    reached: Reached = Counter()
    told = oracle.answer(call, reached)
    last = told.rule, told.case
    return reached if told.is_ok and last != UNSEEN else Counter([last])


UNSEEN = ("handoff.size", "untracked")
"""An end that tells nothing of what was before it."""


def reaches(call: Call, case: Case, times: int = 1) -> bool:
    """Whether a call leads to a case, so many times or more."""
    return led(call)[case] >= times


def search(stage: str, seed: int = 0, drawn: int = DRAWN) -> Iterator[Door]:
    """A plain call to each case of a stage, and one that comes to it twice, of so many drawn."""
    best: dict[tuple[Case, int], Call] = {}
    source = draws(Random(random.Random(seed)), [stage])
    for _ in range(drawn):
        call = next(source)
        for case, times in led(call).items():
            for key in ((case, 1), (case, 2))[: min(times, 2)]:
                if key not in best or weight(call) < weight(best[key]):
                    best[key] = call
    for key in itertools.product(cases(), (1, 2)):
        if key in best:
            case, times = key
            plainest = reduced(best[key], partial(reaches, case=case, times=times))
            yield Door(*case, plainest)
    yield from crowded(stage, seed)


def crowded(stage: str, seed: int) -> Iterator[Door]:
    """Some calls of a stage with several ranges, for each of its ends: whole maps as drawn."""
    source = itertools.islice(draws(Random(random.Random(seed)), [stage]), MOST_LOOKED_AT)
    kept: Counter[Case] = Counter()
    for call in itertools.islice((c for c in source if FEW <= weight(c)[0] <= MANY), CROWD_DRAWN):
        told = oracle.answer(call, Counter())
        end = told.rule, told.case
        kept[end] += 1
        if kept[end] <= (CROWDS if told.is_ok else FEW_CROWDS):
            yield Door(*end, call)


def main(arguments: list[str]) -> int:
    """Search the doors and write them; where stages are named, the other doors stay."""
    file, *stages = arguments
    others = [door for door in doors() if stage_of(door.call) not in stages] if stages else []
    found = [*others, *(door for stage in stages or RULES for door in search(stage))]
    data = msgspec.json.format(msgspec.json.encode(found), indent=1)
    write_atomically(Path(file), data + b"\n")
    return 0 if {(door.rule, door.case) for door in found} >= set(cases()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
