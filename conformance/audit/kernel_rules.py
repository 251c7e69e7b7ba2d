"""What each kernel of the bitmap has to do, said of one arbitrary page or word.

Bit i % 64 of word i // 64 is page i. A claim is a term that has to hold at the end of every path,
whatever the page `p` and the word `g` are; a claim that begins with "all alike" may lean on that
at the words that the kernel looked at. `first < stop` and pages below 2**40 are what callers keep.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import z3

from conformance.audit import bits
from conformance.audit.decode import RAX
from conformance.audit.kernel_world import KernelWorld
from conformance.audit.linear import canonical
from conformance.audit.state import State

PAGES = 1 << 40
LARGE = 512
FULL = (1 << 64) - 1
NONE, ALL, MIXED = 0, 1, 2

WORDS_AT, ONES = z3.BitVec("words", 64), z3.BitVec("ones", 64)


def _page(name: str) -> Any:
    """An unknown page, told as its word and its bit: so shifts cost the solver nothing."""
    bit_of = z3.BitVec(f"{name}_bit", 6)
    return z3.ZeroExt(23, z3.Concat(z3.BitVec(f"{name}_word", 35), bit_of))


# A range ends behind its last page, which is what can be told as a word and a bit.
FIRST, LAST, PAGE = map(_page, ("first", "last", "p"))
STOP = LAST + 1
WORD, COUNT = (z3.ZeroExt(29, z3.BitVec(name, 35)) for name in ("g", "n"))
Claims = Callable[[KernelWorld, State], list[tuple[str, Any]]]


@dataclass(frozen=True)
class KernelRule:
    """A kernel. given: what callers keep. low, stop: the words that it may touch.

    passed: what is known of a word that a loop went past. adds: what a loop adds up of a word.
    These are the invariants of its loops.
    """

    name: str
    says: str
    arguments: dict[str, Any]
    given: tuple[Any, ...]
    low: Any
    stop: Any
    claims: Claims
    passed: Callable[[KernelWorld, Any], Any] | None = None
    adds: Callable[[KernelWorld, Any], Any] | None = None


def word_of(page: Any) -> Any:
    """The index of the word that a page is in."""
    return canonical(z3.LShR(page, 6))


def bit(word: Any, page: Any) -> Any:
    """Whether the bit of a page is set in its word."""
    return z3.Extract(0, 0, z3.LShR(word, page & 63)) == 1


def before(world: KernelWorld, page: Any) -> Any:
    """Whether a page was set at the start."""
    return bit(world.held(word_of(page)), page)


def after(world: KernelWorld, s: State, page: Any) -> Any:
    """Whether a page is set at the end."""
    return bit(world.word(s, word_of(page)), page)


def head(first: Any) -> Any:
    """The bits of a page's word from the page on."""
    return z3.BitVecVal(FULL, 64) << (first & 63)


def tail(last_page: Any) -> Any:
    """The bits of a page's word up to the page."""
    return z3.LShR(z3.BitVecVal(FULL, 64), (63 - last_page) & 63)


def mask(first: Any, last_page: Any, word: Any) -> Any:
    """The bits of a word whose pages lie between two, of a word that has such."""
    left, last = word_of(first), word_of(last_page)
    low = z3.If(word == left, head(first), z3.BitVecVal(FULL, 64))
    high = z3.If(word == last, tail(last_page), z3.BitVecVal(FULL, 64))
    return low & high


def _within(first: Any, last: Any) -> Any:
    return z3.And(z3.ULE(first, PAGE), z3.ULE(PAGE, last))


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


