"""Memory as a kernel of the bitmap sees it: words, as many as one likes, none of them known.

What the words hold at the start is a function of their index, and what is written since is kept in
order, as ranges of words with a value. So nothing here knows how many words there are.
"""

import time
from typing import Any

import z3

from conformance.audit import bits
from conformance.audit.bits import Truth, Value
from conformance.audit.faults import NotModelled
from conformance.audit.image import Image
from conformance.audit.state import Access, Place, State
from conformance.audit.world import World

WORDS = "words"
SOLVER_MS = 20_000


class KernelWorld(World):
    """A world with one buffer of words behind the pointer `words`."""

    def __init__(self, image: Image, pointer: Any, deadline: float) -> None:
        super().__init__(image, {WORDS: pointer}, deadline)
        self.anywhere.add(WORDS)
        self.held = z3.Function("held", z3.BitVecSort(64), z3.BitVecSort(64))
        self.ones = z3.Function("ones", z3.BitVecSort(64), z3.BitVecSort(64))
        self._answered: Any = None

    def check(self, suppose: tuple[Truth, ...], *extra: Truth) -> bool:
        """As ever, of words that are an unknown function: a solver of its own for each question."""
        if time.monotonic() > self.deadline:
            raise NotModelled("out of time")
        solver = z3.SolverFor("QF_UFBV")
        solver.set("timeout", SOLVER_MS)
        solver.add(*(one for one in (*suppose, *extra) if one is not True))
        self.queries += 1
        answer = solver.check()
        if answer == z3.unknown:
            raise NotModelled(f"the solver does not know: {solver.reason_unknown()}")
        self._answered = solver
        return bool(answer == z3.sat)

    def model(self) -> Any:
        """Values for the last question that was answered yes."""
        return self._answered.model()

    def word(self, s: State, index: Any) -> Any:
        """The word that lies at an index now."""
        found = self.held(index)
        for first, stop, value in s.writes:
            inside = z3.And(z3.ULE(first, index), z3.ULT(index, stop))
            found = z3.If(inside, bits.term(value, 64), found)
        return z3.simplify(found)

    def load(self, s: State, address: Value, size: int, locked: bool) -> Value:
        """Read: whole words."""
        place = self.place(s, address)
        if place.region != WORDS:
            return super().load(s, address, size, locked)
        index = self._index(s, place)
        words = []
        for n in range(self._count(size)):
            at = z3.simplify(index + n)
            words.append(self.word(s, at))
            s.trace = (*s.trace, Access("R", 64, at, words[-1], s.at))
        return words[0] if len(words) == 1 else z3.Concat(*reversed(words))

    def store(self, s: State, address: Value, value: Value, size: int, locked: bool) -> None:
        """Write: whole words."""
        place = self.place(s, address)
        if place.region != WORDS:
            super().store(s, address, value, size, locked)
            return
        index = self._index(s, place)
        for n in range(self._count(size)):
            at = z3.simplify(index + n)
            part = bits.part(value, 64 * n, 64, 8 * size)
            s.writes = (*s.writes, (at, z3.simplify(at + 1), part))
            s.trace = (*s.trace, Access("W", 64, at, part, s.at))

    def fill(self, s: State, place: Place, value: Value, size: Value) -> None:
        """The contract of memset: each of the bytes holds the value afterwards."""
        if place.region != WORDS:
            super().fill(s, place, value, size)
            return
        first = self._index(s, place)
        if self.check(s.suppose, z3.Extract(2, 0, bits.term(size, 64)) != 0):
            raise NotModelled("a fill of part of a word")
        count = z3.LShR(bits.term(size, 64), 3)
        stop = z3.simplify(first + count)
        byte = bits.term(value, 8)
        s.writes = (*s.writes, (first, stop, z3.simplify(z3.Concat(*[byte] * 8))))
        for at in (first, z3.simplify(stop - 1)):
            s.trace = (*s.trace, Access("W", 64, at, 0, s.at))

    def count_ones(self, value: Value, width: int) -> Value:
        """How many bits are set: a function of the word, and the sum up to it."""
        if isinstance(value, int) or width != 64:
            return super().count_ones(value, width)
        return self.ones(value)

    def _count(self, size: int) -> int:
        if size not in (8, 16):
            raise NotModelled(f"an access of {size} bytes to words")
        return size // 8

    def _index(self, s: State, place: Place) -> Any:
        offset = bits.term(place.offset if place.region else 0, 64)
        low = z3.simplify(z3.Extract(2, 0, offset))
        if not (z3.is_bv_value(low) and low.as_long() == 0) and self.check(s.suppose, low != 0):
            raise NotModelled("an access that is not on a boundary of a word")
        return z3.simplify(z3.LShR(offset, 3))
