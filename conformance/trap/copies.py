"""What the C library's memcpy does to a device register, as the trap counts it.

`python -m conformance.trap.copies` prints the table for this machine. Which of the library's copies
serves depends on the processor; GLIBC_TUNABLES=glibc.cpu.hwcaps=... chooses another.
"""

import ctypes
import sys
from collections.abc import Sequence

from conformance.trap import Access, Kinds, Register, TrapPage, absent

SIZES = tuple(range(1, 17))
QUEUE = tuple(range(0xA0, 0xB0))
FIFO = (Register(0, 8, Kinds.FIFO, queue=QUEUE),)


def reads(size: int) -> tuple[Access, ...]:
    """The transactions of a memcpy of `size` bytes from a register."""
    return _copied(size, False)


def writes(size: int) -> tuple[Access, ...]:
    """The transactions of a memcpy of `size` bytes to a register."""
    return _copied(size, True)


def taken_from_a_fifo(size: int) -> int:
    """How many values a memcpy of `size` bytes takes from a FIFO of 8 bytes."""
    with TrapPage(FIFO) as page:
        _copy(page.address, size, False)
        return len(QUEUE) - page.left()[0]


def table() -> list[str]:
    """The findings on this machine, as a table in Markdown."""
    rows = ["| bytes | a read makes | and takes from a FIFO | a write makes |", "|---|---|---|---|"]
    for size in SIZES:
        rows.append(
            f"| {size} | {_told(reads(size))} | {taken_from_a_fifo(size)} | {_told(writes(size))} |"
        )
    return rows


def _copied(size: int, write: bool) -> tuple[Access, ...]:
    with TrapPage() as page:
        _copy(page.address, size, write)
        return page.transactions()


def _copy(address: int, size: int, write: bool) -> None:
    beside = ctypes.create_string_buffer(64)
    places = (address, ctypes.addressof(beside))
    source, target = reversed(places) if write else places
    memcpy = ctypes.CDLL(None).memcpy
    memcpy(ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size))


def _told(accesses: Sequence[Access]) -> str:
    return ", ".join(access.short for access in accesses)


if __name__ == "__main__":
    reason = absent()
    if reason:
        print(reason, file=sys.stderr)
        raise SystemExit(3)
    print("\n".join(table()))
