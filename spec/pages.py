"""A set of pages is its characteristic function: `has(p)` says whether page `p` is in it.

To the solver a set is a closure over an uninterpreted function, so that a range update is one
`if-then-else` and a proof speaks of one arbitrary page whatever the number of pages. What speaks
of many pages (`all`, `none`) becomes a flag, a witness, and instances at the pages that a proof
touches: no quantifier reaches a solver. To the oracle a set is its sorted run boundaries, which
hold a petabyte guest as easily as a page.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import z3

from spec.tables import BLOCK, Table, block_pages, in_block
from spec.terms import (
    MASK,
    WIDTH,
    Bool,
    Word,
    all_of,
    any_of,
    below,
    bits_and,
    bits_or,
    implies,
    negate,
    pick,
    plus,
    truth,
    within,
    word,
)


class Pages(Protocol):
    """A set of page numbers; every method is total, and an empty or reversed range is empty."""

    def has(self, page: Word) -> Bool:
        """Whether `page` is in the set."""

    def with_range(self, first: Word, stop: Word, value: Bool) -> "Pages":
        """This set with membership of `[first, stop)` made `value`."""

    def with_block(self, first: Word, large: Bool, value: Bool) -> "Pages":
        """This set with membership of the pages of a block made `value`."""

    def minus(self, other: "Pages") -> "Pages":
        """The pages of this set that are not in `other`."""

    def meet(self, other: "Pages") -> "Pages":
        """The pages of this set that are in `other` too."""

    def counting(self, table: Table, key: Word, value: Word, large: Bool) -> "Pages":
        """The pages of this set at which a table counts up so as to have `value` at `key`.

        Both are aligned as a block is; it is for the block from `key` on that it is asked.
        """

    def is_empty(self) -> Bool:
        """No page is in the set."""

    def emptied(self) -> "Pages":
        """The set without a page."""

    def no_block(self, first: Word, large: Bool) -> Bool:
        """No page of a block is in the set."""

    def whole_block(self, first: Word, large: Bool) -> Bool:
        """Every page of a block is in the set."""

    def none(self, first: Word, stop: Word) -> Bool:
        """No page of `[first, stop)` is in the set."""

    def all(self, first: Word, stop: Word) -> Bool:
        """Every page of `[first, stop)` is in the set."""

    def count(self, first: Word, stop: Word) -> Word:
        """How many pages of `[first, stop)` are in the set."""

    def lowest_missing(self, first: Word, stop: Word) -> Word:
        """The lowest page of `[first, stop)` not in the set; meaningful where `all` is not."""

    def runs_in(self, first: Word, stop: Word) -> Word:
        """How many runs of alike pages `[first, stop)` has, for a set with no page outside it.

        The first run is of pages not in the set, and may be empty.
        """

    def packed(self, origin: Word) -> "Words":
        """The set as words: bit `p % 64` of word `p // 64` is page `origin + p`."""

    def unpacked(self, words: "Words", origin: Word, pages: Word) -> "Pages":
        """The pages `origin + p` with `p` below `pages` and bit `p` of `words` set."""


class Words(Protocol):
    """A table of 64-bit words; total."""

    def at(self, index: Word) -> Word:
        """Word `index`."""


# The oracle


@dataclass(frozen=True)
class ListedWords:
    """A finite table: the words that are not zero, by index, in order."""

    listed: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, words: Iterable[int]) -> "ListedWords":
        """The table of `words`, the first at index 0."""
        return cls(tuple((i, w) for i, w in enumerate(words) if w))

    def at(self, index: int) -> int:
        """Word `index`."""
        place = bisect_left(self.listed, (index, 0))
        found = self.listed[place : place + 1]
        return found[0][1] if found and found[0][0] == index else 0

    def first(self, words: int) -> tuple[int, ...]:
        """The first `words` words."""
        return tuple(map(self.at, range(words)))


@dataclass(frozen=True)
class PackedWords:
    """The words of a concrete set, made when asked for."""

    pages: "ListedPages"
    origin: int

    def at(self, index: int) -> int:
        """Word `index`."""
        low = self.origin + WIDTH * index
        spans = ((max(a, low) - low, min(b, low + WIDTH) - low) for a, b in self.pages.runs())
        return sum(((1 << (b - a)) - 1) << a for a, b in spans if a < b)

    def first(self, words: int) -> tuple[int, ...]:
        """The first `words` words, in one pass over the runs."""
        runs = ((max(a - self.origin, 0), b - self.origin) for a, b in self.pages.runs())
        bits = sum(((1 << (b - a)) - 1) << a for a, b in runs if a < b)
        data = (bits & ((1 << (WIDTH * words)) - 1)).to_bytes(8 * words, "little")
        return tuple(int.from_bytes(data[8 * i : 8 * i + 8], "little") for i in range(words))


@dataclass(frozen=True)
class ListedPages:
    """A finite set of pages by its sorted boundaries: membership flips at each."""

    bounds: tuple[int, ...] = ()

    def has(self, page: int) -> bool:
        """Whether `page` is in the set."""
        return bisect_right(self.bounds, page) % 2 == 1

    def with_range(self, first: int, stop: int, value: bool) -> "ListedPages":
        """This set with membership of `[first, stop)` made `value`."""
        if stop <= first:
            return self
        left, right = bisect_left(self.bounds, first), bisect_right(self.bounds, stop)
        opening = (first,) if (left % 2 == 1) != value else ()
        closing = (stop,) if (right % 2 == 1) != value else ()
        return ListedPages(self.bounds[:left] + opening + closing + self.bounds[right:])

    def with_block(self, first: int, large: bool, value: bool) -> "ListedPages":
        """This set with membership of the pages of a block made `value`."""
        if not large and self.has(first) == value:
            return self
        return self.with_range(first, first + (BLOCK if large else 1), value)

    def minus(self, other: Any) -> "ListedPages":
        """The pages of this set that are not in `other`."""
        made = self
        for first, stop in other.runs():
            made = made.with_range(first, stop, False)
        return made

    def meet(self, other: Any) -> "ListedPages":
        """The pages of this set that are in `other` too."""
        return self.minus(self.minus(other))

    def counting(self, table: Any, key: int, value: int, large: bool) -> "ListedPages":
        """This set, or nothing where a table does not count up from `value` over the block."""
        return self if table.counts_up(key, large, value) else ListedPages()

    def is_empty(self) -> bool:
        """No page is in the set."""
        return not self.bounds

    def emptied(self) -> "ListedPages":
        """The set without a page."""
        return ListedPages()

    def no_block(self, first: int, large: bool) -> bool:
        """No page of a block is in the set."""
        return self._uniform(first, first + (BLOCK if large else 1), False)

    def whole_block(self, first: int, large: bool) -> bool:
        """Every page of a block is in the set."""
        return self._uniform(first, first + (BLOCK if large else 1), True)

    def _uniform(self, first: int, stop: int, value: bool) -> bool:
        after = bisect_right(self.bounds, first)
        unbroken = after == len(self.bounds) or self.bounds[after] >= stop
        return stop <= first or (unbroken and (after % 2 == 1) == value)

    def none(self, first: int, stop: int) -> bool:
        """No page of `[first, stop)` is in the set."""
        return self._uniform(first, stop, False)

    def all(self, first: int, stop: int) -> bool:
        """Every page of `[first, stop)` is in the set."""
        return self._uniform(first, stop, True)

    def runs(self) -> Iterable[tuple[int, int]]:
        """The runs of pages in the set, half-open, in order."""
        return zip(self.bounds[::2], self.bounds[1::2], strict=True)

    def count(self, first: int, stop: int) -> int:
        """How many pages of `[first, stop)` are in the set."""
        return sum(max(0, min(b, stop) - max(a, first)) for a, b in self.runs())

    def lowest_missing(self, first: int, stop: int) -> int:
        """The lowest page of `[first, stop)` not in the set, or `stop`."""
        after = bisect_right(self.bounds, first)
        return min(stop, self.bounds[after] if after % 2 else first)

    def runs_in(self, first: int, stop: int) -> int:
        """How many runs of alike pages `[first, stop)` has, for a set with no page outside it."""
        return 1 + len(self.bounds) - (stop in self.bounds[-1:])

    def packed(self, origin: int) -> PackedWords:
        """The set as words: bit `p % 64` of word `p // 64` is page `origin + p`."""
        return PackedWords(self, origin)

    def unpacked(self, words: Words, origin: int, pages: int) -> "ListedPages":
        """The pages `origin + p` with `p` below `pages` and bit `p` of `words` set."""
        flips: list[int] = []
        if not isinstance(words, ListedWords):
            words = ListedWords.of(map(words.at, range(-(-pages // WIDTH))))
        for index, listed in words.listed:
            edges = listed ^ (listed << 1)
            while edges:
                lowest = edges & -edges
                edges ^= lowest
                place = origin + WIDTH * index + lowest.bit_length() - 1
                # A run that goes on into the next word has its end and start at one place.
                if flips[-1:] == [place]:
                    flips.pop()
                else:
                    flips.append(place)
        return ListedPages(tuple(flips)).with_range(origin + pages, 1 << 72, False)


# The solver


def everywhere(_page: Word) -> Bool:
    """Every page lies everywhere."""
    return z3.BoolVal(True)


@dataclass(frozen=True)
class Uniform:
    """What was said of many pages: `flag` iff every page of `[first, stop)` has `value`.

    Where it does not hold, `witness` is the least page that breaks it. `inside` says of a page
    whether it is in the range, where there is a shorter way to say it.
    """

    pages: "SymbolicPages"
    first: Word
    stop: Word
    value: bool
    flag: Bool
    witness: Word
    inside: Callable[[Word], Bool] | None = None

    @property
    def is_of_all(self) -> bool:
        """Whether it speaks of every page there is."""
        return self.inside is everywhere

    def _has(self, page: Word) -> Bool:
        return self.inside(page) if self.inside else within(page, self.first, self.stop)

    def _agrees(self, page: Word) -> Bool:
        return self.pages.has(page) if self.value else negate(self.pages.has(page))

    def witnessed(self) -> Bool:
        """Where it does not hold, the witness shows it."""
        shown = all_of(self._has(self.witness), negate(self._agrees(self.witness)))
        return implies(negate(self.flag), shown)

    def at(self, page: Word) -> Bool:
        """What it says of one page."""
        vouched = any_of(self.flag, below(page, self.witness))
        return implies(all_of(self._has(page), vouched), self._agrees(page))


@dataclass
class Book:
    """The facts that one obligation's sets have been asked for."""

    facts: dict[tuple["SymbolicPages", int, int, bool], Uniform] = field(default_factory=dict)
    counters: dict["SymbolicPages", z3.FuncDeclRef] = field(default_factory=dict)
    run_counts: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def uniform(
        self,
        pages: "SymbolicPages",
        first: Word,
        stop: Word,
        value: bool,
        inside: Callable[[Word], Bool] | None = None,
    ) -> Uniform:
        """The fact that every page of `[first, stop)` has `value`, made once."""
        first, stop = z3.simplify(word(first)), z3.simplify(word(stop))
        key = (pages, first.get_id(), stop.get_id(), value)
        if key not in self.facts:
            stem = f"{'all' if value else 'none'}_{len(self.facts)}"
            self.facts[key] = Uniform(
                pages,
                first,
                stop,
                value,
                z3.Bool(stem),
                z3.BitVec(f"witness_of_{stem}", WIDTH),
                inside,
            )
        return self.facts[key]

    def counter(self, pages: "SymbolicPages") -> z3.FuncDeclRef:
        """The counting function of one set."""
        sort = z3.BitVecSort(WIDTH)
        name = f"count_{len(self.counters)}"
        return self.counters.setdefault(pages, z3.Function(name, sort, sort, sort))

    def runs(self, pages: "SymbolicPages", first: Word, stop: Word) -> Word:
        """The number of runs of one set; sets that are said alike have one number."""
        said = pages.has(z3.BitVec("any_page", WIDTH))
        if said.get_id() not in self.run_counts:
            number = z3.BitVec(f"runs_{len(self.run_counts)}", WIDTH)
            self.run_counts[said.get_id()] = (said, number, pages, first, stop)
        return self.run_counts[said.get_id()][1]

    def alike(self) -> Iterable[Bool]:
        """Pages that are all alike make two runs at most, a lemma of `validation.runs`."""
        for place, (_, number, pages, first, stop) in enumerate(self.run_counts.values()):
            for value in (True, False):
                stem = f"alike_{place}_{value}"
                flag, odd = z3.Bool(stem), z3.BitVec(f"odd_{stem}", WIDTH)
                yield Uniform(pages, first, stop, value, flag, odd).witnessed()
                yield implies(flag, within(number, 1, 3))

    def places(self) -> list[Word]:
        """The pages at which the facts themselves want to be looked at."""
        return [place for fact in self.facts.values() for place in (fact.first, fact.witness)]

    def near(self, points: Iterable[Word], seen: Sequence[Word]) -> list[Bool]:
        """Every fact, at each of `points`; what speaks of all pages, at each of `seen`.

        What one fact about a range says of the witness of another is left out.
        """
        facts, places = list(self.facts.values()), list(points)
        said = [f.witnessed() for f in facts]
        own = [*seen, *(f.witness for f in facts)]
        return said + [f.at(q) for f in facts for q in (own if f.is_of_all else places)]

    def instances(self, points: Iterable[Word]) -> list[Bool]:
        """Every fact, at each of `points` and at each fact's witness."""
        facts = list(self.facts.values())
        places = [*points, *self.places()]
        return [f.witnessed() for f in facts] + [f.at(q) for f in facts for q in places]


