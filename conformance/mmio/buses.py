"""What an implementation calls to reach a device: each call is written down and answered.

Nothing is judged here: an access too many is written down like any other, and answered with 0.
"""

from dataclasses import dataclass, field
from typing import Any

from conformance.mmio.calls import HONEST, Expected, Mapped, Told
from conformance.mmio.world import Setting
from spec.mmio.wire import (
    LOAD,
    MMIO_WRITE,
    STORE,
    TDX_WRITE,
    Wire,
)

WINDOW_PAGES = 64
MASK_64 = (1 << 64) - 1


@dataclass
class Bus:
    """One machine's bus, of any kind.

    wires: what has gone out in this call. odd: what was said that no word of a wire shows.
    """

    setting: Setting
    homes: list[int] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    mapped: list[Mapped] = field(default_factory=list)
    told: tuple[Told, ...] = ()
    odd: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Give the bus what its kind has besides calls."""
        self.buffer_gpa = self.setting.machine.buffer
        self.shared_bit = self.setting.machine.shared_bit

    def begins(self, meant: Expected) -> None:
        """A call begins, to which the host answers so."""
        self.wires, self.mapped, self.odd, self.told = [], [], [], meant.told
        self.homes = [m.home for m in meant.mapped if m.what == "map"]

    def _went(self, wire: Wire) -> Told:
        place = len(self.wires)
        self.wires.append(wire)
        return self.told[place] if place < len(self.told) else HONEST

    # Page tables

    def map(self, first_page: int, pages: int) -> int:
        """Where pages are mapped; 0 where they cannot be."""
        home = self.homes.pop(0) if self.homes else 0
        self.mapped.append(Mapped("map", first_page, pages, home))
        return home

    def unmap(self, address: int, pages: int) -> None:
        """Undo a mapping."""
        self.mapped.append(Mapped("unmap", -1, pages, address))

    # Accesses

    def load(self, address: int, width: int) -> int:
        """A load."""
        return self._went(Wire(LOAD, address, width, 0, 0)).data

    def store(self, address: int, width: int, value: int) -> None:
        """A store."""
        self._went(Wire(STORE, address, width, 0, value))

    def exit_to_host(
        self, code: int, info1: int, info2: int, scratch: int, buffer: Any
    ) -> tuple[int, int, bytes, bool]:
        """A GHCB exit."""
        out = bytes(buffer)
        if len(out) != (info2 if code == MMIO_WRITE else 0):
            self.odd.append(f"{len(out)} bytes in the shared buffer")
        told = self._went(Wire(code, info1, info2, scratch, int.from_bytes(out, "little")))
        return told.status, 0, told.data.to_bytes(8, "little"), told.failed == 0

    def tdvmcall(self, r11: int, r12: int, r13: int, r14: int, r15: int) -> tuple[int, int, int]:
        """A TDVMCALL."""
        if r13 != TDX_WRITE and r15:
            self.odd.append(f"R15 = {r15:#x} with a read")
        told = self._went(Wire(r11, r14, r12, r13, r15))
        return told.failed, told.status, told.data

    def settle(self) -> None:
        """What is only known after a call is written down."""
