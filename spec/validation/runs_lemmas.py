"""Runs of pages as an ordered list of the places where they change, for any number of them.

`flips` are page numbers in rising order; at each, unclaimed turns to claimed or back. How many of
them are at or before a page is its rank, and a page is claimed exactly if its rank is odd. A range
is made alike by a splice: the flips in it go, and at most its two ends come.

Assumes: `induction` joins start, round and end of a loop; `least-element` for what is searched.
Proves: ranks are found by halving; a splice keeps the order and changes exactly the asked pages;
tests, scans and counts over runs are those over pages; equal sets have equal flips, so their number
is the set's; words become runs and runs become words with nothing lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spec.assumptions import COUNTING, INDUCTION
from spec.pages import Pages, Words
from spec.prove.lemma import Demands, Lemmas, must
from spec.prove.obligation import Query
from spec.prove.world import World
from spec.sources import decision
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
    quotient,
    remainder,
    same,
    sum_of,
    tally,
    within,
)
from spec.validation.runs import AREA

CITE = decision("0017-runs")
LEMMAS = Lemmas(f"{AREA}.flips")
LIMIT = 1 << 40


@dataclass(frozen=True)
class Flips:
    """`count` flips of a region of `pages` pages: `listed.at(0)` is the first."""

    listed: Words
    count: Word
    pages: Word

    def at(self, index: Word) -> Word:
        """The page of a flip."""
        return self.listed.at(index)

    def rises(self, i: Word, j: Word) -> Bool:
        """Flip `i` comes before flip `j` where `i` is less."""
        ordered = all_of(at_most(0, i), below(i, j), below(j, self.count))
        return implies(ordered, below(self.at(i), self.at(j)))

    def lies(self, i: Word) -> Bool:
        """A flip is in the region, and not before its own number."""
        place = all_of(below(self.at(i), self.pages), at_most(i, self.at(i)))
        return implies(all_of(at_most(0, i), below(i, self.count)), place)

    def in_order(self, *places: Word) -> list[Bool]:
        """What is true between steps, looked at at some indices."""
        return [
            at_most(self.count, self.pages),
            *(self.lies(i) for i in places),
            *(self.rises(i, j) for i in places for j in places if i is not j),
        ]

    def is_rank(self, rank: Word, page: Word) -> Bool:
        """`rank` flips are at or before a page."""
        return all_of(
            at_most(rank, self.count),
            implies(rank != 0, at_most(self.at(less(rank, 1)), page)),
            implies(below(rank, self.count), below(page, self.at(rank))),
        )

    def are_before(self, number: Word, page: Word) -> Bool:
        """`number` flips are before a page."""
        return all_of(
            at_most(number, self.count),
            implies(number != 0, below(self.at(less(number, 1)), page)),
            implies(below(number, self.count), at_most(page, self.at(number))),
        )


def shown(world: World, hypotheses: Sequence[Bool], *then: Bool, given: Bool = True) -> Query:
    """The query that `then` follows of `hypotheses` and `given`, of natural numbers."""
    return must([*world.facts(()), *hypotheses], *then, given=given)


def odd(number: Word) -> Bool:
    """A page of this rank is claimed."""
    return remainder(number, 2) == 1


def arbitrary(world: World) -> Flips:
    """Arbitrary flips."""
    return Flips(world.numbers("flips"), world.number("count"), world.number("pages"))


# Ranks


@LEMMAS.lemma(CITE)
def a_page_has_one_rank(world: World) -> Query:
    """Two numbers that are ranks of one page are equal."""
    f, p, r, t = arbitrary(world), world.number("p"), world.number("r"), world.number("t")
    order = f.in_order(r, t, less(r, 1), less(t, 1))
    return shown(world, [*order, f.is_rank(r, p), f.is_rank(t, p)], r == t)


@LEMMAS.kernel(given=(INDUCTION,), method="induction", cite=CITE)
def a_search_halves(world: World, demands: Demands) -> Query:
    """Each round of a search keeps what is known below and above, and halves what is left.

    `low` and `high` enclose the number of flips before a page. At first they are 0 and `count`;
    when they meet, they are that number.
    """
    f, x = arbitrary(world), world.number("x")
    low, high, i = world.number("low"), world.number("high"), world.number("i")

    def known(low: Word, high: Word) -> Bool:
        """Looked at at flip `i`."""
        before = implies(below(i, low), below(f.at(i), x))
        after = implies(within(i, high, f.count), at_most(x, f.at(i)))
        return all_of(at_most(low, high), at_most(high, f.count), before, after)

    demands.demand("sum", below(sum_of(low, high), 1 << 64))
    middle = quotient(sum_of(low, high), 2)
    demands.demand("index", below(middle, f.count))
    goes_up = below(f.at(middle), x)
    next_low, next_high = pick(goes_up, sum_of(middle, 1), low), pick(goes_up, high, middle)
    left = less(next_high, next_low)
    order = [*f.in_order(i, middle), at_most(f.pages, LIMIT)]
    return shown(
        world,
        [*order, known(low, high)],
        known(next_low, next_high),
        at_most(left, quotient(less(high, low), 2)),
        implies(all_of(low == 0, high == f.count), at_most(low, high)),
        given=below(low, high),
    )


@LEMMAS.lemma(CITE)
def a_search_ends_with_the_number(world: World) -> Query:
    """Where the two ends meet, that many flips are before the page."""
    f, x, low = arbitrary(world), world.number("x"), world.number("low")
    first, last = low, less(low, 1)
    known = [
        at_most(low, f.count),
        implies(below(last, low), below(f.at(last), x)),
        implies(within(first, low, f.count), at_most(x, f.at(first))),
    ]
    return shown(world, [*f.in_order(first, last), *known], f.are_before(low, x))


@LEMMAS.lemma(CITE)
def a_rank_counts_what_is_before_the_next_page(world: World) -> Query:
    """A page's rank is the number of flips before the next page, so one search serves both."""
    f, p, r = arbitrary(world), world.number("p"), world.number("r")
    inside = below(p, f.pages)
    return shown(
        world,
        f.in_order(r, less(r, 1)),
        same(f.is_rank(r, p), f.are_before(r, sum_of(p, 1))),
        given=inside,
    )


