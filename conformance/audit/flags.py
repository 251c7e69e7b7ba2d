"""Flags, the conditions that are read off them, and what decides a path."""

from typing import Any

import z3

from conformance.audit import bits
from conformance.audit.bits import Truth, Value
from conformance.audit.state import Split, State

CONDITIONS: dict[str, tuple[str, bool]] = {
    "o": ("of", True),
    "no": ("of", False),
    "b": ("cf", True),
    "ae": ("cf", False),
    "e": ("zf", True),
    "ne": ("zf", False),
    "be": ("be", True),
    "a": ("be", False),
    "s": ("sf", True),
    "ns": ("sf", False),
    "p": ("pf", True),
    "np": ("pf", False),
    "l": ("lt", True),
    "ge": ("lt", False),
    "le": ("le", True),
    "g": ("le", False),
}


def condition(s: State, name: str) -> Truth:
    """Whether the condition of a jump, a cmov or a setcc holds."""
    flag, wanted = CONDITIONS[name]
    found = _combined(s, flag)
    return found if wanted else bits.negate(found)


def _combined(s: State, flag: str) -> Truth:
    # A comparison says outright whether it was less; else it is told by the flags.
    if flag == "lt" and "lt" not in s.flags:
        return bits.differ(s.flag("sf"), s.flag("of"))
    if flag == "be" and "be" not in s.flags:
        return bits.either(s.flag("cf"), s.flag("zf"))
    if flag == "le":
        return bits.either(s.flag("zf"), _combined(s, "lt"))
    return s.flag(flag)


def decide(s: State, truth: Truth) -> bool:
    """The truth value on this path; splits the path where it may be either."""
    plain = bits.tidy(truth)
    if isinstance(plain, bool):
        return plain
    known = s.known.get(plain.get_id())
    if known is not None:
        return bool(known[1])
    raise Split(plain, [(plain, True), (z3.Not(plain), False)])


# Flags


def result_flags(s: State, value: Value, width: int, **others: Any) -> None:
    """The flags that say how a result looks, and others as given."""
    s.set_flags(
        zf=lambda: bits.equal(value, 0, width),
        sf=lambda: bits.bit(value, width - 1, width),
        pf=lambda: bits.negate(bits.odd_parity(value)),
        **others,
    )


def sub_flags(s: State, a: Value, b: Value, width: int) -> Value:
    """The difference, with the flags of a comparison set."""
    value = bits.sub(a, b, width)
    top = width - 1
    result_flags(
        s,
        value,
        width,
        cf=lambda: bits.below(a, b, width),
        of=lambda: bits.bit(
            bits.conj(bits.xor(a, b, width), bits.xor(a, value, width), width), top, width
        ),
    )
    s.flags["zf"] = lambda: bits.equal(a, b, width)
    s.flags["lt"] = lambda: bits.less(a, b, width)
    s.flags["be"] = lambda: bits.at_most(a, b, width)
    return value


def add_flags(s: State, a: Value, b: Value, carry: Value, width: int) -> Value:
    """The sum with a carry coming in, with its flags set."""
    value = bits.add(bits.add(a, b, width), carry, width)

    def carried() -> Truth:
        if isinstance(carry, int) and carry == 0:
            return bits.below(value, a, width)
        wide = bits.add(
            bits.add(bits.widen(a, width, width + 1), bits.widen(b, width, width + 1), width + 1),
            bits.widen(carry, width, width + 1),
            width + 1,
        )
        return bits.bit(wide, width, width + 1)

    def overflown() -> Truth:
        alike = bits.flip(bits.xor(a, b, width), width)
        return bits.bit(bits.conj(alike, bits.xor(a, value, width), width), width - 1, width)

    result_flags(s, value, width, cf=carried, of=overflown)
    return value
