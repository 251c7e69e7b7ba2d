"""Arithmetic on words of any width that are plain numbers until they cannot be.

A value is an `int` or a Z3 bit-vector. What is known is computed at once, so that a term is built
only where something unknown is in it; the same functions run concretely, which is how they are
compared with a processor.
"""

from typing import Any, TypeAlias

import z3

Value: TypeAlias = Any
"""An `int` below 2**width, or a `z3.BitVecRef` of that width."""
Truth: TypeAlias = Any
"""A `bool` or a `z3.BoolRef`."""


def mask(width: int) -> int:
    """All ones."""
    return (1 << width) - 1


def known(*values: Value) -> bool:
    """Whether each of the values is a plain number or a plain truth value."""
    return all(isinstance(value, int) for value in values)


def term(value: Value, width: int) -> Value:
    """The value as a Z3 term."""
    return z3.BitVecVal(value, width) if isinstance(value, int) else value


def signed(value: int, width: int) -> int:
    """A plain number read as two's complement."""
    return value - (1 << width) if value >> (width - 1) else value


def tidy(value: Value) -> Value:
    """The value, as a plain number if it can only be one."""
    if isinstance(value, int):
        return value
    plain = z3.simplify(value)
    if z3.is_bv_value(plain):
        return plain.as_long()
    if z3.is_true(plain) or z3.is_false(plain):
        return z3.is_true(plain)
    return plain


# Truth values


def negate(truth: Truth) -> Truth:
    """The truth value does not hold."""
    return not truth if isinstance(truth, bool) else z3.Not(truth)


def both(*truths: Truth) -> Truth:
    """Every one of the truth values holds."""
    open_ones = [truth for truth in truths if truth is not True]
    if any(truth is False for truth in open_ones):
        return False
    if not open_ones:
        return True
    return z3.And(*open_ones) if len(open_ones) > 1 else open_ones[0]


def either(*truths: Truth) -> Truth:
    """At least one of the truth values holds."""
    open_ones = [truth for truth in truths if truth is not False]
    if any(truth is True for truth in open_ones):
        return True
    if not open_ones:
        return False
    return z3.Or(*open_ones) if len(open_ones) > 1 else open_ones[0]


def differ(left: Truth, right: Truth) -> Truth:
    """Exactly one of two truth values holds."""
    if isinstance(left, bool):
        return negate(right) if left else right
    if isinstance(right, bool):
        return negate(left) if right else left
    return z3.Xor(left, right)


def choose(condition: Truth, yes: Value, no: Value, width: int) -> Value:
    """`yes` where the condition holds, else `no`."""
    if isinstance(condition, bool):
        return yes if condition else no
    if yes is no or (known(yes, no) and yes == no):
        return yes
    return z3.If(condition, term(yes, width), term(no, width))


def choose_truth(condition: Truth, yes: Truth, no: Truth) -> Truth:
    """As `choose`, of truth values."""
    if isinstance(condition, bool):
        return yes if condition else no
    if known(yes, no) and yes == no:
        return yes
    return z3.If(condition, _truth(yes), _truth(no))


def _truth(value: Truth) -> Truth:
    return z3.BoolVal(value) if isinstance(value, bool) else value


def of_truth(truth: Truth, width: int) -> Value:
    """1 where it holds, else 0."""
    return choose(truth, 1, 0, width)


# Arithmetic


def add(left: Value, right: Value, width: int) -> Value:
    """The sum, wrapped."""
    if known(left, right):
        return (left + right) & mask(width)
    if isinstance(left, int) and left == 0:
        return right
    if isinstance(right, int) and right == 0:
        return left
    return term(left, width) + term(right, width)


def sub(left: Value, right: Value, width: int) -> Value:
    """The difference, wrapped."""
    if known(left, right):
        return (left - right) & mask(width)
    if isinstance(right, int) and right == 0:
        return left
    if left is right:
        return 0
    return term(left, width) - term(right, width)


def mul(left: Value, right: Value, width: int) -> Value:
    """The product, wrapped."""
    if known(left, right):
        return (left * right) & mask(width)
    return term(left, width) * term(right, width)


def conj(left: Value, right: Value, width: int) -> Value:
    """The bits set in both."""
    if known(left, right):
        return left & right
    if left is right:
        return left
    for one, other in ((left, right), (right, left)):
        if isinstance(one, int) and one in (0, mask(width)):
            return other if one else 0
    return term(left, width) & term(right, width)


def disj(left: Value, right: Value, width: int) -> Value:
    """The bits set in either."""
    if known(left, right):
        return left | right
    if left is right:
        return left
    for one, other in ((left, right), (right, left)):
        if isinstance(one, int) and one in (0, mask(width)):
            return one if one else other
    return term(left, width) | term(right, width)


def xor(left: Value, right: Value, width: int) -> Value:
    """The bits set in exactly one."""
    if known(left, right):
        return left ^ right
    if left is right:
        return 0
    for one, other in ((left, right), (right, left)):
        if isinstance(one, int) and one == 0:
            return other
    return term(left, width) ^ term(right, width)


def flip(value: Value, width: int) -> Value:
    """The bits that are not set."""
    return value ^ mask(width) if isinstance(value, int) else ~value


# Shifts: by `width` or more, everything is shifted out