# The splice


@dataclass(frozen=True)
class Splice:
    """The pages `[first, stop)` made alike: flips `[low, high)` go, up to two come."""

    old: Flips
    first: Word
    stop: Word
    value: Bool
    low: Word
    high: Word

    @property
    def opens(self) -> Bool:
        """A flip comes at the first page: what is before it is not as it is to be."""
        return odd(self.low) != self.value

    @property
    def closes(self) -> Bool:
        """A flip comes past the last page, if there is a page: it is not as they are to be."""
        return all_of(below(self.stop, self.old.pages), odd(self.high) != self.value)

    @property
    def kept(self) -> Word:
        """The number of flips up to the end of the range."""
        return sum_of(self.low, tally(self.opens, self.closes))

    def new(self) -> Flips:
        """The flips after it."""
        return Flips(self, sum_of(self.kept, less(self.old.count, self.high)), self.old.pages)

    def at(self, index: Word) -> Word:
        """The page of a flip after it."""
        moved = self.old.at(sum_of(less(index, self.kept), self.high))
        opening = all_of(index == self.low, self.opens)
        coming = pick(opening, self.first, self.stop)
        return pick(
            below(index, self.low), self.old.at(index), pick(below(index, self.kept), coming, moved)
        )

    def source(self, index: Word) -> Word:
        """The flip of before that a flip after it is, if it is one."""
        return pick(below(index, self.low), index, sum_of(less(index, self.kept), self.high))

    def supposed(self, *places: Word) -> list[Bool]:
        """The range lies in the region, and `low` and `high` are what a search finds."""
        f = self.old
        near = (self.low, less(self.low, 1), self.high, less(self.high, 1))
        last = any_of(
            all_of(self.stop == f.pages, self.high == f.count),
            all_of(below(self.stop, f.pages), f.is_rank(self.high, self.stop)),
        )
        return [
            *f.in_order(*near, *places),
            below(self.first, self.stop),
            at_most(self.stop, f.pages),
            f.are_before(self.low, self.first),
            last,
        ]


def splice(world: World) -> Splice:
    """An arbitrary splice."""
    first, stop, low, high = (world.number(name) for name in ("first", "stop", "low", "high"))
    return Splice(arbitrary(world), first, stop, world.flag("value"), low, high)


@LEMMAS.lemma(CITE)
def a_splice_takes_none_back(world: World) -> Query:
    """The flips that go are a range of flips: no more are before its first than up to its end."""
    c = splice(world)
    return shown(world, c.supposed(), at_most(c.low, c.high), at_most(c.high, c.old.count))


