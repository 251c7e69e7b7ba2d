"""The bitmap at word level: the algorithms that an SVSM runs, proved equal to the set of pages.

Bit `n % 64` of word `n // 64` is page number `n`, counted from the region's base. An algorithm is
written with operations that demand what C and Rust demand (a shift below the word size, an index
inside the array, no wrap), and each demand is an obligation of its own.

Assumes: `induction` joins start, round and end of a loop; `fill-contract`; `counting`.
Proves: point, range, 2 MiB, test, count and scan do to words what the rules do to sets, for every
number of pages and every argument; slack bits stay zero; no operation leaves its domain.
"""

from dataclasses import dataclass
from typing import Any

from spec.assumptions import COUNTING, FILL_CONTRACT, INDUCTION, LOWEST_BIT, POPCNT_CONTRACT
from spec.pages import Pages, Words
from spec.prove.lemma import Demands, Lemmas, must
from spec.prove.obligation import Query
from spec.prove.world import World
from spec.sources import definition
from spec.terms import (
    MASK,
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    bit,
    bits_and,
    bits_not,
    bits_or,
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
from spec.validation.bitmap import AREA, gfn, word_count

LEMMAS = Lemmas(f"{AREA}.words")
LIMIT = 1 << 40
# Far above any page number: the set that words stand for takes in slack bits, too.
FAR = 1 << 56


@dataclass(frozen=True)
class Filled:
    """Words with those of index `[first, stop)` replaced by `value`."""

    words: Words
    first: Word
    stop: Word
    value: Word

    def at(self, index: Word) -> Word:
        """Word `index`."""
        return pick(within(index, self.first, self.stop), self.value, self.words.at(index))


def stored(words: Words, index: Word, value: Word) -> Words:
    """Words with word `index` replaced by `value`."""
    return Filled(words, index, plus(index, 1), value)


@dataclass(frozen=True)
class Kernel:
    """An array of `length` words, and the partial operations of a kernel that works on it."""

    length: Word
    demands: Demands

    def left(self, term: Word, amount: Word) -> Word:
        """`term << amount`, which demands an amount below 64."""
        self.demands.demand("shift", below(amount, 64))
        return shift_left(term, amount)

    def right(self, term: Word, amount: Word) -> Word:
        """`term >> amount`, which demands an amount below 64."""
        self.demands.demand("shift", below(amount, 64))
        return shift_right(term, amount)

    def index(self, index: Word) -> Word:
        """`index`, which is demanded to be inside the array."""
        self.demands.demand("index", below(index, self.length))
        return index

    def sum(self, left: Word, right: Word) -> Word:
        """`left + right`, which demands that it does not wrap."""
        self.demands.demand("sum", at_most(left, minus(MASK, right)))
        return plus(left, right)

    def difference(self, left: Word, right: Word) -> Word:
        """`left - right`, which demands that it does not wrap."""
        self.demands.demand("difference", at_most(right, left))
        return minus(left, right)

    def head(self, first: Word) -> Word:
        """The bits of page `first`'s word from that page on."""
        return self.left(MASK, bits_and(first, 63))

    def tail(self, stop: Word) -> Word:
        """The bits of the word before page `stop` up to that page."""
        last = self.difference(stop, 1)
        return self.right(MASK, self.difference(63, bits_and(last, 63)))

    def ends(self, first: Word, stop: Word) -> tuple[Word, Word]:
        """The indices of the first and the last word of `[first, stop)`."""
        last = shift_right(self.difference(stop, 1), 6)
        return self.index(shift_right(first, 6)), self.index(last)


def put(word: Word, mask: Word, ones: Bool) -> Word:
    """`word` with the bits of `mask` set or cleared."""
    return pick(ones, bits_or(word, mask), bits_and(word, bits_not(mask)))


@dataclass(frozen=True)
class Scene:
    """An arbitrary array of words for `pages` pages, as the set of pages that it stands for."""

    kernel: Kernel
    words: Words
    set: Pages
    pages: Word
    first: Word
    stop: Word
    ones: Bool

    def fits(self) -> list[Bool]:
        """The array has the size that `create` gave it, and `[first, stop)` is in the region."""
        return [
            at_most(self.pages, LIMIT),
            self.kernel.length == word_count(self.pages),
            below(self.first, self.stop),
            at_most(self.stop, self.pages),
        ]

    def becomes(self, words: Words, q: Word) -> Bool:
        """Page `q` in `words` is what setting or clearing `[first, stop)` makes of it."""
        wanted = pick(within(q, self.first, self.stop), self.ones, has(self.words, q))
        return same(has(words, q), wanted)


def has(words: Words, n: Word) -> Bool:
    """Page number `n` in `words`."""
    return bit(words.at(shift_right(n, 6)), bits_and(n, 63))


def scene(world: World, demands: Demands, **fixed: Any) -> Scene:
    """An arbitrary scene."""
    words, pages = world.words("words"), world.word("pages")
    nothing = world.pages("nothing", (0, 0))
    return Scene(
        Kernel(world.word("length"), demands),
        words,
        nothing.unpacked(words, 0, FAR),
        pages,
        fixed.get("first", world.word("first")),
        fixed.get("stop", world.word("stop")),
        world.flag("ones"),
    )


def in_one_word(c: Scene) -> Bool:
    """`[first, stop)` lies in one word."""
    return shift_right(c.first, 6) == shift_right(minus(c.stop, 1), 6)


# Masks


@LEMMAS.kernel()
def a_head_mask_is_from_the_first_page_on(world: World, demands: Demands) -> Query:
    """Bit `i` of the head mask is set exactly for pages of that word from the first on."""
    c, q = scene(world, demands), world.word("q")
    in_word = shift_right(q, 6) == shift_right(c.first, 6)
    mask = c.kernel.head(c.first)
    return must(c.fits(), same(bit(mask, bits_and(q, 63)), at_most(c.first, q)), given=in_word)


@LEMMAS.kernel()
def a_tail_mask_is_up_to_the_last_page(world: World, demands: Demands) -> Query:
    """Bit `i` of the tail mask is set exactly for pages of that word below the end."""
    c, q = scene(world, demands), world.word("q")
    in_word = shift_right(q, 6) == shift_right(minus(c.stop, 1), 6)
    mask = c.kernel.tail(c.stop)
    return must(c.fits(), same(bit(mask, bits_and(q, 63)), below(q, c.stop)), given=in_word)


# One page


@LEMMAS.kernel()
def a_point_test_is_membership(world: World, demands: Demands) -> Query:
    """Shifting a page's word down and looking at the lowest bit tells whether it is in the set."""
    c = scene(world, demands)
    k, n = c.kernel, c.first
    word = c.words.at(k.index(shift_right(n, 6)))
    answer = bits_and(k.right(word, bits_and(n, 63)), 1)
    return must(c.fits(), same(answer == 1, c.set.has(n)))


@LEMMAS.kernel()
def a_point_store_changes_that_page(world: World, demands: Demands) -> Query:
    """Setting or clearing one bit of one word changes that page and no other."""
    c, q = scene(world, demands), world.word("q")
    k, n = c.kernel, c.first
    at = k.index(shift_right(n, 6))
    mask = k.left(1, bits_and(n, 63))
    after = stored(c.words, at, put(c.words.at(at), mask, c.ones))
    wanted = pick(q == n, c.ones, has(c.words, q))
    return must(c.fits(), same(has(after, q), wanted))


# A range: head mask, fill, tail mask


@LEMMAS.kernel()
def a_range_in_one_word_is_filled(world: World, demands: Demands) -> Query:
    """One word under both masks: exactly the range changes."""
    c, q = scene(world, demands), world.word("q")
    k = c.kernel
    left, _ = k.ends(c.first, c.stop)
    mask = bits_and(k.head(c.first), k.tail(c.stop))
    after = stored(c.words, left, put(c.words.at(left), mask, c.ones))
    return must(c.fits(), c.becomes(after, q), given=in_one_word(c))


def filled_across(c: Scene) -> Words:
    """The words after head, middle and tail of a range of several words are filled."""
    k = c.kernel
    left, right = k.ends(c.first, c.stop)
    head, tail = k.head(c.first), k.tail(c.stop)
    begun = stored(c.words, left, put(c.words.at(left), head, c.ones))
    middle = Filled(begun, k.sum(left, 1), right, pick(c.ones, MASK, 0))
    k.difference(right, k.sum(left, 1))  # the length of the middle
    return stored(middle, right, put(c.words.at(right), tail, c.ones))


@LEMMAS.kernel(given=(FILL_CONTRACT,))
def a_range_of_words_is_filled(world: World, demands: Demands) -> Query:
    """Head under its mask, whole words between, tail under its mask: exactly the range changes."""
    c, q = scene(world, demands), world.word("q")
    after = filled_across(c)
    # By where the page's word lies: one goal over all places is hard for a solver.
    word, left = shift_right(q, 6), shift_right(c.first, 6)
    right = shift_right(minus(c.stop, 1), 6)
    places = (
        word == left,
        word == right,
        all_of(below(left, word), below(word, right)),
        any_of(below(word, left), below(right, word)),
    )
    goals = [implies(place, c.becomes(after, q)) for place in places]
    return must(c.fits(), *goals, given=negate(in_one_word(c)))


@LEMMAS.kernel(given=(INDUCTION,), method="induction")
def filling_word_by_word_meets_the_contract(world: World, demands: Demands) -> Query:
    """Words `[from, i)` filled and one round more are words `[from, i + 1)` filled."""
    c, i, q = scene(world, demands), world.word("i"), world.word("q")
    left, right = shift_right(c.first, 6), shift_right(minus(c.stop, 1), 6)
    whole = pick(c.ones, MASK, 0)
    start = plus(left, 1)
    done = Filled(c.words, start, i, whole)
    one_more = stored(done, c.kernel.index(i), whole)
    wanted = Filled(c.words, start, c.kernel.sum(i, 1), whole)
    begun = Filled(c.words, start, start, whole)
    return must(
        c.fits(),
        same(has(begun, q), has(c.words, q)),
        same(has(one_more, q), has(wanted, q)),
        given=within(i, start, right),
    )


@LEMMAS.kernel(given=(FILL_CONTRACT,))
def filling_leaves_slack_zero(world: World, demands: Demands) -> Query:
    """Bits past the region that were zero are zero after a fill."""
    c, q = scene(world, demands), world.word("q")
    after = filled_across(c)
    was_zero = implies(at_most(c.pages, q), negate(has(c.words, q)))
    is_zero = implies(at_most(c.pages, q), negate(has(after, q)))
    return must([*c.fits(), was_zero], is_zero, given=negate(in_one_word(c)))


# 2 MiB: 512 bits that may begin at any bit


def large(world: World, demands: Demands) -> Scene:
    """A scene whose range is the 512 pages from `first` on."""
    return scene(world, demands, stop=plus(world.word("first"), 512))


def large_fits(c: Scene) -> list[Bool]:
    """The 512 pages are in the region."""
    return [*c.fits(), at_most(c.first, LIMIT)]


def starts_a_word(c: Scene) -> Bool:
    """The first page is the first of a word."""
    return bits_and(c.first, 63) == 0


@LEMMAS.kernel(given=(FILL_CONTRACT,))
def an_aligned_2m_is_eight_words(world: World, demands: Demands) -> Query:
    """Where the 512 pages start a word, filling eight words changes exactly them."""
    c, q = large(world, demands), world.word("q")
    k, whole = c.kernel, pick(c.ones, MASK, 0)
    at = k.index(shift_right(c.first, 6))
    after = Filled(c.words, at, plus(k.index(k.sum(at, 7)), 1), whole)
    return must(large_fits(c), c.becomes(after, q), given=starts_a_word(c))


@LEMMAS.kernel(given=(FILL_CONTRACT,))
def an_unaligned_2m_is_nine_words(world: World, demands: Demands) -> Query:
    """Where they do not, seven whole words and two halves under one mask and its complement."""
    c, q = large(world, demands), world.word("q")
    k, whole = c.kernel, pick(c.ones, MASK, 0)
    at = k.index(shift_right(c.first, 6))
    ninth = k.index(k.sum(at, 8))
    head = k.head(c.first)
    begun = stored(c.words, at, put(c.words.at(at), head, c.ones))
    middle = Filled(begun, plus(at, 1), ninth, whole)
    after = stored(middle, ninth, put(c.words.at(ninth), bits_not(head), c.ones))
    return must(large_fits(c), c.becomes(after, q), given=negate(starts_a_word(c)))


# Tests of many pages: none, all


def against(word: Word, every: bool) -> Word:
    """The bits of `word` that speak against none being set, or against all being set."""
    return bits_not(word) if every else word


def uniform(c: Scene, first: Word, stop: Word, every: bool) -> Bool:
    """All pages of a range are in the set, or none is."""
    return c.set.all(first, stop) if every else c.set.none(first, stop)


def told_by(
    world: World, c: Scene, index: Word, odd: Word, so_far: Bool, told: Bool, given: Bool
) -> Query:
    """That `so_far` and word `index` having no `odd` bit is what is `told`.

    An odd word has an odd bit; `place` is one.
    """
    place = world.word("place")
    an_odd_bit = implies(odd != 0, all_of(below(place, 64), bit(odd, place)))
    facts = world.facts([bits_or(shift_left(index, 6), bits_and(place, 63))])
    hypotheses = [*c.fits(), an_odd_bit, *facts]
    if_clean = implies(all_of(so_far, odd == 0), told)
    only_if = implies(told, all_of(so_far, odd == 0))
    return must(hypotheses, if_clean, only_if, given=given)


def tests(every: bool) -> None:
    """State that looking at words under masks tells whether all pages are claimed, or none."""
    of = "all" if every else "none"
    loop = LEMMAS.kernel(of=of, given=(INDUCTION, LOWEST_BIT), method="induction")

    @LEMMAS.kernel(of=of, given=(LOWEST_BIT,))
    def a_test_in_one_word_is_of_the_set(world: World, demands: Demands) -> Query:
        """One word under both masks tells it of a range in one word."""
        c = scene(world, demands)
        k = c.kernel
        left, _ = k.ends(c.first, c.stop)
        mask = bits_and(k.head(c.first), k.tail(c.stop))
        odd = bits_and(against(c.words.at(left), every), mask)
        told = uniform(c, c.first, c.stop, every)
        return told_by(world, c, left, odd, True, told, in_one_word(c))

    @loop
    def a_test_starts_with_the_head(world: World, demands: Demands) -> Query:
        """The first word under the head mask tells it up to the end of that word."""
        c = scene(world, demands)
        k = c.kernel
        left, _ = k.ends(c.first, c.stop)
        odd = bits_and(against(c.words.at(left), every), k.head(c.first))
        told = uniform(c, c.first, shift_left(plus(left, 1), 6), every)
        return told_by(world, c, left, odd, True, told, negate(in_one_word(c)))

    @loop
    def a_test_goes_on_word_by_word(world: World, demands: Demands) -> Query:
        """Told up to word `i`, and that word looked at, it is told up to word `i + 1`."""
        c, i = scene(world, demands), world.word("i")
        k = c.kernel
        left, right = k.ends(c.first, c.stop)
        so_far = uniform(c, c.first, shift_left(i, 6), every)
        odd = against(c.words.at(k.index(i)), every)
        told = uniform(c, c.first, shift_left(k.sum(i, 1), 6), every)
        return told_by(world, c, i, odd, so_far, told, within(i, plus(left, 1), right))

    @loop
    def a_test_ends_with_the_tail(world: World, demands: Demands) -> Query:
        """Told up to the last word, and that word looked at under its mask, it is told of all."""
        c = scene(world, demands)
        k = c.kernel
        _, right = k.ends(c.first, c.stop)
        so_far = uniform(c, c.first, shift_left(right, 6), every)
        odd = bits_and(against(c.words.at(right), every), k.tail(c.stop))
        told = uniform(c, c.first, c.stop, every)
        return told_by(world, c, right, odd, so_far, told, negate(in_one_word(c)))


tests(False)
tests(True)


# The scan for the lowest unclaimed page


@LEMMAS.kernel(given=(INDUCTION, LOWEST_BIT), method="induction")
def a_scan_finds_the_lowest(world: World, demands: Demands) -> Query:
    """All claimed up to a word that is not full: its lowest clear bit is the lowest unclaimed.

    `place` is the lowest set bit of the word's complement, by the contract of the instruction.
    That the words before are full is `a_test_goes_on_word_by_word[all]`.
    """
    c, i, place, q = scene(world, demands), world.word("i"), world.word("place"), world.word("q")
    k = c.kernel
    left, right = k.ends(c.first, c.stop)
    word = c.words.at(k.index(i))
    looked_at = pick(i == left, bits_or(word, bits_not(k.head(c.first))), word)
    clear = bits_not(looked_at)
    demands.demand("bit", clear != 0)
    lowest = [
        below(place, 64),
        bit(clear, place),
        bits_and(clear, minus(shift_left(1, place), 1)) == 0,
    ]
    found = k.sum(shift_left(i, 6), place)
    start = pick(i == left, c.first, shift_left(i, 6))
    so_far = implies(within(q, c.first, start), has(c.words, q))
    inside = all_of(within(i, left, plus(right, 1)), looked_at != MASK)
    in_it = implies(within(q, start, found), has(c.words, q))
    is_clear = all_of(at_most(start, found), negate(has(c.words, found)))
    goals = (at_most(c.first, start), in_it, is_clear)
    # The first word's mask is looked at by itself.
    cases = (i == left, i != left)
    goals = tuple(implies(case, goal) for goal in goals for case in cases)
    return must([*c.fits(), *lowest, so_far], *goals, given=inside)


# Counting


@LEMMAS.kernel(given=(COUNTING, INDUCTION, POPCNT_CONTRACT), method="induction")
def a_count_goes_on_word_by_word(world: World, demands: Demands) -> Query:
    """A count up to word `i`, and that word's set bits, are the count up to word `i + 1`.

    By induction over the places of the word: `own` is the set of those with a bit set. The words
    here are what the masks leave; see `a_count_is_of_what_the_masks_leave`.
    """
    c, i, start, place = (
        scene(world, demands),
        world.word("i"),
        world.word("start"),
        world.word("place"),
    )
    word, low = c.words.at(c.kernel.index(i)), shift_left(i, 6)
    own = world.pages("nothing", (0, 0)).unpacked(Filled(c.words, 0, 1, word), 0, 64)

    def right(to: Word) -> Bool:
        counted = c.set.count(start, c.kernel.sum(low, to))
        return counted == plus(c.set.count(start, low), own.count(0, to))

    n, following = bits_or(low, place), plus(low, plus(place, 1))
    rounds = [
        own.count(0, 0) == 0,
        own.count(0, plus(place, 1)) == plus(own.count(0, place), pick(own.has(place), 1, 0)),
        n == plus(low, place),
        c.set.count(start, following) == plus(c.set.count(start, n), pick(c.set.has(n), 1, 0)),
    ]
    inside = all_of(below(i, c.kernel.length), below(place, 64))
    go_on = implies(right(place), right(plus(place, 1)))
    return must([*c.fits(), *rounds], right(0), go_on, given=inside)


@LEMMAS.lemma(definition("the pages of a word"))
def a_page_number_is_word_and_place(world: World) -> Query:
    """Joining a word's index and a place by `|` is adding them, and the next page is one more."""
    i, place = world.word("i"), world.word("place")
    low = shift_left(i, 6)
    joined = bits_or(low, place)
    next_page = plus(joined, 1) == plus(low, plus(place, 1))
    return must([], joined == plus(low, place), next_page, given=below(place, 64))


@LEMMAS.kernel(given=(COUNTING, INDUCTION), method="induction")
def a_count_is_of_what_the_masks_leave(world: World, demands: Demands) -> Query:
    """The range's own part of the set, counted from any page before it, is the range's count."""
    c, low, to = scene(world, demands), world.word("low"), world.word("to")
    own = c.set.with_range(0, c.first, False).with_range(c.stop, MASK, False)

    def before(end: Word) -> Bool:
        return own.count(low, end) == 0

    def inside(end: Word) -> Bool:
        return own.count(low, end) == c.set.count(c.first, end)

    def past(end: Word) -> Bool:
        return own.count(low, end) == own.count(low, c.stop)

    more = pick(c.set.has(to), 1, 0)
    more_own = pick(own.has(to), 1, 0)
    rounds = [
        own.count(low, low) == 0,
        c.set.count(c.first, c.first) == 0,
        own.count(low, plus(to, 1)) == plus(own.count(low, to), more_own),
        c.set.count(c.first, plus(to, 1)) == plus(c.set.count(c.first, to), more),
    ]
    following = plus(to, 1)
    return must(
        [*c.fits(), at_most(low, c.first), below(to, MASK), *rounds],
        before(low),
        implies(all_of(below(to, c.first), before(to)), before(following)),
        implies(before(c.first), inside(c.first)),
        implies(all_of(within(to, c.first, c.stop), inside(to)), inside(following)),
        implies(all_of(at_most(c.stop, to), past(to)), past(following)),
    )


# Sizes and numbers


@LEMMAS.kernel()
def the_size_is_computed_without_wrap(world: World, demands: Demands) -> Query:
    """Rounding the number of pages up to words does not wrap, and every page has a word."""
    pages, n = world.word("pages"), world.word("n")
    k = Kernel(world.word("length"), demands)
    words = shift_right(k.sum(pages, 63), 6)
    return must([at_most(pages, LIMIT)], below(shift_right(n, 6), words), given=below(n, pages))


@LEMMAS.kernel()
def a_number_is_a_difference_of_frames(world: World, demands: Demands) -> Query:
    """The number of an address, computed in bytes, is its frame less the base's frame."""
    base, gpa = world.word("base"), world.word("gpa")
    number = shift_right(Kernel(world.word("length"), demands).difference(gpa, base), 12)
    aligned = [bits_and(term, 4095) == 0 for term in (base, gpa)]
    return must(aligned, number == minus(gfn(gpa), gfn(base)), given=at_most(base, gpa))


@LEMMAS.kernel()
def numbers_and_frames_are_in_one_order(world: World, demands: Demands) -> Query:
    """Page number `n` is below that of a frame exactly if its frame is below that frame."""
    base, frame, n = world.word("base"), world.word("frame"), world.word("n")
    k = Kernel(world.word("length"), demands)
    order = same(below(n, k.difference(frame, base)), below(k.sum(base, n), frame))
    small = [at_most(frame, LIMIT), at_most(n, LIMIT)]
    return must(small, order, given=at_most(base, frame))


@LEMMAS.kernel()
def slack_is_what_the_mask_leaves(world: World, demands: Demands) -> Query:
    """The last word shifted past the region's own bits is zero exactly if no slack bit is set."""
    c = scene(world, demands)
    k = c.kernel
    spare = bits_and(c.pages, 63)
    word = c.words.at(k.index(k.difference(k.length, 1)))
    left_over = k.right(word, spare)
    set_past = [all_of(at_most(spare, place), bit(word, place)) for place in range(64)]
    none_past = all_of(*map(negate, set_past))
    return must(c.fits(), same(left_over == 0, none_past), given=spare != 0)
