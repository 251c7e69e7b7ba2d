"""Memory as a kernel of the bitmap sees it: words, as many as one likes, none of them known.

What the words hold at the start is a function of their index, and what is written since is kept in
order, as ranges of words with a value. So nothing here knows how many words there are. What a
kernel adds up is told by a function of an index as well, the sum over the words before it.
"""

import time
from typing import Any

import z3

from conformance.audit import bits
from conformance.audit.bits import Truth, Value
from conformance.audit.faults import NotModelled
from conformance.audit.image import Image
from conformance.audit.linear import Linear, built, canonical, divided, linear
from conformance.audit.order import Order
from conformance.audit.state import Access, Place, State
from conformance.audit.world import World
from spec.prove.solvers import ASK, Budget

WORDS = "words"
# Indices are below this: eight times as much is an address that does not wrap.
INDICES = 1 << 61
# What a question may cost, in the solver's own unit of work: the same answer on every machine.
RLIMIT, FEW_RLIMIT = 6_000_000, 3_000_000
BACKSTOP_MS = 60_000
ORDER_RLIMIT = 2_000_000
WORD_BITS = 64


class KernelWorld(World):
    """A world with one buffer of words behind the pointer `words`."""

    def __init__(self, image: Image, pointer: Any, deadline: float) -> None:
        super().__init__(image, {WORDS: pointer}, deadline)
        self.anywhere.add(WORDS)
        word = z3.BitVecSort(WORD_BITS)
        self.held = z3.Function("held", word, word)
        self.ones = z3.Function("ones", word, z3.BitVecSort(7))
        self.lowest = z3.Function("lowest", word, z3.BitVecSort(6))
        self.sum_before = z3.Function("sum_before", word, word)
        self.facts: list[Any] = []
        """What the functions above mean, of the words to which they were applied."""
        self._small: dict[int, list[tuple[Any, tuple[Truth, ...]]]] = {}
        self._solver = z3.SimpleSolver()
        self.order = Order(ORDER_RLIMIT)

    def check(self, suppose: tuple[Truth, ...], *extra: Truth) -> bool:
        """As ever.

        Raises: NotModelled where no solver knows.
        """
        parts = (*suppose, *extra, *self.facts)
        if self._is_impossible(parts):
            return False
        answer = self._ask(parts, z3.SolverFor("QF_UFBV"), RLIMIT)
        if answer == "unknown":
            # It is quicker at some questions, but counts no work of its own: here the clock does.
            text = self._solver.to_smt2()
            answer = ASK["bitwuzla"](text, Budget(seconds=BACKSTOP_MS // 1000)).word
            if answer != "unsat":
                raise NotModelled(f"no solver finds an answer; the last one's is {answer}")
        return answer == "sat"

    def feasible(self, suppose: tuple[Truth, ...], condition: Truth) -> bool:
        """A path is followed unless it is none; at worst what is shown of it is of no use."""
        return not self.sees(suppose, bits.negate(condition))

    def never(self, s: State, condition: Truth) -> bool:
        """Whether a condition does not hold on the path."""
        return self.sees(s.suppose, bits.negate(condition))

    def shows(self, suppose: tuple[Truth, ...], goal: Truth) -> bool:
        """Whether what is supposed implies the goal.

        Raises: NotModelled where no solver knows.
        """
        return self.sees(suppose, goal) or not self.check(suppose, bits.negate(goal))

    def sees(self, suppose: tuple[Truth, ...], goal: Truth) -> bool:
        """Whether it is seen with little work that what is supposed implies the goal.

        First of what lies where alone; then of words, with what is seen of where they lie put in
        and the rest of it left out: fewer things supposed show less.
        """
        parts = (*suppose, bits.negate(goal))
        if self._is_impossible(parts):
            return True
        parts = (*parts, *self.facts)
        words = self.order.settled([one for one in parts if not isinstance(one, bool)])
        return bool(words) and self._ask(tuple(words), z3.SimpleSolver(), FEW_RLIMIT) == "unsat"

    def surely(self, suppose: tuple[Truth, ...], condition: Truth) -> bool:
        """Whether a condition on where indices lie is seen to hold at once."""
        return self._is_impossible((*suppose, bits.negate(condition)))

    def _is_impossible(self, parts: tuple[Truth, ...]) -> bool:
        if time.monotonic() > self.deadline:
            raise NotModelled("out of time")
        self.queries += 1
        return any(one is False for one in parts) or self.order.impossible(parts)

    def speaks_of(self, term: Any, unknown: Any) -> bool:
        """Whether an unknown, or a part of it, occurs in a term."""
        wanted, work, seen = _unknowns(unknown), [term], set[int]()
        while work:
            one = work.pop()
            if one.get_id() in wanted:
                return True
            if one.get_id() not in seen:
                seen.add(one.get_id())
                work += one.children()
        return False

    def _ask(self, parts: tuple[Truth, ...], solver: Any, rlimit: int) -> str:
        self._solver = solver
        solver.set("rlimit", rlimit)
        solver.set("timeout", BACKSTOP_MS)
        solver.set("random_seed", 0)
        solver.add(*(one for one in parts if one is not True))
        return str(solver.check())

    def model(self) -> Any:
        """Values for the last question that was answered yes."""
        return self._solver.model()

    def word(self, s: State, index: Any) -> Any:
        """The word that lies at an index now."""
        found = self.held(index)
        for first, stop, value in s.writes:
            inside = z3.And(z3.ULE(first, index), z3.ULT(index, stop))
            found = z3.If(inside, bits.term(value, 64), found)
        return found

    def load(self, s: State, address: Value, size: int, locked: bool) -> Value:
        """Read: whole words."""
        place = self.place(s, address)
        if place.region != WORDS:
            return super().load(s, address, size, locked)
        index = self._index(s, place)
        words = []
        for n in range(self._count(size)):
            at = canonical(index + n)
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
            at = canonical(index + n)
            part = bits.part(value, 64 * n, 64, 8 * size)
            s.writes = (*s.writes, (at, canonical(at + 1), part))
            s.trace = (*s.trace, Access("W", 64, at, part, s.at))

    def fill(self, s: State, place: Place, value: Value, size: Value) -> None:
        """The contract of memset: each of the bytes holds the value afterwards."""
        if place.region != WORDS:
            super().fill(s, place, value, size)
            return
        first, count = self._index(s, place), self._eighth(s, bits.term(size, 64))
        if count is None:
            raise NotModelled("a fill of part of a word")
        stop = canonical(first + count)
        byte = bits.term(value, 8)
        s.writes = (*s.writes, (first, stop, z3.simplify(z3.Concat(*[byte] * 8))))
        for at in (first, canonical(stop - 1)):
            s.trace = (*s.trace, Access("W", 64, at, 0, s.at))

    def count_ones(self, value: Value, width: int) -> Value:
        """How many bits are set: a function of the word, below 128."""
        if isinstance(value, int) or width != WORD_BITS:
            return super().count_ones(value, width)
        return z3.ZeroExt(WORD_BITS - 7, self.ones(value))

    def meanings(self, terms: tuple[Truth, ...]) -> tuple[Any, ...]:
        """That the ones of each word that some terms speak of are how many bits are set in it."""
        found, seen = dict[int, Any](), set[int]()
        work = [one for one in terms if not isinstance(one, bool)]
        while work:
            one = work.pop()
            if one.get_id() not in seen:
                seen.add(one.get_id())
                work += one.children()
                if one.decl().eq(self.ones):
                    count = bits.count_ones(one.arg(0), WORD_BITS)
                    found[one.get_id()] = one == z3.Extract(6, 0, count)
        return tuple(found.values())

    def sums(self, s: State, adds: Any) -> tuple[Any, ...]:
        """Of each word that a path has read: the sum behind it is that before it, and itself."""
        return tuple(
            self.sum_before(canonical(one.offset + 1))
            == self.sum_before(one.offset) + adds(self, one.offset)
            for one in s.trace
            if one.kind == "R"
        )

    def telescoped(self, s: State, adds: Any, value: Any) -> Any:
        """A sum in which what was added of a word is told as the difference of two sums.

        adds: what is added of the word at an index. Of each word that the path has read,
        sum_before(at + 1) = sum_before(at) + adds(at), which is what `sum_before` means.
        """
        pairs = []
        for access in s.trace:
            if access.kind == "R":
                after = self.sum_before(canonical(access.offset + 1))
                one = z3.simplify(adds(self, access.offset))
                pairs.append((one, z3.simplify(after - self.sum_before(access.offset))))
        return z3.simplify(z3.substitute(z3.simplify(value), *pairs), som=True)

    def lowest_one(self, value: Value, width: int) -> Value:
        """The place of the lowest bit that is set: a function of the word, told by its meaning."""
        if isinstance(value, int) or width != WORD_BITS:
            return super().lowest_one(value, width)
        found = z3.ZeroExt(WORD_BITS - 6, self.lowest(value))
        # Shifted up until it is the topmost, it is the only one.
        self.facts.append(z3.Implies(value != 0, value << (63 - found) == 1 << 63))
        return found

    def page(self, s: State, page: Any) -> tuple[Any, Any]:
        """The index of the word of a page, and the page's place in it."""
        constant, parts = linear(page)
        words = {n: (part, times) for n, (part, times) in parts.items() if times % 64 == 0}
        rest = {n: one for n, one in parts.items() if n not in words}
        word = divided((constant - constant % 64, words), 64)
        place = built((constant % 64, rest))
        if word is not None and self.surely(
            s.suppose, z3.And(z3.ULT(place, 64), z3.ULT(built(word), 1 << 58))
        ):
            return built(word), place
        return canonical(z3.LShR(page, 6)), page & 63

    def _count(self, size: int) -> int:
        if size not in (8, 16):
            raise NotModelled(f"an access of {size} bytes to words")
        return size // 8

    def _index(self, s: State, place: Place) -> Any:
        found = self._eighth(s, bits.term(place.offset, 64))
        if found is None:
            raise NotModelled("an access that is not on a boundary of a word")
        return found

    def _eighth(self, s: State, offset: Any) -> Any:
        """An eighth of an offset that is a multiple of 8, or None of one that is not.

        Of a sum each part is divided, which keeps the terms such that solvers like them. That is
        right as long as nothing wraps.
        """
        found = divided(linear(offset), 8)
        if found is not None and self._is_small(s, found):
            return built(found)
        if self.check(s.suppose, z3.Extract(2, 0, offset) != 0):
            return None
        return z3.simplify(z3.LShR(offset, 3))

    def _is_small(self, s: State, index: Linear) -> bool:
        """Whether a sum is an index; what was shown before is kept."""
        constant, moved = index[0], built((0, index[1]))
        if not 0 <= constant < INDICES >> 1:
            return not self.check(s.suppose, z3.UGE(moved + constant, INDICES))
        shown = self._small.setdefault(moved.get_id(), [])
        for _, supposed in shown:
            if len(supposed) <= len(s.suppose) and all(
                a is b for a, b in zip(supposed, s.suppose, strict=False)
            ):
                return True
        if self.check(s.suppose, z3.UGE(moved, INDICES >> 1)):
            return False
        shown.append((moved, s.suppose))
        return True


def _unknowns(term: Any) -> set[int]:
    if term.num_args() == 0:
        return set() if z3.is_bv_value(term) else {term.get_id()}
    return set[int]().union(*map(_unknowns, term.children()))