@LEMMAS.lemma(CITE)
def a_splice_keeps_the_order(world: World) -> Query:
    """After a splice the flips rise, and lie in the region."""
    c, i, j = splice(world), world.number("i"), world.number("j")
    new = c.new()
    supposed = c.supposed(c.source(i), c.source(j))
    return shown(
        world,
        [*supposed, at_most(c.low, c.high), at_most(c.high, c.old.count)],
        new.rises(i, j),
        implies(below(i, new.count), below(new.at(i), new.pages)),
    )


@LEMMAS.lemma(CITE, given=(INDUCTION,), method="induction")
def rising_flips_are_not_before_their_number(world: World) -> Query:
    """Flips that rise are each at or after the page of their own number, so none are too many."""
    f, i = arbitrary(world), world.number("i")
    following = sum_of(i, 1)
    rises = [f.rises(i, following), below(f.at(following), f.pages), at_most(0, f.at(0))]
    inside = below(following, f.count)
    step = implies(at_most(i, f.at(i)), at_most(following, f.at(following)))
    last = less(f.count, 1)
    fits = implies(
        all_of(at_most(last, f.at(last)), below(f.at(last), f.pages)), at_most(f.count, f.pages)
    )
    return shown(world, rises, step, fits, given=inside)


@LEMMAS.lemma(CITE)
def a_splice_changes_exactly_the_asked_pages(world: World) -> Query:
    """After a splice a page of the range is as it is to be, any other as it was (RLE-EQ)."""
    c, p, rank = splice(world), world.number("p"), world.number("rank")
    new = c.new()
    inside = within(p, c.first, c.stop)
    opened = sum_of(c.low, tally(c.opens))
    after = sum_of(less(rank, c.high), c.kept)
    new_rank = pick(below(p, c.first), rank, pick(inside, opened, after))
    places = (rank, less(rank, 1), c.source(new_rank), c.source(less(new_rank, 1)))
    supposed = [*c.supposed(*places), at_most(c.low, c.high), at_most(c.high, c.old.count)]
    wanted = pick(inside, c.value, odd(rank))
    return shown(
        world,
        [*supposed, c.old.is_rank(rank, p)],
        new.is_rank(new_rank, p),
        same(odd(new_rank), wanted),
        given=below(p, c.old.pages),
    )


@LEMMAS.lemma(CITE)
def a_splice_makes_at_most_two_more(world: World) -> Query:
    """A splice makes at most two runs more, and their number is known before anything is moved."""
    c = splice(world)
    new = c.new()
    taken, came = less(c.high, c.low), less(c.kept, c.low)
    return shown(
        world,
        [*c.supposed(), at_most(c.low, c.high), at_most(c.high, c.old.count)],
        at_most(new.count, sum_of(c.old.count, 2)),
        sum_of(new.count, taken) == sum_of(c.old.count, came),
    )


@LEMMAS.lemma(CITE)
def what_follows_a_splice_keeps_its_side(world: World) -> Query:
    """The flips past a splice keep their parity, so what is kept of them in blocks stays true."""
    c, i = splice(world), world.number("i")
    beyond = all_of(within(i, c.kept, c.new().count), below(c.stop, c.old.pages))
    supposed = [*c.supposed(), at_most(c.low, c.high), at_most(c.high, c.old.count)]
    return shown(world, supposed, same(odd(i), odd(c.source(i))), given=beyond)


# The number of runs


@LEMMAS.lemma(CITE, given=(INDUCTION,), method="induction")
def equal_sets_have_equal_flips(world: World) -> Query:
    """Two lists of flips of one set that agree up to a place agree at it, or end there both."""
    f, g, k = (
        arbitrary(world),
        Flips(world.numbers("others"), world.number("more"), world.number("pages")),
        world.number("k"),
    )
    q = pick(
        all_of(below(k, f.count), any_of(at_most(g.count, k), below(f.at(k), g.at(k)))),
        f.at(k),
        g.at(k),
    )
    r, t, before = world.number("r"), world.number("t"), less(k, 1)
    places = (k, before, r, less(r, 1), t, less(t, 1))
    alike = [
        implies(k != 0, f.at(before) == g.at(before)),
        at_most(k, f.count),
        at_most(k, g.count),
    ]
    ranks = implies(all_of(f.is_rank(r, q), g.is_rank(t, q)), same(odd(r), odd(t)))
    # Ranks of `q` are there, by the search: k + 1 on the one side and k on the other.
    there = [
        implies(f.is_rank(sum_of(k, 1), q), r == sum_of(k, 1)),
        implies(f.is_rank(k, q), r == k),
        implies(g.is_rank(sum_of(k, 1), q), t == sum_of(k, 1)),
        implies(g.is_rank(k, q), t == k),
        f.rises(k, sum_of(k, 1)),
        g.rises(k, sum_of(k, 1)),
    ]
    some = any_of(below(k, f.count), below(k, g.count))
    agree = all_of(below(k, f.count), below(k, g.count), f.at(k) == g.at(k))
    order = [*f.in_order(*places), *g.in_order(*places)]
    return shown(world, [*order, *alike, ranks, *there], agree, given=some)


