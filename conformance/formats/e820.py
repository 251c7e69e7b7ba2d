"""QEMU's fw_cfg file `etc/e820`: packed entries of 20 bytes, in no particular order.

Inside a guest it is /sys/firmware/qemu_fw_cfg/by_name/etc/e820/raw. What is read is a
`MemoryMap`, as from every other form of the machine's own map.

Source: QEMU docs/specs/fw_cfg.rst and hw/i386/e820_memory_layout.h; the numbers of the types are
those of ACPI 6.5, table 15.4, and the words are Linux's.
"""

import struct
from collections.abc import Iterable
from itertools import pairwise

from conformance.formats.source import Source
from conformance.memmap import MAX_ENTRIES, Entry, MemoryMap, MemoryMapError

ENTRY = struct.Struct("<QQI")
ENTRY_BYTES = ENTRY.size
KINDS = {
    1: "System RAM",
    2: "Reserved",
    3: "ACPI Tables",
    4: "ACPI Non-volatile Storage",
    5: "Unusable memory",
    7: "Persistent Memory",
    0xEFFFFFFF: "Soft Reserved",
}
NUMBERS = {kind: number for number, kind in KINDS.items()}

_ADVICE = "give the bytes of fw_cfg's etc/e820: entries of 20 bytes and nothing else"


def read_e820(source: Source) -> MemoryMap:
    """The map in a fw_cfg `etc/e820` blob, in ascending order.

    Raises: FormatError naming the offset of the entry at fault.
    """
    if source.size == 0 or source.size % ENTRY_BYTES:
        edge = source.size - source.size % ENTRY_BYTES
        raise source.refusal(edge, f"{source.size} bytes are no whole number of entries", _ADVICE)
    if source.size > MAX_ENTRIES * ENTRY_BYTES:
        beyond = MAX_ENTRIES * ENTRY_BYTES
        raise source.refusal(beyond, f"the map has more than {MAX_ENTRIES} entries", _ADVICE)
    data = source.take(0, source.size, "the map", _ADVICE)
    given = [
        (number * ENTRY_BYTES, _entry(source, number * ENTRY_BYTES, *fields))
        for number, fields in enumerate(ENTRY.iter_unpack(data))
    ]
    items = sorted(given, key=lambda item: (item[1].first, item[0]))
    for (there, low), (at, high) in pairwise(items):
        if high.first < low.stop:
            what = f"{high.first:#x}-{high.stop - 1:#x} overlaps the entry at {there:#x}"
            raise source.refusal(at, what, "correct or remove one of the two")
    notes = () if items == given else ("the entries were not in ascending order: sorted",)
    return MemoryMap(source.place, tuple(entry for _, entry in items), notes)


def _entry(source: Source, at: int, address: int, length: int, number: int) -> Entry:
    if number not in KINDS:
        raise source.refusal(at + 16, f"type {number} is none that e820 knows", _ADVICE)
    if length == 0:
        raise source.refusal(at + 8, "the entry is empty", _ADVICE)
    try:
        return Entry(address, address + length, KINDS[number])
    except MemoryMapError as error:
        raise source.refusal(at, str(error).partition(";")[0], _ADVICE) from None


def write_e820(entries: Iterable[Entry]) -> bytes:
    """The blob that holds the entries, in their order; what Linux has no word for is reserved."""
    return b"".join(
        ENTRY.pack(entry.first, entry.stop - entry.first, NUMBERS.get(entry.kind, 2))
        for entry in entries
    )
