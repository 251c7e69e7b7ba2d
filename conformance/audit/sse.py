"""What the 16-byte registers do: moves of any width, and integer arithmetic on lanes.

A move of 16 bytes is one access of 16 bytes: no device register is as wide.
"""

from collections.abc import Callable
from functools import partial

import z3

from conformance.audit import bits
from conformance.audit.bits import Value
from conformance.audit.decode import Immediate, Instruction, Memory, Operand, Register
from conformance.audit.faults import NotModelled
from conformance.audit.integer import Rule
from conformance.audit.state import State

FULL = 128


def _is_wide(operand: Operand) -> bool:
    return isinstance(operand, Register) and operand.wide


def whole(s: State, i: Instruction) -> None:
    """movaps and its like: all 16 bytes."""
    s.write(i.operands[0], s.read(i.operands[1], i), i)


def low(width: int, s: State, i: Instruction) -> None:
    """movd, movq, movss, movsd: the low part; from elsewhere it clears what is above."""
    target, source = i.operands
    value = s.read(source, i)
    if _is_wide(source):
        value = bits.part(value, 0, width, FULL)
    if not _is_wide(target):
        s.write(target, value, i)
        return
    if _is_wide(source) and i.op in ("movss", "movsd"):
        s.write(target, bits.replace(s.read(target, i), value, 0, width, FULL), i)
        return
    s.write(target, bits.widen(value, width, FULL), i)


def half(place: int, s: State, i: Instruction) -> None:
    """movlps, movhps and their like: 8 bytes of memory and one half."""
    target, source = i.operands
    if isinstance(target, Memory):
        s.write(target, bits.part(s.read(source, i), place, 64, FULL), i)
    elif isinstance(source, Memory):
        value = s.read(source, i)
        s.write(target, bits.replace(s.read(target, i), value, place, 64, FULL), i)
    else:
        # movhlps takes the high half of the other into the low one, movlhps the other way round.
        value = bits.part(s.read(source, i), 64 - place, 64, FULL)
        s.write(target, bits.replace(s.read(target, i), value, place, 64, FULL), i)


def bitwise(change: Callable[[Value, Value, int], Value], s: State, i: Instruction) -> None:
    """por, pand, pxor and the same under the names of floating-point numbers."""
    a, b = s.read(i.operands[0], i), s.read(i.operands[1], i)
    alike = i.operands[0] == i.operands[1] and change is bits.xor
    s.write(i.operands[0], 0 if alike else change(a, b, FULL), i)


def _and_not(a: Value, b: Value, width: int) -> Value:
    return bits.conj(bits.flip(a, width), b, width)


def _lanes(value: Value, width: int) -> list[Value]:
    return [bits.part(value, at, width, FULL) for at in range(0, FULL, width)]


def _joined(lanes: list[Value], width: int) -> Value:
    if bits.known(*lanes):
        return sum(lane << width * n for n, lane in enumerate(lanes))
    return z3.Concat(*(bits.term(lane, width) for lane in reversed(lanes)))


def lanewise(
    change: Callable[[Value, Value, int], Value], width: int, s: State, i: Instruction
) -> None:
    """padd, psub, pcmpeq: the same to each lane."""
    a, b = s.read(i.operands[0], i), s.read(i.operands[1], i)
    pairs = zip(_lanes(a, width), _lanes(b, width), strict=True)
    s.write(i.operands[0], _joined([change(x, y, width) for x, y in pairs], width), i)


def _ones_if_equal(a: Value, b: Value, width: int) -> Value:
    return bits.choose(bits.equal(a, b, width), bits.mask(width), 0, width)


def interleave(width: int, high: bool, s: State, i: Instruction) -> None:
    """punpckl, punpckh: lanes of both, in turn."""
    a = _lanes(s.read(i.operands[0], i), width)
    b = _lanes(s.read(i.operands[1], i), width)
    count = len(a) // 2
    start = count if high else 0
    turn = [lane for n in range(start, start + count) for lane in (a[n], b[n])]
    s.write(i.operands[0], _joined(turn, width), i)


def shuffle(s: State, i: Instruction) -> None:
    """pshufd: four lanes, each as the number says."""
    lanes, order = _lanes(s.read(i.operands[1], i), 32), i.operands[2]
    if not isinstance(order, Immediate):
        raise NotModelled("pshufd by no number")
    picked = [lanes[(order.value >> 2 * n) & 3] for n in range(4)]
    s.write(i.operands[0], _joined(picked, 32), i)


