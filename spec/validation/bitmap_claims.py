"""What the steps on the validation bitmap must make true, said in exact numbers of bytes.

The rules compute as a machine does, in 64-bit words and page numbers. The sentences here say
what that must amount to in exact arithmetic on byte ranges, where nothing wraps; so a proof of
them is also a proof that the 64-bit checks equal the ideal ones.

Assumes: `serial-steps`; the least element of a set of pages (`least-element`).
Proves: each sentence for each case of each rule it speaks of, for every number of pages.
"""

from collections.abc import Callable

from spec.assumptions import LEAST_ELEMENT, SERIAL_STEPS
from spec.invariant import Claim, Moment, invariant
from spec.rule import Case, Rule
from spec.sources import apm2, coconut, coconut_pull, decision, definition
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    bit,
    bits_and,
    bits_or,
    exact,
    implies,
    low_word,
    minus,
    negate,
    pick,
    plus,
    quotient,
    remainder,
    same,
    shift_left,
    shift_right,
    within,
)
from spec.validation.bitmap import (
    RULES,
    Bitmap,
    claim_2m,
    claim_4k,
    claim_range,
    count,
    create,
    export_words,
    fill,
    first_unclaimed,
    import_words,
    query,
    release_2m,
    release_4k,
    release_range,
    test_range,
)
from spec.validation.outcomes import Extent, Outcome

# Said again and not taken from the rules: a sentence must not follow a number that is wrong there.
PAGE_4K = 4096
PAGE_2M = 2 * 1024 * 1024

CLAIMS = (claim_4k, claim_2m, claim_range)
RELEASES = (release_4k, release_2m, release_range)
READS = (query, test_range, count, first_unclaimed, export_words)
ON_PAGES = (claim_4k, claim_2m, release_4k, release_2m, query)
ON_RANGES = (claim_range, release_range, test_range, count, first_unclaimed)
ON_WORDS = (export_words, import_words)
SIZE = {claim_2m: PAGE_2M, release_2m: PAGE_2M}


# Byte ranges in exact numbers


def bytes_of(p: Word) -> tuple[Word, Word]:
    """The byte range of the frame numbered `p`."""
    return PAGE_4K * exact(p), PAGE_4K * (exact(p) + 1)


def region(s: Bitmap) -> tuple[Word, Word]:
    """The byte range of the whole region."""
    return exact(s.base), exact(s.base) + PAGE_4K * exact(s.pages)


def is_in(s: Bitmap, p: Word) -> Bool:
    """Frame `p` is in the region."""
    (start, end), (first, stop) = bytes_of(p), region(s)
    return all_of(at_most(first, start), at_most(end, stop))


def asked_bytes(m: Moment) -> tuple[Word, Word]:
    """The byte range that a step asks for."""
    if m.rule in ON_PAGES:
        return exact(m.op.gpa), exact(m.op.gpa) + SIZE.get(m.rule, PAGE_4K)
    if m.rule in ON_RANGES:
        return exact(m.op.first), exact(m.op.stop)
    if m.rule is create:
        return exact(m.op.base), exact(m.op.base) + PAGE_4K * exact(m.op.pages)
    return region(m.before)


def asked(m: Moment, p: Word) -> Bool:
    """Page `p` is among those that the step asks for."""
    first, stop = asked_bytes(m)
    start, end = bytes_of(p)
    return all_of(at_most(first, start), at_most(end, stop))


# Reasons to refuse, in the order in which they are looked at


def is_misaligned(m: Moment) -> Bool:
    """An end of the range is not on a page boundary of the size asked for."""
    size = SIZE.get(m.rule, PAGE_4K)
    return any_of(*(remainder(end, size) != 0 for end in asked_bytes(m)))


def is_reversed(m: Moment) -> Bool:
    """The range ends before it begins."""
    first, stop = asked_bytes(m)
    return below(stop, first)


def is_empty(m: Moment) -> Bool:
    """The range has no byte."""
    first, stop = asked_bytes(m)
    return first == stop


