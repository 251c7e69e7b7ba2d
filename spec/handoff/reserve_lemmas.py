"""The search for the region finds the highest place, wherever there is one, and ends.

Whatever place there is, it is never above the ceiling of the run that is looked at, nor in a run
that has been given up. So what is found is the highest, and where nothing is found there was
nothing.
"""

from collections.abc import Sequence

from spec.assumptions import INDUCTION
from spec.handoff.reserve import Searching, reserve, search
from spec.handoff.reserve_claims import CITE, SUBJECT, WELL_FORMED, near
from spec.handoff.saying import BY_INDUCTION, shares_a_page
from spec.handoff.words import BLOCK, NONE, Spans
from spec.prove.lemma import Lemmas, must
from spec.prove.matrix import enabled, situation, well_formed
from spec.prove.obligation import Query
from spec.prove.world import Symbolic, World, record
from spec.rule import taken
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
    sum_of,
)

LEMMAS = Lemmas("handoff.reserve")


def in_order(runs: Spans, low: Word, high: Word) -> Bool:
    """A run ends where a later one starts, or before (`runs_are_in_order_from_end_to_end`)."""
    before = all_of(at_most(0, low), below(low, high), below(high, runs.count))
    return implies(before, below(runs.stops.at(low), runs.firsts.at(high)))


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def runs_are_in_order_from_end_to_end(world: World) -> Query:
    """Of any two runs the one that comes first ends first: by induction over what is between."""
    runs = record(world, Spans, "runs")
    low, high = world.number("low"), world.number("high")
    behind = sum_of(high, 1)
    known = [runs.apart(q) for q in (low, high)] + [runs.is_filled(q) for q in (low, high, behind)]
    step = implies(in_order(runs, low, high), in_order(runs, low, behind))
    first = in_order(runs, low, sum_of(low, 1))
    return must([*world.facts(()), *known], step, first, given=below(low, high))


def is_place(s: Searching, place: Word, index: Word) -> list[Bool]:
    """A place would do: aligned, in a run, and meeting nothing taken where that is looked at."""
    taken_first, taken_stop = s.taken.firsts.at(s.passed), s.taken.stops.at(s.passed)
    met = shares_a_page(place, sum_of(place, s.need), taken_first, taken_stop)
    return [
        below(0, s.need),
        remainder(place, BLOCK) == 0,
        s.runs.has(index),
        at_most(s.runs.firsts.at(index), place),
        at_most(sum_of(place, s.need), s.runs.stops.at(index)),
        implies(s.taken.has(s.passed), negate(met)),
    ]


def may_still_be(s: Searching, place: Word, index: Word) -> Bool:
    """A place is not passed over: its run is left, and where looked at, under the ceiling."""
    under = at_most(sum_of(place, s.need), s.ceiling)
    return all_of(below(index, s.left), implies(index == s.run, under))


def _searching(world: World, name: str) -> tuple[Searching, Searching, Word, Word, list[Bool]]:
    """A step that takes the case `name`, a place that would do, and what is supposed of both."""
    s, op, cases_ = situation(SUBJECT, reserve, world)
    place, index = world.number("place"), world.number("index")
    after = next(case.state for case in cases_ if case.name == name)
    supposed = [
        taken(cases_, name),
        *enabled(reserve, s, op),
        *well_formed(SUBJECT, s, world, [index, *near(s, op)]),
        *world.facts(()),
    ]
    return s, after, place, index, supposed


def _names() -> Sequence[str]:
    return [case.name for case in situation(SUBJECT, reserve, Symbolic())[2]]


def _no_place_is_passed_over(name: str) -> None:
    @LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction", of=name)
    def no_place_is_passed_over(world: World) -> Query:
        """Whatever place would do, it is still to be looked at after a step that finds none."""
        s, after, place, index, supposed = _searching(world, name)
        supposed += [*is_place(s, place, index), may_still_be(s, place, index)]
        return must(supposed, may_still_be(after, place, index))


