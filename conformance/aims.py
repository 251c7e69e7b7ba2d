"""What the solver is asked for beside a case: the places where implementations go wrong.

An aim is a condition on the state and operands of a rule, with a name that a reader can follow.
Aims that no step meets are asked for all the same; the solver says so, and no door is made.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import z3
from z3.z3util import get_vars

from spec.pages import Book
from spec.rule import Case, Rule, is_accepted
from spec.terms import (
    WIDTH,
    Bool,
    Word,
    all_of,
    at_most,
    below,
    bits_and,
    minus,
    negate,
    plus,
    shift_right,
)
from spec.validation.bitmap import (
    PAGE_2M,
    PAGE_4K,
    WORD_PAGES,
    Bitmap,
    Import,
    gfn,
    word_count,
)

SMALL_PAGES = 2048
"""The most pages of a door's region, so that a device is quickly put into it."""
SMALL_CREATE_PAGES = 1 << 16
"""The most pages that a door's accepted `create` asks for: 8 KiB of bitmap."""
SMALL_WORDS = 1 << 10
"""The most words that a door's step hands over or has room for, as a device must hold them."""

ON_2M = ("claim_2m", "release_2m")
COMPARISONS = frozenset(
    {
        z3.Z3_OP_EQ,
        z3.Z3_OP_DISTINCT,
        z3.Z3_OP_ULT,
        z3.Z3_OP_ULEQ,
        z3.Z3_OP_UGT,
        z3.Z3_OP_UGEQ,
    }
)


class Aim(NamedTuple):
    """A condition that a door is to meet, and what it is for."""

    name: str
    holds: Bool


def asked(rule: Rule, op: Any) -> tuple[Word, Word] | None:
    """The byte range that a step's operands name, where they name one."""
    if hasattr(op, "gpa"):
        return op.gpa, plus(op.gpa, PAGE_2M if rule.name in ON_2M else PAGE_4K)
    return (op.first, op.stop) if hasattr(op, "first") else None


def bounds(rule: Rule, case: Case, state: Bitmap, op: Any) -> Iterator[Bool]:
    """What keeps a door small enough to be run."""
    yield at_most(state.pages, SMALL_PAGES)
    if hasattr(op, "pages") and is_accepted(rule, case):
        yield at_most(op.pages, SMALL_CREATE_PAGES)
    if hasattr(op, "length"):
        yield at_most(op.length, SMALL_WORDS)


def aims(rule: Rule, cases: Sequence[Case], state: Bitmap, op: Any) -> Iterator[Aim]:
    """Every aim for `rule`, in a fixed order."""
    yield Aim("any", True)
    yield from comparisons(cases)
    yield from _layout(state)
    span = asked(rule, op)
    if span is not None:
        yield from _places(state, *span)
        if hasattr(op, "first"):
            yield from _lengths(state, *span)
            first, last = gfn(span[0]), minus(gfn(span[1]), 1)
            yield Aim("the first page asked is claimed", state.claimed.has(first))
            yield Aim("the last page asked is claimed", state.claimed.has(last))
    if hasattr(op, "claimed"):
        yield from _fresh(state, op)
    if isinstance(op, Import):
        full = z3.BitVecVal((1 << WIDTH) - 1, WIDTH)
        yield Aim("the last word is full", op.words.at(minus(op.length, 1)) == full)


def _fresh(state: Bitmap, op: Any) -> Iterator[Aim]:
    """A record made anew: with a last word that is partly filled, and over one of its own size."""
    pages = getattr(op, "pages", state.pages)
    many, rest = below(WORD_PAGES, pages), bits_and(pages, WORD_PAGES - 1)
    for name, claimed in (("claimed", op.claimed), ("unclaimed", negate(op.claimed))):
        yield Aim(f"all {name}, the last word partly", all_of(claimed, many, rest != 0))
        as_before = all_of(claimed, pages == state.pages, state.claimed.has(gfn(state.base)))
        yield Aim(f"all {name}, as many pages as before", as_before)


def comparisons(cases: Sequence[Case]) -> Iterator[Aim]:
    """For each comparison in the conditions: its sides equal, and one apart."""
    for number, (left, right) in enumerate(_compared(cases)):
        for name, other in (
            ("equal", right),
            ("one below", minus(right, 1)),
            ("one above", plus(right, 1)),
        ):
            yield Aim(f"comparison {number}: {name}", left == other)