def wraps(m: Moment) -> Bool:
    """The end of the range is not a 64-bit address."""
    return at_most(1 << 64, asked_bytes(m)[1])


def is_outside(m: Moment) -> Bool:
    """A byte of the range is not in the region."""
    (first, stop), (start, end) = asked_bytes(m), region(m.before)
    return any_of(below(first, start), below(end, stop))


def is_above_limit(m: Moment) -> Bool:
    """The range ends above the largest physical address of the architecture."""
    return below(1 << 52, asked_bytes(m)[1])


def is_over_cap(m: Moment) -> Bool:
    """More pages are asked for than the implementation tracks."""
    return below(exact(m.before.policy.cap_pages), exact(m.op.pages))


def is_wrong_length(m: Moment) -> Bool:
    """The words are fewer than hold the region's pages, or more."""
    bits, pages = 64 * exact(m.op.length), exact(m.before.pages)
    return any_of(below(bits, pages), at_most(pages + 64, bits))


GEOMETRY: dict[Outcome, Callable[[Moment], Bool]] = {
    Outcome.MISALIGNED: is_misaligned,
    Outcome.REVERSED: is_reversed,
    Outcome.EMPTY: is_empty,
    Outcome.WRAPS: wraps,
    Outcome.OUTSIDE: is_outside,
    Outcome.ABOVE_LIMIT: is_above_limit,
    Outcome.OVER_CAP: is_over_cap,
    Outcome.WRONG_LENGTH: is_wrong_length,
}
ON_CREATE = (
    Outcome.MISALIGNED,
    Outcome.EMPTY,
    Outcome.WRAPS,
    Outcome.ABOVE_LIMIT,
    Outcome.OVER_CAP,
)
ORDER: dict[str, tuple[Outcome, ...]] = {
    **{r.name: (Outcome.MISALIGNED, Outcome.WRAPS, Outcome.OUTSIDE) for r in ON_PAGES},
    **{
        r.name: (Outcome.MISALIGNED, Outcome.REVERSED, Outcome.EMPTY, Outcome.OUTSIDE)
        for r in ON_RANGES
    },
    **{r.name: (Outcome.WRONG_LENGTH,) for r in ON_WORDS},
    create.name: ON_CREATE,
    fill.name: (),
}


def geometry_holds(m: Moment) -> Bool:
    """The answer names a reason exactly if that reason holds and none before it does."""
    reasons = ORDER[m.rule.name]
    first_found: Word = Outcome.OK
    for reason in reversed(reasons):
        first_found = pick(GEOMETRY[reason](m), int(reason), first_found)
    named = any_of(False, *(m.outcome == int(reason) for reason in reasons))
    return pick(named, m.outcome == first_found, first_found == int(Outcome.OK))


# State: what is true between steps


def a_region_lies_below_the_limit(s: Bitmap, _p: Word) -> Bool:
    """A region starts on a page boundary and ends at or below 2**52 bytes."""
    return all_of(remainder(exact(s.base), PAGE_4K) == 0, at_most(region(s)[1], exact(1 << 52)))


def a_region_is_within_the_cap(s: Bitmap, _p: Word) -> Bool:
    """No region has more pages than the implementation tracks."""
    return at_most(s.pages, s.policy.cap_pages)


def slack_stays_clear(s: Bitmap, p: Word) -> Bool:
    """No page outside the region is claimed, so slack bits of the last word are zero."""
    return implies(s.claimed.has(p), within(p, *s.span()))


def frames_have_numbers(s: Bitmap, p: Word) -> Bool:
    """A frame is in the region exactly if its number, counted from the base, is below `pages`."""
    return same(below(minus(p, quotient(s.base, PAGE_4K)), s.pages), within(p, *s.span()))


def no_number_past_the_region_is_claimed(s: Bitmap, p: Word) -> Bool:
    """Where `p` is not below `pages`, page number `p` is not claimed: slack bits are zero."""
    frame = plus(quotient(s.base, PAGE_4K), p)
    return implies(at_most(s.pages, p), negate(s.claimed.has(frame)))