def _every_step_gets_nearer_the_end(name: str) -> None:
    @LEMMAS.lemma(CITE, method="measure", of=name)
    def every_step_gets_nearer_the_end(world: World) -> Query:
        """Runs left, or the ceiling, or what is to be passed gets less, in this order: it ends."""
        s, after, _, _, supposed = _searching(world, name)
        (runs, ceiling, rest), (fewer, lower, less_) = s.measure, after.measure
        nearer = any_of(
            below(fewer, runs),
            all_of(fewer == runs, below(lower, ceiling)),
            all_of(fewer == runs, lower == ceiling, below(less_, rest)),
        )
        natural = all_of(at_most(0, fewer), at_most(0, less_))
        return must(supposed, nearer, natural)


for _name in ("exhausted", "meets", "passes"):
    _no_place_is_passed_over(_name)
    _every_step_gets_nearer_the_end(_name)


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def every_place_is_still_to_be_looked_at_at_first(world: World) -> Query:
    """At the start no place has been passed over, and all that is true of a search is true."""
    runs, excluded = record(world, Spans, "runs"), record(world, Spans, "excluded")
    kernel = world.number("kernel_first"), world.number("kernel_stop")
    s, q = search(world.number("bitmaps"), runs, excluded, kernel), world.number("q")
    place, index = world.number("place"), world.number("index")
    points = (q, index, s.run)
    known = [sentence for p in points for sentence in (runs.apart(p), runs.is_filled(p))]
    known += [implies(excluded.has(q), at_most(0, excluded.firsts.at(q)))]
    would_do = all_of(*is_place(s, place, index))
    said = [sentence(s, q) for sentence in WELL_FORMED]
    return must([*world.facts(()), *known], implies(would_do, may_still_be(s, place, index)), *said)


@LEMMAS.lemma(CITE, given=(INDUCTION,))
def what_is_found_is_the_highest(world: World) -> Query:
    """No place that would do is above the one that is found."""
    s, after, place, index, supposed = _searching(world, "reserved")
    supposed += [may_still_be(s, place, index), in_order(s.runs, index, s.run)]
    return must([*supposed, *is_place(s, place, index)[:5]], at_most(place, after.first))


@LEMMAS.lemma(CITE, given=(INDUCTION,))
def where_there_is_a_place_there_is_room(world: World) -> Query:
    """Where any place would do, the search is not refused: then no place can be left."""
    s, _, place, index, supposed = _searching(world, "no_room")
    would_do = all_of(*is_place(s, place, index))
    return must(supposed, negate(all_of(would_do, may_still_be(s, place, index))))


@LEMMAS.lemma(CITE)
def the_region_has_room_for_the_bitmaps(world: World) -> Query:
    """The region is as large as the bitmaps, rounded up to whole blocks of 2 MiB and no more."""
    bitmaps = world.number("bitmaps")
    need = search(bitmaps, NONE, NONE, (bitmaps, bitmaps)).need
    room = all_of(at_most(bitmaps, need), below(need, sum_of(bitmaps, BLOCK)))
    return must(world.facts(()), room, remainder(need, BLOCK) == 0)


@LEMMAS.lemma(CITE)
def two_places_that_start_apart_are_told_apart(world: World) -> Query:
    """Aligned places below one ceiling are at or below the highest aligned place below it."""
    s = record(world, Searching, "s")
    place = world.number("place")
    aligned = [remainder(place, BLOCK) == 0, remainder(s.need, BLOCK) == 0]
    fits = at_most(sum_of(place, s.need), s.ceiling)
    return must([*world.facts(()), *aligned], at_most(place, s.place), given=fits)


@LEMMAS.lemma(CITE)
def the_region_meets_neither_kernel_nor_excluded(world: World) -> Query:
    """What meets nothing that is taken meets neither the kernel nor any excluded range."""
    runs, excluded = record(world, Spans, "runs"), record(world, Spans, "excluded")
    kernel = world.number("kernel_first"), world.number("kernel_stop")
    first, stop, q = world.number("first"), world.number("stop"), world.number("q")
    taken_ = search(world.number("bitmaps"), runs, excluded, kernel).taken

    def met(index: Word) -> Bool:
        return shares_a_page(first, stop, taken_.firsts.at(index), taken_.stops.at(index))

    free = [implies(taken_.has(i), negate(met(i))) for i in (q, excluded.count)]
    other = shares_a_page(first, stop, excluded.firsts.at(q), excluded.stops.at(q))
    apart = implies(excluded.has(q), negate(other))
    return must([*world.facts(()), *free], negate(shares_a_page(first, stop, *kernel)), apart)
