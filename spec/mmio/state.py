"""What the SVSM keeps of its devices, and the log of what went out.

Sets and tables are total and of any size: there is any number of slots. The log is indexed from 0;
no entry at or past `count` means anything. `taken` is the set of bytes that belong to open slots.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Annotated, Any

from spec.mmio.wire import IN_PAGE, Machine, Place, Wire
from spec.pages import Pages
from spec.rule import changed
from spec.tables import Table
from spec.terms import (
    Bool,
    Count,
    KeySet,
    KeyTable,
    Word,
    all_of,
    any_of,
    below,
    bits_and,
    minus,
    plus,
    same,
    within,
)


class Answer(IntEnum):
    """What a call answers; an implementation writes refusals as these numbers, negated."""

    OK = 0
    BAD_LENGTH = 1
    UNMAPPED = 2
    OUTSIDE = 3
    MISALIGNED = 4
    NO_ANSWER = 5
    HOST_REFUSED = 6
    GARBAGE = 7
    ALREADY_OPEN = 8
    EMPTY = 9
    ABOVE_LIMIT = 10
    OVERLAPS = 11
    NO_MAPPING = 12
    ATTACHED = 13
    NOT_ATTACHED = 14
    UNSTABLE = 15
    AGAIN = 16
    """Of a round of reads: not the end, another round follows. No call answers it."""


@dataclass(frozen=True)
class Slots:
    """By slot: whether it is open, whether a transport uses it, and the device's `[gpa, stop)`.

    home: the virtual address of the mapping, which is of the physical pages from the one with the
    device's first byte up to `mapped`; 0 where no page is mapped.
    """

    open: Annotated[Pages, KeySet()]
    attached: Annotated[Pages, KeySet()]
    gpa: Annotated[Table, KeyTable()]
    stop: Annotated[Table, KeyTable()]
    home: Annotated[Table, KeyTable()]
    mapped: Annotated[Table, KeyTable()]

    def has(self, slot: Word, byte: Word) -> Bool:
        """A byte belongs to a slot, which is open."""
        return all_of(self.open.has(slot), within(byte, self.gpa.at(slot), self.stop.at(slot)))

    def size(self, slot: Word) -> Word:
        """How many bytes the device has."""
        return minus(self.stop.at(slot), self.gpa.at(slot))

    def place(self, slot: Word) -> Place:
        """Where the device begins; its mapping begins with the page that holds its first byte."""
        gpa = self.gpa.at(slot)
        return Place(gpa, plus(self.home.at(slot), bits_and(gpa, IN_PAGE)))

    def alike(self, other: "Slots", slot: Word) -> Bool:
        """All that is kept of a slot is what another record keeps of it."""
        tables = ("gpa", "stop", "home", "mapped")
        return all_of(
            same(self.open.has(slot), other.open.has(slot)),
            same(self.attached.has(slot), other.attached.has(slot)),
            *(getattr(self, name).at(slot) == getattr(other, name).at(slot) for name in tables),
        )


@dataclass(frozen=True)
class Log:
    """What went out, in order; see `Wire`."""

    count: Count
    how: Annotated[Table, KeyTable()]
    address: Annotated[Table, KeyTable()]
    width: Annotated[Table, KeyTable()]
    extra: Annotated[Table, KeyTable()]
    value: Annotated[Table, KeyTable()]

    def at(self, place: Word) -> Wire:
        """One entry."""
        return Wire(*(getattr(self, f.name).at(place) for f in fields(Wire)))

    def sent(self, wire: Wire) -> "Log":
        """The log after one more access."""
        put = {f.name: getattr(self, f.name).put(self.count, getattr(wire, f.name)) for f in WORDS}
        return changed(self, count=plus(self.count, 1), **put)


WORDS = fields(Wire)


@dataclass(frozen=True)
class Mmio:
    """The whole state."""

    machine: Machine
    slots: Slots
    log: Log
    taken: Annotated[Pages, KeySet()]

    def sending(self, wire: Wire) -> "Mmio":
        """The state after one more access."""
        return changed(self, log=self.log.sent(wire))

    def with_slot(self, slot: Word, **values: Any) -> "Mmio":
        """The state with other values of one slot: of its tables, `open`, `attached`."""
        there = {
            name: getattr(self.slots, name).with_block(slot, False, value)
            for name, value in values.items()
        }
        return changed(self, slots=changed(self.slots, **there))


def alike(left: Wire, right: Wire) -> Bool:
    """Two accesses went out alike."""
    return all_of(*(getattr(left, f.name) == getattr(right, f.name) for f in WORDS))


def is_past(first: Word, length: Word, stop: Word) -> Bool:
    """`[first, first + length)` does not end at or before `stop`; as numbers, no sum wraps."""
    return any_of(below(stop, first), below(minus(stop, first), length))
