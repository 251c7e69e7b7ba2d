"""What jumps, calls and string instructions do.

A repeated string instruction is a loop of one element at a time, as it is to an interrupt. The
direction flag is clear, as every calling convention has it.
"""

from functools import partial

from conformance.audit import bits
from conformance.audit.decode import RAX, RCX, RDI, RSI, Instruction, Memory, Register
from conformance.audit.faults import NotModelled
from conformance.audit.flags import CONDITIONS, condition, decide
from conformance.audit.integer import Rule
from conformance.audit.state import State

COUNT = Register(RCX, 0, 64)


def jmp(s: State, i: Instruction) -> None:
    """jmp: to a place that may come from a table."""
    s.rip = s.world.concrete(s, s.read(i.operands[0], i))


def jcc(name: str, s: State, i: Instruction) -> None:
    """A jump on a condition."""
    if decide(s, condition(s, name)):
        s.rip = s.world.concrete(s, s.read(i.operands[0], i))


def call(s: State, i: Instruction) -> None:
    """call: what is called is followed, or has a contract."""
    target = s.world.concrete(s, s.read(i.operands[0], i))
    s.push(i.following)
    s.rip = target


def ret(s: State, i: Instruction) -> None:
    """ret: to where the stack says."""
    if i.operands:
        raise NotModelled("a return that takes arguments off the stack")
    s.rip = s.world.concrete(s, s.pop())


def stop(why: str, s: State, i: Instruction) -> None:
    """Instructions behind which there is nothing."""
    s.ended = why


def movs(size: int, s: State, i: Instruction) -> None:
    """movs: one element from rsi to rdi."""
    if not _another(s, i):
        return
    source, target = s.regs[RSI], s.regs[RDI]
    s.store(target, s.load(source, 8 * size), 8 * size)
    s.regs[RSI] = bits.add(source, size, 64)
    s.regs[RDI] = bits.add(target, size, 64)
    _counted(s, i)


def stos(size: int, s: State, i: Instruction) -> None:
    """stos: one element of rax to rdi."""
    if not _another(s, i):
        return
    target = s.regs[RDI]
    s.store(target, s.get(Register(RAX, 0, 8 * size)), 8 * size)
    s.regs[RDI] = bits.add(target, size, 64)
    _counted(s, i)


def _another(s: State, i: Instruction) -> bool:
    if any(isinstance(one, Memory) and (one.segment or one.narrow) for one in i.operands):
        raise NotModelled("a string instruction with a segment or 32-bit addresses")
    return not i.repeat or not decide(s, bits.equal(s.regs[RCX], 0, 64))


def _counted(s: State, i: Instruction) -> None:
    if i.repeat:
        s.regs[RCX] = bits.sub(s.regs[RCX], 1, 64)
        s.rip = i.address


RULES: dict[str, Rule] = {
    "jmp": jmp,
    "call": call,
    "ret": ret,
    **{f"j{name}": partial(jcc, name) for name in CONDITIONS},
    "ud2": partial(stop, "trap: ud2"),
    "int3": partial(stop, "trap: int3"),
    "hlt": partial(stop, "trap: hlt"),
    **{
        f"string movs{n}": partial(movs, size) for n, size in zip("bwdq", (1, 2, 4, 8), strict=True)
    },
    **{
        f"string stos{n}": partial(stos, size) for n, size in zip("bwdq", (1, 2, 4, 8), strict=True)
    },
}
