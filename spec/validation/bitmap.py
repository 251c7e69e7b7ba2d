"""The validation bitmap: the SVSM's own record of which guest pages are claimed.

A page is claimed from the moment the SVSM decides to validate it until its validation has been
rescinded. The record is a set of guest frame numbers (GFNs) of one region. It is what stands
between a lying host and a double validation, so a claim of a page that is claimed already is
refused, and a refused step leaves everything as it was.

Assumes: steps on one bitmap do not overlap (`serial-steps`).
Proves (`bitmap_claims`, for every base, page count and 64-bit argument): exactly the asked pages
change; nothing is claimed twice; slack bits stay zero; every refusal means what it says.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from spec.rule import Case, Cases, rule
from spec.sources import apm2, coconut, decision
from spec.terms import (
    MASK,
    Bool,
    Count,
    Flag,
    Gpa,
    PageSet,
    Word,
    WordTable,
    all_of,
    any_of,
    at_most,
    below,
    bits_and,
    bits_not,
    minus,
    negate,
    pick,
    plus,
    shift_left,
    shift_right,
)
from spec.validation.outcomes import Extent, Outcome

AREA = "validation.bitmap"

PAGE_SHIFT = 12
PAGE_4K = 1 << PAGE_SHIFT
PAGE_2M = 1 << 21
WORD_SHIFT = 6
WORD_PAGES = 1 << WORD_SHIFT
WORD_BYTES_SHIFT = 3
LIMIT_GFN = 1 << (52 - PAGE_SHIFT)
GFNS_IN_64_BITS = 1 << (64 - PAGE_SHIFT)
ANY_RUNS = MASK


@dataclass(frozen=True)
class Policy:
    """What implementations may choose: the most pages they track, and how a mixed 2 MiB is told.

    most_runs: how many runs a record that is kept as runs has room for (`validation.runs`); a
    bitmap has room for any number.
    """

    cap_pages: Count
    mixed_2m: Count
    most_runs: Count = ANY_RUNS


@dataclass(frozen=True)
class Bitmap:
    """A region of `pages` 4 KiB pages from byte address `base`, and the set of claimed GFNs.

    Before `create` there is no region: `pages` is 0.
    """

    policy: Policy
    base: Gpa
    pages: Count
    claimed: Annotated[Any, PageSet()]

    @property
    def end(self) -> Word:
        """The byte address one past the region."""
        return plus(self.base, shift_left(self.pages, PAGE_SHIFT))

    def marked(self, first: Gpa, stop: Gpa, value: Bool) -> "Bitmap":
        """This bitmap with the pages between two byte addresses claimed or not."""
        return replace(self, claimed=self.claimed.with_range(gfn(first), gfn(stop), value))

    def span(self) -> tuple[Word, Word]:
        """The first GFN of the region and the one past it."""
        return gfn(self.base), gfn(self.end)


@dataclass(frozen=True)
class Create:
    """A region to track: `base` in bytes, `pages` in 4 KiB pages, all claimed or none."""

    base: Gpa
    pages: Count
    claimed: Flag


@dataclass(frozen=True)
class Fill:
    """Whether every page is to be claimed or none."""

    claimed: Flag


@dataclass(frozen=True)
class At:
    """The page at byte address `gpa`."""

    gpa: Gpa


@dataclass(frozen=True)
class Between:
    """The pages of the half-open range of byte addresses `[first, stop)`."""

    first: Gpa
    stop: Gpa


@dataclass(frozen=True)
class Export:
    """Room for `length` words."""

    length: Count


@dataclass(frozen=True)
class Import:
    """`length` words to take over."""

    length: Count
    words: Annotated[Any, WordTable()]


def gfn(gpa: Gpa) -> Word:
    """The number of the 4 KiB frame that holds byte address `gpa`."""
    return shift_right(gpa, PAGE_SHIFT)


def unaligned(gpa: Gpa, size: int) -> Bool:
    """`gpa` is not a multiple of `size`, a power of two."""
    return bits_and(gpa, size - 1) != 0


def ends_past_64_bits(gpa: Gpa, size: int) -> Bool:
    """The end of `[gpa, gpa + size)` is not a 64-bit address."""
    return at_most(bits_not(size - 1), gpa)


def outside(s: Bitmap, first: Gpa, stop: Gpa) -> Bool:
    """Not all bytes of `[first, stop)` are in the region."""
    return any_of(below(first, s.base), below(s.end, stop))


def word_count(pages: Count) -> Word:
    """How many 64-bit words hold one bit for each of `pages` pages."""
    return shift_right(plus(pages, WORD_PAGES - 1), WORD_SHIFT)


def slack(s: Bitmap, op: Import) -> Bool:
    """A bit of the last word is set for a page that the region does not have."""
    spare = bits_and(s.pages, WORD_PAGES - 1)
    last = op.words.at(minus(op.length, 1))
    return all_of(spare != 0, shift_right(last, spare) != 0)


@rule(AREA, Create, cite=coconut("kernel/src/mm/validate.rs, ValidBitmap"))
def create(s: Bitmap, op: Create) -> Cases:
    """Track a region afresh, every page claimed or none; the answer is the bitmap's bytes."""
    room = minus(GFNS_IN_64_BITS, gfn(op.base))
    size = shift_left(word_count(op.pages), WORD_BYTES_SHIFT)
    fresh = replace(s.marked(s.base, s.end, False), base=op.base, pages=op.pages)
    return (
        Case("misaligned", unaligned(op.base, PAGE_4K), Outcome.MISALIGNED, s),
        Case("empty", op.pages == 0, Outcome.EMPTY, s),
        Case("wraps", at_most(room, op.pages), Outcome.WRAPS, s),
        Case("above_limit", below(LIMIT_GFN, plus(gfn(op.base), op.pages)), Outcome.ABOVE_LIMIT, s),
        Case("over_cap", below(s.policy.cap_pages, op.pages), Outcome.OVER_CAP, s),
        Case("created", True, Outcome.OK, fresh.marked(fresh.base, fresh.end, op.claimed), size),
    )


