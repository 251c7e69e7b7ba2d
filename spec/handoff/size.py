"""Stage 2: entries of memory that touch are one run, and each run has a bitmap of its own.

Assumes: the entries are those of stage 1, in their order.
Proves (`size_claims`, for every number of entries): no two runs touch, and their pages are those
of the entries of memory; what is tracked is each of these pages once; the bitmaps have a bit for
each and not a page more than they must. Every page of a run is tracked, the bitmaps' own among
them, so no fixed point is sought and one look at each entry ends it.
"""

from dataclasses import dataclass

from spec.handoff.words import AREA, NONE, Answer, Kind, Piece, Spans
from spec.rule import Case, Cases, changed, rule
from spec.sources import handoff
from spec.terms import (
    Bool,
    Flag,
    Number,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    less,
    negate,
    pick,
    quotient,
    sum_of,
)


@dataclass(frozen=True)
class Sizing:
    """The runs so far, the pages in them, and the pages of the bitmaps of all but the last.

    cap: the most pages that may be tracked. seen: the entries that were looked at.
    """

    cap: Number
    tracks: Flag
    tracked: Number
    closed: Number
    runs: Spans
    seen: Spans

    @property
    def bitmaps(self) -> Word:
        """The pages of the bitmaps of all runs."""
        return sum_of(self.closed, bitmap_pages(self.open))

    @property
    def open(self) -> Word:
        """The pages of the last run, which may still grow; 0 where there is none."""
        return pick(self.runs.count == 0, 0, less(self.runs.end, self.runs.start))


def bitmap_pages(pages: Word) -> Word:
    """The pages of the bitmap of a run: a bit a page, words of 64 bits, 512 words a page."""
    words = quotient(sum_of(pages, 63), 64)
    return quotient(sum_of(words, 511), 512)


def in_turn(s: Sizing, op: Piece) -> Bool:
    """Entries come as stage 1 leaves them: none empty, each past the one before."""
    after = any_of(s.seen.count == 0, at_most(s.seen.end, op.first))
    return any_of(op.ends, all_of(below(op.first, op.stop), after))


@rule(AREA, Piece, cite=handoff("stage 2"), enabled=in_turn)
def size(s: Sizing, op: Piece) -> Cases:
    """Take one entry into the runs, or tell how large their bitmaps are."""
    is_memory = op.kind == Kind.MEMORY
    touches = all_of(s.runs.count != 0, s.runs.end == op.first)
    seen = s.seen.put(op.first, op.stop)
    tracked = sum_of(s.tracked, less(op.stop, op.first))
    joined = changed(s, tracked=tracked, runs=s.runs.grown(op.stop), seen=seen)
    opened = changed(
        s, tracked=tracked, closed=s.bitmaps, runs=s.runs.put(op.first, op.stop), seen=seen
    )
    other = changed(s, seen=s.seen.put_other(op.first, op.stop, op.kind))
    too_much = all_of(s.tracks, below(s.cap, s.tracked))
    return (
        Case("over_cap", all_of(op.ends, too_much), Answer.OVER_CAP, s),
        Case("untracked", all_of(op.ends, negate(s.tracks)), Answer.OK, s, (0, 0)),
        Case("sized", op.ends, Answer.OK, s, (s.tracked, s.bitmaps)),
        Case("other", negate(is_memory), Answer.OK, other),
        Case("touches", touches, Answer.OK, joined),
        Case("apart", True, Answer.OK, opened),
    )


def start(cap: Word, tracks: Bool) -> Sizing:
    """Before the first entry."""
    return Sizing(cap, tracks, 0, 0, NONE, NONE)
