"""Access to device registers: one call is one transaction of that width, or a refusal.

What an implementation offers, which refusals it has and in which order it looks is told in
docs/mmio.md. Everything that can be refused without the device is refused here, once, whatever
the back end; `impl/mmio_backends.py` is left with the one access.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, SupportsIndex

from impl.abi import ADDRESS_LIMIT
from impl.mmio_backends import BACKENDS, WIDTHS, Bus, Mapping, Refusal

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TOP: Final = 2**64

# Virtual I/O Device (VIRTIO) 1.2, 4.2.2 "MMIO Device Register Layout".
CONTROL_BYTES: Final = 0x100
STATUS: Final = 0x070
CONFIG_GENERATION: Final = 0x0FC
CONFIG: Final = 0x100


@dataclass
class _Slot:
    gpa: int
    size: int
    mapping: Mapping
    attached: bool = False


class Mmio:
    """The slots of one machine, and access to the registers in them.

    backend: "native", "bus", "snp" or "tdx". bus: all that it does to the outside. limit: the
    address limit in bytes. Every number is unsigned and of 64 bits.

    Raises: ValueError for another back end, a limit that is no power of two of at most 2^52, a
    number that is none of 64 bits, or a value that does not fit its type.
    """

    def __init__(self, backend: str, bus: Bus, limit: int) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend is {backend!r}, must be one of {', '.join(BACKENDS)}")
        if not 0 < limit <= ADDRESS_LIMIT or limit & (limit - 1):
            raise ValueError(f"limit is {limit}, must be a power of two of at most {ADDRESS_LIMIT}")
        self._back: Final = BACKENDS[backend](bus)
        self._limit: Final = limit
        self._slots: dict[int, _Slot] = {}

    # Slots

    def open(self, slot: int, gpa: int, size: int) -> int:
        """How many pages were mapped for the device of `size` bytes at `gpa`, or a refusal."""
        slot, gpa, size = _u64("slot", slot), _u64("gpa", gpa), _u64("size", size)
        if slot in self._slots:
            return Refusal.ALREADY_OPEN
        if size == 0:
            return Refusal.EMPTY
        if gpa + size > self._limit:
            return Refusal.ABOVE_LIMIT
        if any(gpa < s.gpa + s.size and s.gpa < gpa + size for s in self._slots.values()):
            return Refusal.OVERLAPS
        mapping = self._back.map(gpa, size)
        if mapping is None:
            return Refusal.NO_MAPPING
        self._slots[slot] = _Slot(gpa, size, mapping)
        return mapping.pages

    def attach(self, slot: int) -> int:
        """0 where a transport uses the slot from now on, or a refusal."""
        found = self._slots.get(_u64("slot", slot))
        if found is None:
            return Refusal.UNMAPPED
        if found.attached:
            return Refusal.ATTACHED
        if found.size < CONTROL_BYTES:
            return Refusal.OUTSIDE
        if found.gpa % 4:
            return Refusal.MISALIGNED
        found.attached = True
        return Refusal.OK

    def detach(self, slot: int) -> int:
        """Reset the device and drop the transport; what the write of the reset answers."""
        found = self._slots.get(_u64("slot", slot))
        if found is None:
            return Refusal.UNMAPPED
        if not found.attached:
            return Refusal.NOT_ATTACHED
        # Whatever the host answers, the driver is gone.
        found.attached = False
        return self.write_u32(slot, STATUS, 0)

    def close(self, slot: int) -> int:
        """0 where the slot is closed and its mapping undone, or a refusal."""
        slot = _u64("slot", slot)
        found = self._slots.get(slot)
        if found is None:
            return Refusal.UNMAPPED
        if found.attached:
            return Refusal.ATTACHED
        del self._slots[slot]
        self._back.unmap(found.mapping)
        return Refusal.OK

    def slots(self) -> dict[int, tuple[int, int, bool]]:
        """Each open slot: its address, its size, and whether it has a transport."""
        return {n: (s.gpa, s.size, s.attached) for n, s in self._slots.items()}

    # The slice interface: the length says the width

    def read(self, slot: int, offset: int, length: int) -> bytes | int:
        """`length` bytes at `offset`, or a refusal."""
        slot, offset, length = _u64("slot", slot), _u64("offset", offset), _u64("length", length)
        place = self._place(slot, offset, length)
        return place if isinstance(place, Refusal) else self._back.read(place, length)

    def write(self, slot: int, offset: int, data: ReadableBuffer) -> int:
        """0 where `data` was written at `offset`, or a refusal."""
        raw = memoryview(data).tobytes()
        place = self._place(_u64("slot", slot), _u64("offset", offset), len(raw))
        return place if isinstance(place, Refusal) else self._back.write(place, raw)

    # The typed interface: the type does

    def read_u8(self, slot: int, offset: int) -> int:
        """The 8 bits at `offset`, or a refusal."""
        return self._load(slot, offset, 1)

    def read_u16(self, slot: int, offset: int) -> int:
        """The 16 bits at `offset`, or a refusal."""
        return self._load(slot, offset, 2)

    def read_u32(self, slot: int, offset: int) -> int:
        """The 32 bits at `offset`, or a refusal."""
        return self._load(slot, offset, 4)

    def read_u64(self, slot: int, offset: int) -> int:
        """The 64 bits at `offset`, or a refusal."""
        return self._load(slot, offset, 8)

    def write_u8(self, slot: int, offset: int, value: int) -> int:
        """0 where the 8 bits were written, or a refusal."""
        return self._store(slot, offset, 1, value)

    def write_u16(self, slot: int, offset: int, value: int) -> int:
        """0 where the 16 bits were written, or a refusal."""
        return self._store(slot, offset, 2, value)

    def write_u32(self, slot: int, offset: int, value: int) -> int:
        """0 where the 32 bits were written, or a refusal."""
        return self._store(slot, offset, 4, value)

    def write_u64(self, slot: int, offset: int, value: int) -> int:
        """0 where the 64 bits were written, or a refusal."""
        return self._store(slot, offset, 8, value)

    def read_config_u64(self, slot: int, offset: int, tries: int) -> int:
        """A field of 64 bits of virtio's configuration space, or a refusal.

        tries: rounds until it was not changed while it was read. offset: below 2^32.
        """
        slot, tries = _u64("slot", slot), _u64("tries", tries)
        offset = CONFIG + _unsigned("offset", offset, 32)
        for _ in range(tries):
            told = []
            for place in (CONFIG_GENERATION, offset, offset + 4, CONFIG_GENERATION):
                told.append(self.read_u32(slot, place))
                if told[-1] < 0:
                    return told[-1]
            before, low, high, after = told
            if before == after:
                return low | high << 32
        return Refusal.UNSTABLE

    def _load(self, slot: int, offset: int, width: int) -> int:
        place = self._place(_u64("slot", slot), _u64("offset", offset), width)
        return place if isinstance(place, Refusal) else self._back.load(place, width)

    def _store(self, slot: int, offset: int, width: int, value: int) -> int:
        slot, offset = _u64("slot", slot), _u64("offset", offset)
        value = _unsigned("value", value, 8 * width)
        place = self._place(slot, offset, width)
        return place if isinstance(place, Refusal) else self._back.store(place, width, value)

    def _place(self, slot: int, offset: int, length: int) -> int | Refusal:
        """Where the back end finds the access, or why there is to be none."""
        if length not in WIDTHS:
            return Refusal.BAD_LENGTH
        found = self._slots.get(slot)
        if found is None:
            return Refusal.UNMAPPED
        if offset + length > found.size:
            return Refusal.OUTSIDE
        if (found.gpa + offset) % length:
            return Refusal.MISALIGNED
        return found.mapping.start + offset


def _u64(name: str, value: SupportsIndex) -> int:
    return _unsigned(name, value, 64)


def _unsigned(name: str, value: SupportsIndex, bits: int) -> int:
    number = operator.index(value)
    if number >> bits:
        raise ValueError(f"{name} is {number}, must be 0 to {(1 << bits) - 1}")
    return number
