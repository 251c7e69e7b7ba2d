"""What is true of the entries to be written, and what writing them makes true."""

from spec.handoff.saying import (
    BY_INDUCTION,
    a_number,
    but,
    cases,
    first_reason,
    put_behind,
    unchanged,
)
from spec.handoff.words import ENTRY_BYTES, PAGE_BYTES, Answer, Piece, Spans
from spec.handoff.write import Writing, start, write
from spec.invariant import Moment, invariant
from spec.prove.lemma import Lemmas, must
from spec.prove.matrix import Subject
from spec.prove.obligation import Query
from spec.prove.world import World, record
from spec.sources import handoff
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    implies,
    negate,
    remainder,
    same,
    sum_of,
    tally,
    within,
)

CITE = handoff("stage 6")
LEMMAS = Lemmas("handoff.write")


def entries_do_not_touch(s: Writing, q: Word) -> Bool:
    """Entries are in order, none empty, no two touching, as stage 4 leaves them."""
    return all_of(s.entries.apart(q), s.entries.is_filled(q))


def the_area_is_inside_if_an_entry_has_it(s: Writing, q: Word) -> Bool:
    """As soon as one entry has every page of the area, this is noted."""
    has_it = s.holds_area(s.entries.firsts.at(q), s.entries.stops.at(q))
    return implies(all_of(s.entries.has(q), has_it), s.inside)


def an_area_inside_is_of_the_guests_pages(s: Writing, q: Word) -> Bool:
    """Where it is noted that the area is inside, each page of it is the guest's."""
    return implies(all_of(s.inside, within(q, s.first, s.stop)), s.entries.memory.has(q))


WELL_FORMED = (
    entries_do_not_touch,
    the_area_is_inside_if_an_entry_has_it,
    an_area_inside_is_of_the_guests_pages,
)
WRITTEN = cases("prevalidated", "validated")


@invariant(cite=CITE, rules=(write,), given=BY_INDUCTION)
def an_answer_names_the_first_reason(m: Moment, q: Word) -> Bool:
    """The answer is the first reason for which the map is not written, at the end."""
    s, ends = m.before, m.op.ends
    slots = sum_of(s.entries.count, tally(s.with_terminator))
    eights = remainder(s.address, 8)
    outside = any_of(negate(below(0, s.size)), negate(s.inside))
    room = at_most(ENTRY_BYTES * slots, s.size)
    return first_reason(
        m.outcome,
        (Answer.ALREADY_WRITTEN, all_of(ends, s.published)),
        (Answer.MISALIGNED, all_of(ends, below(0, eights))),
        (Answer.AREA_OUTSIDE, all_of(ends, outside)),
        (Answer.TOO_MANY, all_of(ends, negate(room))),
    )


@invariant(cite=CITE, rules=(write,), given=BY_INDUCTION, on=WRITTEN)
def each_slot_holds_its_entry(m: Moment, q: Word) -> Bool:
    """Slot by slot the area holds the entries, each in its own, and zeros from there on."""
    s, slots = m.before, m.after.slots
    entry = all_of(
        slots.firsts.at(q) == s.entries.firsts.at(q), slots.stops.at(q) == s.entries.stops.at(q)
    )
    zero = all_of(slots.firsts.at(q) == 0, slots.stops.at(q) == 0)
    behind = at_most(s.entries.count, q)
    return all_of(implies(s.entries.has(q), entry), implies(behind, zero), m.after.published)


@invariant(cite=CITE, rules=(write,), given=BY_INDUCTION, on=WRITTEN)
def all_entries_have_a_slot(m: Moment, q: Word) -> Bool:
    """Every entry's 24 bytes are inside the area (MAP-SLOTS)."""
    s = m.before
    ends = sum_of(ENTRY_BYTES * q, ENTRY_BYTES)
    return implies(s.entries.has(q), at_most(ends, s.size))


@invariant(cite=CITE, rules=(write,), given=BY_INDUCTION, on=WRITTEN)
def a_terminator_stands_behind_the_entries(m: Moment, q: Word) -> Bool:
    """Where one is asked for, a whole slot of zeros in the area follows the entries (MAP-TERM)."""
    s, slots = m.before, m.after.slots
    place = s.entries.count
    inside = at_most(sum_of(ENTRY_BYTES * place, ENTRY_BYTES), s.size)
    zero = all_of(slots.firsts.at(place) == 0, slots.stops.at(place) == 0)
    return implies(s.with_terminator, all_of(inside, zero))