@rule(AREA, Fill, cite=apm2("15.36.6"))
def fill(s: Bitmap, op: Fill) -> Cases:
    """Record what launch or a reset did: every page of the region is claimed, or none."""
    return (Case("filled", True, Outcome.OK, s.marked(s.base, s.end, op.claimed)),)


def page_refusals(s: Bitmap, op: At, size: int) -> Cases:
    """Why the page of `size` bytes at `op.gpa` cannot be spoken of."""
    return (
        Case("misaligned", unaligned(op.gpa, size), Outcome.MISALIGNED, s),
        Case("wraps", ends_past_64_bits(op.gpa, size), Outcome.WRAPS, s),
        Case("outside", outside(s, op.gpa, plus(op.gpa, size)), Outcome.OUTSIDE, s),
    )


@rule(AREA, At, cite=apm2("15.36.6"))
def claim_4k(s: Bitmap, op: At) -> Cases:
    """Claim one 4 KiB page, which must be unclaimed."""
    stop = plus(op.gpa, PAGE_4K)
    return (
        *page_refusals(s, op, PAGE_4K),
        Case("already_claimed", s.claimed.has(gfn(op.gpa)), Outcome.ALREADY_CLAIMED, s),
        Case("unclaimed", True, Outcome.OK, s.marked(op.gpa, stop, True)),
    )


@rule(AREA, At, cite=apm2("15.36.6"))
def release_4k(s: Bitmap, op: At) -> Cases:
    """Release one 4 KiB page, which must be claimed."""
    stop = plus(op.gpa, PAGE_4K)
    return (
        *page_refusals(s, op, PAGE_4K),
        Case("not_claimed", negate(s.claimed.has(gfn(op.gpa))), Outcome.NOT_CLAIMED, s),
        Case("claimed", True, Outcome.OK, s.marked(op.gpa, stop, False)),
    )


@rule(AREA, At, cite=decision("0003-mixed-2m"))
def claim_2m(s: Bitmap, op: At) -> Cases:
    """Claim one 2 MiB page, each of whose 512 pages must be unclaimed."""
    stop = plus(op.gpa, PAGE_2M)
    first_gfn, stop_gfn = gfn(op.gpa), gfn(stop)
    return (
        *page_refusals(s, op, PAGE_2M),
        Case("all_claimed", s.claimed.all(first_gfn, stop_gfn), Outcome.ALREADY_CLAIMED, s),
        Case("mixed", negate(s.claimed.none(first_gfn, stop_gfn)), s.policy.mixed_2m, s),
        Case("unclaimed", True, Outcome.OK, s.marked(op.gpa, stop, True)),
    )


@rule(AREA, At, cite=decision("0003-mixed-2m"))
def release_2m(s: Bitmap, op: At) -> Cases:
    """Release one 2 MiB page, each of whose 512 pages must be claimed."""
    stop = plus(op.gpa, PAGE_2M)
    first_gfn, stop_gfn = gfn(op.gpa), gfn(stop)
    return (
        *page_refusals(s, op, PAGE_2M),
        Case("none_claimed", s.claimed.none(first_gfn, stop_gfn), Outcome.NOT_CLAIMED, s),
        Case("mixed", negate(s.claimed.all(first_gfn, stop_gfn)), s.policy.mixed_2m, s),
        Case("claimed", True, Outcome.OK, s.marked(op.gpa, stop, False)),
    )


def range_refusals(s: Bitmap, op: Between) -> Cases:
    """Why the range of `op` cannot be spoken of."""
    either = any_of(unaligned(op.first, PAGE_4K), unaligned(op.stop, PAGE_4K))
    return (
        Case("misaligned", either, Outcome.MISALIGNED, s),
        Case("reversed", below(op.stop, op.first), Outcome.REVERSED, s),
        Case("empty", op.first == op.stop, Outcome.EMPTY, s),
        Case("outside", outside(s, op.first, op.stop), Outcome.OUTSIDE, s),
    )