@dataclass(frozen=True, eq=False)
class SymbolicWords:
    """A table of words by a function from index to word."""

    of: Callable[[Word], Word]

    def at(self, index: Word) -> Word:
        """Word `index`."""
        return self.of(word(index))


@dataclass(frozen=True, eq=False)
class SymbolicNumbers:
    """A table of numbers by a function from number to number."""

    of: Callable[[Word], Word]

    def at(self, index: Word) -> Word:
        """The number at an index, which is a number too."""
        return self.of(z3.IntVal(index) if isinstance(index, int) else index)

    def put(self, index: Word, value: Word) -> "SymbolicNumbers":
        """This table with another number at one index."""
        return SymbolicNumbers(lambda i: z3.If(i == index, value, self.at(i)))

    def cut(self, count: Word) -> "SymbolicNumbers":
        """This table with 0 from index `count` on."""
        return SymbolicNumbers(lambda i: z3.If(i < count, self.at(i), z3.IntVal(0)))


@dataclass(frozen=True, eq=False)
class SymbolicPages:
    """A set of pages as a closure; what is asked of many pages goes into `book`."""

    of: Callable[[Word], Bool]
    book: Book

    def has(self, page: Word) -> Bool:
        """Whether `page` is in the set."""
        return self.of(word(page))

    def with_range(self, first: Word, stop: Word, value: Bool) -> "SymbolicPages":
        """This set with membership of `[first, stop)` made `value`."""
        return SymbolicPages(
            lambda q: z3.If(within(q, first, stop), truth(value), self.has(q)), self.book
        )

    def with_block(self, first: Word, large: Bool, value: Bool) -> "SymbolicPages":
        """This set with membership of the pages of a block made `value`."""
        return SymbolicPages(
            lambda q: z3.If(in_block(q, first, large), truth(value), self.has(q)), self.book
        )

    def minus(self, other: Pages) -> "SymbolicPages":
        """The pages of this set that are not in `other`."""
        return SymbolicPages(lambda q: all_of(self.has(q), negate(other.has(q))), self.book)

    def meet(self, other: Pages) -> "SymbolicPages":
        """The pages of this set that are in `other` too."""
        return SymbolicPages(lambda q: all_of(self.has(q), other.has(q)), self.book)

    def counting(self, table: Table, key: Word, value: Word, large: Bool) -> "SymbolicPages":
        """The pages of this set at which a table counts up so as to have `value` at `key`."""
        place = pick(large, BLOCK - 1, 0)
        return SymbolicPages(
            lambda q: all_of(self.has(q), table.at(q) == bits_or(value, bits_and(q, place))),
            self.book,
        )

    def is_empty(self) -> Bool:
        """No page is in the set."""
        return self.book.uniform(self, 0, MASK, False, everywhere).flag

    def emptied(self) -> "SymbolicPages":
        """The set without a page."""
        return SymbolicPages(lambda _page: z3.BoolVal(False), self.book)

    def no_block(self, first: Word, large: Bool) -> Bool:
        """No page of a block is in the set."""
        return self._block(first, large, False)

    def whole_block(self, first: Word, large: Bool) -> Bool:
        """Every page of a block is in the set."""
        return self._block(first, large, True)

    def _block(self, first: Word, large: Bool, value: bool) -> Bool:
        stop = first + block_pages(large)
        fact = self.book.uniform(self, first, stop, value, lambda q: in_block(q, first, large))
        return fact.flag

    def none(self, first: Word, stop: Word) -> Bool:
        """No page of `[first, stop)` is in the set."""
        return self.book.uniform(self, first, stop, False).flag

    def all(self, first: Word, stop: Word) -> Bool:
        """Every page of `[first, stop)` is in the set."""
        return self.book.uniform(self, first, stop, True).flag

    def count(self, first: Word, stop: Word) -> Word:
        """How many pages of `[first, stop)` are in the set."""
        return self.book.counter(self)(word(first), word(stop))

    def lowest_missing(self, first: Word, stop: Word) -> Word:
        """The lowest page of `[first, stop)` not in the set, where there is one."""
        return self.book.uniform(self, first, stop, True).witness

    def runs_in(self, first: Word, stop: Word) -> Word:
        """How many runs of alike pages `[first, stop)` has: a number, at most two if all agree."""
        return self.book.runs(self, word(first), word(stop))

    def packed(self, origin: Word) -> SymbolicWords:
        """The set as words: bit `p % 64` of word `p // 64` is page `origin + p`."""

        def packed_word(index: Word) -> Word:
            low = index << 6
            places = (self.has(plus(origin, low | place)) for place in reversed(range(WIDTH)))
            one, zero = z3.BitVecVal(1, 1), z3.BitVecVal(0, 1)
            return z3.Concat(*(z3.If(place, one, zero) for place in places))

        return SymbolicWords(packed_word)

    def unpacked(self, words: Words, origin: Word, pages: Word) -> "SymbolicPages":
        """The pages `origin + p` with `p` below `pages` and bit `p` of `words` set."""

        def listed(page: Word) -> Bool:
            place = page - origin
            shifted = z3.LShR(words.at(z3.LShR(place, 6)), place & 63)
            return all_of(below(place, pages), z3.Extract(0, 0, shifted) == 1)

        return SymbolicPages(listed, self.book)
