"""Stage 4: what the guest gets: the runs without the kernel, and then without the region.

One pass cuts one range out of a list; the kernel's comes first, and the region's is cut out of what
that leaves. Only the second asks for low memory.

Assumes: the ranges are those of stage 2, or of a pass before, in their order.
Proves (`carve_claims`, for every number of runs): a page is left exactly if it was given and is not
cut out (conservation, OWN-DISJOINT); what is left is in order, none empty, no two touching; it is
one range more at the most; low memory is there where it is asked for (LOWMEM-BASE0).
"""

from dataclasses import dataclass

from spec.handoff.words import AREA, NONE, Answer, Piece, Spans, meets
from spec.rule import Case, Cases, changed, rule
from spec.sources import handoff
from spec.terms import Bool, Number, Word, all_of, any_of, below, negate


@dataclass(frozen=True)
class Carving:
    """What is left so far of the ranges `given`, where `[cut_first, cut_stop)` is cut out.

    low_pages: how many pages the firmware needs from page 0 on; 0 asks for none.
    """

    cut_first: Number
    cut_stop: Number
    low_pages: Number
    given: Spans
    left: Spans

    @property
    def lacks_low(self) -> Bool:
        """Firmware needs low memory, and what is left does not begin with enough of it."""
        first, stop = self.left.firsts.at(0), self.left.stops.at(0)
        short = any_of(self.left.count == 0, first != 0, below(stop, self.low_pages))
        return all_of(self.low_pages != 0, short)


def in_turn(s: Carving, op: Piece) -> Bool:
    """Ranges come as stage 2 leaves them: none empty, each past the one before, not touching."""
    after = any_of(s.given.count == 0, below(s.given.end, op.first))
    return any_of(op.ends, all_of(below(op.first, op.stop), after))


@rule(AREA, Piece, cite=handoff("stage 4"), enabled=in_turn)
def carve(s: Carving, op: Piece) -> Cases:
    """Leave of one range what is not cut out, or see that the list has ended."""
    met = meets(op.first, op.stop, s.cut_first, s.cut_stop)
    head, tail = below(op.first, s.cut_first), below(s.cut_stop, op.stop)
    seen = changed(s, given=s.given.put(op.first, op.stop))
    before = s.left.put(op.first, s.cut_first)
    return (
        Case("no_low_memory", all_of(op.ends, s.lacks_low), Answer.NO_LOW_MEMORY, s),
        Case("ended", op.ends, Answer.OK, s),
        Case("whole", negate(met), Answer.OK, changed(seen, left=s.left.put(op.first, op.stop))),
        Case(
            "split",
            all_of(head, tail),
            Answer.OK,
            changed(seen, left=before.put(s.cut_stop, op.stop)),
        ),
        Case("head_left", head, Answer.OK, changed(seen, left=before)),
        Case("tail_left", tail, Answer.OK, changed(seen, left=s.left.put(s.cut_stop, op.stop))),
        Case("gone", True, Answer.OK, seen),
    )


def start(cut: tuple[Word, Word], low_pages: Word) -> Carving:
    """Before the first range."""
    return Carving(*cut, low_pages, NONE, NONE)
