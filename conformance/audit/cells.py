"""What a path holds, in cells of one kind: registers, halves of wide registers, bytes of memory."""

from dataclasses import dataclass
from typing import Any

from conformance.audit import bits
from conformance.audit.bits import Value
from conformance.audit.state import State

REGISTER, HALF = "reg", "wide"


@dataclass(frozen=True, slots=True)
class Cell:
    """A register, half of a wide one, or the byte at an offset into a region of memory."""

    region: str
    name: int
    width: int


REGISTERS = (
    *(Cell(REGISTER, n, 64) for n in range(16)),
    *(Cell(HALF, n, 64) for n in range(32)),
)


def cells_of(*states: State) -> list[Cell]:
    """All cells of some states."""
    keys = {key: None for s in states for key in s.memory}
    return [*REGISTERS, *(Cell(region, offset, 8) for region, offset in keys)]


def held(s: State, cell: Cell) -> Value:
    """What a cell holds."""
    if cell.region == REGISTER:
        return s.regs[cell.name]
    if cell.region == HALF:
        return bits.part(s.wide[cell.name // 2], 64 * (cell.name % 2), 64, 128)
    value, size, index = s.world.byte(s, cell.region, cell.name)
    return bits.part(value, 8 * index, 8, 8 * size)


def put(s: State, cell: Cell, value: Any) -> None:
    """Let a cell hold a value."""
    if cell.region == REGISTER:
        s.regs[cell.name] = value
    elif cell.region == HALF:
        at = cell.name // 2
        s.wide[at] = bits.replace(s.wide[at], value, 64 * (cell.name % 2), 64, 128)
    else:
        s.memory[cell.region, cell.name] = (value, 1, 0)
