"""What is true of what is left so far, and what each step of carving makes true."""

from spec.handoff.carve import Carving, carve, start
from spec.handoff.saying import BY_INDUCTION, a_number, but, cases, first_reason, unchanged
from spec.handoff.words import Answer, Piece
from spec.invariant import Moment, invariant
from spec.prove.lemma import Lemmas, must
from spec.prove.matrix import Subject
from spec.prove.obligation import Query
from spec.prove.world import World
from spec.sources import handoff
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    implies,
    less,
    negate,
    same,
    sum_of,
    tally,
    within,
)

CITE = handoff("stage 4")
LEMMAS = Lemmas("handoff.carve")


def what_is_left_is_in_order(s: Carving, q: Word) -> Bool:
    """Ranges that are left are in order, and no two of them touch."""
    return s.left.apart(q)


def what_is_left_is_filled(s: Carving, q: Word) -> Bool:
    """No range that is left is empty."""
    return s.left.is_filled(q)


def what_is_left_ends_by_what_is_given(s: Carving, q: Word) -> Bool:
    """No range that is left ends past those that were given."""
    last = all_of(s.given.count != 0, at_most(s.left.end, s.given.end))
    return implies(s.left.count != 0, last)


def a_page_is_left_if_it_is_not_cut_out(s: Carving, q: Word) -> Bool:
    """A page is left exactly if it was given and is not of what is cut out (conservation)."""
    cut = within(q, s.cut_first, s.cut_stop)
    return same(s.left.memory.has(q), all_of(s.given.memory.has(q), negate(cut)))


def at_most_one_range_more_is_left(s: Carving, q: Word) -> Bool:
    """Cutting out makes one range more of them all, and only where it goes past the cut."""
    split = all_of(s.given.count != 0, below(s.cut_stop, s.given.end))
    return at_most(s.left.count, sum_of(s.given.count, tally(split)))


def the_first_range_is_of_memory(s: Carving, q: Word) -> Bool:
    """The pages of the first range are pages that are left, and none is before them."""
    first, stop = s.left.firsts.at(0), s.left.stops.at(0)
    inside = all_of(s.left.count != 0, within(q, first, stop))
    before = all_of(s.left.count != 0, below(q, first))
    return all_of(
        implies(inside, s.left.memory.has(q)),
        implies(before, negate(s.left.memory.has(q))),
        implies(s.left.memory.has(q), s.left.count != 0),
        implies(s.left.count != 0, at_most(first, s.left.start)),
    )


WELL_FORMED = (
    what_is_left_is_in_order,
    what_is_left_is_filled,
    what_is_left_ends_by_what_is_given,
    a_page_is_left_if_it_is_not_cut_out,
    at_most_one_range_more_is_left,
    the_first_range_is_of_memory,
)
TAKEN = cases("whole", "split", "head_left", "tail_left", "gone")


@invariant(cite=CITE, rules=(carve,), given=BY_INDUCTION)
def an_answer_names_the_first_reason(m: Moment, q: Word) -> Bool:
    """The map is refused exactly where low memory is asked for and not left, at the end."""
    left, low = m.before.left, m.before.low_pages
    there = all_of(below(0, left.count), left.firsts.at(0) == 0, at_most(low, left.stops.at(0)))
    asked = all_of(m.op.ends, below(0, low))
    return first_reason(m.outcome, (Answer.NO_LOW_MEMORY, all_of(asked, negate(there))))


@invariant(cite=CITE, rules=(carve,), given=BY_INDUCTION, on=cases("ended"))
def low_memory_is_left_where_it_is_asked_for(m: Moment, q: Word) -> Bool:
    """The first range starts at page 0, and has all pages that firmware needs (LOWMEM-BASE0)."""
    asked = below(0, m.before.low_pages)
    base = all_of(m.after.left.count != 0, m.after.left.firsts.at(0) == 0)
    every = implies(below(q, m.before.low_pages), m.after.left.memory.has(q))
    return implies(asked, all_of(base, every))


@invariant(cite=CITE, rules=(carve,), given=BY_INDUCTION, on=TAKEN)
def a_page_of_a_range_is_left_if_it_is_not_cut_out(m: Moment, q: Word) -> Bool:
    """A range adds its pages that are not of what is cut out to what is left, and no other."""
    inside = within(q, m.op.first, m.op.stop)
    cut = within(q, m.before.cut_first, m.before.cut_stop)
    comes = any_of(m.before.left.memory.has(q), all_of(inside, negate(cut)))
    return all_of(same(m.after.left.memory.has(q), comes), but(m, q, "left", "given"))


@invariant(cite=CITE, rules=(carve,), given=BY_INDUCTION, on=TAKEN)
def the_ranges_before_stay_as_they_are(m: Moment, q: Word) -> Bool:
    """What was left of other ranges stays, and at most two ranges come behind it."""
    before, after = m.before.left, m.after.left
    stays = all_of(
        after.firsts.at(q) == before.firsts.at(q), after.stops.at(q) == before.stops.at(q)
    )
    more = all_of(at_most(before.count, after.count), at_most(after.count, before.count + 2))
    return all_of(implies(before.has(q), stays), more)


@invariant(cite=CITE, rules=(carve,), given=BY_INDUCTION, on=cases("ended", "no_low_memory"))
def the_end_changes_nothing(m: Moment, q: Word) -> Bool:
    """Once the end is seen, and after a refusal, everything is as it was."""
    return unchanged(m, q)


INVARIANTS = (
    an_answer_names_the_first_reason,
    low_memory_is_left_where_it_is_asked_for,
    a_page_of_a_range_is_left_if_it_is_not_cut_out,
    the_ranges_before_stay_as_they_are,
    the_end_changes_nothing,
)


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def all_of_it_is_true_before_the_first_range(world: World) -> Query:
    """What is true of what is left is true where nothing has been looked at."""
    cut = world.number("cut_first"), world.number("cut_stop")
    s, q = start(cut, world.number("low_pages")), world.number("q")
    return must(world.facts(()), *(sentence(s, q) for sentence in WELL_FORMED))


def touched(s: Carving, _op: Piece) -> tuple[Word, ...]:
    """The indices that a step speaks of: the last range's and the first's."""
    return s.left.last, less(s.left.count, s.left.count)


SUBJECT = Subject(
    "handoff.carve",
    Carving,
    (carve,),
    WELL_FORMED,
    (),
    INVARIANTS,
    touched,
    lambda: LEMMAS.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)
