"""What is true of a search for the region, and what each step of it makes true."""

from spec.handoff.reserve import Look, Searching, reserve
from spec.handoff.saying import BY_INDUCTION, a_number, but, cases, first_reason, unchanged
from spec.handoff.words import BLOCK, Answer, meets
from spec.invariant import Moment, invariant
from spec.prove.lemma import Lemmas
from spec.prove.matrix import Subject
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
    pick,
    remainder,
    sum_of,
)

CITE = handoff("stage 3")
LEMMAS = Lemmas("handoff.reserve")


def runs_are_in_order(s: Searching, q: Word) -> Bool:
    """Runs are not empty, in order, and do not touch, as stage 2 leaves them."""
    return all_of(s.runs.apart(q), s.runs.is_filled(q))


def the_search_is_within_its_lists(s: Searching, q: Word) -> Bool:
    """Only runs that there are are looked at, and what is taken, of pages, is passed one by one."""
    pages = implies(s.taken.has(q), at_most(0, s.taken.firsts.at(q)))
    return all_of(at_most(s.left, s.runs.count), at_most(s.passed, s.taken.count), pages)


def the_region_is_whole_blocks(s: Searching, q: Word) -> Bool:
    """What is searched for is a place for a number of 2 MiB blocks."""
    return remainder(s.need, BLOCK) == 0


def the_ceiling_is_in_its_run(s: Searching, q: Word) -> Bool:
    """No place that is looked at goes past the end of its run."""
    return implies(
        s.left != 0, all_of(at_most(0, s.ceiling), at_most(s.ceiling, s.runs.stops.at(s.run)))
    )


def what_is_passed_is_not_met(s: Searching, q: Word) -> Bool:
    """The place that is looked at meets nothing of what has been passed."""
    met = meets(s.place, s.place_stop, s.taken.firsts.at(q), s.taken.stops.at(q))
    return implies(all_of(at_most(0, q), below(q, s.passed)), negate(met))


def what_is_found_is_free(s: Searching, q: Word) -> Bool:
    """A region that is found is aligned, in one run, and meets nothing taken; or it is empty."""
    met = meets(s.first, s.stop, s.taken.firsts.at(q), s.taken.stops.at(q))
    inside = all_of(
        s.runs.has(s.run),
        at_most(s.runs.firsts.at(s.run), s.first),
        at_most(s.stop, s.runs.stops.at(s.run)),
    )
    place = all_of(
        remainder(s.first, BLOCK) == 0,
        s.stop == sum_of(s.first, s.need),
        inside,
        implies(s.taken.has(q), negate(met)),
    )
    empty = all_of(s.first == 0, s.stop == 0)
    return implies(s.found, pick(s.need == 0, empty, place))


WELL_FORMED = (
    runs_are_in_order,
    the_search_is_within_its_lists,
    the_region_is_whole_blocks,
    the_ceiling_is_in_its_run,
    what_is_passed_is_not_met,
    what_is_found_is_free,
)


@invariant(cite=CITE, rules=(reserve,), given=BY_INDUCTION)
def only_a_place_ends_the_search(m: Moment, q: Word) -> Bool:
    """A search that goes on has found nothing; what it was given stays as it is."""
    s, after = m.before, m.after
    ended = any_of(s.need == 0, all_of(below(0, s.left), after.stop != 0))
    return all_of(implies(after.found, ended), but(m, q, *STEERED))


STEERED = ("left", "ceiling", "passed", "found", "first", "stop")


@invariant(cite=CITE, rules=(reserve,), given=BY_INDUCTION, on=cases("none_needed", "reserved"))
def a_search_that_ends_has_found(m: Moment, q: Word) -> Bool:
    """Where no pages are needed, or a place is free, the search has come to its end."""
    return m.after.found


@invariant(cite=CITE, rules=(reserve,), given=BY_INDUCTION)
def a_search_is_refused_when_no_run_is_left(m: Moment, q: Word) -> Bool:
    """There is no room exactly where pages are needed and every run has been given up."""
    out = all_of(below(0, m.before.need), negate(below(0, m.before.left)))
    return first_reason(m.outcome, (Answer.NO_ROOM, out))


@invariant(cite=CITE, rules=(reserve,), on="refused", given=BY_INDUCTION)
def a_refusal_changes_nothing(m: Moment, q: Word) -> Bool:
    """After a refusal everything is as it was."""
    return unchanged(m, q)


INVARIANTS = (
    only_a_place_ends_the_search,
    a_search_that_ends_has_found,
    a_search_is_refused_when_no_run_is_left,
    a_refusal_changes_nothing,
)


def near(s: Searching, _op: Look) -> tuple[Word, ...]:
    """The indices that a step speaks of."""
    return s.run, less(s.left, 2), s.passed


SUBJECT = Subject(
    "handoff.reserve",
    Searching,
    (reserve,),
    WELL_FORMED,
    (),
    INVARIANTS,
    near,
    lambda: LEMMAS.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)
