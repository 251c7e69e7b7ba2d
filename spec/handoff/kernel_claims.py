"""What is true of what is known of the kernel, and what each step of placing it makes true."""

from spec.handoff.reserve import Placing, kernel, start
from spec.handoff.saying import BY_INDUCTION, a_number, cases, first_reason, unchanged
from spec.handoff.words import Answer, Kind, Piece, meets
from spec.invariant import Moment, invariant
from spec.prove.lemma import Lemmas, must
from spec.prove.matrix import Subject
from spec.prove.obligation import Query
from spec.prove.world import World
from spec.sources import handoff
from spec.terms import Bool, Word, all_of, any_of, at_most, below, implies, less, negate, sum_of

CITE = handoff("stage 3")
LEMMAS = Lemmas("handoff.kernel")


def seen_at(s: Placing, q: Word) -> tuple[Word, Word, Word]:
    """The kind and range of what was seen, by index."""
    return s.seen.kinds.at(q), s.seen.firsts.at(q), s.seen.stops.at(q)


def the_size_is_between_its_bounds(s: Placing, q: Word) -> Bool:
    """Whatever the host says, the kernel has its least size or more, its greatest or less."""
    bounds = all_of(at_most(s.least, s.size), at_most(s.size, s.greatest))
    return implies(at_most(s.least, s.greatest), bounds)


def the_size_is_that_of_the_first_entry_to_say(s: Placing, q: Word) -> Bool:
    """The first HIDDEN entry that starts at the base says the size; where none does, it is least.

    CLAMP-MEASURED: what it says is taken up to the bounds.
    """
    kind, first, stop = seen_at(s, s.sizer)
    said = all_of(s.seen.has(s.sizer), s.sizes(kind, first), s.size == s.clamped(less(stop, first)))
    says = all_of(s.seen.has(q), s.sizes(*seen_at(s, q)[:2]))
    return all_of(
        implies(s.sized, said),
        implies(negate(s.sized), s.size == s.least),
        implies(says, all_of(s.sized, at_most(s.sizer, q))),
    )


def the_home_is_what_reaches_furthest(s: Placing, q: Word) -> Bool:
    """No run or HIDDEN entry with the base in it ends past what is noted, and one ends there."""
    houses = all_of(s.seen.has(q), s.houses(*seen_at(s, q)))
    home = all_of(s.seen.has(s.home), s.houses(*seen_at(s, s.home)))
    known = all_of(home, s.seen.stops.at(s.home) == s.reach)
    return all_of(
        implies(houses, at_most(s.seen.stops.at(q), s.reach)),
        any_of(s.reach == 0, known),
    )


def the_rival_is_the_nearest_excluded(s: Placing, q: Word) -> Bool:
    """No excluded range that ends past the base starts before what is noted, and one does there."""
    threatens = all_of(s.seen.has(q), s.threatens(*seen_at(s, q)))
    rival = all_of(s.seen.has(s.rival), s.threatens(*seen_at(s, s.rival)))
    return all_of(
        implies(threatens, all_of(s.is_near, at_most(s.nearest, s.seen.firsts.at(q)))),
        implies(s.is_near, all_of(rival, s.seen.firsts.at(s.rival) == s.nearest)),
    )


WELL_FORMED = (
    the_size_is_between_its_bounds,
    the_size_is_that_of_the_first_entry_to_say,
    the_home_is_what_reaches_furthest,
    the_rival_is_the_nearest_excluded,
)


def bad_bounds(s: Placing) -> Bool:
    """The measured bounds make no sense."""
    return any_of(
        negate(below(0, s.least)),
        negate(at_most(s.least, s.greatest)),
        negate(at_most(sum_of(s.base, s.greatest), s.limit)),
    )


def is_home(s: Placing, q: Word) -> Bool:
    """What was seen with an index is a run or a HIDDEN entry that has the whole kernel in it."""
    kind, first, stop = seen_at(s, q)
    kinds = any_of(kind == Kind.HIDDEN, kind == Kind.MEMORY)
    return all_of(
        s.seen.has(q), kinds, at_most(first, s.base), at_most(sum_of(s.base, s.size), stop)
    )


def is_met(s: Placing, q: Word) -> Bool:
    """What was seen with an index is excluded, and meets the kernel."""
    kind, first, stop = seen_at(s, q)
    return all_of(
        s.seen.has(q),
        kind == Kind.EXCLUDED,
        meets(s.base, sum_of(s.base, s.size), first, stop),
    )


