"""A table is a total function from words to words, changed on a key, a block or a range of keys.

To the solver it is a closure over an uninterpreted function, so an update is one `if-then-else`
whatever the number of keys. To the oracle it is the keys and blocks that were written. A block may
count up by one from key to key, as the frame numbers of neighbouring pages do.
"""

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
    """A concrete table: single keys, then whole blocks of 512, then one value for all others.

    blocks: by first key, the value there and whether it counts up.
    """

    singles: Mapping[int, int] = field(default_factory=dict)
    blocks: Mapping[int, tuple[int, bool]] = field(default_factory=dict)
    default: int = 0

    @classmethod
    def of(cls, entries: Mapping[int, int]) -> "ListedTable":
        """The table with some entries, 0 elsewhere."""
        return cls({key: value for key, value in entries.items() if value})

    def at(self, key: int) -> int:
        """The value at `key`."""
        found = self.singles.get(key)
        if found is not None:
            return found
        block = self.blocks.get(key & _BLOCK_MASK) if self.blocks else None
        if block is None:
            return self.default
        value, counting = block
        return value | (key & (BLOCK - 1)) if counting else value

    def put(self, key: int, value: int) -> "ListedTable":
        """This table with another value at one key."""
        return ListedTable({**self.singles, key: value}, self.blocks, self.default)

    def cut(self, count: int) -> "ListedTable":
        """This table with 0 from key `count` on; of one with no blocks, and 0 at all other keys."""
        return ListedTable.of({key: value for key, value in self.singles.items() if key < count})

    def with_block(
        self, first: int, large: bool, value: int, counting: bool = False
    ) -> "ListedTable":
        """This table with another value at each key of a block."""
        if not large:
            return self.put(first, value)
        stop = first + BLOCK
        left = {key: old for key, old in self.singles.items() if not first <= key < stop}
        return ListedTable(left, {**self.blocks, first: (value, counting)}, self.default)

    def filled(self, value: int) -> "ListedTable":
        """The table that has `value` at every key."""
        return ListedTable({}, {}, value)

    def counts_up(self, first: int, large: bool, value: int) -> bool:
        """Whether the values of a block count up from `value`."""
        if not large:
            return self.at(first) == value
        if self.blocks.get(first) == (value, True):
            odd = (key for key in self.singles if first <= key < first + BLOCK)
            return all(self.singles[key] == value | (key - first) for key in odd)
        return all(self.at(first + place) == value | place for place in range(BLOCK))


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