@LEMMAS.lemma(CITE)
def a_flip_is_where_a_page_differs(world: World) -> Query:
    """A page has a rank one higher than the page before it exactly if the two differ, else equal.

    So the number of flips is the number of such pages, and the runs are one more.
    """
    f, p, r, before = arbitrary(world), world.number("p"), world.number("r"), world.number("before")
    places = (r, less(r, 1), before, less(before, 1), sum_of(before, 1))
    ranks = [f.is_rank(r, p), f.is_rank(before, less(p, 1))]
    is_next = any_of(r == before, r == sum_of(before, 1))
    differ = same(odd(r) != odd(before), r == sum_of(before, 1))
    inside = all_of(below(0, p), below(p, f.pages))
    return shown(world, [*f.in_order(*places), *ranks], is_next, differ, given=inside)


@LEMMAS.lemma(CITE)
def pages_all_alike_make_two_runs_at_most(world: World) -> Query:
    """Where every page is as page 0 is, there is no flip past page 0: one run, or two."""
    f, q = arbitrary(world), world.number("q")
    second = f.at(1)
    # A flip at place 1 would be a page past 0, of rank 2, beside a page of rank 1.
    alike = implies(all_of(f.is_rank(2, second), f.is_rank(1, less(second, 1))), False)
    order = f.in_order(0, 1, 2, q)
    return shown(world, [*order, alike], at_most(f.count, 1))


# Tests, scans and counts


@LEMMAS.lemma(CITE)
def a_range_of_one_rank_is_alike(world: World) -> Query:
    """Where the first and the last page of a range have one rank, so has every page between."""
    f, first, last, q, r, t = (
        arbitrary(world),
        *(world.number(name) for name in ("first", "last", "q", "r", "t")),
    )
    ranks = [f.is_rank(r, first), f.is_rank(r, last), f.is_rank(t, q)]
    order = f.in_order(r, less(r, 1), t, less(t, 1))
    return shown(world, [*order, *ranks], r == t, given=all_of(at_most(first, q), at_most(q, last)))


@LEMMAS.lemma(CITE)
def a_range_of_two_ranks_is_mixed(world: World) -> Query:
    """Where the last page of a range has another rank, the next flip is a page that differs."""
    f, first, last, r, t = (
        arbitrary(world),
        *(world.number(name) for name in ("first", "last", "r", "t")),
    )
    page = f.at(r)
    order = f.in_order(r, sum_of(r, 1), less(r, 1), t, less(t, 1))
    return shown(
        world,
        [*order, f.is_rank(r, first), f.is_rank(t, last), at_most(last, f.pages)],
        all_of(below(first, page), at_most(page, last)),
        f.is_rank(sum_of(r, 1), page),
        odd(sum_of(r, 1)) != odd(r),
        given=all_of(at_most(first, last), r != t),
    )


@LEMMAS.lemma(CITE)
def the_lowest_unclaimed_is_first_or_the_next_flip(world: World) -> Query:
    """The lowest unclaimed page from `first` on is that page, or the flip that ends its run."""
    f, first, q, r, t = (
        arbitrary(world),
        *(world.number(name) for name in ("first", "q", "r", "t")),
    )
    found = pick(odd(r), pick(r == f.count, f.pages, f.at(r)), first)
    order = f.in_order(r, less(r, 1), sum_of(r, 1), t, less(t, 1))
    is_lower = implies(all_of(within(q, first, found), f.is_rank(t, q)), odd(t))
    rank = pick(odd(r), sum_of(r, 1), r)
    is_clear = implies(below(found, f.pages), all_of(f.is_rank(rank, found), negate(odd(rank))))
    return shown(
        world,
        [*order, f.is_rank(r, first)],
        is_lower,
        is_clear,
        given=all_of(below(first, f.pages), below(q, f.pages)),
    )


