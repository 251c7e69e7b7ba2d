"""What is true of the runs so far, and what each step of sizing makes true."""

from spec.assumptions import COUNTING, INDUCTION
from spec.handoff.saying import (
    BY_INDUCTION,
    a_number,
    but,
    cases,
    first_reason,
    put_behind,
    unchanged,
)
from spec.handoff.size import Sizing, bitmap_pages, size, start
from spec.handoff.words import Answer, Kind, Piece
from spec.invariant import Moment, invariant
from spec.prove.lemma import Demands, Lemmas, must
from spec.prove.matrix import Subject
from spec.prove.obligation import Query
from spec.prove.world import World
from spec.sources import definition, handoff
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    exact,
    implies,
    less,
    low_word,
    negate,
    plus,
    quotient,
    same,
    shift_right,
    sum_of,
    within,
)

CITE = handoff("stage 2")
LEMMAS = Lemmas("handoff.size")
PER_PAGE = 8 * 4096
"""Pages that a page of bitmap has bits for."""
LIMIT = 1 << 52


def runs_do_not_touch(s: Sizing, q: Word) -> Bool:
    """A run starts past the page where the one before ends: entries that touch are one run."""
    return s.runs.apart(q)


def runs_are_filled(s: Sizing, q: Word) -> Bool:
    """No run is empty."""
    return s.runs.is_filled(q)


def runs_end_by_the_last_entry(s: Sizing, q: Word) -> Bool:
    """No run ends past the entries that were looked at."""
    last = all_of(s.seen.count != 0, at_most(s.runs.end, s.seen.end))
    return all_of(implies(s.runs.count != 0, last), s.runs.ends_by(q, s.runs.end))


def runs_have_the_pages_of_memory(s: Sizing, q: Word) -> Bool:
    """A page is in a run exactly if it is in an entry of memory."""
    return same(s.runs.memory.has(q), s.seen.memory.has(q))


def memory_ends_by_the_last_run(s: Sizing, q: Word) -> Bool:
    """No page of a run is past the runs."""
    return implies(s.runs.memory.has(q), all_of(s.runs.count != 0, below(q, s.runs.end)))


def bitmaps_have_a_bit_for_each_page(s: Sizing, q: Word) -> Bool:
    """The bitmaps have room for a bit of each tracked page, those of the last run among them."""
    closed = at_most(sum_of(s.tracked), sum_of(PER_PAGE * s.closed, s.open))
    return all_of(closed, at_most(s.open, s.tracked), at_most(0, s.open))


def bitmaps_waste_less_than_a_page_each(s: Sizing, q: Word) -> Bool:
    """The bitmaps of all runs but the last have less than a page each that no page needs."""
    needed = sum_of(less(s.tracked, s.open), PER_PAGE * less(s.runs.count, 1))
    some = at_most(PER_PAGE * s.closed, needed)
    none = all_of(s.closed == 0, s.tracked == 0)
    return all_of(implies(s.runs.count != 0, some), implies(s.runs.count == 0, none))


WELL_FORMED = (
    runs_do_not_touch,
    runs_are_filled,
    runs_end_by_the_last_entry,
    runs_have_the_pages_of_memory,
    memory_ends_by_the_last_run,
    bitmaps_have_a_bit_for_each_page,
    bitmaps_waste_less_than_a_page_each,
)
TAKEN = cases("touches", "apart")


@invariant(cite=CITE, rules=(size,), given=BY_INDUCTION)
def an_answer_names_the_first_reason(m: Moment, q: Word) -> Bool:
    """The map is refused exactly where its end is seen, and more is tracked than the cap."""
    over = all_of(m.op.ends, m.before.tracks, negate(at_most(m.before.tracked, m.before.cap)))
    return first_reason(m.outcome, (Answer.OVER_CAP, over))


@invariant(cite=CITE, rules=(size,), given=(INDUCTION, COUNTING), on=TAKEN)
def each_page_is_tracked_once(m: Moment, q: Word) -> Bool:
    """An entry of memory adds as many pages as it has, none of which was tracked before."""
    more = m.after.tracked == m.before.tracked + (m.op.stop - m.op.first)
    clash = all_of(m.before.runs.memory.has(q), within(q, m.op.first, m.op.stop))
    comes = any_of(m.before.runs.memory.has(q), within(q, m.op.first, m.op.stop))
    return all_of(more, negate(clash), same(m.after.runs.memory.has(q), comes))