def _compared(cases: Sequence[Case]) -> Iterator[tuple[Word, Word]]:
    """The two sides of each 64-bit comparison in the conditions, in the order of the text."""
    seen: set[int] = set()
    pending = [case.when for case in reversed(cases) if z3.is_expr(case.when)]
    while pending:
        term = pending.pop()
        if term.get_id() in seen:
            continue
        seen.add(term.get_id())
        pending.extend(reversed(term.children()))
        if term.decl().kind() in COMPARISONS and term.num_args() == 2:
            left, right = term.children()
            if z3.is_bv(left) and left.size() == WIDTH:
                yield left, right


def facts(book: Book, when: Bool) -> Iterator[Aim]:
    """For each fact about many pages that `when` speaks of: the page at which it breaks."""
    spoken = {str(constant) for constant in get_vars(when)}
    for fact in list(book.facts.values()):
        if str(fact.flag) not in spoken:
            continue
        what = "unclaimed" if fact.value else "claimed"
        broken, at, place = negate(fact.flag), fact.witness, minus(fact.witness, fact.first)
        for name, where in (
            ("the first page", at == fact.first),
            ("the second page", place == 1),
            ("the last page", plus(at, 1) == fact.stop),
            ("the last page but one", plus(at, 2) == fact.stop),
            ("page 63", place == WORD_PAGES - 1),
            ("page 64", place == WORD_PAGES),
        ):
            yield Aim(f"{what} from {name} of those asked", all_of(broken, where))


def _layout(state: Bitmap) -> Iterator[Aim]:
    some = state.pages != 0
    for rest in (0, 1, WORD_PAGES - 1):
        full = all_of(some, bits_and(state.pages, WORD_PAGES - 1) == rest)
        yield Aim(f"pages modulo 64 is {rest}", full)
    yield Aim("the region is one page", state.pages == 1)
    yield Aim("no region", state.pages == 0)
    yield Aim("base at 2 MiB", all_of(some, bits_and(state.base, PAGE_2M - 1) == 0))
    yield Aim("base off 2 MiB", all_of(some, bits_and(state.base, PAGE_2M - 1) != 0))
    yield Aim("base at 0", all_of(some, state.base == 0))


def _places(state: Bitmap, first: Word, stop: Word) -> Iterator[Aim]:
    lowest = minus(gfn(first), gfn(state.base))
    beyond = minus(gfn(stop), gfn(state.base))
    inside = all_of(at_most(state.base, first), at_most(stop, state.end), below(first, stop))
    for name, where in (
        ("starts in bit 0", bits_and(lowest, WORD_PAGES - 1) == 0),
        ("starts in bit 63", bits_and(lowest, WORD_PAGES - 1) == WORD_PAGES - 1),
        ("starts in an odd bit", bits_and(lowest, 1) == 1),
        ("ends with bit 63", bits_and(beyond, WORD_PAGES - 1) == 0),
        ("ends with bit 0", bits_and(beyond, WORD_PAGES - 1) == 1),
        ("starts with the region", first == state.base),
        ("ends with the region", stop == state.end),
        ("is the region", all_of(first == state.base, stop == state.end)),
        ("is in the last word", shift_right(lowest, 6) == minus(word_count(state.pages), 1)),
        ("lies within", all_of(first != state.base, stop != state.end)),
    ):
        yield Aim(f"what is asked {name}", all_of(inside, where))


def _lengths(state: Bitmap, first: Word, stop: Word) -> Iterator[Aim]:
    opening = shift_right(minus(gfn(first), gfn(state.base)), 6)
    closing = shift_right(minus(minus(gfn(stop), 1), gfn(state.base)), 6)
    inside = all_of(at_most(state.base, first), at_most(stop, state.end), below(first, stop))
    partial = bits_and(minus(gfn(first), gfn(state.base)), WORD_PAGES - 1) != 0
    for name, where in (
        ("one page", plus(first, PAGE_4K) == stop),
        ("two pages", plus(first, 2 * PAGE_4K) == stop),
        ("part of one word", all_of(partial, opening == closing)),
        ("exactly one word", all_of(negate(partial), plus(first, PAGE_4K << 6) == stop)),
        ("two words", closing == plus(opening, 1)),
        ("three words", closing == plus(opening, 2)),
        ("many words", at_most(plus(opening, 8), closing)),
    ):
        yield Aim(f"a range of {name}", all_of(inside, where))
