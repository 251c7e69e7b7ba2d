"""What is true of the region while it is made ready, and what each step of that makes true."""

from spec.handoff.saying import BY_INDUCTION, a_number, but, cases, first_reason, unchanged
from spec.handoff.validate import FAIL_SIZEMISMATCH, Machine, Readying, start, validate
from spec.handoff.words import BLOCK, Answer
from spec.invariant import Moment, invariant
from spec.prove.lemma import Lemmas, must
from spec.prove.matrix import Subject, enabled, situation, well_formed
from spec.prove.obligation import Query
from spec.prove.world import World
from spec.rule import taken
from spec.sources import apm2, handoff
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
    remainder,
    same,
    sum_of,
    within,
)

CITE = handoff("stage 5")
RMP = apm2("15.36.6")
LEMMAS = Lemmas("handoff.validate")


def the_region_is_whole_blocks(s: Readying, q: Word) -> Bool:
    """The region starts and ends where a block does, and so does what is asked for or split."""
    edges = (s.first, s.stop, s.asked, s.singly_stop)
    return all_of(at_most(s.first, s.stop), *(remainder(edge, BLOCK) == 0 for edge in edges))


def the_work_is_within_the_region(s: Readying, q: Word) -> Bool:
    """Nothing is asked for, and nothing validated, outside the region."""
    places = (s.asked, s.next, s.singly_stop)
    return all_of(*(all_of(at_most(s.first, at), at_most(at, s.stop)) for at in places))


def a_block_is_begun_at_its_start(s: Readying, q: Word) -> Bool:
    """A page in the middle of a block is next only where that block is validated page by page."""
    left = less(s.singly_stop, s.next)
    return any_of(remainder(s.next, BLOCK) == 0, all_of(below(0, left), at_most(left, BLOCK)))


def at_most_one_block_is_split(s: Readying, q: Word) -> Bool:
    """What is validated page by page ends with the block that the next page is in."""
    return at_most(s.singly_stop, sum_of(s.next, BLOCK))


def all_is_private_before_anything_is_validated(s: Readying, q: Word) -> Bool:
    """Until the whole region is private nothing is validated, where memory is shared."""
    waits = all_of(s.shared, below(s.asked, s.stop))
    return implies(waits, all_of(s.next == s.first, s.singly_stop == s.first))


def a_page_is_private_if_it_was_asked_for(s: Readying, q: Word) -> Bool:
    """Exactly the pages below the one that is asked for next are private."""
    return same(s.private.has(q), within(q, s.first, s.asked))


def a_page_is_validated_if_it_is_passed(s: Readying, q: Word) -> Bool:
    """Exactly the pages below the next one have been validated, and each of them zeroed."""
    passed = within(q, s.first, s.next)
    return all_of(same(s.validated.has(q), passed), same(s.zeroed.has(q), passed))


def ready_is_when_all_is_done(s: Readying, q: Word) -> Bool:
    """Only when every page has been passed is the region ready."""
    return implies(s.ready, s.next == s.stop)


WELL_FORMED = (
    the_region_is_whole_blocks,
    the_work_is_within_the_region,
    a_block_is_begun_at_its_start,
    at_most_one_block_is_split,
    all_is_private_before_anything_is_validated,
    a_page_is_private_if_it_was_asked_for,
    a_page_is_validated_if_it_is_passed,
    ready_is_when_all_is_done,
)
PASSED = cases("page", "block")


@invariant(cite=CITE, rules=(validate,), given=BY_INDUCTION)
def an_answer_names_the_first_reason(m: Moment, q: Word) -> Bool:
    """The host is asked first; a page that PVALIDATE does not newly validate refuses all."""
    s, op = m.before, m.op
    asks = all_of(s.shared, below(s.asked, s.stop))
    works = all_of(negate(asks), below(s.next, s.stop))
    splits = all_of(op.code == FAIL_SIZEMISMATCH, at_most(s.singly_stop, s.next))
    fails = any_of(negate(op.code == 0), op.carry)
    return first_reason(
        m.outcome,
        (Answer.NOT_PRIVATE, all_of(asks, op.refuses)),
        (Answer.NOT_VALIDATED, all_of(works, fails, negate(splits))),
    )


@invariant(cite=RMP, rules=(validate,), given=BY_INDUCTION, on=PASSED)
def no_page_is_validated_twice(m: Moment, q: Word) -> Bool:
    """A page that PVALIDATE is executed on has not been validated before (RESERVE-VALID-ONCE)."""
    executed = within(q, m.before.next, m.after.next)
    newly = all_of(negate(m.before.validated.has(q)), m.after.validated.has(q))
    fixed = but(m, q, "next", "validated", "zeroed")
    kept = implies(negate(executed), same(m.after.validated.has(q), m.before.validated.has(q)))
    return all_of(implies(executed, newly), kept, below(m.before.next, m.after.next), fixed)


@invariant(cite=CITE, rules=(validate,), given=BY_INDUCTION, on=PASSED)
def only_a_page_of_the_region_is_validated(m: Moment, q: Word) -> Bool:
    """What is validated and zeroed in a step is of the region, whatever the size of the step."""
    newly = all_of(m.after.validated.has(q), negate(m.before.validated.has(q)))
    zeroed = all_of(m.after.zeroed.has(q), negate(m.before.zeroed.has(q)))
    return implies(any_of(newly, zeroed), within(q, m.before.first, m.before.stop))