@invariant(cite=CITE, rules=(size,), given=BY_INDUCTION, on=TAKEN)
def entries_that_touch_are_one_run(m: Moment, q: Word) -> Bool:
    """An entry of memory makes the last run longer where it touches it, else it is the next run."""
    before, after, op = m.before.runs, m.after.runs, m.op
    touches = all_of(below(0, before.count), op.first == before.end)
    starts = implies(before.has(q), after.firsts.at(q) == before.firsts.at(q))
    longer = all_of(after.count == before.count, after.end == op.stop, starts)
    next_run = put_behind(before, after, q, op.first, op.stop)
    others = but(m, q, "runs", "tracked", "closed", "seen")
    return all_of(implies(touches, longer), implies(negate(touches), next_run), others)


@invariant(cite=CITE, rules=(size,), given=BY_INDUCTION, on=cases("other"))
def other_entries_are_not_tracked(m: Moment, q: Word) -> Bool:
    """An entry that is not of memory changes neither the runs nor what is tracked."""
    return all_of(m.op.kind != Kind.MEMORY, but(m, q, "seen"))


@invariant(cite=CITE, rules=(size,), given=BY_INDUCTION, on=cases("untracked", "sized"))
def the_size_is_a_bit_for_each_page(m: Moment, q: Word) -> Bool:
    """Told are the pages tracked and those of a bitmap for each run; without tracking, none."""
    s = m.before
    rounded = sum_of(s.closed, quotient(sum_of(s.open, PER_PAGE - 1), PER_PAGE))
    tracked, bitmaps = m.value
    told = all_of(tracked == s.tracked, bitmaps == rounded, at_most(tracked, s.cap))
    room = at_most(s.tracked, PER_PAGE * rounded)
    tight = below(PER_PAGE * rounded, sum_of(s.tracked, PER_PAGE * s.runs.count, 1))
    some = all_of(told, room, tight)
    none = all_of(tracked == 0, bitmaps == 0)
    return all_of(implies(s.tracks, some), implies(negate(s.tracks), none), unchanged(m, q))


@invariant(cite=CITE, rules=(size,), on="refused", given=BY_INDUCTION)
def a_refusal_changes_nothing(m: Moment, q: Word) -> Bool:
    """After a refusal everything is as it was."""
    return unchanged(m, q)


INVARIANTS = (
    an_answer_names_the_first_reason,
    each_page_is_tracked_once,
    entries_that_touch_are_one_run,
    other_entries_are_not_tracked,
    the_size_is_a_bit_for_each_page,
    a_refusal_changes_nothing,
)


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def all_of_it_is_true_before_the_first_entry(world: World) -> Query:
    """What is true of the runs so far is true where no entry has been looked at."""
    s, q = start(world.number("cap"), world.flag("tracks")), world.number("q")
    return must(world.facts(()), *(sentence(s, q) for sentence in WELL_FORMED))


@LEMMAS.kernel(cite=definition("rounding up"))
def shifts_of_64_bits_size_a_bitmap(world: World, demands: Demands) -> Query:
    """On words of 64 bits, shifts say how many pages a bitmap takes, as ideal numbers do.

    Pages are fewer than 2**52; then no sum wraps.
    """
    pages = world.word("pages")
    demands.demand("sum", below(pages, plus(pages, 63)))
    words = shift_right(plus(pages, 63), 6)
    demands.demand("sum", below(words, plus(words, 511)))
    by_shifts = shift_right(plus(words, 511), 9)
    ideal = quotient(exact(pages) + (PER_PAGE - 1), PER_PAGE)
    return must([at_most(pages, LIMIT)], by_shifts == low_word(ideal), given=True)


@LEMMAS.lemma(CITE)
def a_page_of_a_run_has_a_place_in_its_bitmap(world: World) -> Query:
    """The bit of a page, counted from its run's first, is in its run's bitmap, and of no other."""
    first, stop, q, other = (world.number(name) for name in ("first", "stop", "q", "other"))
    place = quotient(less(q, first), PER_PAGE)
    inside = all_of(at_most(0, place), below(place, bitmap_pages(less(stop, first))))
    alone = implies(less(q, first) == less(other, first), q == other)
    return must(world.facts(()), inside, alone, given=within(q, first, stop))


def touched(s: Sizing, _op: Piece) -> tuple[Word, ...]:
    """The indices that a step speaks of."""
    return (s.runs.last,)


SUBJECT = Subject(
    "handoff.size",
    Sizing,
    (size,),
    WELL_FORMED,
    (),
    INVARIANTS,
    touched,
    lambda: LEMMAS.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)
