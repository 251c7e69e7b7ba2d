"""A field of 64 bits in virtio's configuration space: two reads, guarded by a generation.

A device may change the field between the two reads; it then counts up ConfigGeneration. So a round
reads the generation, both halves, and the generation again. A hostile host can change it for ever:
there are only so many rounds.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any

from spec.mmio.access import AREA, ReadTyped, address, met, no, unmet
from spec.mmio.state import Answer, Mmio
from spec.mmio.wire import Transaction, cut, lowered
from spec.rule import Case, Cases, rule
from spec.sources import virtio
from spec.terms import Bool, Count, Gpa, Word, any_of, bits_or, pick, plus, shift_left

GENERATION = 0xFC
CONFIG = 0x100
HALF = 4
"""Bytes of each read."""


@dataclass(frozen=True)
class Round:
    """One round of four reads, and what comes back of each; see `Read`.

    offset: in the configuration space. left: rounds that may still be made, this one included.
    """

    slot: Count
    offset: Gpa
    left: Count
    failed_0: Count
    status_0: Count
    data_0: Count
    failed_1: Count
    status_1: Count
    data_1: Count
    failed_2: Count
    status_2: Count
    data_2: Count
    failed_3: Count
    status_3: Count
    data_3: Count


def reads(op: Round) -> tuple[ReadTyped, ReadTyped, ReadTyped, ReadTyped]:
    """The four reads of a round, in order."""
    low = plus(CONFIG, op.offset)
    return (
        ReadTyped(op.slot, GENERATION, op.failed_0, op.status_0, op.data_0),
        ReadTyped(op.slot, low, op.failed_1, op.status_1, op.data_1),
        ReadTyped(op.slot, plus(low, HALF), op.failed_2, op.status_2, op.data_2),
        ReadTyped(op.slot, GENERATION, op.failed_3, op.status_3, op.data_3),
    )


def _sent(s: Mmio, one: ReadTyped) -> Mmio:
    meant = Transaction(False, address(s, one), HALF, 0)
    return s.sending(lowered(s.machine, s.slots.place(one.slot), meant))


def _first(cases: Cases) -> Word:
    """What the first of some cases that holds answers."""
    return reduce(lambda later, case: pick(case.when, case.outcome, later), cases[::-1], Answer.OK)


def _some(cases: Cases) -> Bool:
    return any_of(*(case.when for case in cases))


def _refusing(s: Mmio, one: ReadTyped, name: str, never: bool = False) -> Cases:
    """What ends a round at one of its reads: before the access, or after it."""
    before = unmet(s, one, HALF)
    after = met(s, one, Transaction(False, address(s, one), HALF, 0), 0, _as_it_is)[:-1]
    return (
        Case(f"{name}_unmet", _some(before), _first(before), s, 0, never),
        Case(f"{name}_refused", _some(after), _first(after), lambda: _sent(s, one)),
    )


def _as_it_is(state: Any) -> Any:
    return state


@rule(AREA, Round, cite=virtio("4.2.2.2, driver requirements: MMIO device register layout"))
def config_round(s: Mmio, op: Round) -> Cases:
    """Read a 64-bit field once; where the generation has changed meanwhile another round follows.

    The generation is read again at a place that has been read: nothing can be in its way.
    """
    first, low, high, last = reads(op)
    one = _sent(s, first)
    two = _sent(one, low)
    three = _sent(two, high)
    same = cut(first.data, HALF) == cut(last.data, HALF)
    value = bits_or(cut(low.data, HALF), shift_left(cut(high.data, HALF), 32))
    return (
        no("no_tries", op.left == 0, Answer.UNSTABLE, s),
        *_refusing(s, first, "first"),
        *_refusing(one, low, "low"),
        *_refusing(two, high, "high"),
        *_refusing(three, last, "last", never=True),
        Case("stable", same, Answer.OK, lambda: _sent(three, last), value),
        Case("changed", True, Answer.AGAIN, lambda: _sent(three, last)),
    )


RULES = (config_round,)