def filled(first: Any, last: Any, value: Any) -> Claims:
    """Pages in a range get a value, and no other page is changed."""

    def claims(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
        wanted = z3.If(_within(first, last), value, before(world, PAGE))
        return [("each page in the range, and no other", after(world, s, PAGE) == wanted)]

    return claims


def extent(width: int, first: Any, last: Any) -> Claims:
    """None, all, or some of a range."""

    def claims(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
        answer, page = _returned(s, width), before(world, PAGE)
        inside = _within(first, last)
        # No word outside the range is touched, which is a claim of its own.
        value, same = as_first(world, first), list[Any]()
        for at, is_between in _touched(world, s, first, last):
            word = world.held(at)
            same.append(
                word == value if is_between else (word ^ value) & mask(first, last, at) == 0
            )
        return [
            ("none means no page", z3.Implies(z3.And(inside, answer == NONE), z3.Not(page))),
            ("all means each page", z3.Implies(z3.And(inside, answer == ALL), page)),
            ("all alike is not mixed", z3.Implies(bits.both(*same), answer != MIXED)),
            ("one of three answers", z3.ULE(answer, MIXED)),
            _unchanged(world, s),
        ]

    return claims


def _touched(world: KernelWorld, s: State, first: Any, last: Any) -> list[tuple[Any, bool]]:
    """The words that a path has read, and whether it is seen that all of a word is in the range."""
    left, right = word_of(first), word_of(last)
    found = {one.offset.get_id(): one.offset for one in s.trace if one.kind == "R"}
    inner = [at for at in found.values() if not at.eq(left) and not at.eq(right)]
    between = z3.And(*(z3.And(z3.ULT(left, at), z3.ULT(at, right)) for at in inner))
    is_between = bool(inner) and world.surely(s.suppose, between)
    return [(at, is_between and any(at is one for one in inner)) for at in found.values()]


def first_clear(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
    """The first page in the range that is not set, or its end."""
    found = bits.term(s.regs[RAX], 64)
    word, place = world.page(s, found)
    # Told word by word, as a scan goes.
    is_end, left, last = found == STOP, word_of(FIRST), word_of(LAST)
    after_first = z3.Or(z3.ULT(left, word), z3.And(left == word, z3.ULE(FIRST & 63, place)))
    before_stop = z3.Or(z3.ULT(word, last), z3.And(word == last, z3.ULE(place, LAST & 63)))
    mine = word_of(PAGE)
    passed = z3.Or(is_end, z3.ULT(mine, word), z3.And(mine == word, z3.ULT(PAGE & 63, place)))
    inside = _within(FIRST, LAST)
    return [
        ("it lies in the range or at its end", z3.Or(is_end, z3.And(after_first, before_stop))),
        ("each page before it is set", z3.Implies(z3.And(inside, passed), before(world, PAGE))),
        ("it is not set", z3.Or(is_end, z3.Not(bit(world.held(word), place)))),
        _unchanged(world, s),
    ]


def counted(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
    """How many pages of a range are set, word by word."""
    left, last = word_of(FIRST), word_of(LAST)
    ends = world.held(left) & head(FIRST), world.held(last) & tail(LAST)
    middle = world.sum_before(last) - world.sum_before(canonical(left + 1))
    apart = sum((world.count_ones(one, 64) for one in ends), middle)
    return [
        (
            "of one word",
            z3.Implies(
                left == last, _sum(world, s, ones_of, world.count_ones(ends[0] & tail(LAST), 64))
            ),
        ),
        ("of several words", z3.Implies(left != last, _sum(world, s, ones_of, apart))),
        _unchanged(world, s),
    ]


def summed(adds: Callable[[KernelWorld, Any], Any]) -> Claims:
    """The sum over some words from the first on."""

    def claims(world: KernelWorld, s: State) -> list[tuple[str, Any]]:
        wanted = world.sum_before(COUNT) - world.sum_before(z3.BitVecVal(0, 64))
        return [
            ("it is the sum over the words", _sum(world, s, adds, wanted)),
            _unchanged(world, s),
        ]

    return claims


def _sum(world: KernelWorld, s: State, adds: Any, wanted: Any) -> Any:
    return world.telescoped(s, adds, bits.term(s.regs[RAX], 64) - wanted) == 0


def ones_of(world: KernelWorld, at: Any) -> Any:
    """How many bits of a word are set."""
    return world.count_ones(world.held(at), 64)


POINT = z3.ULT(FIRST, PAGES)
RANGE = (z3.ULE(FIRST, LAST), z3.ULT(LAST, PAGES))
WORDS = (z3.ULE(COUNT, PAGES // 64),)
SET = z3.Extract(31, 0, ONES) != 0
TRUE, FALSE = z3.BoolVal(True), z3.BoolVal(False)
NOWHERE = (z3.BitVecVal(0, 64), z3.BitVecVal(0, 64))


def _over(last: Any) -> tuple[Any, Any]:
    return word_of(FIRST), canonical(word_of(last) + 1)


def _rules() -> Iterator[KernelRule]:
    page, words = {"first": FIRST}, {"n": COUNT}
    for name, says, claims in (
        ("point_test", "the bit of a page", point_test),
        ("point_set", "one page is set", filled(FIRST, FIRST, TRUE)),
        ("point_clear", "one page is cleared", filled(FIRST, FIRST, FALSE)),
    ):
        yield KernelRule(name, says, page, (POINT,), *_over(FIRST), claims)
    pages = FIRST + (LARGE - 1)
    for name, says, more, claims in (
        ("large_test", "none, all or some of 512 pages", {}, extent(64, FIRST, pages)),
        ("large_fill", "512 pages get a value", {"ones": ONES}, filled(FIRST, pages, SET)),
    ):
        yield KernelRule(name, says, page | more, (POINT,), *_over(pages), claims)
    reach = {"first": FIRST, "stop": STOP}
    for name, says, more, claims, *loops in (
        ("range_fill", "a range gets a value", {"ones": ONES}, filled(FIRST, LAST, SET)),
        (
            "range_test",
            "none, all or some of a range",
            {},
            extent(64, FIRST, LAST),
            lambda world, at: world.held(at) == as_first(world, FIRST),
        ),
        (
            "range_find_clear",
            "the first page not set",
            {},
            first_clear,
            lambda world, at: world.held(at) == FULL,
        ),
        ("range_count", "the number of set pages", {}, counted, None, ones_of),
    ):
        yield KernelRule(name, says, reach | more, RANGE, *_over(LAST), claims, *loops)
    for name, says, adds in (
        ("words_count_popcnt", "ones, by the instruction", ones_of),
        ("words_count_plain", "ones, without it", ones_of),
        ("words_count", "ones, by what there is", ones_of),
        ("words_sum", "the sum of words", lambda world, at: world.held(at)),
    ):
        yield KernelRule(name, says, words, WORDS, NOWHERE[0], COUNT, summed(adds), None, adds)


RULES = tuple(replace(rule, name=f"bitmap_{rule.name}") for rule in _rules())
