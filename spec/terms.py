"""The words that rules are written in: branch-free, unsigned, total, 64 bits wide.

The same call means the same thing on three kinds of argument: a Z3 term (a proof), a plain `int`
or `bool` (the oracle), a numpy array (many oracles in step). On Z3 terms Python's own operators
mislead: `bool(x == y)` is False, `<` and `>>` are signed, and Python's `int` does not wrap. So
rules use `==` and `!=` from Python and everything else from here; a test over the syntax tree
of every rule keeps it so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeAlias

import numpy as np
import z3

from spec.z3_library import bare

WIDTH = 64
MASK = (1 << WIDTH) - 1

Word: TypeAlias = Any
"""A 64-bit word: `int`, `z3.BitVecRef` or a uint64 array."""
Bool: TypeAlias = Any
"""A truth value: `bool`, `z3.BoolRef` or a bool array."""


@dataclass(frozen=True)
class Bits:
    """The width in bits of an annotated field; read by `constants`, strategies and codecs."""

    width: int


@dataclass(frozen=True)
class WordTable:
    """Marks an annotated field as a table of 64-bit words."""


@dataclass(frozen=True)
class PageSet:
    """Marks an annotated field as a set of frame numbers in the `span` of its record."""


@dataclass(frozen=True)
class KeySet:
    """Marks an annotated field as a set of words of any size; `packed`: kept as a bitmap."""

    packed: bool = False


@dataclass(frozen=True)
class KeyTable:
    """Marks an annotated field as a total table from words to words."""


@dataclass(frozen=True)
class Natural:
    """Marks an annotated field as a natural number of any size."""


@dataclass(frozen=True)
class NumberTable:
    """Marks an annotated field as a table from numbers to numbers."""


@dataclass(frozen=True)
class NumberSet:
    """Marks an annotated field as a set of numbers."""


Gpa: TypeAlias = Annotated[Word, Bits(64)]
"""A guest physical address in bytes."""
Count: TypeAlias = Annotated[Word, Bits(64)]
"""A number of things."""
Flag: TypeAlias = Annotated[Bool, Bits(1)]
"""Yes or no."""
Number: TypeAlias = Annotated[Word, Natural()]
"""A natural number: `int`, or an integer term, on which no sum wraps."""
Numbers: TypeAlias = Annotated[Any, NumberTable()]
"""A table from numbers to numbers; total."""
NumberPages: TypeAlias = Annotated[Any, NumberSet()]
"""A set of pages that are numbered by numbers."""


def is_symbolic(term: object) -> bool:
    """Whether `term` is a Z3 term."""
    return isinstance(term, z3.AstRef)


def is_array(term: object) -> bool:
    """Whether `term` is a numpy array or scalar."""
    return isinstance(term, np.ndarray | np.generic)


def word(value: Word) -> Word:
    """`value` as a Z3 term: a number becomes a 64-bit constant, a term stays."""
    return value if is_symbolic(value) else _constant(int(value), WIDTH)


def truth(value: Bool) -> Bool:
    """`value` as a Z3 term: a bool becomes a constant, a term stays."""
    return value if is_symbolic(value) else _constants()[bool(value)]


@cache
def _constant(value: int, width: int) -> Word:
    """A number as a Z3 constant; the same few are named over and over."""
    return z3.BitVecVal(value, width)


@cache
def _constants() -> tuple[Bool, Bool]:
    """False and True as Z3 terms."""
    return z3.BoolVal(False), z3.BoolVal(True)


def forget_constants() -> None:
    """Make constants anew: those that are kept are of the context that was z3's main one."""
    _constant.cache_clear()
    _constants.cache_clear()


MAKE = bare("mk_and", "mk_or", "mk_not", "mk_implies", "mk_ite", "mk_eq", "mk_bvult", "mk_bvule")
"""Terms are made by z3's C functions: what they are made of is looked at here, once."""


def _truth_made(make: Any, *terms: Any) -> Bool:
    """The truth value that a C function makes of some terms."""
    context = terms[0].ctx
    return z3.BoolRef(make(context.ref(), *(term.ast for term in terms)), context)


# Truth values

PLAIN = {bool}
"""What most terms of the oracle are; looked at first, since it takes millions of them."""


