"""Calls drawn at random, made like maps: ranges that touch, edges that meet, sizes that just fit.

A `Chooser` says which; `random` draws for volume, Hypothesis for what is to be shrunk.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from conformance.handoff import calls
from conformance.handoff.calls import Call, Entry, Range
from spec.handoff.words import BLOCK, ENTRY_BYTES, LIMIT, PAGE_BYTES, Kind

T = TypeVar("T")
MASK = (1 << 64) - 1
FOUR_GIB, HOLE_STOP = 1 << 20, 256
IN_A_PAGE = PAGE_BYTES // ENTRY_BYTES
BITMAP = 8 * PAGE_BYTES
"""Pages that a page of bitmap has bits for."""


class Chooser(Protocol):
    """What makes the choices of a draw."""

    def number(self, least: int, most: int) -> int:
        """A number from `least` to `most`."""

    def one_of(self, choices: Sequence[T]) -> T:
        """One of some."""


@dataclass(frozen=True)
class Random:
    """Choices of a generator of pseudo-random numbers."""

    source: Any

    def number(self, least: int, most: int) -> int:
        """A number from `least` to `most`."""
        return int(self.source.randint(least, most))

    def one_of(self, choices: Sequence[T]) -> T:
        """One of some."""
        return choices[self.number(0, len(choices) - 1)]


@dataclass(frozen=True)
class Drawn:
    """Choices of Hypothesis, which makes them small again."""

    draw: Callable[[Any], Any]
    numbers: Callable[[int, int], Any]

    def number(self, least: int, most: int) -> int:
        """A number from `least` to `most`."""
        return int(self.draw(self.numbers(least, most)))

    def one_of(self, choices: Sequence[T]) -> T:
        """One of some."""
        return choices[self.number(0, len(choices) - 1)]


COUNTS = (1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10)
LENGTHS = (1, 1, 2, 159, 160, 255, 256, 257, 511, 512, 513, 1024, 4096, 32767, 32768, 32769)
LARGE = (1 << 17, FOUR_GIB - 1, FOUR_GIB, FOUR_GIB + 1, 1 << 26, 1 << 28, (1 << 28) + 1, 1 << 33)
GAPS = (0, 0, 0, 1, 1, 2, 96, 511, 512, 513, 4096, FOUR_GIB)
LIMITS = (4096, FOUR_GIB, 1 << 34, 1 << 35, 1 << 40, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT << 1)
KINDS = (0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 5)


def length(c: Chooser) -> int:
    """The length of a range: mostly next to what a stage rounds to or compares with."""
    return c.one_of(LARGE if c.number(0, 9) == 9 else LENGTHS)


def entries(c: Chooser, first: int = 0) -> list[Entry]:
    """A map as stage 1 leaves it, of up to ten entries or of as many as a page holds."""
    count = c.one_of((IN_A_PAGE - 1, IN_A_PAGE)) if c.number(0, 39) == 39 else c.one_of(COUNTS)
    made: list[Entry] = []
    at = first
    for _ in range(count):
        at += c.one_of(GAPS)
        stop = at + length(c)
        made.append((at, stop, c.one_of(KINDS)))
        at = stop
    if all(kind != Kind.MEMORY for _, _, kind in made):
        made[-1] = (*made[-1][:2], int(Kind.MEMORY))
    return made


def starts_at(c: Chooser) -> int:
    """Where a map starts: mostly at page 0."""
    return c.one_of((0, 0, 0, 0, 1, 256, 512, FOUR_GIB - 512))


def edges(listed: Sequence[tuple[int, ...]]) -> list[int]:
    """Where ranges start and end, or 0."""
    return [0, *(page for one in listed for page in one[:2])]


def near(c: Chooser, pages: Sequence[int]) -> int:
    """A page at an edge, or a little before or past it."""
    return max(0, c.one_of(pages) + c.one_of((0, 0, 0, 0, 1, -1, 512, -512)))


# Stage 1


def read(c: Chooser) -> calls.Read:
    """An area as a host writes it: mostly a map, sometimes with one thing wrong."""
    listed: list[list[int]] = [[a, b - a, k, 0, 0] for a, b, k in entries(c, starts_at(c))]
    limit = max(one[0] + one[1] for one in listed)
    limit = c.one_of((limit, limit, limit + 1, *LIMITS))
    for _ in range(c.one_of((0, 0, 0, 1, 1, 2))):
        _spoil(c, listed[c.number(0, len(listed) - 1)], listed, limit)
    if c.number(0, 4) == 4:
        c.one_of(listed)[1] = 0
    area = calls.packed(listed)
    end = c.one_of((b"", bytes(24), bytes(24), b"\0" * 8 + b"\1" * 16))
    behind = calls.packed([(0x8000, 512, int(Kind.HIDDEN)), (3, 4, 9, 1, 1)])
    area += end + (behind if c.number(0, 3) == 3 else b"")
    size = c.one_of((len(area), len(area), len(area) + 23, max(0, len(area) - 1), PAGE_BYTES))
    return calls.Read(area[:PAGE_BYTES].ljust(min(size, PAGE_BYTES), b"\0")[:size], limit)


def _spoil(c: Chooser, one: list[int], listed: list[list[int]], limit: int) -> None:
    """Make one thing wrong, or nearly."""
    before = listed[max(0, listed.index(one) - 1)]
    changes: list[tuple[int, int]] = [
        (3, c.one_of((1, 0x8000, 0xFFFF))),
        (4, c.one_of((1, 1 << 31, 0xFFFFFFFF))),
        (2, c.one_of((5, 6, 7, 16, 0x100, 0xFFFF))),
        (
            1,
            c.one_of((LIMIT - one[0], LIMIT - one[0] + 1, MASK, MASK - one[0] + 1, 1 << 63)) & MASK,
        ),
        (0, c.one_of((LIMIT, LIMIT - 1, MASK, 1 << 52))),
        (1, max(0, limit - one[0]) & MASK),
        (1, max(0, limit - one[0] + 1) & MASK),
        (0, before[0]),
        (0, max(0, before[0] - 1)),
        (0, max(0, before[0] + before[1] - 1) & MASK),
        (0, (before[0] + before[1]) & MASK),
    ]
    place, value = c.one_of(changes)
    one[place] = value


# Stages 2 to 4


def size(c: Chooser) -> calls.Size:
    """A map, and a cap that it just fits or just does not."""
    listed = entries(c, starts_at(c))
    memory = sum(b - a for a, b, k in listed if k == Kind.MEMORY)
    cap = c.one_of((memory, memory, max(0, memory - 1), memory + 1, 0, 1 << 28, MASK))
    return calls.Size(tuple(listed), cap, c.number(0, 4) != 4)


def kernel(c: Chooser, listed: Sequence[Entry]) -> tuple[int, int, int]:
    """A kernel mostly at an edge of a range, of a size that it mostly has room for."""
    homes = [one for one in listed if one[2] in (Kind.MEMORY, Kind.HIDDEN)]
    hidden = [one for one in listed if one[2] == Kind.HIDDEN]
    first, stop, _ = c.one_of(hidden if hidden and c.number(0, 1) else homes)
    room = stop - first
    sizes = sorted({1, max(1, room // 4), max(1, room // 2), max(1, room - 1), room})
    least = c.one_of(sizes)
    greatest = c.one_of([size for size in sizes if size >= least])
    base = c.one_of((first, first, first, stop - least, first + room // 2))
    # Sometimes one thing is wrong, or nearly.
    match c.number(0, 11):
        case 0:
            base = near(c, edges(listed))
        case 1:
            least = c.one_of((0, greatest + 1, room + 1))
        case 2:
            greatest = c.one_of((max(0, least - 1), room + 1, 2 * room))
    return base, least, greatest


def excluded(c: Chooser, listed: Sequence[tuple[int, ...]]) -> list[Range]:
    """Ranges that are kept free: at edges, next to each other, huge, empty and upside down."""
    made = [(0, 256)] if c.number(0, 1) else []
    for _ in range(c.one_of((0, 0, 1, 1, 2, 3, 9))):
        first = near(c, edges([*listed, *made]))
        made.append((first, max(0, first + c.one_of((0, 1, 1, 511, 512, 513, 4096, -1, 1 << 40)))))
    return made


def reserve(c: Chooser) -> calls.Reserve:
    """A map, a kernel in it, and bitmaps that there is mostly room for."""
    listed = entries(c, starts_at(c))
    where = kernel(c, listed)
    base, least, _ = where
    avoided = excluded(c, [*listed, (base, base + least), (base + least + 512, base + 1024)])
    # What is avoided mostly leaves the kernel alone; how it may meet the region is what is asked.
    spared = [one for one in avoided if one[1] <= base or base + where[2] <= one[0]]
    avoided = avoided if c.number(0, 3) == 3 else spared
    memory = sum(b - a for a, b, k in listed if k == Kind.MEMORY)
    sizes = (0, 1, 1, 1, 1, 1, 511, 512, 513, 1024, memory // 2, -(-memory // BITMAP))
    limit = c.one_of((max(listed[-1][1], base + where[2]), base + where[2], 1 << 40, LIMIT))
    limit = max(0, limit - c.one_of((0, 0, 0, 0, 0, 0, 0, 0, 0, 1)))
    return calls.Reserve(tuple(listed), where, tuple(avoided), c.one_of(sizes), limit)


def carve(c: Chooser) -> calls.Carve:
    """A map, and a kernel and a region at edges of it, which do not meet."""
    listed = entries(c, starts_at(c))
    pages = edges(listed)
    first = near(c, pages)
    kept = (first, max(first + 1, c.one_of((near(c, pages), first + length(c)))))
    at = near(c, [*pages, *kept])
    region = (at, max(at + 1, c.one_of((near(c, pages), at + c.one_of((1, 512, 1024))))))
    if c.number(0, 3) == 3 or (region[0] < kept[1] and kept[0] < region[1]):
        region = (0, 0)
    low = c.one_of(
        (0, 0, 0, 0, 0, 0, 1, 159, 160, 256, 257, *(p for p in edges([listed[0], kept, region])))
    )
    return calls.Carve(tuple(listed), kept, region, max(0, low + c.one_of((0, 0, 0, 0, 1, -1))))


# Stages 5 and 6


def validate(c: Chooser) -> calls.Validate:
    """A region, mostly of one block, and a machine on which up to two things are not plain."""
    first = BLOCK * c.one_of((1, 1, 4, 0x800, (1 << 31) - 2))
    count = c.one_of((1, 1, 1, 2, 2, 3, 0))
    region = (first, first + BLOCK * count) if count else (0, 0)
    made: dict[str, list[int]] = {"refused": [], "small": [], "failing": [], "was": []}
    for _ in range(c.one_of((0, 1, 1, 2))):
        block = first + BLOCK * c.number(0, max(0, count - 1))
        name = c.one_of(tuple(made))
        inside = 0 if name in ("refused", "small") else c.one_of((0, 0, 1, 7, 511))
        made[name].append(block + inside)
    listed = {name: tuple(sorted(set(pages))) for name, pages in made.items()}
    return calls.Validate(region, c.number(0, 1) == 1, **listed)


def guest(c: Chooser) -> list[Range]:
    """Ranges as stage 4 leaves them: in order, none empty, no two touching."""
    made: list[Range] = []
    at = c.one_of((0, 0, 1, 0x812, 1 << 32))
    for _ in range(c.one_of((0, 1, 1, 2, 3, 6, 7, 8, 9, 10))):
        stop = at + length(c)
        made.append((at, stop))
        at = stop + max(1, c.one_of(GAPS))
    return made


def write(c: Chooser) -> calls.Write:
    """The guest's ranges, and an area at an edge of one, of a size that just fits or does not."""
    listed = guest(c)
    page = c.one_of(edges(listed))
    needed = ENTRY_BYTES * (len(listed) + c.one_of((0, 1, 1, -1)))
    size = max(0, c.one_of((needed, needed, 192, 4096, needed + 23, needed - 1, 0, 24, 4097)))
    offset = c.one_of((0, 0, 8, 4096 - size, 4096 - needed, 4088, -8, -size, 1, 2, 4, -size + 8))
    address = max(0, page * PAGE_BYTES + offset)
    first, stop = calls.pages_of(address, size)
    held = bytes([c.number(0, 255)]) * ((stop - first) * PAGE_BYTES)
    flags = (c.number(0, 1) == 1, c.number(0, 3) != 3, c.number(0, 9) == 9)
    return calls.Write(held, address, size, flags[0], tuple(listed), flags[1], flags[2])