@invariant(cite=CITE, rules=(write,), given=BY_INDUCTION, on=WRITTEN)
def a_map_is_written_once(m: Moment, q: Word) -> Bool:
    """A map is written only where none has been before, and then has been (MAP-ONCE)."""
    fixed = but(m, q, "slots", "published", "validated_first", "validated_stop")
    return all_of(negate(m.before.published), m.after.published, fixed)


def is_of_the_area(s: Writing, page: Word) -> Bool:
    """A page has a byte of the area in it."""
    first_byte = PAGE_BYTES * page
    begins = below(first_byte, sum_of(s.address, s.size))
    return all_of(begins, below(s.address, sum_of(first_byte, PAGE_BYTES)))


@invariant(cite=CITE, rules=(write,), given=BY_INDUCTION, on=cases("validated"))
def exactly_the_areas_pages_are_validated(m: Moment, q: Word) -> Bool:
    """Each page that has a byte of the area is validated, and no other; it is the guest's."""
    validated = within(q, m.after.validated_first, m.after.validated_stop)
    asked = is_of_the_area(m.before, q)
    of_guest = implies(asked, m.before.entries.memory.has(q))
    return all_of(same(validated, asked), of_guest, negate(m.before.prevalidated))


@invariant(cite=CITE, rules=(write,), given=BY_INDUCTION, on=cases("prevalidated"))
def a_prevalidated_page_is_not_validated_again(m: Moment, q: Word) -> Bool:
    """Where the area's pages are prevalidated, none is validated; they are the guest's."""
    as_before = all_of(
        m.after.validated_first == m.before.validated_first,
        m.after.validated_stop == m.before.validated_stop,
    )
    of_guest = implies(is_of_the_area(m.before, q), m.before.entries.memory.has(q))
    return all_of(as_before, m.before.prevalidated, of_guest)


@invariant(cite=CITE, rules=(write,), given=BY_INDUCTION, on=cases("entry"))
def an_entry_to_be_written_writes_nothing_yet(m: Moment, q: Word) -> Bool:
    """An entry comes behind the others as it is; until the end is seen, nothing is written."""
    put = put_behind(m.before.entries, m.after.entries, q, m.op.first, m.op.stop)
    return all_of(put, but(m, q, "entries", "inside"))


@invariant(cite=CITE, rules=(write,), on="refused", given=BY_INDUCTION)
def a_refusal_changes_nothing(m: Moment, q: Word) -> Bool:
    """After a refusal nothing is written and nothing validated."""
    return unchanged(m, q)


INVARIANTS = (
    an_answer_names_the_first_reason,
    each_slot_holds_its_entry,
    all_entries_have_a_slot,
    a_terminator_stands_behind_the_entries,
    a_map_is_written_once,
    exactly_the_areas_pages_are_validated,
    a_prevalidated_page_is_not_validated_again,
    an_entry_to_be_written_writes_nothing_yet,
    a_refusal_changes_nothing,
)


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def all_of_it_is_true_before_the_first_entry(world: World) -> Query:
    """What is true of the entries to be written is true where there is none."""
    area = world.number("address"), world.number("size")
    flags = [world.flag(name) for name in ("prevalidated", "with_terminator", "published")]
    s, q = start(area, *flags), world.number("q")
    return must(world.facts(()), *(sentence(s, q) for sentence in WELL_FORMED))


@LEMMAS.lemma(CITE, given=BY_INDUCTION)
def an_area_of_the_guests_pages_is_in_one_entry(world: World) -> Query:
    """Where an entry has the area's first page and not its last, the page behind is nobody's.

    So an area that no entry has whole has a page that no entry has: nothing is refused wrongly.
    """
    entries = record(world, Spans, "entries")
    first, stop, i, j = (world.number(name) for name in ("first", "stop", "i", "j"))
    page = entries.stops.at(i)
    order = [entries.apart(q) for q in (i, j)] + [entries.is_filled(q) for q in (i, j)]
    order += [
        implies(
            all_of(below(a, b), entries.has(b)), below(entries.stops.at(a), entries.firsts.at(b))
        )
        for a, b in ((i, j), (j, i))
    ]
    short = all_of(entries.holds(i, first), below(page, stop))
    missing = all_of(within(page, first, stop), negate(entries.holds(j, page)))
    return must([*world.facts(()), *order], missing, given=short)


def touched(s: Writing, _op: Piece) -> tuple[Word, ...]:
    """The indices that a step speaks of."""
    return (s.entries.last,)


SUBJECT = Subject(
    "handoff.write",
    Writing,
    (write,),
    WELL_FORMED,
    (),
    INVARIANTS,
    touched,
    lambda: LEMMAS.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)