@rule(AREA, Between, cite=apm2("15.36.6"))
def claim_range(s: Bitmap, op: Between) -> Cases:
    """Claim every page of a range, each of which must be unclaimed."""
    first, stop = gfn(op.first), gfn(op.stop)
    return (
        *range_refusals(s, op),
        Case("all_claimed", s.claimed.all(first, stop), Outcome.ALREADY_CLAIMED, s),
        Case("mixed", negate(s.claimed.none(first, stop)), Outcome.MIXED, s),
        Case("unclaimed", True, Outcome.OK, s.marked(op.first, op.stop, True)),
    )


@rule(AREA, Between, cite=apm2("15.36.6"))
def release_range(s: Bitmap, op: Between) -> Cases:
    """Release every page of a range, each of which must be claimed."""
    first, stop = gfn(op.first), gfn(op.stop)
    return (
        *range_refusals(s, op),
        Case("none_claimed", s.claimed.none(first, stop), Outcome.NOT_CLAIMED, s),
        Case("mixed", negate(s.claimed.all(first, stop)), Outcome.MIXED, s),
        Case("claimed", True, Outcome.OK, s.marked(op.first, op.stop, False)),
    )


@rule(AREA, At, cite=coconut("kernel/src/mm/validate.rs, validated_phys_addr"))
def query(s: Bitmap, op: At) -> Cases:
    """Tell whether one 4 KiB page is claimed: 1 or 0."""
    is_claimed = pick(s.claimed.has(gfn(op.gpa)), 1, 0)
    return (
        *page_refusals(s, op, PAGE_4K),
        Case("answered", True, Outcome.OK, s, is_claimed),
    )


@rule(AREA, Between, cite=decision("0003-mixed-2m"))
def test_range(s: Bitmap, op: Between) -> Cases:
    """Tell whether no page of a range is claimed, or all, or some of each."""
    first, stop = gfn(op.first), gfn(op.stop)
    return (
        *range_refusals(s, op),
        Case("none_claimed", s.claimed.none(first, stop), Outcome.OK, s, Extent.NONE),
        Case("all_claimed", s.claimed.all(first, stop), Outcome.OK, s, Extent.ALL),
        Case("mixed", True, Outcome.OK, s, Extent.MIXED),
    )


@rule(AREA, Between, cite=apm2("15.36.6"))
def count(s: Bitmap, op: Between) -> Cases:
    """Count the claimed pages of a range."""
    claimed = s.claimed.count(gfn(op.first), gfn(op.stop))
    return (
        *range_refusals(s, op),
        Case("counted", True, Outcome.OK, s, claimed),
    )


@rule(AREA, Between, cite=apm2("15.36.6"))
def first_unclaimed(s: Bitmap, op: Between) -> Cases:
    """Find the lowest unclaimed page of a range; the answer is its byte address."""
    first, stop = gfn(op.first), gfn(op.stop)
    page = s.claimed.lowest_missing(first, stop)
    return (
        *range_refusals(s, op),
        Case("all_claimed", s.claimed.all(first, stop), Outcome.NONE_UNCLAIMED, s),
        Case("found", True, Outcome.OK, s, shift_left(page, PAGE_SHIFT)),
    )


@rule(AREA, Export, cite=decision("0004-words"))
def export_words(s: Bitmap, op: Export) -> Cases:
    """Hand out the bitmap as words: bit `p % 64` of word `p // 64` is page `p` of the region."""
    return (
        Case("wrong_length", op.length != word_count(s.pages), Outcome.WRONG_LENGTH, s),
        Case("exported", True, Outcome.OK, s, s.claimed.packed(gfn(s.base))),
    )


@rule(AREA, Import, cite=decision("0004-words"))
def import_words(s: Bitmap, op: Import) -> Cases:
    """Take over words as they were handed out; a bit set beyond the region is refused."""
    taken_over = replace(s, claimed=s.claimed.unpacked(op.words, gfn(s.base), s.pages))
    return (
        Case("wrong_length", op.length != word_count(s.pages), Outcome.WRONG_LENGTH, s),
        Case("slack_set", slack(s, op), Outcome.SLACK_SET, s),
        Case("imported", True, Outcome.OK, taken_over),
    )


def touched(_s: Bitmap, op: object) -> tuple[Word, ...]:
    """The GFNs that a step's operands name, for a proof to look at."""
    return tuple(gfn(getattr(op, name)) for name in ("gpa", "first") if hasattr(op, name))


RULES = (
    create,
    fill,
    claim_4k,
    claim_2m,
    claim_range,
    release_4k,
    release_2m,
    release_range,
    query,
    test_range,
    count,
    first_unclaimed,
    export_words,
    import_words,
)
