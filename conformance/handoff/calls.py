"""One call of one stage as plain values: what a device is asked, what a trace keeps."""

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from spec.handoff.read import Entry as Found
from spec.handoff.words import BLOCK, ENTRY_BYTES, LIMIT, PAGE_BYTES, Kind
from spec.terms import MASK

Range = tuple[int, int]
Entry = tuple[int, int, int]
"""The first page of an entry, the one past its last, and its type."""
LAYOUT = struct.Struct("<QQHHI")
MOST_BYTES = 1 << 16
MOST_BLOCKS = 4
"""Blocks of a region that is made ready: each may be 512 steps."""


class Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="stage", tag="read"):
    """Stage 1: an area's bytes, and the page where addresses end."""

    area: bytes
    limit: int


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="stage", tag="size"):
    """Stage 2: a map, the most pages that may be tracked, and whether any are."""

    entries: tuple[Entry, ...]
    cap: int
    tracks: bool


class Reserve(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="stage", tag="reserve"
):
    """Stage 3: a map, the kernel's base, least and greatest size, and what is excluded."""

    entries: tuple[Entry, ...]
    kernel: tuple[int, int, int]
    excluded: tuple[Range, ...]
    bitmaps: int
    limit: int


class Carve(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="stage", tag="carve"
):
    """Stage 4: a map, what is kept, and the pages that firmware needs from page 0 on."""

    entries: tuple[Entry, ...]
    kernel: Range
    region: Range
    low_pages: int


class Validate(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="stage", tag="validate"
):
    """Stage 5: the region, and what the machine does there; see `conformance.handoff.machine`.

    shared: the host holds it shared until asked. refused: blocks that it does not make private.
    small: blocks of which the RMP holds entries of 4 KiB. failing: pages that PVALIDATE fails at.
    was: pages that are validated already. Blocks are named by their first page.
    """

    region: Range
    shared: bool
    refused: tuple[int, ...] = ()
    small: tuple[int, ...] = ()
    failing: tuple[int, ...] = ()
    was: tuple[int, ...] = ()


class Write(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="stage", tag="write"
):
    """Stage 6: what the area's pages hold, where the area is, and the guest's ranges."""

    memory: bytes
    address: int
    size: int
    prevalidated: bool
    guest: tuple[Range, ...]
    with_terminator: bool
    published: bool


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="stage", tag="view"):
    """Stage 7: the page from the area on, what OVMF's version does, and the low memory it is told.

    told: the page past low memory, as QEMU tells it.
    """

    page: bytes
    takes_map: bool
    checks_first: bool
    low_from_base: bool
    told: int

    @property
    def version(self) -> tuple[bool, bool, bool]:
        """What OVMF's version does."""
        return self.takes_map, self.checks_first, self.low_from_base


Call = Read | Size | Reserve | Carve | Validate | Write | View
STAGES: tuple[type[Call], ...] = (Read, Size, Reserve, Carve, Validate, Write, View)
RULES = {
    "read": ("handoff.read",),
    "size": ("handoff.size",),
    "reserve": ("handoff.kernel", "handoff.reserve"),
    "carve": ("handoff.carve",),
    "validate": ("handoff.validate",),
    "write": ("handoff.write",),
    "view": ("handoff.low_memory", "handoff.view"),
}
"""The rules that each stage is made of."""


def stage_of(call: Call) -> str:
    """The name of the stage that is called."""
    return type(call).__name__.lower()


def found(area: bytes) -> list[Found]:
    """The entries that an area has whole, as they stand there, and behind them its end."""
    whole = len(area) // ENTRY_BYTES * ENTRY_BYTES
    listed = [Found(False, *fields) for fields in LAYOUT.iter_unpack(area[:whole])]
    return [*listed, Found(True, 0, 0, 0, 0, 0)]


def packed(entries: Iterable[Sequence[int]]) -> bytes:
    """The bytes of entries: first page, number of pages, type, flags, reserved; 0 if not given."""
    return b"".join(LAYOUT.pack(*(*one, 0, 0, 0)[:5]) for one in entries)


def pages_of(address: int, size: int) -> Range:
    """The pages that an area has bytes in."""
    return address // PAGE_BYTES, -(-(address + size) // PAGE_BYTES)


def is_range(one: Range) -> bool:
    """A range is of pages with addresses, and not empty."""
    return 0 <= one[0] < one[1] <= LIMIT


def is_page(page: int) -> bool:
    """A number is that of a page with an address."""
    return 0 <= page < LIMIT


def suits(call: Call) -> bool:
    """Whether a call is one that a stage is to be asked: its lists are as those before leave them.

    What the host or the caller says is anything; what an earlier stage made is what it makes.
    """
    match call:
        case Read(area, limit):
            return len(area) <= MOST_BYTES and 0 <= limit <= MASK
        case Size(entries, cap, _):
            return is_map(entries) and 0 <= cap <= MASK
        case Reserve(entries, kernel, excluded, bitmaps, limit):
            numbers = (*kernel, bitmaps, limit, *(n for one in excluded for n in one))
            return is_map(entries) and all(0 <= n <= MASK for n in numbers)
        case Carve(entries, kernel, region, low_pages):
            apart = kernel[1] <= region[0] or region[1] <= kernel[0]
            kept = is_range(kernel) and (is_range(region) or region == (0, 0))
            return (
                is_map(entries) and kept and (apart or region == (0, 0)) and 0 <= low_pages <= MASK
            )
        case View(page):
            return len(page) <= MOST_BYTES and 0 <= call.told <= LIMIT
        case Validate(region, _, refused, small, failing, was):
            whole = region[0] % BLOCK == region[1] % BLOCK == 0
            few = 0 <= region[1] - region[0] <= MOST_BLOCKS * BLOCK
            pages = region[0] >= 0 and region[1] <= LIMIT
            listed = (*refused, *small, *failing, *was)
            return whole and few and pages and all(map(is_page, listed))
        case Write(memory, address, size, _, guest):
            first, stop = pages_of(address, size)
            held = len(memory) == (stop - first) * PAGE_BYTES <= MOST_BYTES
            apart = all(a[1] < b[0] for a, b in pairwise(guest))
            return (
                0 <= address <= MASK and size >= 0 and held and apart and all(map(is_range, guest))
            )


def is_map(entries: tuple[Entry, ...]) -> bool:
    """Entries are as stage 1 leaves them: in order, none empty, of known types, one of memory."""
    order = all(a[1] <= b[0] for a, b in pairwise(entries))
    known = all(is_range(one[:2]) and 0 <= one[2] <= Kind.HIDDEN for one in entries)
    return order and known and any(one[2] == Kind.MEMORY for one in entries)
