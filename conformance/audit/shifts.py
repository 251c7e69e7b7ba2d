"""What shifts, rotations and instructions on single bits do.

A count is masked to 5 or 6 bits, and a shift by 0 leaves every flag as it was.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from conformance.audit import bits
from conformance.audit.bits import Truth, Value
from conformance.audit.decode import Immediate, Instruction, Memory
from conformance.audit.faults import NotModelled
from conformance.audit.flags import result_flags
from conformance.audit.integer import Rule
from conformance.audit.state import FLAGS, UNDEFINED, State


def _count(s: State, i: Instruction, width: int) -> Value:
    if len(i.operands) == 1:
        return 1
    count = s.read(i.operands[-1], i)
    limit = 63 if width == 64 else 31
    if isinstance(count, int):
        return count & limit
    # cl is 8 bits; as wide as what is shifted, so that both can stand in one term.
    narrow = bits.conj(bits.part(count, 0, 8, 8), limit, 8)
    return bits.widen(narrow, 8, width) if width > 8 else narrow


def shift(kind: str, s: State, i: Instruction) -> None:
    """shl, shr, sar."""
    width = i.operands[0].bits
    a = s.read(i.operands[0], i)
    count = _count(s, i, width)
    value = {"shl": bits.shl, "sal": bits.shl, "shr": bits.shr, "sar": bits.sar}[kind](
        a, count, width
    )
    one_less = bits.sub(count, 1, width)

    def carried() -> Truth:
        if kind in ("shl", "sal"):
            return bits.bit(bits.shl(a, one_less, width), width - 1, width)
        moved = (bits.shr if kind == "shr" else bits.sar)(a, one_less, width)
        return bits.bit(moved, 0, width)

    def overflown() -> Truth:
        if kind == "sar":
            return False
        top = bits.bit(a, width - 1, width)
        return top if kind == "shr" else bits.differ(bits.bit(value, width - 1, width), top)

    # Told by the manual for a shift by 1 only.
    over = overflown if isinstance(count, int) and count == 1 else UNDEFINED
    # A count of the width and more leaves no bit to carry for narrow operands.
    told = isinstance(count, int) and count <= width
    _unless_zero(
        s,
        count,
        width,
        lambda: result_flags(s, value, width, cf=carried, of=over),
        told or width >= 32,
    )
    s.write(i.operands[0], value, i)


def _unless_zero(
    s: State, count: Value, width: int, set_them: Callable[[], None], carry_told: bool
) -> None:
    if isinstance(count, int) and count == 0:
        return
    before = dict(s.flags)
    set_them()
    if not carry_told:
        s.flags["cf"] = UNDEFINED
    if isinstance(count, int):
        return
    for name in FLAGS:
        old, new = before.get(name, UNDEFINED), s.flags[name]
        s.flags[name] = partial(_either, s, bits.equal(count, 0, width), name, old, new)


def _either(s: State, kept: Truth, name: str, old: Any, new: Any) -> Truth:
    return bits.choose_truth(kept, _told(s, name, old), _told(s, name, new))


def _told(s: State, name: str, flag: Any) -> Truth:
    if flag is UNDEFINED:
        return s.world.fresh_truth(name)
    return flag() if callable(flag) else flag


def rotate(kind: str, s: State, i: Instruction) -> None:
    """rol, ror: by a number that the instruction holds."""
    width = i.operands[0].bits
    a = s.read(i.operands[0], i)
    count = _count(s, i, width)
    places = bits.conj(count, width - 1, width)
    back = bits.conj(bits.sub(0, places, width), width - 1, width)
    left, right = (places, back) if kind == "rol" else (back, places)
    value = bits.disj(bits.shl(a, left, width), bits.shr(a, right, width), width)
    edge = 0 if kind == "rol" else width - 1
    if not isinstance(count, int):
        s.set_flags(cf=UNDEFINED, of=UNDEFINED)
    elif count:
        kept = {name: s.flags.get(name, UNDEFINED) for name in ("zf", "sf", "pf")}
        s.set_flags(cf=lambda: bits.bit(value, edge, width), of=UNDEFINED, **kept)
    s.write(i.operands[0], value, i)


def double_shift(kind: str, s: State, i: Instruction) -> None:
    """shld, shrd: bits of the second come in."""
    width = i.operands[0].bits
    if width < 32:
        raise NotModelled("a double shift of 16 bits")
    a, b = s.read(i.operands[0], i), s.read(i.operands[1], i)
    count = _count(s, i, width)
    if isinstance(count, int) and count == 0:
        if i.operands[0].bits == 32:
            s.write(i.operands[0], a, i)
        return
    back = bits.sub(width, count, width)
    if kind == "shld":
        value = bits.disj(bits.shl(a, count, width), bits.shr(b, back, width), width)
    else:
        value = bits.disj(bits.shr(a, count, width), bits.shl(b, back, width), width)
    s.set_flags(**dict.fromkeys(FLAGS, UNDEFINED))
    s.write(i.operands[0], value, i)


BIT_OPS: dict[str, Callable[[Value, Value, int], Value] | None] = {
    "bt": None,
    "bts": bits.disj,
    "btr": lambda a, m, width: bits.conj(a, bits.flip(m, width), width),
    "btc": bits.xor,
}


def bit_op(kind: str, s: State, i: Instruction) -> None:
    """bt, bts, btr, btc: the carry is the bit, which then may be changed."""
    width = i.operands[0].bits
    if isinstance(i.operands[0], Memory) and not isinstance(i.operands[1], Immediate):
        raise NotModelled("a bit of memory by a number in a register, which may lie anywhere")
    a = s.read(i.operands[0], i)
    place = s.read(i.operands[1], i)
    if i.operands[1].bits < width:
        place = bits.widen(place, i.operands[1].bits, width)
    place = bits.conj(place, width - 1, width)
    kept = dict.fromkeys(("sf", "of", "pf"), UNDEFINED)
    s.set_flags(
        cf=lambda: bits.bit(bits.shr(a, place, width), 0, width),
        zf=s.flags.get("zf", UNDEFINED),
        **kept,
    )
    change = BIT_OPS[kind]
    if change is not None:
        s.write(i.operands[0], change(a, bits.shl(1, place, width), width), i)


def scan(kind: str, s: State, i: Instruction) -> None:
    """bsf, bsr, tzcnt, lzcnt; of nothing the manual says little, so little is said here.

    A processor without the newer instruction runs tzcnt as bsf: only what both agree on holds.
    lzcnt and bsr differ, so lzcnt is not modelled.
    """
    width = i.operands[0].bits
    a = s.read(i.operands[1], i)
    none = bits.equal(a, 0, width)
    if s.world.never(s, none):
        none = False
    place = (bits.highest_one if kind == "bsr" else s.world.lowest_one)(a, width)
    value = (
        bits.choose(none, s.world.fresh(kind, width), place, width) if none is not False else place
    )
    flags: dict[str, Any] = dict.fromkeys(FLAGS, UNDEFINED)
    if kind != "tzcnt":
        flags["zf"] = none
    s.set_flags(**flags)
    s.write(i.operands[0], value, i)


def popcnt(s: State, i: Instruction) -> None:
    """popcnt: how many bits are set."""
    width = i.operands[0].bits
    a = s.read(i.operands[1], i)
    s.set_flags(
        zf=lambda: bits.equal(a, 0, width), **dict.fromkeys(("cf", "sf", "of", "pf"), False)
    )
    s.write(i.operands[0], s.world.count_ones(a, width), i)


def bswap(s: State, i: Instruction) -> None:
    """bswap: the bytes in the other order."""
    if i.operands[0].bits < 32:
        raise NotModelled("bswap of 16 bits")
    s.write(i.operands[0], bits.swap_bytes(s.read(i.operands[0], i), i.operands[0].bits), i)


def set_carry(value: bool | None, s: State, i: Instruction) -> None:
    """stc, clc, cmc."""
    fresh = bits.negate(s.flag("cf")) if value is None else value
    kept = {name: s.flags.get(name, UNDEFINED) for name in FLAGS}
    s.set_flags(**{**kept, "cf": fresh})


RULES: dict[str, Rule] = {
    **{name: partial(shift, name) for name in ("shl", "sal", "shr", "sar")},
    **{name: partial(rotate, name) for name in ("rol", "ror")},
    **{name: partial(double_shift, name) for name in ("shld", "shrd")},
    **{name: partial(bit_op, name) for name in BIT_OPS},
    **{name: partial(scan, name) for name in ("bsf", "bsr", "tzcnt")},
    "popcnt": popcnt,
    "bswap": bswap,
    "stc": partial(set_carry, True),
    "clc": partial(set_carry, False),
    "cmc": partial(set_carry, None),
}