# Stage 7


def view(c: Chooser) -> calls.View:
    """A page as stage 6 leaves it, or nearly, and OVMF in some version."""
    listed = entries(c, c.one_of((0, 0, 0, starts_at(c))))
    told = near(c, [*edges(listed), HOLE_STOP])
    rows = [[a, b - a, kind, 0, 0] for a, b, kind in listed]
    for _ in range(c.one_of((0, 0, 1, 2))):
        row = c.one_of(rows)
        place, values = c.one_of(
            (
                (0, (0, 1, FOUR_GIB - row[1], FOUR_GIB - row[1] - 1, told)),
                (1, (0, 1, FOUR_GIB, FOUR_GIB + 256, max(0, told - row[0]))),
                (2, (0, 1, 5, 15, 16, 0xFFFF)),
                (4, (1, 1 << 31)),
            )
        )
        row[place] = max(0, c.one_of(values))
    rows = rows if c.number(0, 7) else []
    held = calls.packed(rows) + bytes(c.one_of((0, 8, ENTRY_BYTES, 5 * ENTRY_BYTES)))
    flags = c.number(0, 7) > 0, c.number(0, 1) == 1, c.number(0, 1) == 1
    return calls.View(held, *flags, told=max(0, told))


DRAWS: dict[str, Callable[[Chooser], Call]] = {
    "read": read,
    "size": size,
    "reserve": reserve,
    "carve": carve,
    "validate": validate,
    "write": write,
    "view": view,
}


def draws(c: Chooser, stages: Sequence[str]) -> Iterator[Call]:
    """Calls of some stages without end; those that no stage is asked are left out."""
    while True:
        call = DRAWS[c.one_of(stages)](c)
        if calls.suits(call):
            yield call
