"""Stage 3: where the kernel is, and where the bitmaps' region is to be.

`kernel` goes through what the host's map says of the kernel and what the caller excludes; `reserve`
searches the runs from the highest page down, leaping below whatever a place would meet.

Assumes: the runs are those of stage 2; HIDDEN entries are those of stage 1; nothing of the order
of what is excluded.
Proves (`reserve_claims`, for every number of each): the kernel's size is between its measured
bounds (CLAMP-MEASURED); it is inside one run or one HIDDEN entry, and meets nothing excluded; the
region is aligned, inside one run and meets neither kernel nor excluded; it is the highest such
place, and one is found wherever there is one; the search ends.
"""

from dataclasses import dataclass

from spec.handoff.words import (
    AREA,
    NONE,
    Answer,
    Kind,
    Piece,
    Spans,
    meets,
    rounded_down,
    rounded_up,
)
from spec.rule import Case, Cases, changed, rule
from spec.sources import coconut, handoff
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
    sum_of,
)


@dataclass(frozen=True)
class Placing:
    """What is known so far of the kernel: `size` as the host chose it, clamped; and its home.

    sized: an entry has chosen the size, number `sizer` of those `seen`. reach: how far the run or
    HIDDEN entry goes that holds the base, number `home`; 0 where none does. nearest: where the
    first excluded range starts that ends past the base, number `rival`; `is_near`: there is one.
    """

    limit: Number
    base: Number
    least: Number
    greatest: Number
    sized: Flag
    size: Number
    reach: Number
    is_near: Flag
    nearest: Number
    seen: Spans
    sizer: Number
    home: Number
    rival: Number

    @property
    def stop(self) -> Word:
        """The page past the kernel."""
        return sum_of(self.base, self.size)

    def clamped(self, pages: Word) -> Word:
        """A size between the measured bounds."""
        at_least = pick(below(pages, self.least), self.least, pages)
        return pick(below(self.greatest, at_least), self.greatest, at_least)

    def sizes(self, kind: Word, first: Word) -> Bool:
        """An entry chooses the kernel's size."""
        return all_of(kind == Kind.HIDDEN, first == self.base)

    def houses(self, kind: Word, first: Word, stop: Word) -> Bool:
        """A run or a HIDDEN entry has the kernel's base in it."""
        is_home = any_of(kind == Kind.HIDDEN, kind == Kind.MEMORY)
        return all_of(is_home, at_most(first, self.base), below(self.base, stop))

    def threatens(self, kind: Word, first: Word, stop: Word) -> Bool:
        """An excluded range, not empty, ends past the base."""
        return all_of(kind == Kind.EXCLUDED, below(first, stop), below(self.base, stop))


@rule(AREA, Piece, cite=coconut("kernel/src/boot_params.rs, find_kernel_region"))
def kernel(s: Placing, op: Piece) -> Cases:
    """Learn what one entry, run or excluded range says of the kernel, or tell where it is."""
    upside_down = any_of(s.least == 0, below(s.greatest, s.least))
    too_high = below(s.limit, sum_of(s.base, s.greatest))
    outside = below(s.reach, s.stop)
    met = all_of(s.is_near, below(s.nearest, s.stop))
    seen = changed(s, seen=s.seen.put_other(op.first, op.stop, op.kind))
    reached = s.houses(op.kind, op.first, op.stop)
    further = all_of(reached, below(s.reach, op.stop))
    chosen = changed(
        seen,
        sized=True,
        size=s.clamped(less(op.stop, op.first)),
        sizer=s.seen.count,
        reach=pick(further, op.stop, s.reach),
        home=pick(further, s.seen.count, s.home),
    )
    nearer = any_of(negate(s.is_near), below(op.first, s.nearest))
    near = changed(seen, is_near=True, nearest=op.first, rival=s.seen.count)
    return (
        Case(
            "bad_kernel_bounds",
            all_of(op.ends, any_of(upside_down, too_high)),
            Answer.BAD_KERNEL_BOUNDS,
            s,
        ),
        Case("kernel_outside", all_of(op.ends, outside), Answer.KERNEL_OUTSIDE, s),
        Case("kernel_meets_excluded", all_of(op.ends, met), Answer.KERNEL_MEETS_EXCLUDED, s),
        Case("placed", op.ends, Answer.OK, s, (s.base, s.stop)),
        Case(
            "sizes",
            all_of(negate(s.sized), s.sizes(op.kind, op.first)),
            Answer.OK,
            chosen,
        ),
        Case("houses", further, Answer.OK, changed(seen, reach=op.stop, home=s.seen.count)),
        Case("threatens", all_of(s.threatens(op.kind, op.first, op.stop), nearer), Answer.OK, near),
        Case("passes", True, Answer.OK, seen),
    )


