"""The IGVM memory map: entries of 24 bytes, which one of no pages ends.

Reading tells what the bytes say and judges nothing: whether a map can be used is for the rules to
say, and to name the reason.

Source: IGVM specification, IGVM_VHS_MEMORY_MAP_ENTRY and MemoryMapEntryType (igvm_defs 0.5.0).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from conformance.formats.source import Source

ENTRY = struct.Struct("<QQHHI")
ENTRY_BYTES = ENTRY.size
PAGE_BYTES = 4096
MAX_ENTRIES = 65536
KINDS = (
    "MEMORY",
    "PLATFORM_RESERVED",
    "PERSISTENT",
    "VTL2_PROTECTABLE",
    "SPECIFIC_PURPOSE",
    "HIDDEN",
)
MEMORY, PLATFORM_RESERVED, PERSISTENT, VTL2_PROTECTABLE, SPECIFIC_PURPOSE, HIDDEN = range(6)

_ADVICE = "give an area of whole entries of 24 bytes, such as a page"


class MapEntry(NamedTuple):
    """`pages` pages of 4 KiB from the page `first`, said to be of `kind`."""

    first: int
    pages: int
    kind: int = MEMORY
    flags: int = 0
    reserved: int = 0

    @property
    def stop(self) -> int:
        """The page behind the last one."""
        return self.first + self.pages


@dataclass(frozen=True, slots=True)
class Area:
    """What an area holds up to its end.

    terminated: an entry of no pages ends the map, not the area. capacity: the entries that fit.
    """

    entries: tuple[MapEntry, ...]
    terminated: bool
    capacity: int


def read_area(source: Source, offset: int = 0, size: int | None = None) -> Area:
    """The map in the `size` bytes at `offset` of a file, or in what follows `offset`.

    Bytes behind the last whole entry, and behind the entry that ends the map, are not read.

    Raises: FormatError where no entry fits, the file ends, or the map does not end soon enough.
    """
    size = source.size - offset if size is None else size
    capacity = size // ENTRY_BYTES
    if capacity == 0:
        raise source.refusal(offset, f"an area of {max(size, 0)} bytes holds no entry", _ADVICE)
    entries: list[MapEntry] = []
    step = PAGE_BYTES // ENTRY_BYTES
    while len(entries) < capacity:
        at = offset + len(entries) * ENTRY_BYTES
        length = min(step, capacity - len(entries)) * ENTRY_BYTES
        for fields in ENTRY.iter_unpack(source.take(at, length, "the memory map", _ADVICE)):
            if fields[1] == 0:
                return Area(tuple(entries), True, capacity)
            if len(entries) == MAX_ENTRIES:
                at = offset + MAX_ENTRIES * ENTRY_BYTES
                raise source.refusal(at, f"the map has more than {MAX_ENTRIES} entries", _ADVICE)
            entries.append(MapEntry._make(fields))
    return Area(tuple(entries), False, capacity)


def write_area(entries: Iterable[MapEntry], size: int = PAGE_BYTES) -> bytes:
    """An area of `size` bytes that holds the entries, and zeros behind them.

    Raises: ValueError where they do not fit.
    """
    data = b"".join(ENTRY.pack(*entry) for entry in entries)
    if len(data) > size:
        raise ValueError(f"{len(data) // ENTRY_BYTES} entries: an area of {size} bytes holds fewer")
    return data.ljust(size, b"\0")
