"""What sequences of steps on the validation bitmap amount to, and what counting means.

Assumes: `serial-steps`, `induction`, `counting`, `least-element`.
Proves: a claim after a claim is refused; claim and release undo each other; a 2 MiB page is its
512 pages of 4 KiB and a range is its pages, taken one after another; what was exported and is
imported again is what was; a count is the size of the set. All of it for every number of pages.
"""

from spec.assumptions import COUNTING, INDUCTION, SERIAL_STEPS
from spec.pages import Pages
from spec.prove.lemma import Lemmas, must
from spec.prove.obligation import Query
from spec.prove.world import World, everywhere, record
from spec.rule import Case, Rule, taken
from spec.sources import apm2, coconut_pull, decision, definition
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    bit,
    bits_and,
    implies,
    minus,
    negate,
    pick,
    plus,
    same,
    shift_left,
    shift_right,
    within,
)
from spec.validation.bitmap import (
    AREA,
    PAGE_2M,
    PAGE_4K,
    PAGE_SHIFT,
    At,
    Between,
    Bitmap,
    Import,
    claim_2m,
    claim_4k,
    claim_range,
    export_words,
    gfn,
    import_words,
    release_2m,
    release_4k,
    release_range,
    touched,
)
from spec.validation.bitmap_claims import WELL_FORMED, no_number_past_the_region_is_claimed

LEMMAS = Lemmas(AREA)

PAIRS = ((claim_4k, release_4k), (claim_2m, release_2m), (claim_range, release_range))
REFUSED_CLAIM = {claim_4k: "already_claimed", claim_2m: "all_claimed", claim_range: "all_claimed"}
REFUSED_RELEASE = {
    release_4k: "not_claimed",
    release_2m: "none_claimed",
    release_range: "none_claimed",
}


def arbitrary(world: World) -> Bitmap:
    """An arbitrary bitmap."""
    return record(world, Bitmap, "s")  # type: ignore[no-any-return]


def is_well_formed(world: World, s: Bitmap, points: list[Word]) -> list[Bool]:
    """What is true of a bitmap between steps, looked at at `points`."""
    return everywhere(WELL_FORMED, s, world, points)


def named(cases: tuple[Case, ...], name: str) -> Case:
    """The case called `name`."""
    return next(case for case in cases if case.name == name)


def again(claim: Rule, refused: str, accepted: str) -> None:
    """State that after an accepted step the same step is refused."""

    @LEMMAS.lemma(apm2("15.36.6"), given=(SERIAL_STEPS,), of=claim.name)
    def the_same_step_again_is_refused(world: World) -> Query:
        """After a claim the same claim is refused, and after a release the same release."""
        s, op, p = arbitrary(world), record(world, claim.operands, "op"), world.word("p")
        first = claim(s, op)
        second = claim(named(first, accepted).state, op)
        answered = all_of(*[taken(second, refused)])
        points = [p, *touched(s, op)]
        hypotheses = [taken(first, accepted), *is_well_formed(world, s, points)]
        return must([*hypotheses, *world.facts(points)], answered)


def undone(do: Rule, undo: Rule, accepted: str, then: str) -> None:
    """State that `undo` is accepted after `do` and restores what was."""

    @LEMMAS.lemma(apm2("15.36.6"), given=(SERIAL_STEPS,), of=f"{do.name},{undo.name}")
    def what_is_done_is_undone(world: World) -> Query:
        """Claim then release, or release then claim, is accepted and leaves what was."""
        s, op, p = arbitrary(world), record(world, do.operands, "op"), world.word("p")
        first = do(s, op)
        second = undo(named(first, accepted).state, op)
        back = named(second, then).state.claimed.has(p)
        goals = (taken(second, then), same(back, s.claimed.has(p)))
        points = [p, *touched(s, op)]
        hypotheses = [taken(first, accepted), *is_well_formed(world, s, points)]
        return must([*hypotheses, *world.facts(points)], *goals)


for _claim, _release in PAIRS:
    again(_claim, REFUSED_CLAIM[_claim], "unclaimed")
    again(_release, REFUSED_RELEASE[_release], "claimed")
    undone(_claim, _release, "unclaimed", "claimed")
    undone(_release, _claim, "claimed", "unclaimed")


# A large step is its pages, one after another


def ends(op: At | Between) -> tuple[Word, Word]:
    """The byte range that a 2 MiB step or a range step asks for."""
    return (op.gpa, plus(op.gpa, PAGE_2M)) if isinstance(op, At) else (op.first, op.stop)


