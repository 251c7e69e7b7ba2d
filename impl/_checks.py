"""What both records of the plain twin ask first: arguments, refusals, buffers and batches."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final, Protocol, SupportsIndex

from impl.abi import (
    ADDRESS_LIMIT,
    MAX_PAGES,
    PAGE_4K,
    RANGE_ALL,
    RANGE_MIXED,
    RANGE_NONE,
    WORD_BITS,
    Opcode,
    Status,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

TOP: Final = 2**64
# How many of a row's arguments a step takes; EXPORT_WORDS and IMPORT_WORDS take a buffer.
_ARGUMENTS = {
    Opcode.CREATE: 3,
    Opcode.FILL: 1,
    Opcode.CLAIM_4K: 1,
    Opcode.CLAIM_2M: 1,
    Opcode.CLAIM_RANGE: 2,
    Opcode.RELEASE_4K: 1,
    Opcode.RELEASE_2M: 1,
    Opcode.RELEASE_RANGE: 2,
    Opcode.QUERY: 1,
    Opcode.TEST_RANGE: 2,
    Opcode.COUNT: 2,
    Opcode.FIRST_UNCLAIMED: 2,
}


class Record(Protocol):
    """What a batch reads of the record that it runs on; its steps are found by name."""

    @property
    def base(self) -> int:
        """As the record's."""
        ...

    @property
    def pages(self) -> int:
        """As the record's."""
        ...

    def words(self) -> bytes:
        """As the record's."""
        ...


def u64(value: SupportsIndex) -> int:
    """The integer that `value` is, if it fits in 64 bits."""
    number = operator.index(value)
    if not 0 <= number < TOP:
        raise OverflowError(f"{number} does not fit in an unsigned 64-bit integer")
    return number


