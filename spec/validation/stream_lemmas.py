"""Whatever is read of a migration stream lies in it, and before its checksum.

The header settles the length by the counts, and no step changes them (`stream_model`); a piece is
read only while fewer of its kind are read than there are. What follows of that is said here on
natural numbers, for any number of pieces, and that the places on words are those numbers: no sum
wraps, and no shift loses a bit.

Assumes nothing.
Proves: each run, VMSA and record that is read ends before the checksum begins.
"""

from spec.prove.lemma import Lemmas, must
from spec.prove.obligation import Query
from spec.prove.world import World, record
from spec.sources import decision
from spec.terms import Bool, Word, at_most, below, plus, shift_left, shift_right, sum_of
from spec.validation.stream import (
    CHECKSUM_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    MOST_PAGES,
    RECORD_BYTES,
    RUN_BYTES,
    Reader,
    bytes_of,
    record_at,
    records,
    run_at,
    vmsa_at,
)

LEMMAS = Lemmas("validation.stream")
CITE = decision("0029-stream")


def ideally(runs: Word, vmsas: Word, pages: Word) -> Word:
    """The place behind a header and some pieces, as a natural number."""
    return sum_of(HEADER_BYTES, RUN_BYTES * runs, FRAME_BYTES * vmsas, RECORD_BYTES * pages)


def ends(world: World, place: Word, size: int, given: Bool) -> Query:
    """That some bytes end before the checksum of a stream of any counts."""
    runs, vmsas, pages = counts(world)
    stop = sum_of(ideally(runs, vmsas, pages), CHECKSUM_BYTES) - CHECKSUM_BYTES
    return must(world.facts(()), at_most(sum_of(place, size), stop), given=given)


def counts(world: World) -> tuple[Word, Word, Word]:
    """How many runs, VMSAs and pages a stream has: any numbers."""
    return world.number("runs"), world.number("vmsas"), world.number("pages")


@LEMMAS.lemma(CITE)
def each_run_ends_before_the_checksum(world: World) -> Query:
    """A run that is read, of which fewer are read than there are, ends before the checksum."""
    runs, _, _ = counts(world)
    seen = world.number("seen")
    return ends(world, ideally(seen, 0, 0), RUN_BYTES, below(seen, runs))


@LEMMAS.lemma(CITE)
def each_vmsa_ends_before_the_checksum(world: World) -> Query:
    """The frame of a VMSA, of which fewer are read than there are, ends before the checksum."""
    runs, vmsas, _ = counts(world)
    seen = world.number("seen")
    return ends(world, ideally(runs, seen, 0), FRAME_BYTES, below(seen, vmsas))


@LEMMAS.lemma(CITE)
def each_record_ends_before_the_checksum(world: World) -> Query:
    """A record, of which fewer are read than there are pages, ends before the checksum."""
    runs, vmsas, pages = counts(world)
    seen = world.number("seen")
    return ends(world, ideally(runs, vmsas, seen), RECORD_BYTES, below(seen, pages))


def keeps(term: Word, amount: int) -> Bool:
    """A shift to the left loses no bit: the word is 2**amount times as much."""
    return shift_right(shift_left(term, amount), amount) == term


@LEMMAS.lemma(CITE)
def a_count_times_a_size_loses_no_bit(world: World) -> Query:
    """Bytes of so many pieces on words are their ideal number, and far from where words wrap."""
    count = world.word("count")
    widths = (4, 3, 12)
    bounds = [at_most(shift_left(count, width), MOST_PAGES << width) for width in widths]
    no_wrap = at_most(shift_left(count, 3), records(count))
    return must(
        [at_most(count, MOST_PAGES)],
        *(keeps(count, width) for width in widths),
        *bounds,
        no_wrap,
        at_most(records(count), RECORD_BYTES * MOST_PAGES),
    )


@LEMMAS.lemma(CITE)
def a_place_is_the_sum_of_what_lies_before(world: World) -> Query:
    """Places and lengths on words are the header, the lists and the records, summed up."""
    s = record(world, Reader, "s")

    def lists(runs: Word, vmsas: Word) -> Word:
        return plus(HEADER_BYTES, plus(shift_left(runs, 4), shift_left(vmsas, 3)))

    def whole(pages: Word) -> Word:
        return plus(lists(s.runs, s.vmsas), records(pages))

    return must(
        [],
        run_at(s) == lists(s.seen_runs, 0),
        vmsa_at(s) == lists(s.runs, s.seen_vmsas),
        record_at(s) == whole(s.seen_records),
        bytes_of(s.runs, s.pages, s.vmsas) == plus(whole(s.pages), CHECKSUM_BYTES),
    )


@LEMMAS.lemma(CITE)
def no_sum_of_what_lies_before_wraps(world: World) -> Query:
    """A part of a stream added to others, four times as large at most, makes no sum that wraps."""
    so_far, part = world.word("so_far"), world.word("part")
    most = 1 << (RECORD_BYTES * MOST_PAGES).bit_length()
    small = [at_most(so_far, 4 * most), at_most(part, most)]
    return must(small, at_most(so_far, plus(so_far, part)), at_most(plus(so_far, part), 5 * most))