def shuffle_two(s: State, i: Instruction) -> None:
    """shufps: two lanes of each."""
    a, b = _lanes(s.read(i.operands[0], i), 32), _lanes(s.read(i.operands[1], i), 32)
    order = i.operands[2].value if isinstance(i.operands[2], Immediate) else 0
    picked = [(a if n < 2 else b)[(order >> 2 * n) & 3] for n in range(4)]
    s.write(i.operands[0], _joined(picked, 32), i)


def move_bytes(shift: Callable[[Value, Value, int], Value], s: State, i: Instruction) -> None:
    """psrldq, pslldq: by a number of bytes."""
    count = i.operands[1]
    if not isinstance(count, Immediate):
        raise NotModelled(f"{i.op} by no number")
    value = s.read(i.operands[0], i)
    s.write(i.operands[0], shift(value, 8 * min(count.value, 16), FULL), i)


def shift_lanes(
    shift: Callable[[Value, Value, int], Value], width: int, s: State, i: Instruction
) -> None:
    """psll, psrl: each lane by a number."""
    count = i.operands[1]
    if not isinstance(count, Immediate):
        raise NotModelled(f"{i.op} by a register")
    lanes = _lanes(s.read(i.operands[0], i), width)
    moved = [shift(lane, min(count.value, width), width) for lane in lanes]
    s.write(i.operands[0], _joined(moved, width), i)


def byte_signs(s: State, i: Instruction) -> None:
    """pmovmskb: the top bit of each byte."""
    value = s.read(i.operands[1], i)
    if bits.known(value):
        found: Value = sum(((value >> 8 * n + 7) & 1) << n for n in range(16))
    else:
        tops = [z3.Extract(8 * n + 7, 8 * n + 7, value) for n in reversed(range(16))]
        found = z3.Concat(z3.BitVecVal(0, i.operands[0].bits - 16), *tops)
    s.write(i.operands[0], found, i)


WHOLE = ("movaps", "movups", "movapd", "movupd", "movdqa", "movdqu", "movntdq", "movntps")
SIZES = {"b": 8, "w": 16, "d": 32, "q": 64}
PAIRS = {"bw": 8, "wd": 16, "dq": 32, "qdq": 64}

RULES: dict[str, Rule] = {
    **dict.fromkeys(WHOLE, whole),
    "movd": partial(low, 32),
    "movq": partial(low, 64),
    "movss": partial(low, 32),
    "movsd": partial(low, 64),
    "movlps": partial(half, 0),
    "movlpd": partial(half, 0),
    "movhps": partial(half, 64),
    "movhlps": partial(half, 0),
    "movlhps": partial(half, 64),
    "movhpd": partial(half, 64),
    **dict.fromkeys(("por", "orps", "orpd"), partial(bitwise, bits.disj)),
    **dict.fromkeys(("pand", "andps", "andpd"), partial(bitwise, bits.conj)),
    **dict.fromkeys(("pxor", "xorps", "xorpd"), partial(bitwise, bits.xor)),
    **dict.fromkeys(("pandn", "andnps", "andnpd"), partial(bitwise, _and_not)),
    **{f"padd{n}": partial(lanewise, bits.add, width) for n, width in SIZES.items()},
    **{f"psub{n}": partial(lanewise, bits.sub, width) for n, width in SIZES.items()},
    **{f"pcmpeq{n}": partial(lanewise, _ones_if_equal, SIZES[n]) for n in "bwd"},
    **{f"punpckl{n}": partial(interleave, width, False) for n, width in PAIRS.items()},
    **{f"punpckh{n}": partial(interleave, width, True) for n, width in PAIRS.items()},
    "unpcklps": partial(interleave, 32, False),
    "pshufd": shuffle,
    "shufps": shuffle_two,
    "psrldq": partial(move_bytes, bits.shr),
    "pslldq": partial(move_bytes, bits.shl),
    **{f"psrl{n}": partial(shift_lanes, bits.shr, SIZES[n]) for n in "wdq"},
    **{f"psll{n}": partial(shift_lanes, bits.shl, SIZES[n]) for n in "wdq"},
    "pmovmskb": byte_signs,
}
