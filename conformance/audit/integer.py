"""What the integer instructions do: moves, arithmetic, logic, conditions.

Each rule reads before it writes, and the first look at memory is the only thing in it that may
split a path; so a rule that was broken off has changed nothing, and can be begun again.
"""

from collections.abc import Callable
from functools import partial

import z3

from conformance.audit import bits
from conformance.audit.bits import Truth, Value
from conformance.audit.decode import RAX, RDX, Instruction, Memory, Register
from conformance.audit.faults import NotModelled
from conformance.audit.flags import (
    CONDITIONS,
    add_flags,
    condition,
    decide,
    result_flags,
    sub_flags,
)
from conformance.audit.state import UNDEFINED, State

Rule = Callable[[State, Instruction], None]

# Moves


def _width(i: Instruction) -> int:
    return i.operands[0].bits


def mov(s: State, i: Instruction) -> None:
    """mov, movabs: copies."""
    s.write(i.operands[0], s.read(i.operands[1], i), i)


def movzx(s: State, i: Instruction) -> None:
    """movzx: copies, with zeros in front."""
    value = s.read(i.operands[1], i)
    s.write(i.operands[0], bits.widen(value, i.operands[1].bits, _width(i)), i)


def movsx(s: State, i: Instruction) -> None:
    """movsx, movsxd: copies, with the sign in front."""
    value = s.read(i.operands[1], i)
    s.write(i.operands[0], bits.widen_signed(value, i.operands[1].bits, _width(i)), i)


def lea(s: State, i: Instruction) -> None:
    """lea: the address, not what is there."""
    target, source = i.operands
    if not isinstance(source, Memory) or source.segment:
        raise NotModelled("lea of no address")
    s.write(target, bits.part(s.address(source, i.following), 0, target.bits, 64), i)


def xchg(s: State, i: Instruction) -> None:
    """xchg: swaps; with memory it is atomic, whatever the prefix."""
    first, second = i.operands
    if isinstance(first, Memory) or isinstance(second, Memory):
        memory, register = (first, second) if isinstance(first, Memory) else (second, first)
        where = s.address(memory, i.following)  # type: ignore[arg-type]
        old, new = s.load(where, memory.bits, True), s.read(register, i)
        s.store(where, new, memory.bits, True)
        s.write(register, old, i)
        return
    a, b = s.read(first, i), s.read(second, i)
    s.write(first, b, i)
    s.write(second, a, i)


def xadd(s: State, i: Instruction) -> None:
    """xadd: adds to the first, the second getting what was there."""
    old, more = s.read(i.operands[0], i), s.read(i.operands[1], i)
    value = add_flags(s, old, more, 0, _width(i))
    if isinstance(i.operands[0], Memory):
        s.write(i.operands[0], value, i)
        s.write(i.operands[1], old, i)
    else:
        s.write(i.operands[1], old, i)
        s.write(i.operands[0], value, i)


def cmpxchg(s: State, i: Instruction) -> None:
    """cmpxchg: writes the second where the first is what rax holds; else rax gets it."""
    width = _width(i)
    accumulator = Register(RAX, 0, width)
    old, wanted = s.read(i.operands[0], i), s.get(accumulator)
    same = bits.equal(old, wanted, width)
    fresh = bits.choose(same, s.read(i.operands[1], i), old, width)
    sub_flags(s, wanted, old, width)
    s.write(i.operands[0], fresh, i)
    if same is not True:
        # Equal, rax keeps all 64 bits; else it is written as any register is.
        kept = s.regs[RAX]
        s.put(accumulator, old)
        s.regs[RAX] = bits.choose(same, kept, s.regs[RAX], 64)


def cmov(name: str, s: State, i: Instruction) -> None:
    """cmov: reads both, keeps one."""
    width = _width(i)
    fresh, old = s.read(i.operands[1], i), s.read(i.operands[0], i)
    s.write(i.operands[0], bits.choose(condition(s, name), fresh, old, width), i)


def setcc(name: str, s: State, i: Instruction) -> None:
    """setcc: 1 where the condition holds, else 0."""
    s.write(i.operands[0], bits.of_truth(condition(s, name), 8), i)


