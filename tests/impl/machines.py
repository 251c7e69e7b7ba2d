"""What stands behind each back end in tests: the same device, and a host that may lie.

A device answers reads with `answers`, in order, and keeps a history of its transactions as
`(write, gpa, width, value)`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from conformance import trap
from conformance.trap import Script, TrapPage
from impl import kernels
from impl.mmio import Mmio

LIMIT = 1 << 52
BASE_PAGE = 0x1234
GPA = BASE_PAGE * 4096
WIDTHS = (1, 2, 4, 8)
SHARED = 1 << 51
Transaction = tuple[bool, int, int, int]
WORDS = [random.Random(5).getrandbits(64) for _ in range(4000)]
# Why the native back end cannot be run here, if it cannot.
NOT_HERE = trap.absent() or (
    None if kernels.built() == "fast" else "impl._fast is not built, which is the native back end"
)


@dataclass
class Machine:
    """A bus, whatever the back end; what it was asked to map, and what the device saw."""

    answers: list[int] = field(default_factory=list)
    history: list[Transaction] = field(default_factory=list)
    mapped: dict[int, tuple[int, int]] = field(default_factory=dict)
    unmapped: list[int] = field(default_factory=list)
    address: int = 1 << 40
    refuses: bool = False
    buffer_gpa: int = 0x7000
    shared_bit: int = SHARED
    # What the host answers instead of what is right: to an exit, and to a call.
    lie: Any = None

    def access(self, write: bool, gpa: int, width: int, value: int = 0) -> int:
        if not write:
            value = self.answers.pop(0) if self.answers else (1 << 64) - 1
        self.history.append((write, gpa, width, value & ((1 << 8 * width) - 1)))
        return value

    def map(self, first_page: int, pages: int) -> int:
        if self.refuses:
            return 0
        # As many mappings of one page as are asked for, each at an address of its own.
        address = self.address + (len(self.mapped) + len(self.unmapped)) * (1 << 32)
        self.mapped[address] = (first_page, pages)
        return address

    def unmap(self, address: int, pages: int) -> None:
        assert self.mapped.pop(address)[1] == pages
        self.unmapped.append(address)

    def gpa_of(self, at: int) -> int:
        address = next(a for a, (_, n) in self.mapped.items() if a <= at < a + 4096 * n)
        return self.mapped[address][0] * 4096 + at - address

    def load(self, at: int, width: int) -> int:
        return self.access(False, self.gpa_of(at), width)

    def store(self, at: int, width: int, value: int) -> None:
        self.access(True, self.gpa_of(at), width, value)

    def exit_to_host(
        self, code: int, info1: int, info2: int, scratch: int, buffer: bytes
    ) -> tuple[int, int, bytes, bool]:
        assert scratch == self.buffer_gpa
        write = {0x8000_0001: False, 0x8000_0002: True}[code]
        assert len(buffer) == (info2 if write else 0)
        value = self.access(write, info1, info2, int.from_bytes(buffer, "little"))
        if self.lie is not None:
            return self.lie  # type: ignore[no-any-return]
        return 0, 0, value.to_bytes(8, "little"), True

    def tdvmcall(self, r11: int, r12: int, r13: int, r14: int, r15: int) -> tuple[int, int, int]:
        assert (r11, r14 & SHARED) == (48, SHARED)
        assert r13 or not r15
        value = self.access(bool(r13), r14 & ~SHARED, r12, r15)
        return (0, 0, value) if self.lie is None else self.lie


@dataclass
class Trapped(Machine):
    """Native: the pages that are mapped are one that traps, so the history is the processor's."""

    page: TrapPage | None = None

    def map(self, first_page: int, pages: int) -> int:
        assert self.page is not None
        if self.refuses:
            return 0
        assert first_page + pages <= BASE_PAGE + self.page.size // 4096
        address = self.page.address + 4096 * (first_page - BASE_PAGE)
        self.mapped[len(self.mapped)] = (first_page, pages)
        return address

    def unmap(self, address: int, pages: int) -> None:
        self.unmapped.append(address)

    def seen(self) -> list[Transaction]:
        """What the processor did since it was last asked."""
        assert self.page is not None
        told = self.page.transactions()
        self.page.forget()
        return [(a.write, GPA + a.offset, a.width, a.value) for a in told]


def made(backend: str, machine: Machine) -> Mmio:
    return Mmio(backend, machine, LIMIT)


def trapped(answers: list[int], pages: int = 2) -> Trapped:
    """A machine whose page is to be entered: `with machine.page`."""
    return Trapped(page=TrapPage(Script(tuple(answers)), pages=pages))


def seen(machine: Machine) -> list[Transaction]:
    """The transactions since it was last asked."""
    if isinstance(machine, Trapped):
        return machine.seen()
    told, machine.history = machine.history, []
    return told


def typed_read(mmio: Mmio, slot: int, offset: int, width: int) -> int:
    return int(getattr(mmio, f"read_u{8 * width}")(slot, offset))


def typed_write(mmio: Mmio, slot: int, offset: int, width: int, value: int) -> int:
    return int(getattr(mmio, f"write_u{8 * width}")(slot, offset, value))
