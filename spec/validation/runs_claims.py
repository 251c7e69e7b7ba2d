"""What a record that is kept as runs has to do: what the bitmap does, or say that it has no room.

Assumes: `serial-steps`.
Proves: each sentence for each case of each rule, for every number of pages and of runs.
"""

from dataclasses import replace

from spec.assumptions import SERIAL_STEPS
from spec.invariant import Moment, invariant
from spec.pages import ListedPages, ListedWords
from spec.rule import Case
from spec.sources import decision
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    implies,
    negate,
    pick,
    plus,
    same,
)
from spec.validation.bitmap import (
    ANY_RUNS,
    PAGE_2M,
    PAGE_4K,
    At,
    Between,
    Bitmap,
    Import,
    Policy,
)
from spec.validation.bitmap_claims import WELL_FORMED as OF_A_BITMAP
from spec.validation.bitmap_claims import same_policy, unchanged
from spec.validation.outcomes import Outcome
from spec.validation.runs import BASE, CHANGES, RULES, runs_of, switch

CITE = decision("0017-runs")
KEPT_AS_RUNS = tuple(rule for rule in RULES if rule is not switch)
BOUND = tuple(rule for rule in KEPT_AS_RUNS if BASE[rule.name] in CHANGES)


def there_is_room_for_two_runs(s: Bitmap, _p: Word) -> Bool:
    """A record has room for two runs: the unclaimed pages and the claimed."""
    return at_most(2, s.policy.most_runs)


def the_runs_fit(s: Bitmap, _p: Word) -> Bool:
    """A record never has more runs than it has room for."""
    return at_most(runs_of(s), s.policy.most_runs)


WELL_FORMED = (*OF_A_BITMAP, there_is_room_for_two_runs, the_runs_fit)


def of_the_bitmap(m: Moment) -> tuple[Case, ...]:
    """The cases of the bitmap's step of the same name."""
    return BASE[m.rule.name](m.before, m.op)


def first_taken(cases: tuple[Case, ...], of: dict[str, Word]) -> Word:
    """What `of` says of the first case that holds."""
    told = of[cases[-1].name]
    for case in reversed(cases[:-1]):
        told = pick(case.when, of[case.name], told)
    return told


def at(value: Word, index: Word) -> Word:
    """An answered value; of a table of words, the one at `index`."""
    return value.at(index) if hasattr(value, "at") else value


def lacks_room(m: Moment) -> Bool:
    """A step is refused for want of room."""
    return m.outcome == int(Outcome.OUT_OF_RUNS)


@invariant(cite=CITE, rules=KEPT_AS_RUNS, given=(SERIAL_STEPS,))
def a_step_does_what_the_bitmaps_does(m: Moment, p: Word) -> Bool:
    """Unless it lacks room, a step answers, and leaves behind, what the bitmap's does (RLE-EQ)."""
    cases = of_the_bitmap(m)
    states = {case.name: case.state for case in cases}
    outcome = first_taken(cases, {case.name: case.outcome for case in cases})
    claimed = first_taken(cases, {name: s.claimed.has(p) for name, s in states.items()})
    base = first_taken(cases, {name: s.base for name, s in states.items()})
    pages = first_taken(cases, {name: s.pages for name, s in states.items()})
    value = first_taken(cases, {case.name: at(case.value, p) for case in cases})
    t = m.after
    alike = all_of(
        m.outcome == outcome,
        at(m.value, p) == value,
        same(t.claimed.has(p), claimed),
        t.base == base,
        t.pages == pages,
        same_policy(m),
    )
    return any_of(lacks_room(m), alike)


@invariant(cite=CITE, rules=BOUND)
def room_is_lacking_only_where_it_is(m: Moment, p: Word) -> Bool:
    """A step is refused for want of room exactly if its result would have more runs than fit."""
    *refused, done = of_the_bitmap(m)
    others = any_of(False, *(case.when for case in refused))
    too_many = below(m.before.policy.most_runs, runs_of(done.state))
    return same(lacks_room(m), all_of(negate(others), too_many))


@invariant(cite=CITE, rules=BOUND, on="refused", given=(SERIAL_STEPS,))
def a_refused_step_changes_nothing(m: Moment, p: Word) -> Bool:
    """After a refusal, for want of room too, region, bits and policy are what they were."""
    return unchanged(m, p)


@invariant(cite=CITE, rules=(switch,), given=(SERIAL_STEPS,))
def switching_loses_nothing(m: Moment, p: Word) -> Bool:
    """A record that becomes a bitmap has the same region with the same pages claimed."""
    s, t = m.before, m.after
    alike = all_of(t.base == s.base, t.pages == s.pages, t.policy.cap_pages == s.policy.cap_pages)
    return all_of(
        alike,
        t.policy.mixed_2m == s.policy.mixed_2m,
        same(t.claimed.has(p), s.claimed.has(p)),
        m.outcome == int(Outcome.OK),
    )


@invariant(cite=CITE, rules=(switch,))
def a_bitmap_has_room_for_any_runs(m: Moment, p: Word) -> Bool:
    """After the switch no number of runs is too many."""
    return implies(plus(p, 1) != 0, below(p, m.after.policy.most_runs))


INVARIANTS = (
    a_step_does_what_the_bitmaps_does,
    room_is_lacking_only_where_it_is,
    a_refused_step_changes_nothing,
    switching_loses_nothing,
    a_bitmap_has_room_for_any_runs,
)


# For each step that can lack room, one that does, and for some one that just does not


def plainly(s: Bitmap) -> Bool:
    """There is room for any number of runs."""
    return s.policy.most_runs == ANY_RUNS


CRAMPED = Policy(cap_pages=1 << 28, mixed_2m=int(Outcome.MIXED), most_runs=3)
SOME = Bitmap(CRAMPED, 0, 1536, ListedPages((1100, 1101)))
MOST = replace(
    SOME, policy=replace(CRAMPED, most_runs=4), claimed=ListedPages((0, 1100, 1101, 1536))
)
ALTERNATING = Import(24, ListedWords.of([0x5555_5555_5555_5555] * 24))
# Of the region's last pages, which makes one run more; of a 2 MiB page inside it, which makes two.
PAGE, RANGE = At(1535 * PAGE_4K), Between(1534 * PAGE_4K, 1536 * PAGE_4K)
LARGE = At(PAGE_2M)
# Pages beside a run, which make no run more, where there is just room for those that are.
FITTING = {
    ("claim_4k", "unclaimed"): (SOME, At(1101 * PAGE_4K)),
    ("release_4k", "claimed"): (MOST, At(1099 * PAGE_4K)),
}
EXAMPLES = {
    **FITTING,
    **{
        (name, "out_of_runs"): (SOME, op)
        for name, op in (
            ("claim_4k", PAGE),
            ("claim_2m", LARGE),
            ("claim_range", RANGE),
            ("import_words", ALTERNATING),
        )
    },
    **{
        (name, "out_of_runs"): (MOST, op)
        for name, op in (
            ("release_4k", PAGE),
            ("release_2m", LARGE),
            ("release_range", RANGE),
        )
    },
}