def frames_have_bytes(s: Bitmap, p: Word) -> Bool:
    """A frame is in the region's span exactly if its bytes are in the region."""
    return same(is_in(s, p), within(p, *s.span()))


def a_policy_is_a_choice(s: Bitmap, _p: Word) -> Bool:
    """The cap is between one page and 2**40, and a mixed 2 MiB is told in one of two ways."""
    told = any_of(*(s.policy.mixed_2m == int(o) for o in (Outcome.MIXED, Outcome.SIZE_MISMATCH)))
    return all_of(below(0, s.policy.cap_pages), at_most(s.policy.cap_pages, 1 << 40), told)


WELL_FORMED = (
    a_region_lies_below_the_limit,
    a_region_is_within_the_cap,
    slack_stays_clear,
    a_policy_is_a_choice,
)


BRIDGES = (frames_have_numbers, no_number_past_the_region_is_claimed, frames_have_bytes)


# Sentences about steps


@invariant(cite=decision("0002-order-of-checks"), rules=tuple(r for r in RULES if ORDER[r.name]))
def an_answer_names_the_first_reason(m: Moment, p: Word) -> Bool:
    """A range is refused for the first reason, in the fixed order, that holds, and for no other."""
    return geometry_holds(m)


@invariant(cite=apm2("15.36.6"), rules=RULES, on="refused", given=(SERIAL_STEPS,))
def a_refused_step_changes_nothing(m: Moment, p: Word) -> Bool:
    """After a refusal region, bits and policy are what they were."""
    return unchanged(m, p)


@invariant(cite=definition("a question"), rules=READS, on="accepted", given=(SERIAL_STEPS,))
def an_answered_question_changes_nothing(m: Moment, p: Word) -> Bool:
    """A question leaves region and bits as they were."""
    return unchanged(m, p)


def unchanged(m: Moment, p: Word) -> Bool:
    """Nothing differs between before and after, seen at page `p`."""
    return all_of(same_region(m), same(m.after.claimed.has(p), m.before.claimed.has(p)))


def same_region(m: Moment) -> Bool:
    """Region and policy are what they were."""
    s, t = m.before, m.after
    return all_of(
        t.base == s.base,
        t.pages == s.pages,
        same_policy(m),
    )


def same_policy(m: Moment) -> Bool:
    """The choices are what they were."""
    was, made = m.before.policy, m.after.policy
    return all_of(
        made.cap_pages == was.cap_pages,
        made.mixed_2m == was.mixed_2m,
        made.most_runs == was.most_runs,
    )


@invariant(cite=apm2("15.36.6"), rules=CLAIMS, on="accepted", given=(SERIAL_STEPS,))
def no_page_is_claimed_twice(m: Moment, p: Word) -> Claim:
    """A page that a claim takes was not claimed before it."""
    return Claim(asked(m, p), negate(m.before.claimed.has(p)))


@invariant(cite=apm2("15.36.6"), rules=RELEASES, on="accepted", given=(SERIAL_STEPS,))
def no_page_is_released_twice(m: Moment, p: Word) -> Claim:
    """A page that a release gives up was claimed before it."""
    return Claim(asked(m, p), m.before.claimed.has(p))


@invariant(cite=coconut_pull(134), rules=(*CLAIMS, *RELEASES), on="accepted")
def exactly_the_asked_pages_change(m: Moment, p: Word) -> Bool:
    """Asked pages become claimed or released, and every other page is as it was."""
    made = m.rule in CLAIMS
    wanted = pick(asked(m, p), made, m.before.claimed.has(p))
    return all_of(same_region(m), same(m.after.claimed.has(p), wanted))


@invariant(
    cite=coconut("kernel/src/mm/validate.rs"),
    rules=(create, fill),
    on="accepted",
    uses=(frames_have_bytes,),
)
def a_fresh_record_is_uniform(m: Moment, p: Word) -> Bool:
    """Exactly the pages of the region are claimed, or none is."""
    wanted = all_of(is_in(m.after, p), m.op.claimed)
    return same(m.after.claimed.has(p), wanted)


