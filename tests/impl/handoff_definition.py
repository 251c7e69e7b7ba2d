"""The slow, obvious definition of the handoff: sets of pages, and every refusal spelled out.

It is written for these tests from docs/handoff.md and shares no code with a twin. A stage answers
the name of a refusal or its result as plain tuples. Sets keep it to maps of few pages, wherever
those are; `maps` and `configs` make such.
"""

from __future__ import annotations

import random
from itertools import count
from typing import Any

Span = tuple[int, int]
Entry = tuple[int, int, int]
Slot = tuple[int, int, int, int, int]
MEMORY, HIDDEN = 0, 5


def slot_bytes(first: int, pages: int, kind: int = 0, flags: int = 0, reserved: int = 0) -> bytes:
    fields = ((first, 8), (pages, 8), (kind, 2), (flags, 2), (reserved, 4))
    return b"".join(value.to_bytes(size, "little") for value, size in fields)


def area_of(slots: list[Slot], size: int = 0) -> bytes:
    return b"".join(slot_bytes(*slot) for slot in slots).ljust(size, b"\0")


def read(area: bytes, limit_page: int) -> list[Entry] | str:
    entries: list[Entry] = []
    for at in range(0, len(area) // 24 * 24, 24):
        first, pages, kind, flags, reserved = (
            int.from_bytes(area[at + lo : at + hi], "little")
            for lo, hi in ((0, 8), (8, 16), (16, 18), (18, 20), (20, 24))
        )
        if pages == 0:
            break
        if flags != 0 or reserved != 0:
            return "NONZERO_RESERVED"
        if kind not in (0, 1, 2, 3, 4, 5):
            return "UNKNOWN_TYPE"
        if (first + pages) * 4096 > 2**64:
            return "WRAPS"
        if first + pages > limit_page:
            return "ABOVE_LIMIT"
        if entries and first < entries[-1][0]:
            return "UNSORTED"
        if entries and first < entries[-1][1]:
            return "OVERLAPS"
        entries.append((first, first + pages, kind))
    return entries if MEMORY in [kind for _, _, kind in entries] else "NO_MEMORY"


def memory_pages(entries: list[Entry]) -> set[int]:
    return {page for first, stop, kind in entries if kind == MEMORY for page in range(first, stop)}


def spans(pages: set[int]) -> list[Span]:
    """The longest ranges whose every page is in the set, in order."""
    first = sorted(page for page in pages if page - 1 not in pages)
    last = sorted(page for page in pages if page + 1 not in pages)
    return [(a, b + 1) for a, b in zip(first, last, strict=True)]


def size(entries: list[Entry], cap_pages: int, track: bool) -> tuple[int, int] | str:
    if not track:
        return 0, 0
    pages = memory_pages(entries)
    if len(pages) > cap_pages:
        return "OVER_CAP"
    needed = 0
    for first, stop in spans(pages):
        words = len(range(first, stop, 64))
        needed += len(range(0, words, 512))
    return len(pages), needed


def reserve(
    entries: list[Entry], kernel: tuple[int, int, int], excluded: list[Span], bitmap: int,
    limit_page: int,
) -> tuple[Span, Span] | str:  # fmt: skip
    base, least, greatest = kernel
    if least == 0 or least > greatest or base + greatest > limit_page:
        return "BAD_KERNEL_BOUNDS"
    length = least
    for first, stop, kind in reversed(entries):
        if kind == HIDDEN and first == base:
            length = sorted((least, stop - first, greatest))[1]
    memory = memory_pages(entries)
    mine = set(range(base, base + length))
    homes = [set(range(first, stop)) for first, stop, kind in entries if kind == HIDDEN]
    if not any(mine <= home for home in [memory, *homes]):
        return "KERNEL_OUTSIDE"
    taken = {page for first, stop in excluded for page in memory | mine if first <= page < stop}
    if mine & taken:
        return "KERNEL_MEETS_EXCLUDED"
    if bitmap == 0:
        return (base, base + length), (0, 0)
    wanted = next(n for n in count(512, 512) if n >= bitmap)
    free = memory - mine - taken
    for first in sorted((page for page in free if page % 512 == 0), reverse=True):
        if set(range(first, first + wanted)) <= free:
            return (base, base + length), (first, first + wanted)
    return "NO_ROOM"


def carve(entries: list[Entry], reserved: tuple[Span, Span], low_pages: int) -> list[Span] | str:
    kept = {page for first, stop in reserved for page in range(first, stop)}
    guest = spans(memory_pages(entries) - kept)
    at_zero = [stop for first, stop in guest if first == 0]
    if low_pages != 0 and (not at_zero or at_zero[0] < low_pages):
        return "NO_LOW_MEMORY"
    return guest


def write(
    memory: bytes, area: tuple[int, int, bool], guest: list[Span], terminator: bool, written: bool
) -> tuple[Span, bytes] | str:
    address, length, prevalidated = area
    if written:
        return "ALREADY_WRITTEN"
    if address % 8 != 0:
        return "MISALIGNED"
    pages = sorted({byte // 4096 for byte in range(address, address + length)})
    if not pages or any(all(not a <= page < b for a, b in guest) for page in pages):
        return "AREA_OUTSIDE"
    if len(guest) + (1 if terminator else 0) > length // 24:
        return "TOO_MANY"
    base = 4096 * pages[0]
    after = bytearray(memory if prevalidated else len(memory))
    slots = b"".join(slot_bytes(first, stop - first) for first, stop in guest)
    for i in range(length):
        after[address - base + i] = slots[i] if i < len(slots) else 0
    return (0, 0) if prevalidated else (pages[0], pages[-1] + 1), bytes(after)


# Maps and configurations of few pages that come near every edge.

LENGTHS = (1, 2, 511, 512, 513, 1024, 1500)
GAPS = (0, 0, 0, 1, 2, 511, 512)


def random_map(rng: random.Random) -> tuple[list[Slot], int]:
    """Slots that are often in order, and an address limit near where they end."""
    at = rng.choice((0, 0, 0, 0, 1, 512, 2**39, 2**52 - 4096))
    slots: list[Slot] = []
    for _ in range(rng.choice((1, 3, 4, 5, 6, 7, 8))):
        at += rng.choice(GAPS)
        pages = rng.choice(LENGTHS)
        slots.append((at, pages, rng.choice((0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 5)), 0, 0))
        at += pages
    if rng.random() < 0.2:
        i, field = rng.randrange(len(slots)), rng.randrange(5)
        slot = list(slots[i])
        slot[field] = rng.choice(
            (
                (0, slot[0] - 1, slot[0] + 1, 2**52, 2**64 - 1),
                (0, slot[1] + 1, slot[1] + 512, 2**52, 2**64 - 1),
                (6, 2**16 - 1),
                (1, 2**15),
                (1, 2**31),
            )[field]
        )
        slots[i] = tuple(max(0, value) for value in slot)  # type: ignore[assignment]
    limit = max(0, min(at, 2**52) + rng.choice((0, 1, 512) * 4 + (-1,)))
    return slots, limit


def random_config(rng: random.Random, slots: list[Slot], limit: int) -> dict[str, Any]:
    """What `run` takes beside the map: numbers at the edges of its slots, or next to them."""
    edges = [edge for first, pages, *_ in slots for edge in (first, first + pages)]

    def near() -> int:
        at = rng.choice(edges) + rng.choice((0, 0, 0, 1, -1, 2, 5, 512, -512))
        return min(max(0, at), 2**64 - 1)

    starts = [first for first, _, kind, *_ in slots if kind in (MEMORY, HIDDEN)]
    base = rng.choice([*starts, near()])
    least = rng.choice((1, 1, 2, 5, 512) * 4 + (0,))
    guest = rng.choice([first for first, _, kind, *_ in slots if kind == MEMORY] or edges)
    return {
        "limit_page": limit,
        "kernel": (base, least, max(0, least + rng.choice((0, 1, 2, 500) * 4 + (-1,)))),
        "excluded": [(near(), near()) for _ in range(rng.choice((0, 0, 1, 3)))],
        "low_pages": rng.choice((0, 0, 0, 0, 0, 1, 511)),
        "cap_pages": rng.choice((2**28,) * 9 + (1500,)),
        "track": rng.random() < 0.8,
        "area": (
            min(2**64 - 1, 4096 * guest + rng.choice((0, 8, 4088, 4072, 4096) * 3 + (1,))),
            rng.choice((47, 48, 72, 96, 192, 4096, 4080, 8192, 8193) * 3 + (0, 23, 24)),
            rng.random() < 0.5,
        ),
        "with_terminator": rng.random() < 0.7,
        "already_written": rng.random() < 0.05,
    }
