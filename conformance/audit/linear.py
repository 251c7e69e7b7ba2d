"""Sums of multiples, told in one way: so that two indices that are the same also look the same.

A term is a number and multiples of parts, all modulo 2**64. What a compiler makes of `8 * (i + 1)`
is a shift here and bits put side by side there, and a solver's simplification tells one sum
in several ways.
"""

from typing import Any

import z3

BITS = 64
MODULUS = 1 << BITS
Linear = tuple[int, dict[int, tuple[Any, int]]]
"""A number, and for each part, by its own number, the part and how many times it is taken."""


def linear(term: Any) -> Linear:
    """A term of 64 bits as a sum. A part may be narrower; it then stands for its number."""
    constant, parts = 0, dict[int, tuple[Any, int]]()
    work = [(z3.simplify(term), 1)]
    while work:
        one, times = work.pop()
        kind, children = one.decl().kind(), one.children()
        # A sum of fewer bits wraps sooner; so often taken, that makes no difference.
        wraps_alike = (times << one.size()) % MODULUS == 0
        if z3.is_bv_value(one):
            constant += times * one.as_long()
        elif kind == z3.Z3_OP_CONCAT:
            high = children[0] if len(children) == 2 else z3.Concat(*children[:-1])
            work += [(high, times << children[-1].size()), (children[-1], times)]
        elif kind == z3.Z3_OP_BADD and wraps_alike:
            work += [(child, times) for child in children]
        elif kind == z3.Z3_OP_BMUL and wraps_alike and z3.is_bv_value(children[0]):
            rest = children[1] if len(children) == 2 else None
            if rest is None:
                _take(parts, one, times)
            else:
                work.append((rest, times * children[0].as_long()))
        elif kind == z3.Z3_OP_EXTRACT and one.params()[1] == 0 and wraps_alike:
            work.append((children[0], times))
        else:
            _take(parts, one, times)
    return _plain(constant, parts)


def _take(parts: dict[int, tuple[Any, int]], part: Any, times: int) -> None:
    before = parts.get(part.get_id(), (part, 0))[1]
    parts[part.get_id()] = (part, before + times)


def _plain(constant: int, parts: dict[int, tuple[Any, int]]) -> Linear:
    kept = {n: (part, signed(by)) for n, (part, by) in parts.items() if by % MODULUS}
    return constant % MODULUS, kept


def signed(value: int) -> int:
    """The number next to zero that is the same modulo 2**64."""
    found = value % MODULUS
    return found - MODULUS if found >> (BITS - 1) else found


def minus(left: Linear, right: Linear) -> Linear:
    """The difference of two sums."""
    parts = dict(left[1])
    for part, by in right[1].values():
        _take(parts, part, -by)
    return _plain(left[0] - right[0], parts)


def divided(sum_: Linear, by: int) -> Linear | None:
    """A sum each part of which is divided by a number, or None if not each can be."""
    constant, parts = sum_
    if constant % by or any(times % by for _, times in parts.values()):
        return None
    return signed(constant) // by, {n: (part, times // by) for n, (part, times) in parts.items()}


def built(sum_: Linear) -> Any:
    """The term of 64 bits that is a sum; the same one for the same sum."""
    constant, parts = sum_
    found = z3.BitVecVal(constant, BITS) if constant % MODULUS or not parts else None
    for number in sorted(parts):
        part, times = parts[number]
        wide = z3.ZeroExt(BITS - part.size(), part) if part.size() < BITS else part
        one = wide if times == 1 else z3.BitVecVal(times, BITS) * wide
        found = one if found is None else found + one
    return found


def canonical(term: Any) -> Any:
    """The same term of 64 bits, told as `built` tells it."""
    return built(linear(term))