@dataclass(frozen=True)
class Searching:
    """A place for `need` pages is searched for in the first `left` runs, the last of them first.

    ceiling: where the place may end at the highest. taken: what it must not meet; it does not meet
    the first `passed` of these. found: `[first, stop)` is the place.
    """

    need: Number
    runs: Spans
    taken: Spans
    left: Number
    ceiling: Number
    passed: Number
    found: Flag
    first: Number
    stop: Number

    @property
    def run(self) -> Word:
        """The index of the run that is looked at."""
        return less(self.left, 1)

    @property
    def place(self) -> Word:
        """The highest aligned place below the ceiling."""
        return rounded_down(less(self.ceiling, self.need))

    @property
    def place_stop(self) -> Word:
        """The page past that place."""
        return sum_of(self.place, self.need)

    @property
    def measure(self) -> tuple[Word, Word, Word]:
        """What gets less with every step: runs, then pages, then ranges to be passed."""
        return self.left, self.ceiling, less(self.taken.count, self.passed)


@dataclass(frozen=True)
class Look:
    """One step of the search; it needs no operand."""


def is_open(s: Searching, _op: Look) -> Bool:
    """The search has not come to an end."""
    return negate(s.found)


@rule(AREA, Look, cite=handoff("stage 3"), enabled=is_open)
def reserve(s: Searching, op: Look) -> Cases:
    """Look whether the highest place that is left meets what is taken."""
    lowest = rounded_up(s.runs.firsts.at(s.run))
    exhausted = below(s.ceiling, sum_of(lowest, s.need))
    next_ceiling = s.runs.stops.at(less(s.left, 2))
    down = changed(s, left=s.run, ceiling=next_ceiling, passed=0)
    taken_first = s.taken.firsts.at(s.passed)
    met = meets(s.place, s.place_stop, taken_first, s.taken.stops.at(s.passed))
    return (
        Case("none_needed", s.need == 0, Answer.OK, changed(s, found=True, first=0, stop=0)),
        Case("no_room", s.left == 0, Answer.NO_ROOM, s),
        Case("exhausted", exhausted, Answer.OK, down),
        Case(
            "reserved",
            s.passed == s.taken.count,
            Answer.OK,
            changed(s, found=True, first=s.place, stop=s.place_stop),
        ),
        Case("meets", met, Answer.OK, changed(s, ceiling=taken_first, passed=0)),
        Case("passes", True, Answer.OK, changed(s, passed=sum_of(s.passed, 1))),
    )


def start(limit: Word, base: Word, least: Word, greatest: Word) -> Placing:
    """Before anything is known of the kernel: without an entry that says more, it is least."""
    nothing = {"sized": False, "reach": 0, "is_near": False, "nearest": 0}
    numbers = {"sizer": 0, "home": 0, "rival": 0}
    return Placing(limit, base, least, greatest, size=least, seen=NONE, **nothing, **numbers)


def search(
    bitmaps: Word, runs: Spans, excluded: Spans, kernel_range: tuple[Word, Word]
) -> Searching:
    """The search for the region of so many pages of bitmaps, in whole blocks of 2 MiB.

    What is taken is what is excluded, and behind it the kernel.
    """
    taken = excluded.put_other(*kernel_range, Kind.EXCLUDED)
    left, ceiling = runs.count, runs.end
    return Searching(rounded_up(bitmaps), runs, taken, left, ceiling, 0, False, 0, 0)