@invariant(cite=definition("create"), rules=(create,), on="accepted")
def a_region_is_what_was_asked(m: Moment, p: Word) -> Bool:
    """The new region is the one asked for, under the policy that was."""
    t = m.after
    return all_of(t.base == m.op.base, t.pages == m.op.pages, same_policy(m))


@invariant(cite=coconut_pull(134), rules=(create,), on="accepted")
def the_size_is_one_bit_a_page(m: Moment, p: Word) -> Bool:
    """The size in bytes is eight times the least number of words with a bit for each page."""
    size, pages = exact(m.value), exact(m.op.pages)
    return all_of(remainder(size, 8) == 0, at_most(pages, 8 * size), below(8 * size, pages + 64))


@invariant(cite=definition("fill"), rules=(fill, import_words), on="accepted")
def the_region_stays(m: Moment, p: Word) -> Bool:
    """The region and the policy are what they were."""
    return same_region(m)


@invariant(
    cite=definition("a change"),
    rules=(fill, *CLAIMS, *RELEASES, import_words),
    on="accepted",
)
def a_change_answers_no_value(m: Moment, p: Word) -> Bool:
    """A step that only changes the record answers nothing beside that it did."""
    return m.value == 0


def every_asked_page_is_claimed(m: Moment, q: Word) -> Bool:
    """Supposing that every asked page is claimed."""
    return implies(asked(m, q), m.before.claimed.has(q))


def no_asked_page_is_claimed(m: Moment, q: Word) -> Bool:
    """Supposing that no asked page is claimed."""
    return implies(asked(m, q), negate(m.before.claimed.has(q)))


WHEN_ALL_CLAIMED: dict[str, tuple[Outcome, int | None]] = {
    **{r.name: (Outcome.ALREADY_CLAIMED, None) for r in CLAIMS},
    **{r.name: (Outcome.OK, None) for r in RELEASES},
    test_range.name: (Outcome.OK, Extent.ALL),
    first_unclaimed.name: (Outcome.NONE_UNCLAIMED, None),
}
WHEN_NONE_CLAIMED: dict[str, tuple[Outcome, int | None]] = {
    **{r.name: (Outcome.OK, None) for r in CLAIMS},
    **{r.name: (Outcome.NOT_CLAIMED, None) for r in RELEASES},
    test_range.name: (Outcome.OK, Extent.NONE),
    first_unclaimed.name: (Outcome.OK, None),
}
DEPENDS_ON_BITS = (*CLAIMS, *RELEASES, test_range, first_unclaimed)


def answers(m: Moment, table: dict[str, tuple[Outcome, int | None]]) -> Bool:
    """The answer is the one of `table`, unless the range could not be spoken of at all."""
    outcome, value = table[m.rule.name]
    refused = any_of(False, *(m.outcome == int(reason) for reason in ORDER[m.rule.name]))
    right = m.outcome == int(outcome)
    return any_of(refused, right if value is None else all_of(right, m.value == int(value)))


@invariant(
    cite=apm2("15.36.6"),
    rules=DEPENDS_ON_BITS,
    given=(LEAST_ELEMENT,),
    suppose=every_asked_page_is_claimed,
)
def pages_all_claimed_are_told_so(m: Moment, p: Word) -> Bool:
    """Where every asked page is claimed, the answer is the one for that."""
    return answers(m, WHEN_ALL_CLAIMED)


@invariant(
    cite=apm2("15.36.6"),
    rules=DEPENDS_ON_BITS,
    given=(LEAST_ELEMENT,),
    suppose=no_asked_page_is_claimed,
)
def pages_all_unclaimed_are_told_so(m: Moment, p: Word) -> Bool:
    """Where no asked page is claimed, the answer is the one for that."""
    return answers(m, WHEN_NONE_CLAIMED)