def words_for(pages: int) -> int:
    """How many words have a bit for each of `pages` pages."""
    return -(-pages // WORD_BITS)


def view_of(
    name: str, data: ReadableBuffer, formats: str, ndim: int, writable: bool = True
) -> memoryview:
    """`data` as a C-contiguous view of 64-bit items, refused as the compiled twin refuses it."""
    view = memoryview(data)
    if view.itemsize != 8 or view.format.removeprefix("@") not in tuple(formats):
        raise ValueError(f"{name} has items of format {view.format!r}, must be one of {formats}")
    if view.ndim != ndim or not view.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous with {ndim} dimension(s)")
    if writable and view.readonly:
        raise ValueError(f"{name} is read-only")
    return view


def columns(view: memoryview) -> int:
    """Items per row of a view of two dimensions."""
    return view.shape[1] if view.shape else 0


def bytes_of(view: memoryview) -> memoryview:
    """The bytes of a contiguous view, which may be empty."""
    return view.cast("B") if view.nbytes else memoryview(bytearray())


def ones(n: int) -> int:
    """The integer whose lowest `n` bits are set, and no other."""
    return (1 << n) - 1


def settings(max_pages: SupportsIndex, mixed_2m: SupportsIndex) -> tuple[int, Status]:
    """Both settings as their own types, refused as the constructors say."""
    cap, mixed = operator.index(max_pages), operator.index(mixed_2m)
    if not 1 <= cap <= MAX_PAGES:
        raise ValueError(f"max_pages is {cap}, must be 1 to {MAX_PAGES}")
    if mixed not in (Status.MIXED, Status.SIZE_MISMATCH):
        raise ValueError(f"mixed_2m is {mixed}, must be MIXED (8) or SIZE_MISMATCH (9)")
    return cap, Status(mixed)


def create_refusal(base: int, pages: int, max_pages: int) -> int:
    """Minus the status that refuses a region, or 0."""
    end = base + PAGE_4K * pages
    if base % PAGE_4K:
        return -Status.MISALIGNED
    if pages == 0:
        return -Status.EMPTY
    if end >= TOP:
        return -Status.WRAPS
    if end > ADDRESS_LIMIT:
        return -Status.ABOVE_LIMIT
    if pages > max_pages:
        return -Status.OVER_CAP
    return 0


def page_refusal(gpa: int, size: int, base: int, pages: int) -> int:
    """Minus the status that refuses a page of `size` bytes at `gpa`, or 0."""
    if gpa % size:
        return -Status.MISALIGNED
    if gpa + size >= TOP:
        return -Status.WRAPS
    if gpa < base or gpa + size > base + PAGE_4K * pages:
        return -Status.OUTSIDE
    return 0


def range_refusal(first: int, stop: int, base: int, pages: int) -> int:
    """Minus the status that refuses the addresses from `first` up to `stop`, or 0."""
    if first % PAGE_4K or stop % PAGE_4K:
        return -Status.MISALIGNED
    if stop < first:
        return -Status.REVERSED
    if stop == first:
        return -Status.EMPTY
    if first < base or stop > base + PAGE_4K * pages:
        return -Status.OUTSIDE
    return 0


def change_refusal(state: int, claimed: bool, mixed: Status) -> int:
    """Why pages of which none, all or some are claimed cannot be claimed or released."""
    if state == RANGE_MIXED:
        return -mixed
    if state == (RANGE_ALL if claimed else RANGE_NONE):
        return -(Status.ALREADY_CLAIMED if claimed else Status.NOT_CLAIMED)
    return 0


def state_words(base: int, pages: int, words: ReadableBuffer, max_pages: int) -> bytearray:
    """A copy of `words`, refused as `load_state` says."""
    view = memoryview(words)
    if base % PAGE_4K or base + PAGE_4K * pages > ADDRESS_LIMIT:
        raise ValueError(f"base is {base}, must be a multiple of 4096, the end at most 2**52")
    if pages > max_pages:
        raise ValueError(f"pages is {pages}, must be at most {max_pages}")
    if not view.c_contiguous or view.nbytes != 8 * words_for(pages):
        raise ValueError(f"words must be contiguous, of {8 * words_for(pages)} bytes")
    fresh = bytearray(view.tobytes())
    if slack_set(fresh, pages):
        raise ValueError("words has a bit set beyond the region's last page")
    return fresh


def slack_set(words: bytes | bytearray, pages: int) -> bool:
    """True if packed words have a bit beyond the last of `pages` pages."""
    return int.from_bytes(words[-8:], "little") >> (pages % WORD_BITS or WORD_BITS) != 0


def put(words: bytearray, begin: int, end: int, claimed: bool) -> None:
    """Sets, or clears, the bits of the pages with index in `[begin, end)`."""
    where = slice(begin // 8, -(-end // 8))
    covering, mask = words[where], ones(end - begin) << begin % 8
    bits = int.from_bytes(covering, "little")
    bits = bits | mask if claimed else bits & ~mask
    words[where] = bits.to_bytes(len(covering), "little")


def run_batch(
    record: Record,
    ops: ReadableBuffer,
    payload: WriteableBuffer,
    results: WriteableBuffer,
    snapshots: WriteableBuffer,
) -> int:
    """Number of steps done, as `run` of either record says."""
    # A copy, so that steps that write into an overlapping buffer do not change the program.
    view = view_of("ops", ops, "QL", 2, writable=False)
    steps = memoryview(bytes_of(view).tobytes()).cast("Q").tolist() if view.nbytes else []
    data = view_of("payload", payload, "QL", 1)
    answers = view_of("results", results, "ql", 1)
    rows = view_of("snapshots", snapshots, "QL", 2)
    n, width = len(view), columns(rows)
    if columns(view) != 4 or len(answers) != n or len(rows) != n or width < 2:
        raise ValueError(
            f"ops {view.shape}, results {answers.shape} and snapshots {rows.shape} "
            "must be (n, 4), (n,) and (n, 2 + w)"
        )
    program = [tuple(steps[i : i + 4]) for i in range(0, 4 * n, 4)]
    for i, (opcode, a, b, _) in enumerate(program):
        if opcode > Opcode.IMPORT_WORDS:
            raise ValueError(f"ops[{i}] has opcode {opcode}, must be 0 to 13")
        if opcode >= Opcode.EXPORT_WORDS and a + b > len(data):
            raise ValueError(f"ops[{i}] leaves payload: words {a} to {a + b} of {len(data)}")
    for i, (opcode, *arguments) in enumerate(program):
        answers[i] = _step(record, Opcode(opcode), arguments, data)
        _snapshot(record, rows, i, width - 2)
    return n


def _step(record: Record, opcode: Opcode, arguments: list[int], payload: memoryview) -> int:
    method = getattr(record, opcode.name.lower())
    if opcode in _ARGUMENTS:
        return int(method(*arguments[: _ARGUMENTS[opcode]]))
    at, n = arguments[:2]
    return int(method(payload[at : at + n]))


def _snapshot(record: Record, rows: memoryview, i: int, room: int) -> None:
    rows[i, 0], rows[i, 1] = record.base, record.pages
    words = record.words()
    kept = memoryview(words).cast("Q") if words else memoryview(b"")
    for j in range(room):
        rows[i, 2 + j] = kept[j] if j < len(kept) else 0
