"""A page that traps: what is counted is what the processor did.

The page may not be touched, so each load or store on it faults; a handler decodes the instruction,
lets a device answer, writes the access into a log, and the program goes on as if the page were the
device's registers. Plain moves are carried out by the handler; any other instruction that is
decoded by the processor itself, in one single step, around which the page is open. An instruction
that is not decoded is told in the log, with its bytes: it read zeros, and no verdict may be had
from that log (`transactions` raises).

The handler cannot ask Python: the code that faulted may hold the GIL, and the handler runs on a
small stack of its own. So a device is a table of registers, or a script of answers, given
beforehand; what was done to it is read afterwards.

What it does not see: accesses by the kernel (a system call that is given the page fails with
EFAULT), and those of another thread in the few microseconds of a single step. Whatever is no access
to a trap is passed on to whom the signals belonged before, so a crash stays a crash.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import ModuleType, TracebackType
from typing import Final, NamedTuple, Self

ROW = struct.Struct("=qQIBBBx64s")
REGISTER = struct.Struct("=8Q")
TOP: Final = 2**64
MAX_PAGES: Final = 1024
MAX_CAPACITY: Final = 2**24


class TrapError(Exception):
    """What was logged cannot be relied upon; the text says why."""


class Kinds(IntEnum):
    """What a register does besides being read and written."""

    STORED = 0
    FIFO = 1
    """A read takes the next of `queue`, and 0 where there is none."""
    CLEAR_ON_READ = 2
    ONE_CLEARS = 3
    """A bit written as 1 is cleared."""
    DOORBELL = 4
    """A write counts, whatever it writes; it reads 0."""
    COUNTER = 5
    """A read adds `step`, after it was read."""


class Register(NamedTuple):
    """One register of a device; an access does what it does to each register that it touches.

    size: in bytes, 8 at most. widths: accesses in bytes that it takes; of others, reads are 0 and
    writes nothing.
    """

    offset: int
    size: int
    kind: Kinds = Kinds.STORED
    value: int = 0
    widths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    step: int = 1
    queue: tuple[int, ...] = ()


class Script(NamedTuple):
    """What reads answer, one after another, wherever they are; then all ones, and not taken."""

    answers: tuple[int, ...] = ()


SILENT: Final = Script()


class Access(NamedTuple):
    """One access that an instruction made.

    offset: in the window, or outside of it in a guard page. value: little-endian. trap: the same
    for both accesses of one instruction. taken: the device has registers for all of it, of that
    width. rip: the instruction's address. undecoded: its bytes, where it is not known what it did.
    """

    offset: int
    width: int
    write: bool
    value: int
    trap: int
    taken: bool
    rip: int
    undecoded: bytes = b""

    @property
    def short(self) -> str:
        """As `R32 +0x10`, or `undecoded` and its bytes."""
        if self.undecoded:
            return f"undecoded {self.undecoded.hex(' ')}"
        sign = "-" if self.offset < 0 else "+"
        return f"{'RW'[self.write]}{8 * self.width} {sign}{abs(self.offset):#x}"


def absent() -> str | None:
    """Why there is no trap here; None where there is one."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"the trap page needs Linux on x86-64, this is {sys.platform} {platform.machine()}"
    if importlib.util.find_spec("conformance.trap._trap") is None:
        return "the trap page is not built: it needs a C compiler when the package is installed"
    return None


def _extension() -> ModuleType:
    reason = absent()
    if reason:
        raise TrapError(reason)
    return importlib.import_module("conformance.trap._trap")  # a broken build stays loud


@dataclass(frozen=True)
class _Table:
    rows: array[int]
    queue: array[int]


