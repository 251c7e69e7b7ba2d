"""A map on its whole way: from the host's bytes to what OVMF, in some version, makes of it.

The contract is that OVMF's RAM, and the pages from 640 KiB to 1 MiB, are what was carved. That it
is kept is proved (`spec.handoff.contract`); here it is looked at on concrete maps.
"""

from collections.abc import Sequence

import msgspec

from conformance.handoff import calls, oracle
from conformance.handoff.calls import Entry, Range
from conformance.handoff.draw import Chooser, length
from conformance.handoff.oracle import Reached
from spec.handoff.view import FOUR_GIB, HOLE_FIRST, HOLE_STOP
from spec.handoff.words import ENTRY_BYTES, PAGE_BYTES, Kind, Spans
from spec.pages import ListedPages

LIMIT = 1 << 40
SLOTS = 8


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an OVMF image does; docs/handoff.md tells of each."""

    takes_map: bool = True
    checks_first: bool = True
    low_from_base: bool = True

    @property
    def flags(self) -> tuple[bool, bool, bool]:
        """As the calls of stage 7 have them."""
        return self.takes_map, self.checks_first, self.low_from_base


class Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A host's entries, and all else that decides what OVMF makes of them.

    kernel: its range, all that is kept. slots: of the area, which is put at the start of the
    guest's first page. behind: entries as they stand in that page behind the area.
    """

    entries: tuple[Entry, ...]
    kernel: Range
    low_pages: int = HOLE_STOP
    with_terminator: bool = True
    version: Version = Version()
    slots: int = SLOTS
    behind: tuple[Entry, ...] = ()


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was carved, and what OVMF takes as RAM; `refused`: why there is neither."""

    refused: str = ""
    carved: tuple[Range, ...] = ()
    ram: tuple[Range, ...] = ()

    @property
    def keeps_contract(self) -> bool:
        """OVMF's RAM and the hole are what was carved, or the map was refused."""
        with_hole = _pages((*self.ram, (HOLE_FIRST, HOLE_STOP)))
        return bool(self.refused) or with_hole == _pages(self.carved)


def _pages(ranges: tuple[Range, ...]) -> ListedPages:
    made = ListedPages()
    for first, stop in ranges:
        made = made.with_range(first, stop, True)
    return made


def seen(way: Way, reached: Reached) -> Seen:
    """What becomes of a map: refused by the first stage that refuses it, or read by OVMF."""
    area = calls.packed((a, b - a, k) for a, b, k in way.entries)
    told = oracle.read(calls.found(area), LIMIT, reached)
    if not told.is_ok:
        return Seen(told.answer.name)
    host: Spans = told.value
    size = way.kernel[1] - way.kernel[0]
    where = oracle.Kernel(way.kernel[0], size, size)
    told = oracle.reserve(host, where, (), 0, LIMIT, reached)
    if told.is_ok:
        told = oracle.carve(host, told.value, way.low_pages, reached)
    if not told.is_ok:
        return Seen(told.answer.name)
    return _read(way, host, told.value, reached)


def _read(way: Way, host: Spans, guest: Spans, reached: Reached) -> Seen:
    """What OVMF makes of the page that the guest's ranges are written to."""
    ranges = tuple((a, b) for a, b, _ in guest.listed())
    size = ENTRY_BYTES * way.slots
    behind = calls.packed((a, b - a, k) for a, b, k in way.behind)
    page = (bytes(size) + behind).ljust(PAGE_BYTES, b"\0")
    # Where nothing is left to the guest, nothing is written, and the page is as it is launched.
    if ranges:
        address = PAGE_BYTES * ranges[0][0]
        flags = way.with_terminator, False
        told = oracle.answer(calls.Write(page, address, size, True, ranges, *flags), reached)
        if not told.is_ok:
            return Seen(told.answer.name)
        page = told.value[1]
    told = oracle.view(page, way.version.flags, low_told(host.listed()), reached)
    ram = told.value.ram if told.is_ok else host.memory
    return Seen("", ranges, tuple((int(a), int(b)) for a, b in ram.runs()))


def low_told(host: Sequence[Entry]) -> int:
    """Where QEMU says that low memory ends: the host's, holes of the SVSM included."""
    return max((b for _, b, kind in host if kind == Kind.MEMORY and b < FOUR_GIB), default=0)


def way(c: Chooser, version: Version) -> Way:
    """A way drawn at random, mostly one that is not refused."""
    entries: list[Entry] = []
    at = 0
    for number in range(c.one_of((1, 2, 2, 3, 4, 8, 9))):
        kind = 0 if number == 0 else c.one_of((0, 0, 0, 1, 5))
        first = at + (c.one_of((0, 0, 1, 512, FOUR_GIB)) if number else 0)
        at = first + length(c) + (HOLE_STOP if number == 0 else 0)
        entries.append((first, at, kind))
    first, stop, _ = c.one_of([one for one in entries if one[2] == Kind.MEMORY])
    base = c.one_of((first, stop - 1, (first + stop) // 2, max(first, stop - 512)))
    kernel = base, min(stop, base + c.one_of((1, 2, 512)))
    return Way(tuple(entries), kernel, version=version)
