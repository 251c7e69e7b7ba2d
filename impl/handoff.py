"""The memory-map handoff: what an SVSM does with the map from the host before the guest starts.

The stages in order: `read` the host's map, `size` the bitmaps, `reserve` the kernel and their
region, `carve` what is the guest's, `write` it where the guest looks; `run` is all of them. Numbers
are pages of 4 KiB, unless a name says bytes, and ranges are half-open pairs (first, stop). A stage
answers its result, or the first `Refusal` that applies, and then nothing is written. Whatever the
host's map holds, nothing is raised.

Raises, in every stage, for what the caller does wrong and naming the argument: OverflowError for an
integer outside 0 to 2**64 - 1, TypeError for what is no integer or no buffer, ValueError for a
buffer of another kind or for entries and ranges that no stage before would have left.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, SupportsIndex

from impl import kernels
from impl.handoff_abi import (
    MOST_PAGES,
    PAGE_BYTES,
    SLOT_BYTES,
    Area,
    Config,
    Done,
    EntryType,
    Kernel,
    MapEntry,
    Refusal,
    Reserved,
    Sizes,
    Span,
    Written,
    entries_of,
    spans_of,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = [
    "Area",
    "Config",
    "Done",
    "EntryType",
    "Kernel",
    "Refusal",
    "Reserved",
    "Sizes",
    "Stages",
    "Written",
    "carve",
    "read",
    "reserve",
    "run",
    "size",
    "write",
]

_TOP = 2**64


class Stages:
    """The stages on one twin, `impl._fast` or `impl._pure`."""

    def __init__(self, twin: ModuleType) -> None:
        self._twin = twin

    def read(self, area: ReadableBuffer, limit_page: SupportsIndex) -> list[MapEntry] | Refusal:
        """The entries of the map in `area` as (first, stop, type), in order and disjoint.

        area: contiguous bytes; what is behind the last whole entry is not read.
        limit_page: the first page that no address reaches.

        Refuses: NONZERO_RESERVED, UNKNOWN_TYPE, WRAPS, ABOVE_LIMIT, UNSORTED, OVERLAPS for the
        first entry that is wrong, then NO_MEMORY; the first that applies.
        """
        source, limit = _area(area), _u64("limit_page", limit_page)
        entries = _words(3 * (len(source) // SLOT_BYTES))
        n = self._twin.handoff_read(source, limit, entries)
        return Refusal(-n) if n < 0 else entries_of(entries[: 3 * n])

    def size(
        self, entries: Iterable[MapEntry], cap_pages: SupportsIndex, track: bool
    ) -> Sizes | Refusal:
        """How many pages are tracked, every run of MEMORY with a bitmap of its own.

        track: if not, nothing is tracked and the bitmaps take no page.

        Refuses: OVER_CAP.
        """
        known, sizes = _known(entries), _words(2)
        answer = self._twin.handoff_size(known, _u64("cap_pages", cap_pages), bool(track), sizes)
        return Refusal(-answer) if answer < 0 else Sizes(*sizes)

    def reserve(
        self,
        entries: Iterable[MapEntry],
        kernel: Kernel,
        excluded: Iterable[Span],
        bitmap_pages: SupportsIndex,
        limit_page: SupportsIndex,
    ) -> Reserved | Refusal:
        """What the SVSM keeps: its kernel, and the highest region that has room for the bitmaps.

        excluded: ranges that neither may meet, in any order; an empty one meets nothing.

        Refuses: BAD_KERNEL_BOUNDS, KERNEL_OUTSIDE, KERNEL_MEETS_EXCLUDED, NO_ROOM; the first that
        applies.
        """
        known, bounds, taken = _known(entries), _bounds(kernel), _spans("excluded", excluded)
        needed, limit = _u64("bitmap_pages", bitmap_pages), _u64("limit_page", limit_page)
        kept = _words(4)
        answer = self._twin.handoff_reserve(known, array("Q", bounds), taken, needed, limit, kept)
        return Refusal(-answer) if answer < 0 else _reserved(kept)

    def carve(
        self, entries: Iterable[MapEntry], reserved: Reserved, low_pages: SupportsIndex
    ) -> list[Span] | Refusal:
        """What the guest gets: MEMORY without what the SVSM keeps, in order, no two touching.

        low_pages: pages that the firmware needs from page 0 on; 0 if it needs none.

        Refuses: NO_LOW_MEMORY.
        """
        known, low = _known(entries), _u64("low_pages", low_pages)
        kept = _spans("reserved", (reserved.kernel, reserved.region))
        guest = _words(2 * len(known))
        m = self._twin.handoff_carve(known, kept, low, guest)
        return Refusal(-m) if m < 0 else spans_of(guest[: 2 * m])

    def write(
        self,
        memory: WriteableBuffer,
        area: Area,
        guest: Iterable[Span],
        with_terminator: bool,
        already_written: bool,
    ) -> Written | Refusal:
        """The map that the guest will read, now in `memory`, and the pages that were validated.

        memory: contiguous bytes, writable: the pages that the area touches, from their first
            byte on. A map that is refused leaves them as they are, whatever their number.
        with_terminator: if a zero entry must fit behind the entries.

        Refuses: ALREADY_WRITTEN, MISALIGNED, AREA_OUTSIDE, TOO_MANY; the first that applies.
        """
        target, spans = _memory(memory), _guest(guest)
        address, length = _u64("area.address", area.address), _u64("area.size", area.size)
        flags = bool(with_terminator), bool(already_written)
        if refusal := self._twin.handoff_fit(spans, address, length, *flags):
            return Refusal(-refusal)
        return self._written(target, area, spans)

    def run(self, area: ReadableBuffer, config: Config) -> Done | Refusal:
        """What every stage answers, one after the other, of the map in `area`.

        Refuses: as the stages do, in their order.
        """
        source, plan = _area(area), _plan(config)
        excluded = _spans("excluded", config.excluded)
        slots = len(source) // SLOT_BYTES
        entries, guest, found = _words(3 * slots), _words(6 * slots), _words(7)
        n = self._twin.handoff_run(source, plan, excluded, entries, guest, found)
        if n < 0:
            return Refusal(-n)
        spans = guest[: 2 * found[6]]
        memory = bytearray(config.memory or PAGE_BYTES * _area_pages(config.area))
        written = self._written(memoryview(memory), config.area, spans)
        return Done(entries[: 3 * n], Sizes(*found[:2]), _reserved(found[2:6]), spans, written)

    def _written(self, memory: memoryview, area: Area, spans: array[int]) -> Written:
        pages = _area_pages(area)
        if len(memory) != PAGE_BYTES * pages:
            raise ValueError(
                f"memory has {len(memory)} bytes, must have the {PAGE_BYTES * pages} of the area's "
                f"{pages} pages"
            )
        first, offset = divmod(area.address, PAGE_BYTES)
        kept = bool(area.prevalidated)
        self._twin.handoff_put(memory, offset, area.size, spans, kept)
        return Written((0, 0) if kept else (first, first + pages), bytes(memory))


def _words(n: int) -> array[int]:
    return array("Q", bytes(8 * n))


def _area_pages(area: Area) -> int:
    return -(-(area.address % PAGE_BYTES + area.size) // PAGE_BYTES)


def _reserved(words: array[int]) -> Reserved:
    return Reserved((words[0], words[1]), (words[2], words[3]))


# Arguments: each is checked once, here, for both twins.


def _u64(name: str, value: SupportsIndex) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {type(value).__name__}, must be an integer") from None
    if not 0 <= number < _TOP:
        raise OverflowError(f"{name} is {number}, must be 0 to 2**64 - 1")
    return number


def _bytes(name: str, data: Any) -> memoryview:
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"{name} is {type(data).__name__}, must be bytes-like") from None
    if view.itemsize != 1 or view.ndim != 1 or not view.c_contiguous:
        raise ValueError(f"{name} must be contiguous bytes in one dimension")
    return view.cast("B")


def _area(data: ReadableBuffer) -> bytes:
    # A copy, so that what is checked is what is used, whoever writes to the area meanwhile.
    return data if isinstance(data, bytes) else _bytes("area", data).tobytes()


def _memory(data: WriteableBuffer) -> memoryview:
    view = _bytes("memory", data)
    if view.readonly:
        raise ValueError("memory is read-only")
    return view


def _flat(name: str, rows: Iterable[Sequence[int]], width: int) -> array[int]:
    """The words of rows of `width` integers each."""
    words = array("Q")
    for i, row in enumerate(rows):
        try:
            words.extend(row)
        except (OverflowError, TypeError):
            words.extend([_u64(f"{name}[{i}]", item) for item in row])
        if len(words) != width * (i + 1):
            raise ValueError(f"{name}[{i}] has {len(row)} items, must have {width}")
    return words


def _spans(name: str, spans: Iterable[Span]) -> array[int]:
    return _flat(name, spans, 2)


def _in_order(name: str, words: array[int], width: int) -> array[int]:
    before = 0
    for i, (first, stop) in enumerate(zip(words[::width], words[1::width], strict=True)):
        if not before <= first < stop <= MOST_PAGES:
            raise ValueError(
                f"{name}[{i}] is {first} to {stop}, must not be empty, start at {before} or above, "
                f"and end at {MOST_PAGES} or below"
            )
        before = stop
    return words


def _known(entries: Iterable[MapEntry]) -> array[int]:
    words = _in_order("entries", _flat("entries", entries, 3), 3)
    for i, kind in enumerate(words[2::3]):
        if kind > EntryType.HIDDEN:
            raise ValueError(f"entries[{i}] has type {kind}, must be 0 to {EntryType.HIDDEN:d}")
    return words


def _guest(guest: Iterable[Span]) -> array[int]:
    return _in_order("guest", _flat("guest", guest, 2), 2)


def _bounds(kernel: Kernel) -> tuple[int, int, int]:
    return (
        _u64("kernel.base", kernel.base),
        _u64("kernel.least", kernel.least),
        _u64("kernel.greatest", kernel.greatest),
    )


def _plan(config: Config) -> array[int]:
    """The configuration as the words that `handoff_run` takes."""
    if len(config.memory) % PAGE_BYTES:
        raise ValueError(f"memory has {len(config.memory)} bytes, must be whole pages")
    return array(
        "Q",
        (
            _u64("limit_page", config.limit_page),
            _u64("cap_pages", config.cap_pages),
            bool(config.track),
            *_bounds(config.kernel),
            _u64("low_pages", config.low_pages),
            _u64("area.address", config.area.address),
            _u64("area.size", config.area.size),
            bool(config.with_terminator),
            bool(config.already_written),
        ),
    )


_best = Stages(kernels.load("auto"))
read, size, reserve = _best.read, _best.size, _best.reserve
carve, write, run = _best.carve, _best.write, _best.run