def all_of(*terms: Bool) -> Bool:
    """Every one of `terms` holds."""
    if set(map(type, terms)) == PLAIN:
        return all(terms)
    if any(map(is_symbolic, terms)):
        return _joined(MAKE.mk_and, terms) if len(terms) > 1 else terms[0]
    if any(map(is_array, terms)):
        return np.logical_and.reduce(np.broadcast_arrays(*terms))
    return all(terms)


def _joined(make: Any, terms: Sequence[Bool]) -> Bool:
    """`z3.And` or `z3.Or` of what is known to be truth values, in half the time."""
    told = [truth(term) for term in terms]
    context = told[0].ctx
    listed = (z3.Ast * len(told))(*(term.ast for term in told))
    return z3.BoolRef(make(context.ref(), len(told), listed), context)


def any_of(*terms: Bool) -> Bool:
    """At least one of `terms` holds."""
    if set(map(type, terms)) == PLAIN:
        return any(terms)
    if any(map(is_symbolic, terms)):
        return _joined(MAKE.mk_or, terms) if len(terms) > 1 else terms[0]
    if any(map(is_array, terms)):
        return np.logical_or.reduce(np.broadcast_arrays(*terms))
    return any(terms)


def negate(term: Bool) -> Bool:
    """`term` does not hold."""
    if term is True or term is False:
        return not term
    if is_symbolic(term):
        return _truth_made(MAKE.mk_not, term)
    return np.logical_not(term) if is_array(term) else not term


def implies(given: Bool, then: Bool) -> Bool:
    """Where `given` holds, `then` holds."""
    if is_symbolic(given) or is_symbolic(then):
        return _truth_made(MAKE.mk_implies, truth(given), truth(then))
    return any_of(negate(given), then)


def where(term: Word, value: int, said: Bool) -> Bool:
    """Where `term`, a name alone, has `value`, `said` holds; of a formula, with the value put in.

    Then no solver has to find out which branch it is in.
    """
    if not is_symbolic(term):
        return implies(term == value, said)
    there = z3.simplify(z3.substitute(truth(said), (term, z3.BitVecVal(value, term.size()))))
    return z3.Implies(term == value, there)


def equal(term: Word, value: int) -> Bool:
    """A word is a number, as `==` says; in a third of its time where thousands are asked."""
    return _truth_made(MAKE.mk_eq, *_pair(term, value)) if z3.is_bv(term) else term == value


def same(left: Bool, right: Bool) -> Bool:
    """Two truth values agree."""
    return left == right


def pick(condition: Bool, yes: Any, no: Any) -> Any:
    """`yes` where `condition` holds, else `no`; both are evaluated."""
    if isinstance(condition, bool):
        return yes if condition else no
    if is_symbolic(condition):
        return _chosen(condition, yes, no)
    return np.where(condition, yes, no)


def _chosen(condition: Bool, yes: Any, no: Any) -> Any:
    """`z3.If`, where both have one sort or are plain."""
    if isinstance(yes, bool) or isinstance(no, bool):
        yes, no = truth(yes), truth(no)
    elif isinstance(yes, int) and isinstance(no, int):
        yes, no = word(yes), word(no)
    # A constant has a class of its own, which what is chosen of constants has not.
    kind = next((k for k in CHOSEN if isinstance(yes, k) and isinstance(no, k)), None)
    if kind is None:
        return z3.If(condition, yes, no)
    if kind is z3.BitVecRef and yes.size() != no.size():
        raise ValueError(f"yes has {yes.size()} bits, no must have as many, not {no.size()}")
    made = MAKE.mk_ite(condition.ctx.ref(), condition.ast, yes.ast, no.ast)
    return kind(made, condition.ctx)


CHOSEN = (z3.BitVecRef, z3.BoolRef)


# Unsigned order, and that of numbers


def below(left: Word, right: Word) -> Bool:
    """`left` is less than `right`, unsigned."""
    if type(left) is int and type(right) is int:
        return left < right
    if z3.is_bv(left) or z3.is_bv(right):
        return _truth_made(MAKE.mk_bvult, *_pair(left, right))
    return left < right


def at_most(left: Word, right: Word) -> Bool:
    """`left` is less than or equal to `right`, unsigned."""
    if type(left) is int and type(right) is int:
        return left <= right
    if z3.is_bv(left) or z3.is_bv(right):
        return _truth_made(MAKE.mk_bvule, *_pair(left, right))
    return left <= right