@LEMMAS.lemma(CITE, given=(COUNTING, INDUCTION), method="induction")
def a_count_goes_on_run_by_run(world: World) -> Query:
    """A count up to a page, and the rest of its run if that is claimed, are the count beyond.

    By induction over the pages of one run, from `start` on; `counted` is the count of the claimed
    pages before each.
    """
    f, counted = arbitrary(world), world.numbers("counted")
    start, to, r, t = (world.number(name) for name in ("start", "to", "r", "t"))
    following = sum_of(to, 1)

    def right(to: Word) -> Bool:
        more = pick(odd(r), less(to, start), 0)
        return counted.at(to) == sum_of(counted.at(start), more)

    one_more = counted.at(following) == sum_of(counted.at(to), tally(odd(t)))
    order = f.in_order(r, less(r, 1), t, less(t, 1))
    in_run = any_of(r == f.count, below(to, f.at(r)))
    inside = all_of(at_most(start, to), below(to, f.pages), in_run)
    return shown(
        world,
        [*order, f.is_rank(r, start), f.is_rank(t, to), one_more],
        right(start),
        implies(right(to), right(following)),
        given=inside,
    )


# From runs to words, and from words to runs


@LEMMAS.lemma(CITE, given=(INDUCTION,), method="induction")
def a_switch_goes_on_run_by_run(world: World) -> Query:
    """Filling the words of one run more keeps every page before it right, and the rest clear.

    `set_of` is what the words stand for; that filling words is making pages alike is proved there
    (`validation.bitmap.words`). `k` runs are done; at the end, all `count + 1` of them.
    """
    f, set_of = arbitrary(world), world.marks("words")
    k, p, r = world.number("k"), world.number("p"), world.number("r")

    def end(k: Word) -> Word:
        """The page up to which `k` runs reach."""
        return pick(k == 0, 0, pick(at_most(k, f.count), f.at(less(k, 1)), f.pages))

    def right(made: Pages, k: Word) -> Bool:
        done = below(p, end(k))
        return same(made.has(p), all_of(done, odd(r)))

    filled = set_of.with_range(end(k), end(sum_of(k, 1)), True)
    has = pick(odd(k), filled.has(p), set_of.has(p))
    order = f.in_order(r, less(r, 1), k, less(k, 1))
    following = all_of(below(p, end(sum_of(k, 1))), odd(r))
    whole = implies(k == sum_of(f.count, 1), same(set_of.has(p), odd(r)))
    supposed = [*order, f.is_rank(r, p), below(p, f.pages)]
    return shown(
        world,
        supposed,
        implies(negate(set_of.has(p)), right(set_of, 0)),
        implies(all_of(right(set_of, k), at_most(k, f.count)), same(has, following)),
        implies(right(set_of, k), whole),
    )


@LEMMAS.lemma(CITE, given=(INDUCTION,), method="induction")
def words_become_runs_page_by_page(world: World) -> Query:
    """A flip put behind the others wherever the next page differs: the pages so far are right."""
    f, words = arbitrary(world), world.marks("words")
    q, p, r, i = world.number("q"), world.number("p"), world.number("r"), world.number("i")
    differs = words.has(q) != odd(f.count)
    put = Flips(_Put(f, q), sum_of(f.count, tally(differs)), f.pages)
    below_q = implies(below(i, f.count), below(f.at(i), q))
    rank = pick(all_of(differs, p == q), sum_of(r, 1), r)
    so_far = implies(all_of(below(p, q), f.is_rank(r, p)), same(words.has(p), odd(r)))
    old = [*f.in_order(i, r, less(r, 1), less(f.count, 1)), so_far, below_q, f.is_rank(r, p)]
    old += [
        implies(below(j, f.count), below(f.at(j), q)) for j in (r, less(r, 1), less(f.count, 1))
    ]
    inside = all_of(below(q, f.pages), at_most(p, q), at_most(f.count, q))
    return shown(
        world,
        old,
        implies(below(i, put.count), below(put.at(i), sum_of(q, 1))),
        put.rises(i, less(put.count, 1)),
        put.is_rank(rank, p),
        same(words.has(p), odd(rank)),
        at_most(put.count, sum_of(q, 1)),
        given=inside,
    )


@dataclass(frozen=True)
class _Put:
    """Flips with one more behind them."""

    old: Flips
    page: Word

    def at(self, index: Word) -> Word:
        """The page of a flip."""
        return pick(index == self.old.count, self.page, self.old.at(index))