def page_by_page(large: Rule, small: Rule, accepted: str, refused: str, made: bool) -> None:
    """State that the step `large` is `small` on each of its pages in turn."""
    of = f"{large.name},{small.name}"
    given = (SERIAL_STEPS, INDUCTION)

    @LEMMAS.lemma(decision("0003-mixed-2m"), given=given, method="induction", of=of)
    def each_page_is_accepted_in_turn(world: World) -> Query:
        """Where the large step is accepted and the pages before are done, the next is accepted.

        With the pages before it done at the start (there are none) and each round doing one more,
        all are done at the end; and then the state is the one that the large step leaves.
        """
        s, op, p = arbitrary(world), record(world, large.operands, "op"), world.word("p")
        first, stop = ends(op)
        at = world.word("at")
        done = s.marked(first, at, made)
        cases = small(done, At(at))
        after = named(cases, accepted).state.claimed.has(p)
        wanted = s.marked(first, plus(at, PAGE_4K), made).claimed.has(p)
        large_cases = large(s, op)
        is_next = all_of(within(at, first, stop), bits_and(at, PAGE_4K - 1) == 0)
        points = [p, *touched(s, op), gfn(at)]
        hypotheses = [
            taken(large_cases, accepted),
            *is_well_formed(world, s, points),
            *world.facts(points),
        ]
        return must(hypotheses, taken(cases, accepted), same(after, wanted), given=is_next)

    @LEMMAS.lemma(decision("0003-mixed-2m"), given=given, of=of)
    def all_pages_done_is_the_large_step(world: World) -> Query:
        """With all its pages done the state is the one that the large step leaves."""
        s, op, p = arbitrary(world), record(world, large.operands, "op"), world.word("p")
        cases = large(s, op)
        all_done = s.marked(*ends(op), made).claimed.has(p)
        points = [p, *touched(s, op)]
        hypotheses = [
            taken(cases, accepted),
            *is_well_formed(world, s, points),
            *world.facts(points),
        ]
        return must(hypotheses, same(named(cases, accepted).state.claimed.has(p), all_done))

    @LEMMAS.lemma(decision("0003-mixed-2m"), given=given, of=of)
    def some_page_is_refused_where_the_large_step_is(world: World) -> Query:
        """Where the large step is refused for its bits, one of its pages is refused in its turn."""
        s, op = arbitrary(world), record(world, large.operands, "op")
        first, stop = ends(op)
        cases = large(s, op)
        clean = s.claimed.none if made else s.claimed.all
        span = gfn(first), gfn(stop)
        is_clean = clean(*span)
        at = world.word("at")
        done = s.marked(first, at, made)
        refusing = taken(small(done, At(at)), refused)
        is_page = all_of(within(at, first, stop), bits_and(at, PAGE_4K - 1) == 0)
        dirty = same(s.claimed.has(gfn(at)), made)
        points = [world.word("p"), *touched(s, op), gfn(at)]
        hypotheses = [
            any_of(*(taken(cases, name) for name in ("mixed", large_refusal(large)))),
            *is_well_formed(world, s, points),
            *world.facts(points),
        ]
        # Some page is dirty: were the range clean, the large step would not have been refused.
        return must(hypotheses, negate(is_clean), implies(all_of(is_page, dirty), refusing))


def large_refusal(large: Rule) -> str:
    """The name of the case in which no page of a large step can be taken."""
    return {**REFUSED_CLAIM, **REFUSED_RELEASE}[large]


for _large, _made in (
    (claim_2m, True),
    (claim_range, True),
    (release_2m, False),
    (release_range, False),
):
    page_by_page(
        _large,
        claim_4k if _made else release_4k,
        "unclaimed" if _made else "claimed",
        "already_claimed" if _made else "not_claimed",
        _made,
    )


# Words out and in


def bit_of(words: object, number: Word) -> Bool:
    """Bit `number % 64` of word `number // 64`."""
    word = words.at(shift_right(number, 6))  # type: ignore[attr-defined]
    return bit(word, bits_and(number, 63))


@LEMMAS.lemma(decision("0004-words"), given=(SERIAL_STEPS,))
def exported_words_are_accepted(world: World) -> Query:
    """Words of a bitmap are taken over by one of the same region.

    That exported words agree with it is `each_exported_bit_is_its_page`; that they have no slack
    bit then is `no_number_past_the_region_is_claimed`, and that a word without one is zero past
    its own bits is `slack_is_what_the_mask_leaves`.
    """
    s, words = arbitrary(world), world.words("words")
    length = world.word("length")
    own = bits_and(s.pages, 63)
    no_slack = any_of(own == 0, shift_right(words.at(minus(length, 1)), own) == 0)
    cases = import_words(s, Import(length, words))
    exported = taken(export_words(s, Import(length, words)), "exported")
    hypotheses = [exported, *is_well_formed(world, s, []), no_slack]
    return must(hypotheses, taken(cases, "imported"))


@LEMMAS.lemma(decision("0004-words"), given=(SERIAL_STEPS,))
def export_then_import_is_identity(world: World) -> Query:
    """Importing words that agree with a bitmap gives that bitmap, whatever was there before."""
    s, before, p = arbitrary(world), world.flag("before"), world.word("p")
    words, length = world.words("words"), world.word("length")
    blank = s.marked(s.base, s.end, before)
    cases = import_words(blank, Import(length, words))
    number = minus(p, gfn(s.base))
    agree = same(bit_of(words, number), s.claimed.has(plus(gfn(s.base), number)))
    after = named(cases, "imported").state.claimed.has(p)
    hypotheses = [
        taken(cases, "imported"),
        *is_well_formed(world, s, [p]),
        no_number_past_the_region_is_claimed(s, number),
        agree,
    ]
    return must(hypotheses, same(after, s.claimed.has(p)))


