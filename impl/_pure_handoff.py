"""The plain-Python twin of the handoff's stages in `_fast`: the same names, docstrings, answers.

An entry is three words (first, stop, type), a range two (first, stop); ranges are half-open and in
pages. Each stage answers minus the first `Refusal` that applies, or a result of 0 or more. Its
arguments were checked in `impl.handoff`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from impl.handoff_abi import (
    LARGE_PAGES,
    MOST_PAGES,
    PAGE_BYTES,
    PAGES_PER_WORD,
    SLOT_BYTES,
    SLOT_FORMAT,
    WORDS_PER_PAGE,
    EntryType,
    MapEntry,
    Refusal,
    Span,
)

Words: TypeAlias = "memoryview[int]"


def handoff_read(area: Words, limit_page: int, entries: Words) -> int:
    """Number of entries of the map in `area`, now in `entries`.

    area: uint8.
    entries: uint64, room for 3 words for each 24 bytes of the area.

    Refuses: NONZERO_RESERVED, UNKNOWN_TYPE, WRAPS, ABOVE_LIMIT, UNSORTED, OVERLAPS for the first
    entry that is wrong, then NO_MEMORY; the first that applies.
    Raises: ValueError for too little room.
    """
    _room("entries", entries, 3 * (len(area) // SLOT_BYTES))
    found: list[MapEntry] = []
    before = (0, 0)
    whole = area[: len(area) // SLOT_BYTES * SLOT_BYTES]
    for first, pages, kind, flags, reserved in struct.iter_unpack(SLOT_FORMAT, whole):
        if pages == 0:
            break
        stop = first + pages
        if flags or reserved:
            return -Refusal.NONZERO_RESERVED
        if kind > EntryType.HIDDEN:
            return -Refusal.UNKNOWN_TYPE
        if stop > MOST_PAGES:
            return -Refusal.WRAPS
        if stop > limit_page:
            return -Refusal.ABOVE_LIMIT
        if first < before[0]:
            return -Refusal.UNSORTED
        if first < before[1]:
            return -Refusal.OVERLAPS
        before = (first, stop)
        found.append((first, stop, kind))
    _fill(entries, found)
    if all(kind != EntryType.MEMORY for _, _, kind in found):
        return -Refusal.NO_MEMORY
    return len(found)


def handoff_size(entries: Words, cap_pages: int, track: bool, sizes: Words) -> int:
    """0, when `sizes` holds the pages tracked and the pages of their bitmaps.

    entries: uint64, 3 words each.
    sizes: uint64, 2 words.

    Refuses: OVER_CAP.
    Raises: ValueError for too little room.
    """
    _room("sizes", sizes, 2)
    runs = _runs(_entries(entries)) if track else []
    pages = [stop - first for first, stop in runs]
    if sum(pages) > cap_pages:
        return -Refusal.OVER_CAP
    words = [-(-n // PAGES_PER_WORD) for n in pages]
    sizes[0], sizes[1] = sum(pages), sum(-(-n // WORDS_PER_PAGE) for n in words)
    return 0


def handoff_reserve(
    entries: Words, kernel: Words, excluded: Words, bitmap_pages: int, limit_page: int,
    reserved: Words,
) -> int:  # fmt: skip
    """0, when `reserved` holds the kernel's range and that of the bitmaps' region.

    entries: uint64, 3 words each.
    kernel: uint64, its base, least size and greatest size.
    excluded: uint64, 2 words each.
    reserved: uint64, 4 words.

    Refuses: BAD_KERNEL_BOUNDS, KERNEL_OUTSIDE, KERNEL_MEETS_EXCLUDED, NO_ROOM; the first that
    applies.
    Raises: ValueError for too little room.
    """
    _room("kernel", kernel, 3)
    _room("reserved", reserved, 4)
    base, least, greatest = kernel[:3]
    known = _entries(entries)
    runs, taken = _runs(known), _spans(excluded)
    if least == 0 or least > greatest or base + greatest > limit_page:
        return -Refusal.BAD_KERNEL_BOUNDS
    hidden = [(first, stop) for first, stop, kind in known if kind == EntryType.HIDDEN]
    asked = next((stop - first for first, stop in hidden if first == base), least)
    mine = (base, base + min(max(asked, least), greatest))
    if not any(first <= mine[0] and mine[1] <= stop for first, stop in [*runs, *hidden]):
        return -Refusal.KERNEL_OUTSIDE
    if any(_meets(mine, span) for span in taken):
        return -Refusal.KERNEL_MEETS_EXCLUDED
    region: Span | None = (0, 0)
    if bitmap_pages:
        size = -(-bitmap_pages // LARGE_PAGES) * LARGE_PAGES
        region = next(filter(None, (_place(run, size, [mine, *taken]) for run in runs[::-1])), None)
    if region is None:
        return -Refusal.NO_ROOM
    _fill(reserved, [mine, region])
    return 0


def handoff_carve(entries: Words, reserved: Words, low_pages: int, guest: Words) -> int:
    """Number of ranges that are the guest's, now in `guest`.

    entries: uint64, 3 words each.
    reserved: uint64, 4 words, as `handoff_reserve` leaves them.
    guest: uint64, room for 6 words for each entry.

    Refuses: NO_LOW_MEMORY.
    Raises: ValueError for too little room.
    """
    _room("reserved", reserved, 4)
    _room("guest", guest, 2 * len(entries))
    parts = _runs(_entries(entries))
    for cut in _spans(reserved[:4]):
        parts = [part for whole in parts for part in _without(whole, cut)]
    if low_pages and (not parts or parts[0][0] != 0 or parts[0][1] < low_pages):
        return -Refusal.NO_LOW_MEMORY
    _fill(guest, parts)
    return len(parts)


def handoff_fit(guest: Words, address: int, size: int, terminator: bool, written: bool) -> int:
    """0 if the ranges in `guest` may be written into the `size` bytes at `address`.

    guest: uint64, 2 words each.

    Refuses: ALREADY_WRITTEN, MISALIGNED, AREA_OUTSIDE, TOO_MANY; the first that applies.
    """
    if written:
        return -Refusal.ALREADY_WRITTEN
    if address % 8:
        return -Refusal.MISALIGNED
    spans = _spans(guest)
    # The first page not yet found in a range, as far as ranges in order go.
    page = address // PAGE_BYTES
    for first, stop in spans:
        page = stop if first <= page < stop else page
    if size == 0 or page * PAGE_BYTES < address + size:
        return -Refusal.AREA_OUTSIDE
    if len(spans) + bool(terminator) > size // SLOT_BYTES:
        return -Refusal.TOO_MANY
    return 0


def handoff_put(memory: Words, offset: int, size: int, guest: Words, prevalidated: bool) -> int:
    """Number of ranges written into the `size` bytes from `offset` of the pages in `memory`.

    memory: uint8, writable; zeroed before, unless `prevalidated`.
    guest: uint64, 2 words each.

    Raises: ValueError, before anything is written, if the area leaves the memory, or the ranges
    the area.
    """
    spans = _spans(guest)
    if offset + size > len(memory) or SLOT_BYTES * len(spans) > size:
        raise ValueError(
            f"{len(spans)} entries, {size} bytes at {offset}: memory has {len(memory)} bytes"
        )
    if not prevalidated:
        memory[:] = bytes(len(memory))
    slots = [struct.pack(SLOT_FORMAT, first, stop - first, 0, 0, 0) for first, stop in spans]
    memory[offset : offset + size] = b"".join(slots).ljust(size, b"\0")
    return len(spans)


def handoff_run(
    area: Words, plan: Words, excluded: Words, entries: Words, guest: Words, found: Words
) -> int:
    """Number of entries of the map in `area`, when every stage but the last write is done.

    area: uint8.
    plan: uint64, 11 words: limit_page, cap_pages, track, the kernel's base, least and greatest,
        low_pages, the guest area's address and size, with_terminator, already_written.
    excluded: uint64, 2 words each.
    entries, guest: uint64, room for 3 and 6 words for each 24 bytes of the area.
    found: uint64, 7 words: sizes, the kernel's range, the region's, how many ranges `guest` has.

    Refuses: as `handoff_read`, `handoff_size`, `handoff_reserve`, `handoff_carve` and
    `handoff_fit` do, in this order.
    Raises: ValueError for too little room.
    """
    slots = len(area) // SLOT_BYTES
    entries, found = memoryview(entries), memoryview(found)
    _room("plan", plan, 11)
    _room("entries", entries, 3 * slots)
    _room("guest", guest, 6 * slots)
    _room("found", found, 7)
    limit_page, cap_pages, track = plan[:3]
    low_pages, address, size, terminator, written = plan[6:11]
    n = handoff_read(area, limit_page, entries)
    if n < 0:
        return n
    known = entries[: 3 * n]
    if refusal := handoff_size(known, cap_pages, bool(track), found[:2]):
        return refusal
    if refusal := handoff_reserve(known, plan[3:6], excluded, found[1], limit_page, found[2:6]):
        return refusal
    parts = handoff_carve(known, found[2:6], low_pages, guest)
    if parts < 0:
        return parts
    found[6] = parts
    return handoff_fit(guest[: 2 * parts], address, size, bool(terminator), bool(written)) or n


# What the stages share.


def _entries(words: Words) -> list[MapEntry]:
    flat = iter(words)
    return list(zip(flat, flat, flat, strict=False))


def _spans(words: Words) -> list[Span]:
    flat = iter(words)
    return list(zip(flat, flat, strict=False))


def _room(name: str, words: Words, needed: int) -> None:
    if len(words) < needed:
        raise ValueError(f"{name} has {len(words)} words, must have {needed} or more")


def _fill(words: Words, rows: Sequence[tuple[int, ...]]) -> None:
    for at, word in enumerate(word for row in rows for word in row):
        words[at] = word


def _runs(entries: list[MapEntry]) -> list[Span]:
    """The runs: MEMORY entries that touch, as one range each."""
    runs: list[Span] = []
    for first, stop, kind in entries:
        if kind != EntryType.MEMORY:
            continue
        if runs and runs[-1][1] == first:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((first, stop))
    return runs


def _meets(one: Span, other: Span) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])


def _without(whole: Span, cut: Span) -> Iterator[Span]:
    """What is left of a range, in order: 0, 1 or 2 ranges, none of them empty."""
    if not _meets(whole, cut):
        yield whole
        return
    if whole[0] < cut[0]:
        yield whole[0], cut[0]
    if cut[1] < whole[1]:
        yield cut[1], whole[1]


def _place(run: Span, size: int, taken: list[Span]) -> Span | None:
    """The highest range of `size` pages, by 2 MiB, inside `run` that meets nothing taken."""
    free = [run]
    for cut in taken:
        free = [part for whole in free for part in _without(whole, cut)]
    for first, stop in reversed(free):
        start = (stop - size) // LARGE_PAGES * LARGE_PAGES
        if start >= first:
            return start, start + size
    return None