def tells_all_claimed(rule: Rule, case: Case) -> bool:
    """The case's answer says that every asked page is claimed."""
    return case_answers(rule, case, WHEN_ALL_CLAIMED)


def tells_none_claimed(rule: Rule, case: Case) -> bool:
    """The case's answer says that no asked page is claimed."""
    return case_answers(rule, case, WHEN_NONE_CLAIMED) and rule.name != first_unclaimed.name


def case_answers(rule: Rule, case: Case, table: dict[str, tuple[Outcome, int | None]]) -> bool:
    """The case's answer is the one of `table`."""
    outcome, value = table[rule.name]
    right = isinstance(case.outcome, int) and int(case.outcome) == int(outcome)
    return right and (value is None or int(case.value) == value)


@invariant(cite=apm2("15.36.6"), rules=DEPENDS_ON_BITS, on=tells_all_claimed)
def pages_told_claimed_are(m: Moment, p: Word) -> Claim:
    """Where the answer says that all asked pages are claimed, each is."""
    return Claim(asked(m, p), m.before.claimed.has(p))


@invariant(cite=apm2("15.36.6"), rules=DEPENDS_ON_BITS, on=tells_none_claimed)
def pages_told_unclaimed_are(m: Moment, p: Word) -> Claim:
    """Where the answer says that no asked page is claimed, none is."""
    return Claim(asked(m, p), negate(m.before.claimed.has(p)))


def told_mixed(m: Moment) -> tuple[Word, ...]:
    """How mixed bits are told: by the policy's word for a 2 MiB page, as MIXED for a range."""
    by_name = {
        **{r.name: (m.before.policy.mixed_2m,) for r in (claim_2m, release_2m)},
        **{r.name: (int(Outcome.MIXED),) for r in (claim_range, release_range)},
        import_words.name: (int(Outcome.SLACK_SET),),
    }
    return by_name.get(m.rule.name, ())


@invariant(cite=decision("0003-mixed-2m"), rules=RULES)
def every_answer_is_foreseen(m: Moment, p: Word) -> Bool:
    """An answer is a reason about the range, or about the bits, or mixed as chosen, or OK."""
    about_bits = [
        t[m.rule.name][0] for t in (WHEN_ALL_CLAIMED, WHEN_NONE_CLAIMED) if m.rule.name in t
    ]
    foreseen = (*ORDER[m.rule.name], *(about_bits or [Outcome.OK]))
    return any_of(
        *(m.outcome == int(o) for o in foreseen), *(m.outcome == o for o in told_mixed(m))
    )


@invariant(cite=coconut("kernel/src/mm/validate.rs"), rules=(query,), on="accepted")
def a_query_tells_the_page(m: Moment, p: Word) -> Claim:
    """The answer is 1 if the asked page is claimed, and 0 if not."""
    return Claim(asked(m, p), m.value == pick(m.before.claimed.has(p), 1, 0))


@invariant(cite=definition("count"), rules=(count,), on="accepted")
def a_count_is_of_the_asked_pages(m: Moment, p: Word) -> Bool:
    """The answer is the number of claimed pages in the asked range."""
    ends = (low_word(quotient(end, PAGE_4K)) for end in asked_bytes(m))
    return m.value == m.before.claimed.count(*ends)


@invariant(
    cite=definition("least"), rules=(first_unclaimed,), on="accepted", given=(LEAST_ELEMENT,)
)
def what_is_found_is_the_lowest_unclaimed(m: Moment, p: Word) -> Claim:
    """The page found is unclaimed, and every asked page below it is claimed."""
    is_lower = below(bytes_of(p)[0], exact(m.value))
    found = implies(bytes_of(p)[0] == exact(m.value), negate(m.before.claimed.has(p)))
    return Claim(asked(m, p), all_of(found, implies(is_lower, m.before.claimed.has(p))))


