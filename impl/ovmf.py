"""How OVMF reads the map that the SVSM left for it: the other side of the handoff.

Written after EDK II's PlatformInitLib, in the versions that docs/handoff.md tells apart. Numbers
are pages of 4 KiB, ranges half-open.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from impl.handoff_abi import PAGE_BYTES, SLOT_BYTES, SLOT_FORMAT, EntryType, Span

KIB_640, MIB_1, GIB_4 = 0xA0, 0x100, 1 << 20
FIRST_UNKNOWN_TYPE = 16
UINT32 = (1 << 32) - 1
_SLOT = struct.Struct(SLOT_FORMAT)


class Image(NamedTuple):
    """What an image of OVMF does with a map.

    takes_map: it reads one at all. checks_first: it refuses a map whose first entry looks like
    none. low_from_base: low memory is the entry at page 0, not all below the highest end under
    4 GiB.
    """

    takes_map: bool
    checks_first: bool
    low_from_base: bool


class Memory(NamedTuple):
    """What OVMF goes on with: RAM, and what it reserves, in the order in which it finds them."""

    ram: list[Span]
    reserved: list[Span]


class _Slot(NamedTuple):
    first: int
    pages: int
    kind: int
    flags: int
    reserved: int

    @property
    def stop(self) -> int:
        """The page past the entry's last."""
        return self.first + self.pages


def _slots(map_bytes: bytes) -> Iterator[_Slot]:
    """The entries before the one without pages. Nothing but the end of the page stops it else."""
    whole = len(map_bytes) // SLOT_BYTES * SLOT_BYTES
    for fields in _SLOT.iter_unpack(map_bytes[:whole]):
        slot = _Slot(*fields)
        if not slot.pages:
            return
        yield slot


def view(map_bytes: bytes, image: Image, low_told: int) -> Memory | None:
    """The memory that OVMF takes from a map; None where it does without, and asks QEMU.

    map_bytes: from the area's first byte to the end of its page.
    low_told: the page past low memory, as QEMU tells it.
    """
    slots = list(_slots(map_bytes))
    if not image.takes_map or not slots:
        return None
    if image.checks_first and (slots[0].kind >= FIRST_UNKNOWN_TYPE or slots[0].reserved):
        return None
    low = _low_memory(slots, image, low_told)
    made = Memory([(0, KIB_640)], [])
    if low > MIB_1:
        made.ram.append((MIB_1, low))
    for slot in slots:
        if slot.kind == EntryType.MEMORY and slot.stop > low:
            made.ram.append((slot.first, slot.stop))
        if slot.kind == EntryType.PLATFORM_RESERVED:
            made.reserved.append((slot.first, slot.stop))
    return made


def _low_memory(slots: list[_Slot], image: Image, told: int) -> int:
    """The page past low memory."""
    memory = [slot for slot in slots if slot.kind == EntryType.MEMORY]
    if image.low_from_base:
        # The scan goes through all entries, and each that starts at page 0 has its say.
        lengths = [slot.pages * PAGE_BYTES & UINT32 for slot in memory if slot.first == 0]
        return lengths[-1] // PAGE_BYTES if lengths else told
    return max((slot.stop for slot in memory if slot.stop < GIB_4), default=told)
