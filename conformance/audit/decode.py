"""Instructions as small records: capstone's decoding, kept once for each address.

An encoding is what an instruction is with its registers and numbers left out, such as
`mov r32, m32`. The executor notes each that it meets, and a test compares it with a processor.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import capstone
from capstone import x86_const as x86

REGISTERS = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *(f"r{n}" for n in range(8, 16)),
)
RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)

STRING_OPS = frozenset(
    f"{op}{size}" for op in ("movs", "stos", "lods", "scas", "cmps") for size in "bwdq"
)
CONTROL = frozenset({"ret", "jmp", "call"})
PREFIX_NAMES = {0xF0: "lock", 0xF2: "repne", 0xF3: "rep"}


@dataclass(frozen=True, slots=True)
class Register:
    """A register, or a part of it: `bits` from bit `low` on. `wide`: one of the xmm file."""

    index: int
    low: int
    bits: int
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Immediate:
    """A number in the instruction."""

    value: int
    bits: int


@dataclass(frozen=True, slots=True)
class Memory:
    """`segment:[base + index * scale + disp]`, of `bits`; `rip`: the base is the next address."""

    base: Register | None
    index: Register | None
    scale: int
    disp: int
    bits: int
    rip: bool = False
    segment: str = ""
    narrow: bool = False


Operand = Register | Immediate | Memory


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `op`: its mnemonic without prefixes. `repeat`: rep, repne or nothing."""

    address: int
    size: int
    code: bytes
    op: str
    operands: tuple[Operand, ...]
    locked: bool
    repeat: str
    text: str

    @property
    def following(self) -> int:
        """The address behind it."""
        return self.address + self.size

    @property
    def encoding(self) -> str:
        """What it is with registers and numbers left out."""
        lead = ("lock " if self.locked else "") + (f"{self.repeat} " if self.repeat else "")
        return f"{lead}{self.op} {', '.join(map(_kind, self.operands))}".strip()


def _kind(operand: Operand) -> str:
    match operand:
        case Register(bits=bits, low=low, wide=wide):
            return "xmm" if wide else f"r{bits}{'h' if low else ''}"
        case Immediate(bits=bits):
            return f"imm{bits}"
        case Memory(bits=bits, segment=segment):
            return f"{segment}:m{bits}" if segment else f"m{bits}"


@cache
def _disassembler() -> Any:
    made = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    made.detail = True
    return made


def decode(code: bytes, address: int) -> Instruction | None:
    """The instruction at the start of `code`, or None if there is none."""
    for raw in _disassembler().disasm(code, address, 1):
        return _instruction(raw)
    return None


def _instruction(raw: Any) -> Instruction:
    words = raw.mnemonic.split()
    op = words[-1]
    prefix = raw.prefix
    operands = tuple(_operand(raw, one) for one in raw.operands)
    is_string = op in STRING_OPS and not any(
        isinstance(one, Register) and one.wide for one in operands
    )
    repeat = PREFIX_NAMES.get(prefix[0], "") if is_string else ""
    return Instruction(
        address=raw.address,
        size=raw.size,
        code=bytes(raw.bytes),
        op=f"string {op}" if is_string else op,
        operands=operands,
        locked=prefix[0] == 0xF0,
        repeat="" if repeat == "lock" else repeat,
        text=f"{raw.mnemonic} {raw.op_str}".strip(),
    )


def _operand(raw: Any, one: Any) -> Operand:
    if one.type == x86.X86_OP_REG:
        return _register(one.reg)
    if one.type == x86.X86_OP_IMM:
        return Immediate(one.imm & ((1 << 64) - 1), one.size * 8)
    mem = one.mem
    rip = mem.base in (x86.X86_REG_RIP, x86.X86_REG_EIP)
    base = None if rip or not mem.base else _register(mem.base)
    index = _register(mem.index) if mem.index and not _is_no_index(mem.index) else None
    segment = {x86.X86_REG_FS: "fs", x86.X86_REG_GS: "gs"}.get(mem.segment, "")
    return Memory(base, index, mem.scale, mem.disp, one.size * 8, rip, segment, raw.addr_size != 8)


def _is_no_index(register: int) -> bool:
    return register in (x86.X86_REG_RIZ, x86.X86_REG_EIZ)


def _register(number: int) -> Register:
    found = _numbered().get(number)
    # What has no place in the file (segments, x87, ymm) is of no width, and no rule takes it.
    return found if found is not None else Register(-1, 0, 0)


@cache
def _numbered() -> dict[int, Register]:
    made: dict[int, Register] = {}
    legacy = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
    for index, name in enumerate(REGISTERS):
        if index < 8:
            short = legacy[index]
            low = f"{short[0]}l" if index < 4 else f"{short}l"
            names = {64: name, 32: f"e{short}", 16: short, 8: low}
            if index < 4:
                made[getattr(x86, f"X86_REG_{short[0].upper()}H")] = Register(index, 8, 8)
        else:
            names = {64: name, 32: f"{name}d", 16: f"{name}w", 8: f"{name}b"}
        for bits, text in names.items():
            made[getattr(x86, f"X86_REG_{text.upper()}")] = Register(index, 0, bits)
    for index in range(16):
        made[getattr(x86, f"X86_REG_XMM{index}")] = Register(index, 0, 128, wide=True)
    return made