# Counting


def counts(pages: Pages, first: Word, stop: Word) -> list[Bool]:
    """What defines a count, at one place: nothing in an empty range, one page more or not."""
    more = pick(pages.has(stop), 1, 0)
    return [
        pages.count(first, first) == 0,
        pages.count(first, plus(stop, 1)) == plus(pages.count(first, stop), more),
    ]


@LEMMAS.lemma(definition("count"), given=(COUNTING, INDUCTION), method="induction")
def a_page_claimed_adds_one(world: World) -> Query:
    """Claiming an unclaimed page raises by one each count of a range that it is in, and no other.

    By induction over the end of the range; for many pages, by `each_page_is_accepted_in_turn`.
    """
    s = arbitrary(world)
    first, stop, page = (world.word(name) for name in ("first", "stop", "page"))
    after = s.claimed.with_range(page, plus(page, 1), True)

    def right(to: Word) -> Bool:
        more = pick(within(page, first, to), 1, 0)
        return after.count(first, to) == plus(s.claimed.count(first, to), more)

    ordered = all_of(at_most(first, stop), below(stop, 1 << 52), below(page, 1 << 52))
    rounds = [*counts(s.claimed, first, stop), *counts(after, first, stop)]
    hypotheses = [ordered, negate(s.claimed.has(page)), *rounds]
    return must(hypotheses, right(first), implies(right(stop), right(plus(stop, 1))))


@LEMMAS.lemma(definition("count"), given=(COUNTING, INDUCTION), method="induction", best="z3")
def a_count_is_at_most_the_range(world: World) -> Query:
    """A count is at most the number of pages in the range."""
    s, first, stop = arbitrary(world), world.word("first"), world.word("stop")

    def right(to: Word) -> Bool:
        return at_most(s.claimed.count(first, to), minus(to, first))

    ordered = all_of(at_most(first, stop), below(stop, 1 << 52))
    rounds = counts(s.claimed, first, stop)
    return must([ordered, *rounds], right(first), implies(right(stop), right(plus(stop, 1))))


@LEMMAS.lemma(definition("count"), given=(COUNTING, INDUCTION), method="induction")
def a_count_of_nothing_means_none(world: World) -> Query:
    """A count is 0 exactly if no page of the range is claimed."""
    s, first, stop, p = arbitrary(world), world.word("first"), world.word("stop"), world.word("p")
    limit = at_most(s.claimed.count(first, stop), minus(stop, first))

    def is_clear(to: Word) -> Bool:
        seen = all_of(s.claimed.count(first, to) == 0, within(p, first, to))
        return implies(seen, negate(s.claimed.has(p)))

    def is_zero(to: Word, none: Bool) -> Bool:
        return implies(none, s.claimed.count(first, to) == 0)

    none, none_more = s.claimed.none(first, stop), s.claimed.none(first, plus(stop, 1))
    ordered = all_of(at_most(first, stop), below(stop, 1 << 52))
    hypotheses = [ordered, limit, *counts(s.claimed, first, stop), *world.facts([p, stop])]
    return must(
        hypotheses,
        is_clear(first),
        implies(is_clear(stop), is_clear(plus(stop, 1))),
        implies(is_zero(stop, none), is_zero(plus(stop, 1), none_more)),
    )


@LEMMAS.lemma(definition("count"), given=(COUNTING, INDUCTION), method="induction", best="z3")
def a_count_of_everything_means_all(world: World) -> Query:
    """A count is the length of the range exactly if every page of it is claimed."""
    s, first, stop, p = arbitrary(world), world.word("first"), world.word("stop"), world.word("p")
    limit = at_most(s.claimed.count(first, stop), minus(stop, first))

    def is_full(to: Word) -> Bool:
        seen = all_of(s.claimed.count(first, to) == minus(to, first), within(p, first, to))
        return implies(seen, s.claimed.has(p))

    def is_length(to: Word, every: Bool) -> Bool:
        return implies(every, s.claimed.count(first, to) == minus(to, first))

    every, every_more = s.claimed.all(first, stop), s.claimed.all(first, plus(stop, 1))
    ordered = all_of(at_most(first, stop), below(stop, 1 << 52))
    hypotheses = [ordered, limit, *counts(s.claimed, first, stop), *world.facts([p, stop])]
    return must(
        hypotheses,
        is_full(first),
        implies(is_full(stop), is_full(plus(stop, 1))),
        implies(is_length(stop, every), is_length(plus(stop, 1), every_more)),
    )


@LEMMAS.lemma(coconut_pull(134), given=())
def the_address_of_a_page_is_in_the_region(world: World) -> Query:
    """A frame of the region has a byte address that shifting back gives the frame of."""
    s, p = arbitrary(world), world.word("p")
    address = shift_left(p, PAGE_SHIFT)
    inside = within(p, *s.span())
    fits = all_of(at_most(s.base, address), below(address, s.end), gfn(address) == p)
    return must(is_well_formed(world, s, [p]), fits, given=inside)
