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
from spec.prove.solvers import ASK, Budget

WORDS = "words"
SOLVER_SECONDS = 20
BRANCH_SECONDS = 2


class KernelWorld(World):
    """A world with one buffer of words behind the pointer `words`."""

    def __init__(self, image: Image, pointer: Any, deadline: float) -> None:
        super().__init__(image, {WORDS: pointer}, deadline)
        self.anywhere.add(WORDS)
        self.held = z3.Function("held", z3.BitVecSort(64), z3.BitVecSort(64))
        self.ones = z3.Function("ones", z3.BitVecSort(64), z3.BitVecSort(64))
        self._asked: Any = None

    def check(self, suppose: tuple[Truth, ...], *extra: Truth) -> bool:
        """As ever; bitwuzla is asked, which takes words that are an unknown function best."""
        answer = self._ask((*suppose, *extra), SOLVER_SECONDS)
        if answer not in ("sat", "unsat"):
            raise NotModelled(f"the solver does not know: {answer}")
        return answer == "sat"

    def feasible(self, suppose: tuple[Truth, ...], condition: Truth) -> bool:
        """A path is followed unless it is none; at worst what is shown of it is of no use."""
        return self._ask((*suppose, condition), BRANCH_SECONDS) != "unsat"

    def _ask(self, parts: tuple[Truth, ...], seconds: int) -> str:
        if time.monotonic() > self.deadline:
            raise NotModelled("out of time")
        if any(one is False for one in parts):
            return "unsat"
        self._asked = z3.SolverFor("QF_UFBV")
        self._asked.set("timeout", 1000 * seconds)
        self._asked.add(*(one for one in parts if one is not True))
        self.queries += 1
        return ASK["bitwuzla"](self._asked.to_smt2(), Budget(seconds=seconds)).word

    def model(self) -> Any:
        """Values for the last question that was answered yes.

        Raises: NotModelled where another solver does not find them.
        """
        if self._asked.check() != z3.sat:
            raise NotModelled("two solvers disagree, or one does not know")
        return self._asked.model()

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
