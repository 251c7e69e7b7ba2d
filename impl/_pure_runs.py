"""The plain-Python twin of `_fast.RunTracker`: the same names, docstrings and answers.

It is for one thread at a time; the compiled twin takes turns by itself.
"""

from __future__ import annotations

import operator
import re
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, SupportsIndex, final

from impl._checks import (
    bytes_of,
    change_refusal,
    create_refusal,
    page_refusal,
    put,
    range_refusal,
    run_batch,
    settings,
    slack_set,
    state_words,
    u64,
    view_of,
    words_for,
)
from impl.abi import (
    DEFAULT_MAX_PAGES,
    DEFAULT_MAX_RUNS,
    MAX_RUNS,
    PAGE_2M,
    PAGE_4K,
    RANGE_MIXED,
    Status,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from impl._pure import ValidationBitmap

_NOT_ZERO = re.compile(rb"[^\0]", re.DOTALL)


@final
class RunTracker:
    """The pages of one guest region that are claimed, kept as runs of equal pages.

    The runs are in order and as long as can be; the first is of unclaimed pages and may be
    empty. Bit i % 64 of word i // 64 is page i counted from the region's base; words are
    uint64, and the bits of the last word beyond the region are zero. Addresses are bytes, ranges
    are half-open. Every step answers one signed 64-bit integer: its result, or minus a `Status`,
    and then nothing has changed. A new tracker has no region: every address is OUTSIDE.

    max_pages: most pages that `create` accepts, 1 to 2**40.
    mixed_2m: the refusal of a 2 MiB step over mixed pages, MIXED or SIZE_MISMATCH.
    max_runs: most runs that a step may leave, 2 to 2**40.

    Raises: ValueError for those three; in every method OverflowError for an integer outside
    0 to 2**64 - 1 and TypeError for what is not an integer.
    """

    def __init__(
        self,
        max_pages: SupportsIndex = DEFAULT_MAX_PAGES,
        mixed_2m: SupportsIndex = Status.MIXED,
        max_runs: SupportsIndex = DEFAULT_MAX_RUNS,
    ) -> None:
        self._max_pages, self._mixed_2m = settings(max_pages, mixed_2m)
        most = operator.index(max_runs)
        if not 2 <= most <= MAX_RUNS:
            raise ValueError(f"max_runs is {most}, must be 2 to {MAX_RUNS}")
        self._max_runs = most
        self._base = self._pages = 0
        # The pages that differ from the one before, page 0 if it is claimed, in order. So page i
        # is claimed if an odd number of them is i or less.
        self._flips = array("Q")

    @property
    def base(self) -> int:
        """Byte address of the region's first page; 0 without a region."""
        return self._base

    @property
    def pages(self) -> int:
        """Number of 4 KiB pages in the region; 0 without a region."""
        return self._pages

    @property
    def max_pages(self) -> int:
        """Most pages that `create` accepts."""
        return self._max_pages

    @property
    def mixed_2m(self) -> Status:
        """The refusal of a 2 MiB claim or release over mixed pages."""
        return self._mixed_2m

    @property
    def max_runs(self) -> int:
        """Most runs that a step may leave."""
        return self._max_runs

    @property
    def runs(self) -> int:
        """Number of runs, an empty first one included; 0 without a region."""
        return len(self._flips) + 1 if self._pages else 0

    def __sizeof__(self) -> int:
        """Bytes of the object and of the memory that it keeps runs in."""
        return object.__sizeof__(self) + self._flips.__sizeof__()

    def create(self, base: SupportsIndex, pages: SupportsIndex, claimed: SupportsIndex) -> int:
        """Bytes of the words that `pages` pages from `base`, now recorded alike, would fill.

        claimed: 0 for no page, another number for every page.

        Refuses: MISALIGNED, EMPTY, WRAPS (the end is 2**64 or more), ABOVE_LIMIT (the end is
        above 2**52), OVER_CAP; the first that applies.
        Raises: MemoryError, with the old region intact.
        """
        base, pages, claimed = u64(base), u64(pages), u64(claimed)
        if refusal := create_refusal(base, pages, self._max_pages):
            return refusal
        self._base, self._pages = base, pages
        self.fill(claimed)
        return 8 * words_for(pages)

    def fill(self, claimed: SupportsIndex) -> int:
        """0, when every page of the region is claimed, or with `claimed` 0 unclaimed."""
        self._flips = array("Q", [0] if u64(claimed) and self._pages else [])
        return 0

    def claim_4k(self, gpa: SupportsIndex) -> int:
        """0, when the unclaimed 4 KiB page at `gpa` is now claimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, ALREADY_CLAIMED, OUT_OF_RUNS; the first that applies.
        Raises: MemoryError, with nothing changed.
        """
        return self._page_step(u64(gpa), PAGE_4K, True)

    def release_4k(self, gpa: SupportsIndex) -> int:
        """0, when the claimed 4 KiB page at `gpa` is now unclaimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, NOT_CLAIMED, OUT_OF_RUNS; the first that applies.
        Raises: MemoryError, with nothing changed.
        """
        return self._page_step(u64(gpa), PAGE_4K, False)

    def claim_2m(self, gpa: SupportsIndex) -> int:
        """0, when the 512 unclaimed pages of the 2 MiB page at `gpa` are now claimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, ALREADY_CLAIMED, `mixed_2m`, OUT_OF_RUNS; the first
        that applies.
        Raises: MemoryError, with nothing changed.
        """
        return self._page_step(u64(gpa), PAGE_2M, True)

    def release_2m(self, gpa: SupportsIndex) -> int:
        """0, when the 512 claimed pages of the 2 MiB page at `gpa` are now unclaimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, NOT_CLAIMED, `mixed_2m`, OUT_OF_RUNS; the first that
        applies.
        Raises: MemoryError, with nothing changed.
        """
        return self._page_step(u64(gpa), PAGE_2M, False)

    def query(self, gpa: SupportsIndex) -> int:
        """1 if the 4 KiB page at `gpa` is claimed, else 0.

        Refuses: MISALIGNED, WRAPS, OUTSIDE; the first that applies.
        """
        gpa = u64(gpa)
        refusal = page_refusal(gpa, PAGE_4K, self._base, self._pages)
        return refusal or self._state(*self._indices(gpa, gpa + PAGE_4K))

    def claim_range(self, first: SupportsIndex, stop: SupportsIndex) -> int:
        """0, when the unclaimed pages from `first` up to `stop` are now claimed.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, ALREADY_CLAIMED, MIXED, OUT_OF_RUNS; the
        first that applies.
        Raises: MemoryError, with nothing changed.
        """
        first, stop = u64(first), u64(stop)
        return self._range_refusal(first, stop) or self._change(first, stop, True, Status.MIXED)

    def release_range(self, first: SupportsIndex, stop: SupportsIndex) -> int:
        """0, when the claimed pages from `first` up to `stop` are now unclaimed.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, NOT_CLAIMED, MIXED, OUT_OF_RUNS; the first
        that applies.
        Raises: MemoryError, with nothing changed.
        """
        first, stop = u64(first), u64(stop)
        return self._range_refusal(first, stop) or self._change(first, stop, False, Status.MIXED)

    def test_range(self, first: SupportsIndex, stop: SupportsIndex) -> int:
        """0 if no page from `first` up to `stop` is claimed, 1 if all are, 2 if some are.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE; the first that applies.
        """
        first, stop = u64(first), u64(stop)
        return self._range_refusal(first, stop) or self._state(*self._indices(first, stop))

    def count(self, first: SupportsIndex, stop: SupportsIndex) -> int:
        """Number of claimed pages from `first` up to `stop`.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE; the first that applies.
        """
        first, stop = u64(first), u64(stop)
        if refusal := self._range_refusal(first, stop):
            return refusal
        begin, end = self._indices(first, stop)
        lo, hi = bisect_right(self._flips, begin), bisect_left(self._flips, end)
        edges = [begin] * (lo % 2) + list(self._flips[lo:hi]) + [end] * (hi % 2)
        return sum(edges[1::2]) - sum(edges[::2])

    def first_unclaimed(self, first: SupportsIndex, stop: SupportsIndex) -> int:
        """Byte address of the lowest unclaimed page from `first` up to `stop`.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, NONE_UNCLAIMED; the first that applies.
        """
        first, stop = u64(first), u64(stop)
        if refusal := self._range_refusal(first, stop):
            return refusal
        begin, end = self._indices(first, stop)
        at = bisect_right(self._flips, begin)
        if at % 2 == 0:
            return first
        if at == len(self._flips) or self._flips[at] >= end:
            return -Status.NONE_UNCLAIMED
        return self._base + PAGE_4K * self._flips[at]

    def export_words(self, words: WriteableBuffer) -> int:
        """Number of words written into `words`, which then hold the claimed pages as bits.

        words: shape (ceil(pages / 64),), uint64, writable.

        Refuses: WRONG_LENGTH.
        Raises: TypeError or ValueError for a buffer of another kind.
        """
        view = view_of("words", words, "QL", 1)
        if len(view) != words_for(self._pages):
            return -Status.WRONG_LENGTH
        bytes_of(view)[:] = self.words()
        return len(view)

    def import_words(self, words: ReadableBuffer) -> int:
        """0, when exactly the pages whose bits are set in `words` are claimed.

        words: shape (ceil(pages / 64),), uint64.

        Refuses: WRONG_LENGTH, then SLACK_SET for a bit beyond the region in the last word, then
        OUT_OF_RUNS.
        Raises: TypeError or ValueError for a buffer of another kind; MemoryError, with nothing
        changed.
        """
        view = view_of("words", words, "QL", 1, writable=False)
        if len(view) != words_for(self._pages):
            return -Status.WRONG_LENGTH
        fresh = view.tobytes()
        if slack_set(fresh, self._pages):
            return -Status.SLACK_SET
        flips = self._flips_of(fresh, self._pages)
        if flips is None:
            return -Status.OUT_OF_RUNS
        self._flips = flips
        return 0

    def words(self) -> bytes:
        """The claimed pages as packed words, little-endian, 8 * ceil(pages / 64) bytes."""
        words = bytearray(8 * words_for(self._pages))
        ends = [*self._flips, self._pages]
        for i in range(1, len(ends), 2):
            put(words, ends[i - 1], ends[i], True)
        return bytes(words)

    def same(self, other: RunTracker) -> bool:
        """True if `other` records the same region with the same pages claimed.

        Raises: TypeError unless `other` is a tracker of the same twin.
        """
        if not isinstance(other, RunTracker):
            raise TypeError(f"other is {type(other).__name__}, must be RunTracker")
        mine = (self._base, self._pages, self._flips)
        return mine == (other._base, other._pages, other._flips)

    def to_bitmap(self) -> ValidationBitmap:
        """A new bitmap of the same twin, with this region, these pages claimed, these settings.

        Raises: MemoryError.
        """
        # The two modules need each other; this one waits until both are there.
        from impl._pure import ValidationBitmap

        bitmap = ValidationBitmap(self._max_pages, self._mixed_2m)
        bitmap.load_state(self._base, self._pages, self.words())
        return bitmap

    def load_state(self, base: SupportsIndex, pages: SupportsIndex, words: ReadableBuffer) -> None:
        """The tracker records exactly this region and these pages; for test rigs.

        words: contiguous buffer of 8 * ceil(pages / 64) bytes, little-endian uint64; with
        `pages` 0 it is empty and there is no region.

        Raises: ValueError if the parts do not fit together or make more than `max_runs` runs,
        MemoryError; with the old state intact.
        """
        base, pages = u64(base), u64(pages)
        fresh = state_words(base, pages, words, self._max_pages)
        flips = self._flips_of(fresh, pages)
        if flips is None:
            raise ValueError(f"words has more runs than max_runs, {self._max_runs}")
        self._base, self._pages, self._flips = base, pages, flips

    def run(
        self,
        ops: ReadableBuffer,
        payload: WriteableBuffer,
        results: WriteableBuffer,
        snapshots: WriteableBuffer,
    ) -> int:
        """Number of steps done: each row of `ops` is one call, in order.

        ops: shape (n, 4), uint64: an `Opcode` and its arguments a, b, c. CREATE has base, pages,
            claimed; FILL claimed; page steps gpa; range steps first, stop; EXPORT_WORDS and
            IMPORT_WORDS the offset into `payload` and the length, both in words.
        payload: shape (m,), uint64.
        results: shape (n,), int64: what each call answers.
        snapshots: shape (n, 2 + w), uint64: after each step base, pages and the words, padded
            with zeros; words beyond w are not recorded.

        Raises: ValueError, before anything runs, for a shape, an unknown opcode or an offset and
        length that leave `payload`; MemoryError as the steps do, those before it done.
        """
        return run_batch(self, ops, payload, results, snapshots)

    def _range_refusal(self, first: int, stop: int) -> int:
        return range_refusal(first, stop, self._base, self._pages)

    def _page_step(self, gpa: int, size: int, claimed: bool) -> int:
        refusal = page_refusal(gpa, size, self._base, self._pages)
        return refusal or self._change(gpa, gpa + size, claimed, self._mixed_2m)

    def _indices(self, first: int, stop: int) -> tuple[int, int]:
        return (first - self._base) // PAGE_4K, (stop - self._base) // PAGE_4K

    def _state(self, begin: int, end: int) -> int:
        at = bisect_right(self._flips, begin)
        mixed = at < len(self._flips) and self._flips[at] < end
        return RANGE_MIXED if mixed else at % 2

    def _change(self, first: int, stop: int, claimed: bool, mixed: Status) -> int:
        begin, end = self._indices(first, stop)
        if refusal := change_refusal(self._state(begin, end), claimed, mixed):
            return refusal
        # A flip at `begin` goes and one that is not there comes; so at `end`, inside the region.
        lo, hi = bisect_left(self._flips, begin), bisect_right(self._flips, end)
        edges = [begin] * (lo % 2 != claimed)
        if end < self._pages:
            edges += [end] * (hi % 2 != claimed)
        if len(self._flips) - (hi - lo) + len(edges) >= self._max_runs:
            return -Status.OUT_OF_RUNS
        self._flips[lo:hi] = array("Q", edges)
        return 0

    def _flips_of(self, words: bytes | bytearray, pages: int) -> array[int] | None:
        """The flips of packed words without slack; None if they are too many."""
        bits = int.from_bytes(words, "little")
        edges = bits ^ bits << 1
        # The last claimed run may end with the region, and then does not flip back.
        if edges.bit_count() > self._max_runs:
            return None
        flips = array("Q")
        packed = edges.to_bytes(len(words) + 1, "little")
        for found in _NOT_ZERO.finditer(packed):
            byte = found[0][0]
            flips.extend(8 * found.start() + i for i in range(8) if byte >> i & 1)
        if flips and flips[-1] == pages:
            flips.pop()
        return flips if len(flips) < self._max_runs else None