def push(s: State, i: Instruction) -> None:
    """push: 8 bytes, or 2."""
    operand = i.operands[0]
    size = 2 if operand.bits == 16 else 8
    value = s.read(operand, i)
    s.push(value if isinstance(operand, Register | Memory) else value & bits.mask(8 * size), size)


def pop(s: State, i: Instruction) -> None:
    """pop: 8 bytes, or 2, into a register."""
    if not isinstance(i.operands[0], Register):
        raise NotModelled("pop into memory")
    s.write(i.operands[0], s.pop(_width(i) // 8), i)


def leave(s: State, i: Instruction) -> None:
    """leave: gives up the frame."""
    s.regs[4] = s.regs[5]
    s.regs[5] = s.pop()


# Arithmetic


def arithmetic(kind: str, s: State, i: Instruction) -> None:
    """add, adc, sub, sbb, cmp."""
    width = _width(i)
    a, b = s.read(i.operands[0], i), s.read(i.operands[1], i)
    carry = bits.of_truth(s.flag("cf"), width) if kind in ("adc", "sbb") else 0
    if kind in ("add", "adc"):
        value = add_flags(s, a, b, carry, width)
    elif kind == "sbb":
        value = _borrowed(s, a, b, carry, width)
    else:
        value = sub_flags(s, a, b, width)
    if kind != "cmp":
        s.write(i.operands[0], value, i)


def _borrowed(s: State, a: Value, b: Value, carry: Value, width: int) -> Value:
    value = bits.sub(bits.sub(a, b, width), carry, width)
    result_flags(
        s,
        value,
        width,
        cf=lambda: bits.either(
            bits.below(a, b, width),
            bits.both(bits.equal(a, b, width), bits.equal(carry, 1, width)),
        ),
        of=lambda: bits.bit(
            bits.conj(bits.xor(a, b, width), bits.xor(a, value, width), width), width - 1, width
        ),
    )
    return value


LOGIC = {"and": bits.conj, "or": bits.disj, "xor": bits.xor, "test": bits.conj}


def logic(kind: str, s: State, i: Instruction) -> None:
    """and, or, xor, test."""
    width = _width(i)
    a, b = s.read(i.operands[0], i), s.read(i.operands[1], i)
    alike = kind == "xor" and i.operands[0] == i.operands[1]
    value = 0 if alike else LOGIC[kind](a, b, width)
    result_flags(s, value, width, cf=False, of=False)
    if kind != "test":
        s.write(i.operands[0], value, i)


def step_by_one(kind: str, s: State, i: Instruction) -> None:
    """inc, dec: the carry stays."""
    width, carry = _width(i), s.flags.get("cf", UNDEFINED)
    a = s.read(i.operands[0], i)
    value = add_flags(s, a, 1, 0, width) if kind == "inc" else sub_flags(s, a, 1, width)
    s.set_flags(cf=carry)
    s.write(i.operands[0], value, i)


def neg(s: State, i: Instruction) -> None:
    """neg: subtracts from nothing."""
    a = s.read(i.operands[0], i)
    s.write(i.operands[0], sub_flags(s, 0, a, _width(i)), i)


def invert(s: State, i: Instruction) -> None:
    """not: no flags."""
    s.write(i.operands[0], bits.flip(s.read(i.operands[0], i), _width(i)), i)


def imul(s: State, i: Instruction) -> None:
    """imul with two or three operands; with one, both halves."""
    width = _width(i)
    if len(i.operands) == 1:
        multiply(True, s, i)
        return
    a, b = s.read(i.operands[-2], i), s.read(i.operands[-1], i)
    if len(i.operands) == 3 and i.operands[2].bits < width:
        b = bits.widen_signed(b, i.operands[2].bits, width)
    value = bits.mul(a, b, width)

    def lost() -> Truth:
        full = bits.mul(
            bits.widen_signed(a, width, 2 * width),
            bits.widen_signed(b, width, 2 * width),
            2 * width,
        )
        return bits.negate(bits.equal(full, bits.widen_signed(value, width, 2 * width), 2 * width))

    s.set_flags(cf=lost, of=lost, zf=UNDEFINED, sf=UNDEFINED, pf=UNDEFINED)
    s.write(i.operands[0], value, i)


def multiply(with_sign: bool, s: State, i: Instruction) -> None:
    """mul, and imul with one operand: rax times it, into rdx and rax."""
    width = _width(i)
    if width == 8:
        raise NotModelled("a product of bytes in ax")
    grow = bits.widen_signed if with_sign else bits.widen
    a, b = s.get(Register(RAX, 0, width)), s.read(i.operands[0], i)
    full = bits.mul(grow(a, width, 2 * width), grow(b, width, 2 * width), 2 * width)
    low, high = bits.part(full, 0, width, 2 * width), bits.part(full, width, width, 2 * width)

    def lost() -> Truth:
        return bits.negate(bits.equal(full, grow(low, width, 2 * width), 2 * width))

    s.set_flags(cf=lost, of=lost, zf=UNDEFINED, sf=UNDEFINED, pf=UNDEFINED)
    s.put(Register(RAX, 0, width), low)
    s.put(Register(RDX, 0, width), high)


def divide(s: State, i: Instruction) -> None:
    """div: only with nothing in rdx, as compilers write it; by zero, the path ends in a fault."""
    width = _width(i)
    divisor = s.read(i.operands[0], i)
    if width == 8 or bits.tidy(s.get(Register(RDX, 0, width))) != 0:
        raise NotModelled("a division of more than one word")
    if decide(s, bits.equal(divisor, 0, width)):
        s.ended = "fault: division by zero"
        return
    a = s.get(Register(RAX, 0, width))
    if bits.known(a, divisor):
        quotient, remainder = divmod(a, divisor)
    else:
        quotient = z3.UDiv(bits.term(a, width), bits.term(divisor, width))
        remainder = z3.URem(bits.term(a, width), bits.term(divisor, width))
    s.set_flags(**dict.fromkeys(("cf", "zf", "sf", "of", "pf"), UNDEFINED))
    s.put(Register(RAX, 0, width), quotient)
    s.put(Register(RDX, 0, width), remainder)


def widen_rax(width: int, s: State, i: Instruction) -> None:
    """cbw, cwde, cdqe: rax grows by its sign."""
    value = s.get(Register(RAX, 0, width // 2))
    s.put(Register(RAX, 0, width), bits.widen_signed(value, width // 2, width))


def fill_rdx(width: int, s: State, i: Instruction) -> None:
    """cwd, cdq, cqo: rdx is the sign of rax."""
    value = bits.sar(s.get(Register(RAX, 0, width)), width - 1, width)
    s.put(Register(RDX, 0, width), value)


def nothing(s: State, i: Instruction) -> None:
    """Instructions that order or hint, and change nothing that is seen here."""


HINTS = ("nop", "endbr64", "pause", "mfence", "lfence", "sfence")

RULES: dict[str, Rule] = {
    "mov": mov,
    "movabs": mov,
    "movzx": movzx,
    "movsx": movsx,
    "movsxd": movsx,
    "lea": lea,
    "xchg": xchg,
    "xadd": xadd,
    "cmpxchg": cmpxchg,
    "push": push,
    "pop": pop,
    "leave": leave,
    "neg": neg,
    "not": invert,
    "imul": imul,
    "mul": partial(multiply, False),
    "div": divide,
    "cbw": partial(widen_rax, 16),
    "cwde": partial(widen_rax, 32),
    "cdqe": partial(widen_rax, 64),
    "cwd": partial(fill_rdx, 16),
    "cdq": partial(fill_rdx, 32),
    "cqo": partial(fill_rdx, 64),
    **{name: partial(arithmetic, name) for name in ("add", "adc", "sub", "sbb", "cmp")},
    **{name: partial(logic, name) for name in LOGIC},
    **{name: partial(step_by_one, name) for name in ("inc", "dec")},
    **{f"cmov{name}": partial(cmov, name) for name in CONDITIONS},
    **{f"set{name}": partial(setcc, name) for name in CONDITIONS},
    **dict.fromkeys(HINTS, nothing),
}
