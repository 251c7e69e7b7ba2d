"""A set of pages as an SVSM keeps it: bit `p % 64` of word `p // 64` is page `p`.

The same set as any other to whoever asks it, but what lies under it is a table of words, and a
change is a mask of a word, or whole words. So a proof that speaks of it speaks of the words.
"""

from dataclasses import dataclass

import z3

from spec.pages import Book, Pages, SymbolicPages
from spec.tables import SymbolicTable
from spec.terms import MASK, WIDTH, Bool, Word, bits_and, pick, truth, word

WORD_SHIFT = 6


@dataclass(frozen=True, eq=False)
class WordPages(SymbolicPages):
    """A set of pages over a table of 64-bit words."""

    words: SymbolicTable

    @classmethod
    def over(cls, words: SymbolicTable, book: Book) -> "WordPages":
        """The set whose words are `words`."""

        def of(page: Word) -> Bool:
            shifted = z3.LShR(words.at(z3.LShR(page, WORD_SHIFT)), page & (WIDTH - 1))
            return z3.Extract(0, 0, shifted) == 1

        return cls(of, book, words)

    def with_block(self, first: Word, large: Bool, value: Bool) -> "WordPages":
        """This set with one bit changed, or with `large` each bit of eight words."""
        first = word(first)
        mask = pick(large, MASK, z3.BitVecVal(1, WIDTH) << (first & (WIDTH - 1)))
        first_word = z3.LShR(first, WORD_SHIFT)
        index_mask = pick(large, MASK - 7, MASK)
        value = truth(value)

        def of(index: Word) -> Word:
            there = bits_and(index, index_mask) == first_word
            old = self.words.at(index)
            return z3.If(there, z3.If(value, old | mask, old & ~mask), old)

        return WordPages.over(SymbolicTable(of), self.book)


def as_words(pages: Pages) -> bool:
    """Whether a set is kept as words."""
    return isinstance(pages, WordPages)
