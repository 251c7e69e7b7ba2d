"""A table is a total function from words to words, changed on a key, a block or a range of keys.

To the solver it is a closure over an uninterpreted function, so an update is one `if-then-else`
whatever the number of keys. To the oracle it is the sorted list of places at which it changes;
between them it is constant or counts up by one, as frame numbers of neighbouring frames do.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import z3

from spec.terms import MASK, WIDTH, Bool, Word, bits_and, pick, word

BLOCK = 512
"""4 KiB pages in a 2 MiB page."""
_BLOCK_MASK = MASK - (BLOCK - 1)


def in_block(key: Word, first: Word, large: Bool) -> Bool:
    """`key` is `first`, or with `large` one of the 512 from `first`, a multiple of 512, on."""
    return bits_and(key, pick(large, _BLOCK_MASK, MASK)) == first


def block_pages(large: Bool) -> Word:
    """How many 4 KiB pages a block has: 1, or 512 with `large`."""
    return pick(large, BLOCK, 1)


class Table(Protocol):
    """A total function from words to words."""

    def at(self, key: Word) -> Word:
        """The value at `key`."""

    def put(self, key: Word, value: Word) -> "Table":
        """This table with another value at one key."""

    def with_block(self, first: Word, large: Bool, value: Word, counting: bool = False) -> "Table":
        """This table with another value at each key of a block.

        counting: the values count up by one from `value`, which is aligned as the block is.
        """

    def filled(self, value: Word) -> "Table":
        """The table that has `value` at every key."""


@dataclass(frozen=True)
class ListedTable:
    """A concrete table: from key `starts[i]` on it has `values[i]`, counting up if `counts[i]`."""

    starts: tuple[int, ...] = (0,)
    values: tuple[int, ...] = (0,)
    counts: tuple[bool, ...] = (False,)

    @classmethod
    def of(cls, entries: Mapping[int, int]) -> "ListedTable":
        """The table with some entries, 0 elsewhere."""
        made = cls()
        for key, value in sorted(entries.items()):
            made = made.put(key, value)
        return made

    def at(self, key: int) -> int:
        """The value at `key`."""
        place = bisect_right(self.starts, key) - 1
        value = self.values[place]
        return (value + key - self.starts[place]) & MASK if self.counts[place] else value

    def put(self, key: int, value: int) -> "ListedTable":
        """This table with another value at one key."""
        return self._spliced(key, key + 1, value, False)

    def with_block(
        self, first: int, large: bool, value: int, counting: bool = False
    ) -> "ListedTable":
        """This table with another value at each key of a block."""
        size = BLOCK if large else 1
        return self._spliced(first, first + size, value, counting and size > 1)

    def filled(self, value: int) -> "ListedTable":
        """The table that has `value` at every key."""
        return ListedTable((0,), (value,), (False,))

    def _spliced(self, first: int, stop: int, value: int, counting: bool) -> "ListedTable":
        left, right = bisect_left(self.starts, first), bisect_right(self.starts, stop) - 1
        starts, values, counts = self.starts, self.values, self.counts
        head = (starts[:left], values[:left], counts[:left])
        keeps = counts[right]
        tail = (
            (stop, *starts[right + 1 :]),
            (self.at(stop), *values[right + 1 :]),
            (keeps, *counts[right + 1 :]),
        )
        if left and not counting and not head[2][-1] and head[1][-1] == value:
            middle: tuple[tuple[int, ...], tuple[int, ...], tuple[bool, ...]] = ((), (), ())
        else:
            middle = ((first,), (value,), (counting,))
        if not counting and not keeps and tail[1][0] == value:
            tail = (tail[0][1:], tail[1][1:], tail[2][1:])
        return ListedTable(
            head[0] + middle[0] + tail[0],
            head[1] + middle[1] + tail[1],
            head[2] + middle[2] + tail[2],
        )

    def entries(self) -> list[tuple[int, int, int, bool]]:
        """The pieces that are not a constant 0: first key, key past the end, value, counting."""
        stops = (*self.starts[1:], MASK + 1)
        pieces = zip(self.starts, stops, self.values, self.counts, strict=True)
        return [piece for piece in pieces if piece[2] or piece[3]]


@dataclass(frozen=True, eq=False)
class SymbolicTable:
    """A table as a closure; what was looked up is kept, so that a term is built once."""

    of: Callable[[Word], Word]
    known: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def at(self, key: Word) -> Word:
        """The value at `key`."""
        key = word(key)
        found = self.known.get(key.get_id())
        if found is None:
            # The key is kept beside the value: its id is its own only as long as it lives.
            found = self.known[key.get_id()] = (key, self.of(key))
        return found[1]

    def put(self, key: Word, value: Word) -> "SymbolicTable":
        """This table with another value at one key."""
        key, value = word(key), word(value)
        return SymbolicTable(lambda k: z3.If(k == key, value, self.at(k)))

    def with_block(
        self, first: Word, large: Bool, value: Word, counting: bool = False
    ) -> "SymbolicTable":
        """This table with another value at each key of a block."""
        first, value = word(first), word(value)

        def of(key: Word) -> Word:
            there = value | (key & pick(large, BLOCK - 1, 0)) if counting else value
            return z3.If(in_block(key, first, large), there, self.at(key))

        return SymbolicTable(of)

    def filled(self, value: Word) -> "SymbolicTable":
        """The table that has `value` at every key."""
        same = word(value)
        return SymbolicTable(lambda _key: same)


def symbolic_table(name: str) -> SymbolicTable:
    """An arbitrary table."""
    sort = z3.BitVecSort(WIDTH)
    function: Any = z3.Function(name, sort, sort)
    return SymbolicTable(function)