@invariant(
    cite=definition("least"), rules=(first_unclaimed,), on="accepted", given=(LEAST_ELEMENT,)
)
def what_is_found_was_asked_for(m: Moment, p: Word) -> Bool:
    """The page found begins on a page boundary inside the asked range."""
    first, stop = asked_bytes(m)
    found = exact(m.value)
    return all_of(remainder(found, PAGE_4K) == 0, at_most(first, found), below(found, stop))


def numbered(s: Bitmap, index: Word) -> list[tuple[int, Word, Word]]:
    """For each bit of word `index`: its place, its page's number, and its page's frame."""
    origin, low = quotient(s.base, PAGE_4K), shift_left(index, 6)
    numbers = ((place, bits_or(low, place)) for place in range(64))
    return [(place, number, plus(origin, number)) for place, number in numbers]


@invariant(cite=decision("0004-words"), rules=(export_words,), on="accepted")
def each_exported_bit_is_its_page(m: Moment, p: Word) -> Claim:
    """Bit `i` of exported word `p` is page `64 * p + i`; past the region no page is claimed."""
    word, claimed = m.value.at(p), m.before.claimed
    agree = (same(bit(word, i), claimed.has(frame)) for i, _, frame in numbered(m.before, p))
    return Claim(below(p, m.op.length), all_of(*agree))


@invariant(cite=decision("0004-words"), rules=(import_words,), on="accepted")
def each_page_is_its_imported_bit(m: Moment, p: Word) -> Claim:
    """Page `64 * p + i` of the region becomes bit `i` of word `p`."""
    s, word, claimed = m.before, m.op.words.at(p), m.after.claimed
    agree = (
        implies(below(number, s.pages), same(bit(word, i), claimed.has(frame)))
        for i, number, frame in numbered(s, p)
    )
    return Claim(below(p, m.op.length), True, tuple(agree))


@invariant(cite=decision("0004-words"), rules=(import_words,), on="accepted")
def no_slack_bit_is_taken(m: Moment, p: Word) -> Claim:
    """Words that are taken have no bit set past the region."""
    in_words = below(shift_right(p, 6), m.op.length)
    past = all_of(in_words, at_most(m.before.pages, p))
    last, own = minus(m.op.length, 1), bits_and(m.before.pages, 63)
    # Such a bit is in the last word, past the region's own; and there each is clear.
    is_slack = all_of(shift_right(p, 6) == last, own != 0, at_most(own, bits_and(p, 63)))
    word = m.op.words.at(last)
    clear = (implies(all_of(own != 0, at_most(own, i)), negate(bit(word, i))) for i in range(64))
    return Claim(past, is_slack, tuple(clear))


@invariant(cite=decision("0004-words"), rules=(import_words,))
def words_without_slack_are_taken(m: Moment, p: Word) -> Claim:
    """Words of the right length are taken exactly if the last is below 2**(own bits in it)."""
    last = m.op.words.at(minus(m.op.length, 1))
    own = bits_and(m.before.pages, 63)
    fits = any_of(own == 0, below(last, shift_left(1, own)))
    taken = m.outcome == int(Outcome.OK)
    return Claim(True, any_of(is_wrong_length(m), same(taken, fits)))


INVARIANTS = (
    an_answer_names_the_first_reason,
    a_refused_step_changes_nothing,
    an_answered_question_changes_nothing,
    no_page_is_claimed_twice,
    no_page_is_released_twice,
    exactly_the_asked_pages_change,
    a_fresh_record_is_uniform,
    a_region_is_what_was_asked,
    the_size_is_one_bit_a_page,
    the_region_stays,
    a_change_answers_no_value,
    pages_all_claimed_are_told_so,
    pages_all_unclaimed_are_told_so,
    pages_told_claimed_are,
    pages_told_unclaimed_are,
    every_answer_is_foreseen,
    a_query_tells_the_page,
    a_count_is_of_the_asked_pages,
    what_is_found_is_the_lowest_unclaimed,
    what_is_found_was_asked_for,
    each_exported_bit_is_its_page,
    each_page_is_its_imported_bit,
    no_slack_bit_is_taken,
    words_without_slack_are_taken,
)