@invariant(cite=CITE, rules=(validate,), given=BY_INDUCTION, on=PASSED)
def a_page_is_private_before_it_is_validated(m: Moment, q: Word) -> Bool:
    """Where memory is shared until the host is asked, it has been asked (PSC-ORDER)."""
    newly = all_of(m.after.validated.has(q), negate(m.before.validated.has(q)))
    return implies(all_of(newly, m.before.shared), m.before.private.has(q))


@invariant(cite=CITE, rules=(validate,), given=BY_INDUCTION, on=PASSED)
def a_validated_page_is_zeroed(m: Moment, q: Word) -> Bool:
    """What has been validated has been zeroed, and nothing that is not validated is written to."""
    return same(m.after.zeroed.has(q), m.after.validated.has(q))


@invariant(cite=CITE, rules=(validate,), given=BY_INDUCTION, on=cases("ready"))
def the_region_is_ready_whole(m: Moment, q: Word) -> Bool:
    """In the end exactly the region's pages are validated and zeroed (RESERVE-VALID-ONCE)."""
    inside = within(q, m.after.first, m.after.stop)
    done = all_of(same(m.after.validated.has(q), inside), same(m.after.zeroed.has(q), inside))
    private = implies(m.after.shared, same(m.after.private.has(q), inside))
    return all_of(m.after.ready, done, private, but(m, q, "ready"))


@invariant(cite=CITE, rules=(validate,), given=BY_INDUCTION, on=cases("private"))
def the_host_is_asked_for_each_block_once(m: Moment, q: Word) -> Bool:
    """A block that becomes private was not before, is of the region, and nothing else changes."""
    newly = within(q, m.before.asked, m.after.asked)
    was = m.before.private.has(q)
    of_region = within(q, m.before.first, m.before.stop)
    asked = implies(newly, all_of(negate(was), of_region))
    private = same(m.after.private.has(q), any_of(was, newly))
    return all_of(
        asked,
        private,
        m.after.asked == sum_of(m.before.asked, BLOCK),
        but(m, q, "asked", "private"),
    )


@invariant(cite=RMP, rules=(validate,), given=BY_INDUCTION, on=cases("size_mismatch"))
def a_mismatch_of_sizes_changes_no_page(m: Moment, q: Word) -> Bool:
    """Where the RMP holds smaller entries the block is done page by page (SIZE-AGNOSTIC)."""
    split = m.after.singly_stop == sum_of(m.before.next, BLOCK)
    return all_of(split, but(m, q, "singly_stop"))


@invariant(cite=CITE, rules=(validate,), on="refused", given=BY_INDUCTION)
def a_refusal_changes_nothing(m: Moment, q: Word) -> Bool:
    """A page that cannot be had is neither validated nor zeroed; the rest stays as it is."""
    return unchanged(m, q)


INVARIANTS = (
    an_answer_names_the_first_reason,
    no_page_is_validated_twice,
    only_a_page_of_the_region_is_validated,
    a_page_is_private_before_it_is_validated,
    a_validated_page_is_zeroed,
    the_region_is_ready_whole,
    the_host_is_asked_for_each_block_once,
    a_mismatch_of_sizes_changes_no_page,
    a_refusal_changes_nothing,
)


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def all_of_it_is_true_before_the_first_step(world: World) -> Query:
    """What is true of a region that is made ready is true of whole blocks before anything is."""
    first, stop, q = (world.number(name) for name in ("first", "stop", "q"))
    s = start((first, stop), world.flag("shared"), world.marks("nothing").emptied())
    blocks = [remainder(first, BLOCK) == 0, remainder(stop, BLOCK) == 0, at_most(first, stop)]
    return must([*world.facts(()), *blocks], *(sentence(s, q) for sentence in WELL_FORMED))


def _every_step_gets_nearer_the_end(name: str) -> None:
    @LEMMAS.lemma(CITE, method="measure", of=name)
    def every_step_gets_nearer_the_end(world: World) -> Query:
        """Blocks to be asked for, or pages, or blocks not yet split get less, in this order."""
        s, op, cases_ = situation(SUBJECT, validate, world)
        after = next(case.state for case in cases_ if case.name == name)
        supposed = [
            taken(cases_, name),
            *enabled(validate, s, op),
            *well_formed(SUBJECT, s, world, [*touched(s, op)]),
            *world.facts(()),
        ]
        (asked, pages, whole), (fewer, less_, split) = s.measure, after.measure
        nearer = any_of(
            below(fewer, asked),
            all_of(fewer == asked, below(less_, pages)),
            all_of(fewer == asked, less_ == pages, below(split, whole)),
        )
        natural = all_of(at_most(0, fewer), at_most(0, less_), at_most(0, split))
        return must(supposed, nearer, natural)


def touched(s: Readying, _op: Machine) -> tuple[Word, ...]:
    """The page that a step speaks of."""
    return (s.next,)


SUBJECT = Subject(
    "handoff.validate",
    Readying,
    (validate,),
    WELL_FORMED,
    (),
    INVARIANTS,
    touched,
    lambda: LEMMAS.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)

for _name in ("private", "size_mismatch", "page", "block"):
    _every_step_gets_nearer_the_end(_name)
