"""Stage 6: the guest's entries, written where its firmware looks for them.

Assumes: the entries are those of stage 4; the area's pages are prevalidated exactly if it is said.
Proves (`write_claims`, for every number of entries): a map is written once (MAP-ONCE); it has no
more entries than the area has room for (MAP-SLOTS), with zeros behind them where there is room, and
there is where a terminator is asked for (MAP-TERM); the area is the guest's; exactly its pages are
validated, once, or none (RESERVE-VALID-ONCE); a refusal writes nothing.
"""

from dataclasses import dataclass

from spec.handoff.words import AREA, ENTRY_BYTES, NONE, PAGE_BYTES, Answer, Piece, Spans
from spec.rule import Case, Cases, changed, rule
from spec.sources import handoff
from spec.terms import (
    Bool,
    Flag,
    Number,
    Numbers,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    negate,
    quotient,
    remainder,
    sum_of,
    tally,
)


@dataclass(frozen=True)
class Slots:
    """What the area holds: in slot `i` the range from `firsts.at(i)` to `stops.at(i)`."""

    firsts: Numbers
    stops: Numbers


@dataclass(frozen=True)
class Writing:
    """The area of `size` bytes at byte address `address`, and the entries that it is to hold.

    inside: one of the entries has every page of the area. published: the map has been written.
    `[validated_first, validated_stop)`: the pages that were validated and zeroed for it.
    """

    address: Number
    size: Number
    prevalidated: Flag
    with_terminator: Flag
    published: Flag
    entries: Spans
    inside: Flag
    slots: Slots
    validated_first: Number
    validated_stop: Number

    @property
    def first(self) -> Word:
        """The area's first page."""
        return quotient(self.address, PAGE_BYTES)

    @property
    def stop(self) -> Word:
        """The page past the area's last."""
        return quotient(sum_of(self.address, self.size, PAGE_BYTES - 1), PAGE_BYTES)

    @property
    def capacity(self) -> Word:
        """How many entries the area has room for."""
        return quotient(self.size, ENTRY_BYTES)

    def holds_area(self, first: Word, stop: Word) -> Bool:
        """A range has every page of the area."""
        return all_of(at_most(first, self.first), at_most(self.stop, stop))

    def written(self) -> "Writing":
        """The entries in the area, and nothing behind them."""
        count = self.entries.count
        slots = Slots(self.entries.firsts.cut(count), self.entries.stops.cut(count))
        return changed(self, published=True, slots=slots)


def in_turn(s: Writing, op: Piece) -> Bool:
    """Entries come as stage 4 leaves them: none empty, each past the one before, not touching."""
    after = any_of(s.entries.count == 0, below(s.entries.end, op.first))
    return any_of(op.ends, all_of(below(op.first, op.stop), after))


@rule(AREA, Piece, cite=handoff("stage 6"), enabled=in_turn)
def write(s: Writing, op: Piece) -> Cases:
    """Take one entry to be written, or write them all."""
    needed = sum_of(s.entries.count, tally(s.with_terminator))
    outside = any_of(s.size == 0, negate(s.inside))
    written = s.written()
    validated = changed(written, validated_first=s.first, validated_stop=s.stop)
    inside = any_of(s.inside, s.holds_area(op.first, op.stop))
    taken = changed(s, entries=s.entries.put(op.first, op.stop), inside=inside)
    return (
        Case("already_written", all_of(op.ends, s.published), Answer.ALREADY_WRITTEN, s),
        Case("misaligned", all_of(op.ends, remainder(s.address, 8) != 0), Answer.MISALIGNED, s),
        Case("area_outside", all_of(op.ends, outside), Answer.AREA_OUTSIDE, s),
        Case("too_many", all_of(op.ends, below(s.capacity, needed)), Answer.TOO_MANY, s),
        Case("prevalidated", all_of(op.ends, s.prevalidated), Answer.OK, written),
        Case("validated", op.ends, Answer.OK, validated),
        Case("entry", True, Answer.OK, taken),
    )


def start(
    area: tuple[Word, Word], prevalidated: Bool, with_terminator: Bool, published: Bool
) -> Writing:
    """Before the first entry."""
    empty = Slots(NONE.firsts, NONE.stops)
    return Writing(*area, prevalidated, with_terminator, published, NONE, False, empty, 0, 0)
