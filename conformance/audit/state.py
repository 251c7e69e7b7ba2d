"""What a processor holds on one path: registers, flags, memory, and how it came there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import z3

from conformance.audit import bits
from conformance.audit.bits import Truth, Value
from conformance.audit.decode import RSP, Immediate, Instruction, Memory, Operand, Register
from conformance.audit.faults import NotModelled

UNDEFINED = object()
"""A flag of which the manual says nothing."""

FLAGS = ("cf", "zf", "sf", "of", "pf")
Piece = tuple[Value, int, int]
"""One byte in memory: byte `index` of a value of so many bytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an access goes: a region of memory, and how far into it."""

    region: str
    offset: Value


@dataclass(frozen=True, slots=True)
class Access:
    """One access to the device. width: in bits; 0 where nothing says how wide.

    kind: R or W. value: what the device answered, or what was written. locked: half of an atomic
    read-modify-write.
    """

    kind: str
    width: int
    offset: Value
    value: Value
    address: int
    locked: bool = False


class Split(Exception):
    """The path has to be split: each condition with a term and the value it then has."""

    def __init__(self, term: Any, cases: list[tuple[Truth, Value]]) -> None:
        super().__init__()
        self.term, self.cases = term, cases


@dataclass
class State:
    """A path: where it is, what it holds, what it supposes (`suppose`) and what it did (`trace`).

    writes: what was written to memory that is kept by the word (see `kernel_world`).
    left: what contracts left in the integer registers and the wide ones, call by call.
    known: values that terms have on this path, by the number of the term; the term is kept as
    well, since z3 gives the number of a dead term to another.
    """

    world: Any
    rip: int
    regs: list[Value]
    wide: list[Value]
    flags: dict[str, Any] = field(default_factory=dict)
    memory: dict[tuple[str, int], Piece] = field(default_factory=dict)
    suppose: tuple[Truth, ...] = ()
    trace: tuple[Access, ...] = ()
    known: dict[int, tuple[Any, Value]] = field(default_factory=dict)
    heads: dict[int, Any] = field(default_factory=dict)
    at: int = 0
    steps: int = 0
    ended: str = ""
    generalised: bool = False
    writes: tuple[Any, ...] = ()
    left: tuple[tuple[tuple[Value, ...], tuple[Value, ...]], ...] = ()

    def fork(self, condition: Truth) -> "State":
        """The same path, on which the condition holds from here on."""
        return State(
            self.world,
            self.rip,
            list(self.regs),
            list(self.wide),
            dict(self.flags),
            dict(self.memory),
            self.suppose if condition is True else (*self.suppose, condition),
            self.trace,
            dict(self.known),
            dict(self.heads),
            self.at,
            self.steps,
            "",
            self.generalised,
            self.writes,
            self.left,
        )

    # Flags are computed when they are looked at: most never are.

    def set_flags(self, **flags: Any) -> None:
        """Give flags a value, a function that tells it, or UNDEFINED."""
        self.flags.pop("lt", None)
        self.flags.pop("be", None)
        self.flags.update(flags)

    def flag(self, name: str) -> Truth:
        """The value of a flag."""
        found = self.flags.get(name, UNDEFINED)
        if found is UNDEFINED:
            found = self.world.fresh_truth(name)
        elif isinstance(found, Callable):  # type: ignore[arg-type]
            found = found()
        self.flags[name] = found
        return found

    # Registers

    def get(self, register: Register) -> Value:
        """What a register holds."""
        if register.index < 0:
            raise NotModelled("a register outside the integer and xmm files")
        if register.wide:
            return self.wide[register.index]
        return bits.part(self.regs[register.index], register.low, register.bits, 64)

    def put(self, register: Register, value: Value) -> None:
        """Write a register: 32 bits clear what is above, 8 and 16 leave it."""
        if register.index < 0:
            raise NotModelled("a register outside the integer and xmm files")
        if register.wide:
            self.wide[register.index] = value
        elif register.bits >= 32:
            self.regs[register.index] = bits.widen(value, register.bits, 64)
        else:
            old = self.regs[register.index]
            self.regs[register.index] = bits.replace(old, value, register.low, register.bits, 64)

    # Memory and operands

    def address(self, operand: Memory, following: int) -> Value:
        """The effective address."""
        if operand.narrow:
            raise NotModelled("an address of 32 bits")
        value: Value = operand.disp & bits.mask(64)
        if operand.rip:
            value = bits.add(value, following, 64)
        if operand.base is not None:
            value = bits.add(self.get(operand.base), value, 64)
        if operand.index is not None:
            scaled = bits.shl(self.get(operand.index), operand.scale.bit_length() - 1, 64)
            value = bits.add(value, scaled, 64)
        if operand.segment:
            value = bits.add(value, self.world.segment(operand.segment), 64)
        return value

    def load(self, address: Value, width: int, locked: bool = False) -> Value:
        """Read `width` bits of memory."""
        return self.world.load(self, address, width // 8, locked)

    def store(self, address: Value, value: Value, width: int, locked: bool = False) -> None:
        """Write `width` bits of memory."""
        self.world.store(self, address, value, width // 8, locked)

    def read(self, operand: Operand, instruction: Instruction) -> Value:
        """The value of an operand."""
        match operand:
            case Register():
                return self.get(operand)
            case Immediate(value=value, bits=width):
                return value & bits.mask(width)
            case Memory(bits=width):
                where = self.address(operand, instruction.following)
                return self.load(where, width, instruction.locked)

    def write(self, operand: Operand, value: Value, instruction: Instruction) -> None:
        """Write an operand."""
        match operand:
            case Register():
                self.put(operand, value)
            case Memory(bits=width):
                where = self.address(operand, instruction.following)
                self.store(where, value, width, instruction.locked)
            case Immediate():
                raise NotModelled("a write to a number")

    def push(self, value: Value, size: int = 8) -> None:
        """Put a value on the stack."""
        top = bits.sub(self.regs[RSP], size, 64)
        self.store(top, value, size * 8)
        self.regs[RSP] = top

    def pop(self, size: int = 8) -> Value:
        """Take a value off the stack."""
        value = self.load(self.regs[RSP], size * 8)
        self.regs[RSP] = bits.add(self.regs[RSP], size, 64)
        return value


def pieces_of(value: Value, size: int) -> list[Piece]:
    """The bytes of a value, the lowest first."""
    if isinstance(value, int):
        return [(byte, 1, 0) for byte in value.to_bytes(size, "little")]
    return [(value, size, index) for index in range(size)]


def value_of(pieces: list[Piece]) -> Value:
    """The value whose bytes these are."""
    first, size, start = pieces[0]
    count = len(pieces)
    if all(isinstance(piece[0], int) for piece in pieces):
        return int.from_bytes([piece[0] for piece in pieces], "little")
    if not isinstance(first, int) and all(
        piece[0] is first and piece[2] == start + n for n, piece in enumerate(pieces)
    ):
        return bits.part(first, 8 * start, 8 * count, 8 * size)
    terms, at = [], 0
    while at < count:
        value, size, start = pieces[at]
        run = at + 1
        while (
            run < count
            and not isinstance(value, int)
            and pieces[run][0] is value
            and pieces[run][2] == start + run - at
        ):
            run += 1
        width = 8 * (run - at)
        terms.append(bits.term(bits.part(value, 8 * start, width, 8 * size), width))
        at = run
    return terms[0] if len(terms) == 1 else z3.Concat(*reversed(terms))