@invariant(cite=CITE, rules=(kernel,), given=BY_INDUCTION)
def an_answer_names_the_first_reason(m: Moment, q: Word) -> Bool:
    """The answer is the first reason for which the kernel's place is refused, at the end."""
    s, ends = m.before, m.op.ends
    inside, met = is_home(s, s.home), is_met(s, s.rival)
    outside = any_of(s.reach == 0, negate(inside))
    return first_reason(
        m.outcome,
        (Answer.BAD_KERNEL_BOUNDS, all_of(ends, bad_bounds(s))),
        (Answer.KERNEL_OUTSIDE, all_of(ends, outside)),
        (Answer.KERNEL_MEETS_EXCLUDED, all_of(ends, s.is_near, met)),
    )


@invariant(cite=CITE, rules=(kernel,), given=BY_INDUCTION, on=cases("placed"))
def a_kernel_is_at_home_and_meets_nothing_excluded(m: Moment, q: Word) -> Bool:
    """A kernel is inside one run or HIDDEN entry, below the limit, and meets nothing excluded."""
    s = m.before
    first, stop = m.value
    told = all_of(first == s.base, stop == sum_of(s.base, s.size), below(first, stop))
    safe = all_of(is_home(s, s.home), negate(is_met(s, q)), at_most(stop, s.limit))
    bounds = all_of(at_most(s.least, less(stop, first)), at_most(less(stop, first), s.greatest))
    return all_of(told, safe, bounds, unchanged(m, q))


@invariant(cite=CITE, rules=(kernel,), given=BY_INDUCTION, on=cases("kernel_outside"))
def a_kernel_told_outside_has_no_home(m: Moment, q: Word) -> Bool:
    """Where a kernel is told to be outside, nothing that was seen has all of it."""
    return negate(is_home(m.before, q))


@invariant(cite=CITE, rules=(kernel,), given=BY_INDUCTION, on=cases("kernel_meets_excluded"))
def a_kernel_told_to_meet_does(m: Moment, q: Word) -> Bool:
    """Where a kernel is told to meet an excluded range, there is one that it meets."""
    return is_met(m.before, m.before.rival)


@invariant(
    cite=CITE,
    rules=(kernel,),
    given=BY_INDUCTION,
    on=cases("sizes", "houses", "threatens", "passes"),
)
def the_measured_bounds_are_never_changed(m: Moment, q: Word) -> Bool:
    """Nothing that the host says changes limit, base or bounds; all that is seen is remembered."""
    s, seen = m.before, m.after.seen
    fixed = [getattr(m.after, n) == getattr(s, n) for n in ("limit", "base", "least", "greatest")]
    put = all_of(
        seen.count == sum_of(s.seen.count, 1),
        seen.firsts.at(s.seen.count) == m.op.first,
        seen.stops.at(s.seen.count) == m.op.stop,
        seen.kinds.at(s.seen.count) == m.op.kind,
    )
    return all_of(*fixed, put)


@invariant(cite=CITE, rules=(kernel,), on="refused", given=BY_INDUCTION)
def a_refusal_changes_nothing(m: Moment, q: Word) -> Bool:
    """After a refusal everything is as it was."""
    return unchanged(m, q)


INVARIANTS = (
    an_answer_names_the_first_reason,
    a_kernel_is_at_home_and_meets_nothing_excluded,
    a_kernel_told_outside_has_no_home,
    a_kernel_told_to_meet_does,
    the_measured_bounds_are_never_changed,
    a_refusal_changes_nothing,
)


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def all_of_it_is_true_before_anything_is_seen(world: World) -> Query:
    """What is true of a kernel's place is true where nothing has been seen."""
    numbers = [world.number(name) for name in ("limit", "base", "least", "greatest")]
    s, q = start(*numbers), world.number("q")
    return must(world.facts(()), *(sentence(s, q) for sentence in WELL_FORMED))


def touched(s: Placing, _op: Piece) -> tuple[Word, ...]:
    """The indices that a step speaks of."""
    return s.sizer, s.home, s.rival


SUBJECT = Subject(
    "handoff.kernel",
    Placing,
    (kernel,),
    WELL_FORMED,
    (),
    INVARIANTS,
    touched,
    lambda: LEMMAS.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)
