"""The words in which the stages of the handoff are written: entries, refusals, lists of ranges.

Assumes: `induction` joins what is proved of one entry to what is true of a list of any length.
Proves nothing by itself. Numbers are pages of 4 KiB and are ideal: no sum wraps. That the checks
of an implementation on 64-bit words say the same is proved in `spec.handoff.bytes_lemmas`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from spec.pages import ListedPages
from spec.rule import changed
from spec.tables import ListedTable
from spec.terms import (
    Bool,
    Flag,
    Number,
    NumberPages,
    Numbers,
    Word,
    all_of,
    at_most,
    below,
    implies,
    less,
    remainder,
    sum_of,
    within,
)

AREA = "handoff"

PAGE_BYTES = 4096
ENTRY_BYTES = 24
LIMIT = 1 << 52
"""Where byte addresses of 64 bits end, in pages."""
BLOCK = 512
"""Pages in 2 MiB."""
KIND_LIMIT = 6


class Answer(IntEnum):
    """What a step answers: that it goes on or is done, or the refusal."""

    OK = 0
    NONZERO_RESERVED = 1
    UNKNOWN_TYPE = 2
    WRAPS = 3
    ABOVE_LIMIT = 4
    UNSORTED = 5
    OVERLAPS = 6
    NO_MEMORY = 7
    OVER_CAP = 8
    BAD_KERNEL_BOUNDS = 9
    KERNEL_OUTSIDE = 10
    KERNEL_MEETS_EXCLUDED = 11
    NO_ROOM = 12
    NO_LOW_MEMORY = 13
    ALREADY_WRITTEN = 14
    MISALIGNED = 15
    AREA_OUTSIDE = 16
    TOO_MANY = 17
    NOT_TAKEN = 18
    NOT_PRIVATE = 19
    NOT_VALIDATED = 20


class Kind(IntEnum):
    """What an entry is of; `EXCLUDED` is no type of an entry, but of what a caller names."""

    MEMORY = 0
    PLATFORM_RESERVED = 1
    PERSISTENT = 2
    VTL2_PROTECTABLE = 3
    SPECIFIC_PURPOSE = 4
    HIDDEN = 5
    EXCLUDED = 6


@dataclass(frozen=True)
class Piece:
    """One range `[first, stop)` of a list that is gone through, or with `ends` the list's end."""

    ends: Flag
    first: Number
    stop: Number
    kind: Number


@dataclass(frozen=True)
class Spans:
    """A list of ranges of pages, each of a kind; `memory` are the pages of those of kind MEMORY.

    `memory` is what putting the ranges one by one makes it: so much is known of it by definition.
    """

    count: Number
    firsts: Numbers
    stops: Numbers
    kinds: Numbers
    memory: NumberPages

    @property
    def last(self) -> Word:
        """The index of the last range, where there is one."""
        return less(self.count, 1)

    @property
    def start(self) -> Word:
        """Where the last range starts, where there is one."""
        return self.firsts.at(self.last)

    @property
    def end(self) -> Word:
        """Where the last range ends, where there is one."""
        return self.stops.at(self.last)

    def put(self, first: Word, stop: Word) -> "Spans":
        """This list with one range of memory more behind the others."""
        memory = self.memory.with_range(first, stop, True)
        return changed(self.put_other(first, stop, Kind.MEMORY), memory=memory)

    def put_other(self, first: Word, stop: Word, kind: Word) -> "Spans":
        """This list with one range more behind the others, of some other kind."""
        return changed(
            self,
            count=sum_of(self.count, 1),
            firsts=self.firsts.put(self.count, first),
            stops=self.stops.put(self.count, stop),
            kinds=self.kinds.put(self.count, kind),
        )

    def grown(self, stop: Word) -> "Spans":
        """This list with another end of its last range, of memory."""
        memory = self.memory.with_range(self.end, stop, True)
        return changed(self, stops=self.stops.put(self.last, stop), memory=memory)

    def has(self, index: Word) -> Bool:
        """There is a range with this index."""
        return all_of(at_most(0, index), below(index, self.count))

    def holds(self, index: Word, page: Word) -> Bool:
        """A page is in the range with this index, of whatever kind."""
        inside = within(page, self.firsts.at(index), self.stops.at(index))
        return all_of(self.has(index), inside)

    def is_filled(self, index: Word) -> Bool:
        """The range with this index is one of pages, and not empty."""
        first, stop = self.firsts.at(index), self.stops.at(index)
        return implies(self.has(index), all_of(at_most(0, first), below(first, stop)))

    def ends_by(self, index: Word, page: Word) -> Bool:
        """The range with this index ends at or before a page."""
        return implies(self.has(index), at_most(self.stops.at(index), page))

    def in_order(self, index: Word) -> Bool:
        """The range behind the one with this index starts where that one ends, or later."""
        behind = sum_of(index, 1)
        order = at_most(self.stops.at(index), self.firsts.at(behind))
        return implies(all_of(at_most(0, index), below(behind, self.count)), order)

    def apart(self, index: Word) -> Bool:
        """The range behind the one with this index starts later than that one ends."""
        behind = sum_of(index, 1)
        order = below(self.stops.at(index), self.firsts.at(behind))
        return implies(all_of(at_most(0, index), below(behind, self.count)), order)

    def listed(self) -> list[tuple[int, int, int]]:
        """The ranges of a concrete list, in order."""
        tables = (self.firsts, self.stops, self.kinds)
        return [tuple(int(t.at(i)) for t in tables) for i in range(self.count)]  # type: ignore[misc]


NONE = Spans(0, ListedTable(), ListedTable(), ListedTable(), ListedPages())
"""The list with no range."""


def listing(ranges: Sequence[tuple[int, ...]]) -> Spans:
    """The concrete list of some ranges, of kind MEMORY where none is given."""
    made = NONE
    for first, stop, kind in (one if len(one) == 3 else (*one, Kind.MEMORY) for one in ranges):
        is_memory = kind == Kind.MEMORY
        made = made.put(first, stop) if is_memory else made.put_other(first, stop, kind)
    return made


def rounded_down(page: Word) -> Word:
    """The multiple of 2 MiB at or before a page."""
    return less(page, remainder(page, BLOCK))


def rounded_up(page: Word) -> Word:
    """The multiple of 2 MiB at or past a page."""
    return rounded_down(sum_of(page, BLOCK - 1))


def meets(first: Word, stop: Word, other_first: Word, other_stop: Word) -> Bool:
    """Two ranges have a page in common; an empty one has none."""
    return all_of(
        below(first, stop),
        below(other_first, other_stop),
        below(first, other_stop),
        below(other_first, stop),
    )
