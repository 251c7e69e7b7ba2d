"""What is said of ideal numbers is what 24 bytes and checks on 64-bit words say.

Assumes nothing.
Proves: an entry that is packed into bytes and read back is the same entry; the checks that an
implementation makes on words of 64 bits, none of whose operations wraps, are the ideal ones; an
area lies in a range of pages exactly if its bytes do.
"""

from collections.abc import Sequence

from spec.handoff.words import ENTRY_BYTES, PAGE_BYTES
from spec.handoff.write import Writing
from spec.prove.lemma import Demands, Lemmas, must
from spec.prove.obligation import Query
from spec.prove.world import World, record
from spec.sources import definition, igvm
from spec.terms import (
    Word,
    all_of,
    at_most,
    below,
    bits_and,
    bits_or,
    exact,
    minus,
    same,
    shift_left,
    shift_right,
    sum_of,
)

LEMMAS = Lemmas("handoff.write")
CITE = igvm("IGVM_VHS_MEMORY_MAP_ENTRY")
WIDTHS = (8, 8, 2, 2, 4)
"""Bytes of each field of an entry: first page, number of pages, type, flags, reserved."""


def packed(fields: Sequence[Word]) -> list[Word]:
    """The 24 bytes of an entry with some fields, the lowest byte of each first."""
    return [
        bits_and(shift_right(value, 8 * place), 0xFF)
        for value, width in zip(fields, WIDTHS, strict=True)
        for place in range(width)
    ]


def unpacked(listed: Sequence[Word]) -> list[Word]:
    """The fields of an entry of 24 bytes."""
    fields, at = [], 0
    for width in WIDTHS:
        value = listed[at]
        for place in range(1, width):
            value = bits_or(value, shift_left(listed[at + place], 8 * place))
        fields.append(value)
        at += width
    return fields


@LEMMAS.lemma(CITE)
def an_entry_read_back_is_the_entry_written(world: World) -> Query:
    """An entry whose fields fit is the same once it is written to 24 bytes and read back."""
    names = ("first", "pages", "kind", "flags", "reserved")
    fields = [world.word(name) for name in names]
    fit = [
        at_most(f, (1 << 8 * width) - 1)
        for f, width in zip(fields, WIDTHS, strict=True)
        if width < 8
    ]
    back = unpacked(packed(fields))
    return must(fit, *(a == b for a, b in zip(fields, back, strict=True)))


@LEMMAS.lemma(CITE)
def bytes_written_back_are_the_bytes_read(world: World) -> Query:
    """Any 24 bytes are the same once they are read as an entry and written again."""
    listed = [world.word(f"byte_{place}") for place in range(ENTRY_BYTES)]
    back = packed(unpacked(listed))
    fit = [at_most(one, 0xFF) for one in listed]
    return must(fit, *(a == b for a, b in zip(listed, back, strict=True)))


@LEMMAS.kernel(cite=definition("64-bit words"), of="read")
def a_difference_of_words_is_the_ideal_one(world: World, demands: Demands) -> Query:
    """What is left of a limit behind so many pages is told by words, none of which wraps."""
    pages, limit = world.word("pages"), world.word("limit")
    room = minus(limit, pages)
    demands.demand("difference", at_most(room, limit))
    return must([at_most(pages, limit)], exact(room) + exact(pages) == exact(limit))


@LEMMAS.lemma(definition("64-bit words"))
def an_entry_ends_above_a_limit_if_it_starts_past_what_is_left(world: World) -> Query:
    """An entry ends above a limit exactly if it starts past what its pages leave of the limit."""
    first, pages, room = world.number("first"), world.number("pages"), world.number("room")
    limit = sum_of(room, pages)
    return must(world.facts(()), same(below(room, first), below(limit, sum_of(first, pages))))


@LEMMAS.lemma(definition("64-bit words"))
def too_many_pages_end_above_any_limit(world: World) -> Query:
    """An entry with more pages than a limit is long ends above it, wherever it starts."""
    first, pages, limit = world.word("first"), world.word("pages"), world.word("limit")
    ideally = below(exact(limit), exact(first) + exact(pages))
    return must([], ideally, given=below(limit, pages))


@LEMMAS.lemma(definition("pages and bytes"))
def an_area_is_in_a_range_if_its_bytes_are(world: World) -> Query:
    """Every page of the area is in a range of pages exactly if its first and last byte are."""
    s = record(world, Writing, "s")
    first, stop = world.number("first"), world.number("stop")
    in_bytes = all_of(
        at_most(PAGE_BYTES * first, s.address),
        at_most(sum_of(s.address, s.size), PAGE_BYTES * stop),
    )
    return must(world.facts(()), same(s.holds_area(first, stop), in_bytes))


@LEMMAS.lemma(definition("pages and bytes"))
def a_slot_of_the_area_is_in_its_pages(world: World) -> Query:
    """Each byte of each slot is in one of the area's pages, so none outside them is written."""
    s, slot, place = record(world, Writing, "s"), world.number("slot"), world.number("place")
    byte = sum_of(s.address, ENTRY_BYTES * slot, place)
    inside = all_of(at_most(PAGE_BYTES * s.first, byte), below(byte, PAGE_BYTES * s.stop))
    of_slot = all_of(below(slot, s.capacity), below(place, ENTRY_BYTES))
    of_area = below(byte, sum_of(s.address, s.size))
    return must(world.facts(()), inside, of_area, given=of_slot)
