"""What each kernel of the bitmap has to do, said of one arbitrary page or word.

Bit i % 64 of word i // 64 is page i. A claim is a term that has to hold at the end of every path,
whatever the page `p` and the word `g` are; a claim that begins with "all alike" may lean on that
at the words that the kernel looked at. `first < stop` and pages below 2**40 are what callers keep.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import z3

from conformance.audit import bits
from conformance.audit.decode import RAX
from conformance.audit.kernel_world import KernelWorld
from conformance.audit.state import State

PAGES = 1 << 40
LARGE = 512
FULL = (1 << 64) - 1
NONE, ALL, MIXED = 0, 1, 2

WORDS_AT, ONES = z3.BitVec("words", 64), z3.BitVec("ones", 64)
# One bit more than pages have: what lies above is zero for the solver as well, which is of help.
FIRST, STOP = (z3.ZeroExt(23, z3.BitVec(name, 41)) for name in ("first", "stop"))
PAGE = z3.ZeroExt(23, z3.Concat(z3.BitVec("p_word", 35), z3.BitVec("p_bit", 6)))
WORD = z3.ZeroExt(29, z3.BitVec("g", 35))
Claims = Callable[[KernelWorld, State], list[tuple[str, Any]]]


@dataclass(frozen=True)
class KernelRule:
    """A kernel. given: what callers keep. stop: where the pages that it may touch end.

    passed: what is known of a word that a loop went past, the invariant of its loops.
    """

    name: str
    says: str
    arguments: tuple[Any, ...]
    given: tuple[Any, ...]
    stop: Any
    claims: Claims
    passed: Callable[[KernelWorld, Any], Any] | None = None


def bit(word: Any, page: Any) -> Any:
    """Whether the bit of a page is set in its word."""
    return z3.Extract(0, 0, z3.LShR(word, page & 63)) == 1


def before(world: KernelWorld, page: Any) -> Any:
    """Whether a page was set at the start."""
    return bit(world.held(z3.LShR(page, 6)), page)


def after(world: KernelWorld, s: State, page: Any) -> Any:
    """Whether a page is set at the end."""
    return bit(world.word(s, z3.LShR(page, 6)), page)


def mask(first: Any, stop: Any, word: Any) -> Any:
    """The bits of a word whose pages lie in `[first, stop)`, of a word that has such."""
    left, last = z3.LShR(first, 6), z3.LShR(stop - 1, 6)
    low = z3.If(word == left, z3.BitVecVal(FULL, 64) << (first & 63), z3.BitVecVal(FULL, 64))
    high = z3.If(word == last, z3.LShR(z3.BitVecVal(FULL, 64), 63 - ((stop - 1) & 63)), FULL)
    return low & high


def _within(first: Any, stop: Any) -> Any:
    return z3.And(z3.ULE(first, PAGE), z3.ULT(PAGE, stop))


def _unchanged(world: KernelWorld, s: State) -> tuple[str, Any]:
    return "no word is changed", world.word(s, WORD) == world.held(WORD)


def _returned(s: State, width: int) -> Any:
    return bits.term(bits.part(s.regs[RAX], 0, width, 64), width)


def as_first(world: KernelWorld, first: Any) -> Any:
    """A word that is alike throughout, as the first page of the range is."""
    full, none = z3.BitVecVal(FULL, 64), z3.BitVecVal(0, 64)
    return z3.If(before(world, first), full, none)


def point_test(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
    """The bit of the page."""
    told = _returned(s, 32) == z3.If(before(world, FIRST), z3.BitVecVal(1, 32), 0)
    return [("the answer is the page's bit", told), _unchanged(world, s)]


def filled(first: Any, stop: Any, value: Any) -> Claims:
    """Pages in a range get a value, and no other page is changed."""

    def claims(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
        wanted = z3.If(_within(first, stop), value, before(world, PAGE))
        return [("each page in the range, and no other", after(world, s, PAGE) == wanted)]

    return claims


def extent(width: int, first: Any, stop: Any) -> Claims:
    """None, all, or some of a range."""

    def claims(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
        answer, page = _returned(s, width), before(world, PAGE)
        inside = _within(first, stop)
        touched = [one.offset for one in s.trace if one.kind == "R"]
        # No word outside the range is touched, which is a claim of its own.
        value = as_first(world, first)
        same = bits.both(*((world.held(at) ^ value) & mask(first, stop, at) == 0 for at in touched))
        return [
            ("none means no page", z3.Implies(z3.And(inside, answer == NONE), z3.Not(page))),
            ("all means each page", z3.Implies(z3.And(inside, answer == ALL), page)),
            ("all alike is not mixed", z3.Implies(same, answer != MIXED)),
            ("one of three answers", z3.ULE(answer, MIXED)),
            _unchanged(world, s),
        ]

    return claims


def first_clear(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
    """The first page in the range that is not set, or its end."""
    found = bits.term(s.regs[RAX], 64)
    passed = z3.And(z3.ULE(FIRST, PAGE), z3.ULT(PAGE, found), z3.ULT(PAGE, STOP))
    return [
        ("it lies in the range or at its end", z3.And(z3.ULE(FIRST, found), z3.ULE(found, STOP))),
        ("each page before it is set", z3.Implies(passed, before(world, PAGE))),
        ("it is not set", z3.Implies(z3.ULT(found, STOP), z3.Not(before(world, found)))),
        _unchanged(world, s),
    ]


POINT = z3.ULT(FIRST, PAGES)
RANGE = (z3.ULT(FIRST, STOP), z3.ULE(STOP, PAGES))
SET = z3.Extract(31, 0, ONES) != 0
TRUE, FALSE = z3.BoolVal(True), z3.BoolVal(False)

RULES = tuple(
    KernelRule(f"bitmap_{name}", says, (WORDS_AT, *arguments), given, stop, claims, *passed)
    for name, says, arguments, given, stop, claims, *passed in (
        ("point_test", "the bit of a page", (FIRST,), (POINT,), FIRST + 1, point_test),
        ("point_set", "one page is set", (FIRST,), (POINT,), FIRST + 1,
         filled(FIRST, FIRST + 1, TRUE)),
        ("point_clear", "one page is cleared", (FIRST,), (POINT,), FIRST + 1,
         filled(FIRST, FIRST + 1, FALSE)),
        ("large_test", "none, all or some of 512 pages", (FIRST,), (POINT,), FIRST + LARGE,
         extent(64, FIRST, FIRST + LARGE)),
        ("large_fill", "512 pages get a value", (FIRST, ONES), (POINT,), FIRST + LARGE,
         filled(FIRST, FIRST + LARGE, SET)),
        ("range_fill", "a range gets a value", (FIRST, STOP, ONES), RANGE, STOP,
         filled(FIRST, STOP, SET)),
        ("range_test", "none, all or some of a range", (FIRST, STOP), RANGE, STOP,
         extent(64, FIRST, STOP), lambda world, at: world.held(at) == as_first(world, FIRST)),
        ("range_find_clear", "the first page not set", (FIRST, STOP), RANGE, STOP, first_clear,
         lambda world, at: world.held(at) == FULL),
    )
)  # fmt: skip
