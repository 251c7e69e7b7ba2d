"""The plain-Python twin of `_fast`: the same names, parameters, docstrings and answers.

It is for one thread at a time; the compiled twin takes turns by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex, final

from impl._checks import (
    TOP,
    bytes_of,
    change_refusal,
    create_refusal,
    ones,
    page_refusal,
    put,
    range_refusal,
    run_batch,
    settings,
    state_words,
    u64,
    view_of,
    words_for,
)
from impl._pure_handoff import (
    handoff_carve,
    handoff_fit,
    handoff_put,
    handoff_read,
    handoff_reserve,
    handoff_run,
    handoff_size,
)
from impl._pure_runs import RunTracker
from impl.abi import (
    DEFAULT_MAX_PAGES,
    PAGE_2M,
    PAGE_4K,
    RANGE_ALL,
    RANGE_MIXED,
    RANGE_NONE,
    WORD_BITS,
    Status,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = [
    "EmptyCall",
    "PlainWords",
    "RunTracker",
    "ValidationBitmap",
    "handoff_carve",
    "handoff_fit",
    "handoff_put",
    "handoff_read",
    "handoff_reserve",
    "handoff_run",
    "handoff_size",
]


@final
class ValidationBitmap:
    """The pages of one guest region that are claimed, one bit each.

    Bit i % 64 of word i // 64 is page i counted from the region's base; words are uint64, and
    the bits of the last word beyond the region are zero. Addresses are bytes, ranges are
    half-open. Every step answers one signed 64-bit integer: its result, or minus a `Status`,
    and then nothing has changed. A new bitmap has no region: every address is OUTSIDE.

    max_pages: most pages that `create` accepts, 1 to 2**40.
    mixed_2m: the refusal of a 2 MiB step over mixed bits, MIXED or SIZE_MISMATCH.

    Raises: ValueError for those two; in every method OverflowError for an integer outside
    0 to 2**64 - 1 and TypeError for what is not an integer.
    """

    def __init__(
        self,
        max_pages: SupportsIndex = DEFAULT_MAX_PAGES,
        mixed_2m: SupportsIndex = Status.MIXED,
    ) -> None:
        self._max_pages, self._mixed_2m = settings(max_pages, mixed_2m)
        self._base = self._pages = 0
        self._bytes = bytearray()

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
        """The refusal of a 2 MiB claim or release over mixed bits."""
        return self._mixed_2m

    def __sizeof__(self) -> int:
        """Bytes of the object and of the words it owns."""
        return object.__sizeof__(self) + self._bytes.__sizeof__()

    def create(self, base: SupportsIndex, pages: SupportsIndex, claimed: SupportsIndex) -> int:
        """Bytes of the bitmap that now records `pages` pages from `base`, alike in state.

        claimed: 0 for no page, another number for every page.

        Refuses: MISALIGNED, EMPTY, WRAPS (the end is 2**64 or more), ABOVE_LIMIT (the end is
        above 2**52), OVER_CAP; the first that applies.
        Raises: MemoryError, with the old region intact.
        """
        base, pages, claimed = u64(base), u64(pages), u64(claimed)
        if refusal := create_refusal(base, pages, self._max_pages):
            return refusal
        fresh = bytearray(8 * words_for(pages))
        self._base, self._pages, self._bytes = base, pages, fresh
        if claimed:
            put(self._bytes, 0, pages, True)
        return len(self._bytes)

    def fill(self, claimed: SupportsIndex) -> int:
        """0, when every page of the region is claimed, or with `claimed` 0 unclaimed."""
        put(self._bytes, 0, self._pages, bool(u64(claimed)))
        return 0

    def claim_4k(self, gpa: SupportsIndex) -> int:
        """0, when the unclaimed 4 KiB page at `gpa` is now claimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, ALREADY_CLAIMED; the first that applies.
        """
        return self._page_step(u64(gpa), PAGE_4K, True)

    def release_4k(self, gpa: SupportsIndex) -> int:
        """0, when the claimed 4 KiB page at `gpa` is now unclaimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, NOT_CLAIMED; the first that applies.
        """
        return self._page_step(u64(gpa), PAGE_4K, False)

    def claim_2m(self, gpa: SupportsIndex) -> int:
        """0, when the 512 unclaimed pages of the 2 MiB page at `gpa` are now claimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, ALREADY_CLAIMED, `mixed_2m`; the first that applies.
        """
        return self._page_step(u64(gpa), PAGE_2M, True)

    def release_2m(self, gpa: SupportsIndex) -> int:
        """0, when the 512 claimed pages of the 2 MiB page at `gpa` are now unclaimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, NOT_CLAIMED, `mixed_2m`; the first that applies.
        """
        return self._page_step(u64(gpa), PAGE_2M, False)

    def query(self, gpa: SupportsIndex) -> int:
        """1 if the 4 KiB page at `gpa` is claimed, else 0.

        Refuses: MISALIGNED, WRAPS, OUTSIDE; the first that applies.
        """
        gpa = u64(gpa)
        return self._page_refusal(gpa) or self._bits(*self._indices(gpa, gpa + PAGE_4K))

    def claim_range(self, first: SupportsIndex, stop: SupportsIndex) -> int:
        """0, when the unclaimed pages from `first` up to `stop` are now claimed.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, ALREADY_CLAIMED, MIXED; the first that
        applies.
        """
        first, stop = u64(first), u64(stop)
        return self._range_refusal(first, stop) or self._change(first, stop, True, Status.MIXED)

    def release_range(self, first: SupportsIndex, stop: SupportsIndex) -> int:
        """0, when the claimed pages from `first` up to `stop` are now unclaimed.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, NOT_CLAIMED, MIXED; the first that applies.
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
        refusal = self._range_refusal(first, stop)
        return refusal or self._bits(*self._indices(first, stop)).bit_count()

    def first_unclaimed(self, first: SupportsIndex, stop: SupportsIndex) -> int:
        """Byte address of the lowest unclaimed page from `first` up to `stop`.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, NONE_UNCLAIMED; the first that applies.
        """
        first, stop = u64(first), u64(stop)
        if refusal := self._range_refusal(first, stop):
            return refusal
        begin, end = self._indices(first, stop)
        unclaimed = ~self._bits(begin, end) & ones(end - begin)
        if not unclaimed:
            return -Status.NONE_UNCLAIMED
        return first + PAGE_4K * ((unclaimed & -unclaimed).bit_length() - 1)

    def export_words(self, words: WriteableBuffer) -> int:
        """Number of words written into `words`, which then hold the bitmap.

        words: shape (ceil(pages / 64),), uint64, writable.

        Refuses: WRONG_LENGTH.
        Raises: TypeError or ValueError for a buffer of another kind.
        """
        return self._export(view_of("words", words, "QL", 1))

    def import_words(self, words: ReadableBuffer) -> int:
        """0, when the bitmap holds exactly the bits of `words`.

        words: shape (ceil(pages / 64),), uint64.

        Refuses: WRONG_LENGTH, then SLACK_SET for a bit beyond the region in the last word.
        Raises: TypeError or ValueError for a buffer of another kind.
        """
        return self._import(view_of("words", words, "QL", 1, writable=False))

    def words(self) -> bytes:
        """A copy of the packed words, little-endian, 8 * ceil(pages / 64) bytes."""
        return bytes(self._bytes)

    def same(self, other: ValidationBitmap) -> bool:
        """True if `other` records the same region with the same pages claimed.

        Raises: TypeError unless `other` is a bitmap of the same twin.
        """
        if not isinstance(other, ValidationBitmap):
            raise TypeError(f"other is {type(other).__name__}, must be ValidationBitmap")
        mine = (self._base, self._pages, self._bytes)
        return mine == (other._base, other._pages, other._bytes)

    def load_state(self, base: SupportsIndex, pages: SupportsIndex, words: ReadableBuffer) -> None:
        """The bitmap is exactly this region and these bits; for test rigs.

        words: contiguous buffer of 8 * ceil(pages / 64) bytes, little-endian uint64; with
        `pages` 0 it is empty and there is no region.

        Raises: ValueError if the parts do not fit together, with the old state intact.
        """
        base, pages = u64(base), u64(pages)
        fresh = state_words(base, pages, words, self._max_pages)
        self._base, self._pages, self._bytes = base, pages, fresh

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
        length that leave `payload`; MemoryError as `create` does, the steps before it done.
        """
        return run_batch(self, ops, payload, results, snapshots)

    def _export(self, view: memoryview) -> int:
        if view.nbytes != len(self._bytes):
            return -Status.WRONG_LENGTH
        bytes_of(view)[:] = self._bytes
        return len(self._bytes) // 8

    def _import(self, view: memoryview) -> int:
        if view.nbytes != len(self._bytes):
            return -Status.WRONG_LENGTH
        fresh = bytearray(view.tobytes())
        if int.from_bytes(fresh[-8:], "little") >> (self._pages % WORD_BITS or WORD_BITS):
            return -Status.SLACK_SET
        self._bytes = fresh
        return 0

    def _page_step(self, gpa: int, size: int, claimed: bool) -> int:
        refusal = page_refusal(gpa, size, self._base, self._pages)
        return refusal or self._change(gpa, gpa + size, claimed, self._mixed_2m)

    def _change(self, first: int, stop: int, claimed: bool, mixed: Status) -> int:
        begin, end = self._indices(first, stop)
        refusal = change_refusal(self._state(begin, end), claimed, mixed)
        if not refusal:
            put(self._bytes, begin, end, claimed)
        return refusal

    def _page_refusal(self, gpa: int) -> int:
        return page_refusal(gpa, PAGE_4K, self._base, self._pages)

    def _range_refusal(self, first: int, stop: int) -> int:
        return range_refusal(first, stop, self._base, self._pages)

    def _indices(self, first: int, stop: int) -> tuple[int, int]:
        return (first - self._base) // PAGE_4K, (stop - self._base) // PAGE_4K

    def _bits(self, begin: int, end: int) -> int:
        """The pages with index in `[begin, end)` as one integer, the lowest page in bit 0."""
        covering = self._bytes[begin // 8 : -(-end // 8)]
        return int.from_bytes(covering, "little") >> begin % 8 & ones(end - begin)

    def _state(self, begin: int, end: int) -> int:
        bits = self._bits(begin, end)
        if bits == 0:
            return RANGE_NONE
        return RANGE_ALL if bits == ones(end - begin) else RANGE_MIXED


class EmptyCall:
    """The yardstick for a point step: a call that takes an address and does nothing."""

    def call(self, gpa: SupportsIndex) -> int:
        """0; costs what it costs to pass one uint64 in and one int64 out."""
        u64(gpa)
        return 0


class PlainWords:
    """The yardstick for a whole-region step: as many words, written or read once.

    words: number of uint64 words, 1 or more.
    """

    def __init__(self, words: SupportsIndex) -> None:
        size = 8 * u64(words)
        if size == 0:
            raise ValueError("words is 0, must be 1 or more")
        self._bytes = bytearray(size)

    def write(self, byte: SupportsIndex) -> int:
        """0, when every byte is the low 8 bits of `byte`: one memset."""
        self._bytes[:] = bytes([u64(byte) & 0xFF]) * len(self._bytes)
        return 0

    def read(self) -> int:
        """The sum of all words modulo 2**64, as an int64: one plain read of memory."""
        total = sum(memoryview(self._bytes).cast("Q")) % TOP
        return total - TOP if total >= TOP // 2 else total
