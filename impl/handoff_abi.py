"""The numbers and records of the memory-map handoff: formats, limits, refusals, what stages answer.

They are stated here for `impl` alone; nothing is shared with the specification. Numbers are pages
of 4 KiB unless a name says bytes, and ranges are half-open pairs (first, stop).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

Span: TypeAlias = tuple[int, int]
MapEntry: TypeAlias = tuple[int, int, int]

PAGE_BYTES: Final = 4096
# microsoft/igvm, igvm_defs, IGVM_VHS_MEMORY_MAP_ENTRY: starting_gpa_page_number, number_of_pages,
# entry_type, flags, reserved.
SLOT_FORMAT: Final = "<QQHHI"
SLOT_BYTES: Final = 24

# Where byte addresses of 64 bits end.
MOST_PAGES: Final = 2**52
# What the region of the bitmaps is a multiple of: 2 MiB.
LARGE_PAGES: Final = 512
# Bits in a page of a bitmap.
PAGES_PER_WORD: Final = 64
WORDS_PER_PAGE: Final = 512
# The default cap on the pages tracked: 1 TiB.
DEFAULT_CAP_PAGES: Final = 2**28


class EntryType(IntEnum):
    """The types of a map's entries, microsoft/igvm, igvm_defs, MemoryMapEntryType."""

    MEMORY = 0
    PLATFORM_RESERVED = 1
    PERSISTENT = 2
    VTL2_PROTECTABLE = 3
    SPECIFIC_PURPOSE = 4
    HIDDEN = 5


class Refusal(IntEnum):
    """Why a stage refuses the map, in the order in which the stages look."""

    NONZERO_RESERVED = 1
    UNKNOWN_TYPE = 2
    WRAPS = 3
    ABOVE_LIMIT = 4
    UNSORTED = 5
    OVERLAPS = 6
    NO_MEMORY = 7
    OVER_CAP = 8
    BAD_KERNEL_BOUNDS = 9
    KERNEL_OUTSIDE = 10
    KERNEL_MEETS_EXCLUDED = 11
    NO_ROOM = 12
    NO_LOW_MEMORY = 13
    ALREADY_WRITTEN = 14
    MISALIGNED = 15
    AREA_OUTSIDE = 16
    TOO_MANY = 17


@dataclass(frozen=True)
class Kernel:
    """What is measured of the SVSM's kernel: where it begins, and its least and greatest size."""

    base: int
    least: int
    greatest: int


@dataclass(frozen=True)
class Area:
    """Where the guest looks for its map, in bytes, and whether its pages are validated already."""

    address: int
    size: int
    prevalidated: bool


@dataclass(frozen=True)
class Sizes:
    """How many pages are tracked, and how many the bitmaps take."""

    tracked_pages: int
    bitmap_pages: int


@dataclass(frozen=True)
class Reserved:
    """What the SVSM keeps: its kernel, and the region of its bitmaps, (0, 0) if it needs none."""

    kernel: Span
    region: Span


@dataclass(frozen=True)
class Written:
    """The pages that were validated, (0, 0) if none were, and what the area's pages then hold."""

    validated: Span
    memory: bytes


@dataclass(frozen=True)
class Config:
    """What an SVSM knows before it sees the map: what is measured, and its policies.

    limit_page: the first page that no address reaches.
    area: where the guest looks for its map.
    excluded: ranges that neither the kernel nor the region may meet.
    low_pages: pages that the firmware needs from page 0 on; 0 if it needs none.
    cap_pages: most pages that may be tracked.
    memory: what the area's pages hold; empty for zeros.
    """

    limit_page: int
    kernel: Kernel
    area: Area
    excluded: Sequence[Span] = ()
    low_pages: int = 0
    cap_pages: int = DEFAULT_CAP_PAGES
    track: bool = True
    with_terminator: bool = True
    already_written: bool = False
    memory: bytes = b""


@dataclass(frozen=True)
class Done:
    """What every stage answered of a map that none of them refused.

    entry_words, guest_words: entries and ranges as the stages keep them, 3 and 2 words each. To
    make Python objects of them takes longer than all the stages, so it is done for who asks.
    """

    entry_words: array[int]
    sizes: Sizes
    reserved: Reserved
    guest_words: array[int]
    written: Written

    @property
    def entries(self) -> list[MapEntry]:
        """The entries of the host's map."""
        return entries_of(self.entry_words)

    @property
    def guest(self) -> list[Span]:
        """What the guest gets."""
        return spans_of(self.guest_words)


def entries_of(words: array[int]) -> list[MapEntry]:
    """The entries in words, 3 each: first, stop, type."""
    flat = iter(words)
    return list(zip(flat, flat, flat, strict=True))


def spans_of(words: array[int]) -> list[Span]:
    """The ranges in words, 2 each: first, stop."""
    flat = iter(words)
    return list(zip(flat, flat, strict=True))