def _packed(registers: Sequence[Register], window: int) -> _Table:
    table = _Table(array("Q"), array("Q"))
    past = 0
    for one in sorted(registers):
        if not (past <= one.offset and 1 <= one.size <= 8 and one.offset + one.size <= window):
            raise ValueError(
                f"register at {one.offset:#x} is of {one.size} bytes, must be 1 to 8, within the "
                f"{window:#x} bytes of the window and behind the register before it"
            )
        past = one.offset + one.size
        for value in (one.value, *one.queue):
            if not 0 <= value < 1 << 8 * one.size:
                raise ValueError(
                    f"value of the register at {one.offset:#x} is {value:#x}, must be unsigned "
                    f"and fit in {one.size} bytes"
                )
        first = len(table.queue)
        table.queue.extend(one.queue)
        widths = sum(1 << width for width in set(one.widths) if 0 < width < 64)
        does = (widths, one.kind, one.value, one.step % TOP, first, len(table.queue))
        table.rows.extend((one.offset, one.size, *does))
    return table


class TrapPage:
    """Pages at `address` on which every access is answered by `device`, and logged.

    As a context manager: the signals are taken for as long as it is entered. pages: how long the
    window is. capacity: accesses that the log has room for. step_always: the processor carries out
    every instruction itself, plain moves too.

    Raises: TrapError where this machine has no trap; ValueError for a device that does not fit.
    """

    def __init__(
        self,
        device: Sequence[Register] | Script = SILENT,
        pages: int = 1,
        capacity: int = 1 << 16,
        step_always: bool = False,
    ) -> None:
        if not 1 <= pages <= MAX_PAGES:
            raise ValueError(f"pages is {pages}, must be 1 to {MAX_PAGES}")
        if not 1 <= capacity <= MAX_CAPACITY:
            raise ValueError(f"capacity is {capacity}, must be 1 to {MAX_CAPACITY}")
        self.size: Final = 4096 * pages
        self.capacity: Final = capacity
        scripted = isinstance(device, Script)
        table = (
            _Table(array("Q"), array("Q", device.answers))
            if isinstance(device, Script)
            else _packed(device, self.size)
        )
        self._device: Final = device
        self._module: Final = _extension()
        self._area: Final = self._module.Area(
            pages, capacity, step_always, table.rows, table.queue, scripted
        )
        self._entered = False

    def __enter__(self) -> Self:
        self._area.arm()
        self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered = False
        self._area.disarm()

    @property
    def address(self) -> int:
        """Where the window begins; a guard page that traps as well lies on either side."""
        return int(self._area.address)

    @property
    def holds(self) -> bool:
        """The trap is entered, and nobody has taken the signals away since."""
        return self._entered and bool(self._module.holds())

    def log(self) -> tuple[Access, ...]:
        """Every access in the order in which they were made.

        Raises: TrapError where there were more than the log has room for.
        """
        if self._area.logged > self.capacity:
            raise TrapError(
                f"there were {self._area.logged} accesses, and room for {self.capacity}"
            )
        return tuple(_access(*row) for row in ROW.iter_unpack(self._area.log()))

    def transactions(self) -> tuple[Access, ...]:
        """The log, which is one that a verdict can be had from.

        Raises: TrapError where it is not.
        """
        log = self.log()
        for access in log:
            if access.undecoded:
                raise TrapError(f"an instruction was not decoded: {access.undecoded.hex(' ')}")
        return log

    def forget(self) -> None:
        """Empty the log; the device stays as it is."""
        self._area.forget()

    def values(self) -> dict[int, int]:
        """What the registers hold now, by offset; a doorbell holds how often it was rung."""
        rows = REGISTER.iter_unpack(self._area.rows())
        return {offset: value for offset, _, _, _, value, *_ in rows}

    def left(self) -> dict[int, int]:
        """How many values are left in each FIFO, by offset."""
        rows = REGISTER.iter_unpack(self._area.rows())
        return {row[0]: row[7] - row[6] for row in rows if row[3] == Kinds.FIFO}

    def unasked(self) -> int:
        """How many answers of a script no read has taken."""
        answers = self._device.answers if isinstance(self._device, Script) else ()
        return len(answers) - int(self._area.asked)


def _access(
    offset: int, rip: int, trap: int, kind: int, width: int, taken: int, data: bytes
) -> Access:
    if kind == 2:
        return Access(offset, 0, False, 0, trap, False, rip, data[:width])
    value = int.from_bytes(data[:width], "little")
    return Access(offset, width, bool(kind), value, trap, bool(taken), rip)