def within(page: Word, first: Word, stop: Word) -> Bool:
    """`page` lies in the half-open range `[first, stop)`."""
    return all_of(at_most(first, page), below(page, stop))


def _pair(left: Word, right: Word) -> tuple[Word, Word]:
    """Both as words of one width."""
    if is_symbolic(left) and is_symbolic(right):
        if left.size() != right.size():
            raise ValueError(f"right has {right.size()} bits, must have {left.size()} as left has")
        return left, right
    if is_symbolic(left):
        return left, _constant(int(right), left.size())
    return _constant(int(left), right.size()), right


# Arithmetic on 64-bit words: wraps, as the machine's does


def plus(left: Word, right: Word) -> Word:
    """The sum modulo 2**64."""
    return _wrapped(left + right)


def minus(left: Word, right: Word) -> Word:
    """The difference modulo 2**64."""
    return _wrapped(left - right)


def bits_and(left: Word, right: Word) -> Word:
    """The bits set in both."""
    return left & right


def bits_or(left: Word, right: Word) -> Word:
    """The bits set in either."""
    return left | right


def bits_not(term: Word) -> Word:
    """The bits not set in `term`."""
    return _wrapped(~term)


def shift_left(term: Word, amount: Word) -> Word:
    """`term` times 2**amount modulo 2**64; zero once `amount` reaches 64."""
    if is_symbolic(term) or is_symbolic(amount):
        return word(term) << word(amount)
    if is_array(term) or is_array(amount):
        shifted = np.left_shift(term, np.minimum(amount, np.uint64(WIDTH - 1)))
        return np.where(np.less(amount, WIDTH), shifted, np.uint64(0))
    return (term << amount) & MASK if amount < WIDTH else 0


def shift_right(term: Word, amount: Word) -> Word:
    """`term` divided by 2**amount, rounded down; zero once `amount` reaches 64."""
    if is_symbolic(term) or is_symbolic(amount):
        return z3.LShR(word(term), word(amount))
    if is_array(term) or is_array(amount):
        shifted = np.right_shift(term, np.minimum(amount, np.uint64(WIDTH - 1)))
        return np.where(np.less(amount, WIDTH), shifted, np.uint64(0))
    return term >> amount if amount < WIDTH else 0


def _wrapped(value: Word) -> Word:
    return value & MASK if isinstance(value, int) else value


# Exact numbers: for sentences about what a 64-bit check ought to mean. Where all that matters is
# order, a proof takes natural numbers of any size instead (`World.number`): on these, too, order,
# `sum_of`, `less`, `quotient` and `remainder` mean what they say.


def sum_of(*terms: Word) -> Word:
    """The sum of natural numbers."""
    return sum(terms[1:], start=terms[0])


def less(left: Word, right: Word) -> Word:
    """The difference of natural numbers, the second at most the first."""
    return left - right


def tally(*conditions: Bool) -> Word:
    """How many of some conditions hold, as a natural number."""
    if any(map(is_symbolic, conditions)):
        return z3.Sum(*(z3.If(truth(c), z3.IntVal(1), z3.IntVal(0)) for c in conditions))
    return sum(map(bool, conditions))


EXACT_WIDTH = 96


def exact(term: Word) -> Word:
    """`term` as a number on which `+` and `*` below 2**96 do not wrap (symbolic or plain only)."""
    if not is_symbolic(term):
        return int(term)
    return z3.ZeroExt(EXACT_WIDTH - term.size(), term)


def bit(term: Word, place: Word) -> Bool:
    """Bit `place` of `term`; none is set from 64 on."""
    if is_symbolic(term) and isinstance(place, int) and place < WIDTH:
        return z3.Extract(place, place, term) == 1
    return bits_and(shift_right(term, place), 1) == 1


def remainder(term: Word, size: int) -> Word:
    """What is left of the exact number `term` after division by `size`, which is not 0."""
    return z3.URem(term, size) if z3.is_bv(term) else term % size


def quotient(term: Word, size: int) -> Word:
    """The exact number `term` divided by `size`, rounded down; `size` is not 0."""
    if z3.is_bv(term):
        return z3.UDiv(term, z3.BitVecVal(size, term.size()))
    return term / size if is_symbolic(term) else term // size


def low_word(term: Word) -> Word:
    """The exact number `term` modulo 2**64, as a word."""
    return z3.Extract(WIDTH - 1, 0, term) if is_symbolic(term) else term & MASK