def shl(value: Value, amount: Value, width: int) -> Value:
    """Shifted to the left."""
    if known(value, amount):
        return (value << amount) & mask(width) if amount < width else 0
    if isinstance(amount, int) and amount == 0:
        return value
    return term(value, width) << term(amount, width)


def shr(value: Value, amount: Value, width: int) -> Value:
    """Shifted to the right, zeros coming in."""
    if known(value, amount):
        return value >> amount if amount < width else 0
    if isinstance(amount, int) and amount == 0:
        return value
    return z3.LShR(term(value, width), term(amount, width))


def sar(value: Value, amount: Value, width: int) -> Value:
    """Shifted to the right, copies of the sign coming in."""
    if known(value, amount):
        return (signed(value, width) >> min(amount, width - 1)) & mask(width)
    return term(value, width) >> term(amount, width)


# Order


def equal(left: Value, right: Value, width: int) -> Truth:
    """The two are the same."""
    if known(left, right):
        return left == right
    if left is right:
        return True
    return term(left, width) == term(right, width)


def below(left: Value, right: Value, width: int) -> Truth:
    """Less, unsigned."""
    if known(left, right):
        return left < right
    return z3.ULT(term(left, width), term(right, width))


def at_most(left: Value, right: Value, width: int) -> Truth:
    """Less or equal, unsigned."""
    return negate(below(right, left, width))


def less(left: Value, right: Value, width: int) -> Truth:
    """Less, signed."""
    if known(left, right):
        return signed(left, width) < signed(right, width)
    return term(left, width) < term(right, width)


# Parts


def part(value: Value, low: int, width: int, whole: int) -> Value:
    """`width` bits of a value of `whole` bits, from bit `low` on."""
    if isinstance(value, int):
        return (value >> low) & mask(width)
    if low == 0 and width == whole:
        return value
    if low == 0 and value.decl().kind() == z3.Z3_OP_ZERO_EXT:
        inner = value.arg(0)
        if inner.size() == width:
            return inner
        if inner.size() < width:
            return z3.ZeroExt(width - inner.size(), inner)
    return z3.Extract(low + width - 1, low, value)


def bit(value: Value, place: int, width: int) -> Truth:
    """One bit, as a truth value."""
    if isinstance(value, int):
        return bool((value >> place) & 1)
    return part(value, place, 1, width) == 1


def widen(value: Value, width: int, to: int) -> Value:
    """The value with zeros in front."""
    if isinstance(value, int) or width == to:
        return value
    return z3.ZeroExt(to - width, value)


def widen_signed(value: Value, width: int, to: int) -> Value:
    """The value with copies of its sign in front."""
    if isinstance(value, int):
        return signed(value, width) & mask(to)
    return value if width == to else z3.SignExt(to - width, value)


def join(high: Value, low: Value, high_width: int, low_width: int) -> Value:
    """Two values side by side."""
    if known(high, low):
        return high << low_width | low
    return z3.Concat(term(high, high_width), term(low, low_width))


def replace(value: Value, fresh: Value, low: int, width: int, whole: int) -> Value:
    """`value` with `width` bits from `low` on taken from `fresh`."""
    if low == 0 and width == whole:
        return fresh
    if known(value, fresh):
        return value & ~(mask(width) << low) | fresh << low
    pieces = [(term(fresh, width))]
    if low:
        pieces.append(term(part(value, 0, low, whole), low))
    if low + width < whole:
        above = whole - low - width
        pieces.insert(0, term(part(value, low + width, above, whole), above))
    return z3.Concat(*pieces)


def odd_parity(value: Value) -> Truth:
    """Whether the number of ones in the lowest byte is odd."""
    if isinstance(value, int):
        return bin(value & 0xFF).count("1") % 2 == 1
    folded = z3.Extract(0, 0, value)
    for place in range(1, 8):
        folded = folded ^ z3.Extract(place, place, value)
    return folded == 1


def count_ones(value: Value, width: int) -> Value:
    """How many bits are set."""
    if isinstance(value, int):
        return value.bit_count()
    ones = [z3.ZeroExt(width - 1, z3.Extract(i, i, value)) for i in range(width)]
    return _added(ones)


def _added(values: list[Value]) -> Value:
    # In pairs: a tree is shallower than a chain, and solvers like it better.
    while len(values) > 1:
        pairs = [a + b for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(pairs) * 2 :]
    return values[0]


def lowest_one(value: Value, width: int) -> Value:
    """The place of the lowest bit that is set; 0 if none is."""
    if isinstance(value, int):
        return (value & -value).bit_length() - 1 if value else 0
    found = z3.BitVecVal(0, width)
    for place in reversed(range(width)):
        found = z3.If(z3.Extract(place, place, value) == 1, z3.BitVecVal(place, width), found)
    return found


def highest_one(value: Value, width: int) -> Value:
    """The place of the highest bit that is set; 0 if none is."""
    if isinstance(value, int):
        return value.bit_length() - 1 if value else 0
    found = z3.BitVecVal(0, width)
    for place in range(width):
        found = z3.If(z3.Extract(place, place, value) == 1, z3.BitVecVal(place, width), found)
    return found


def swap_bytes(value: Value, width: int) -> Value:
    """The bytes in the other order."""
    if isinstance(value, int):
        return int.from_bytes(value.to_bytes(width // 8, "little"), "big")
    return z3.Concat(*(z3.Extract(low + 7, low, value) for low in range(0, width, 8)))
