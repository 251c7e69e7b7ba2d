"""The migration stream once more, from its description alone: what a reader must say of any bytes.

It unpacks everything first and judges afterwards, field by field, by set arithmetic on frames.
"""

from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise


@dataclass(frozen=True)
class Seen:
    """The numbers of a header, and the words and pages behind it, as far as there are any."""

    magic: bytes
    version: int
    flags: int
    nonce: int
    counts: tuple[int, int, int]
    data: bytes


def _word(data: bytes, place: int, size: int = 8) -> int:
    return int.from_bytes(data[place : place + size], "little")


def seen(data: bytes) -> Seen:
    """What the first 48 bytes say."""
    runs, pages, vmsas = (_word(data, place) for place in (24, 32, 40))
    return Seen(
        data[:8],
        _word(data, 8, 4),
        _word(data, 12, 4),
        _word(data, 16),
        (runs, pages, vmsas),
        data,
    )


def verdict(data: bytes, nonce: int, cap_pages: int) -> str:
    """The name of the first thing that is wrong, or NONE."""
    if len(data) < 80:
        return "TOO_SHORT"
    it = seen(data)
    runs, pages, vmsas = it.counts
    reasons = (
        ("BAD_MAGIC", it.magic != b"SVSMMIG1"),
        ("BAD_VERSION", (it.version, it.flags) != (1, 0)),
        ("REPLAYED", it.nonce != nonce),
        ("OVER_CAP", pages > cap_pages or max(runs, vmsas) > pages),
        ("WRONG_LENGTH", len(data) != 48 + 16 * runs + 8 * vmsas + 4104 * pages + 32),
        ("BAD_CHECKSUM", sha256(data[:-32]).digest() != data[-32:]),
    )
    wrong = next((name for name, is_so in reasons if is_so), None)
    return wrong or _inside(data, *it.counts)


def _inside(data: bytes, runs: int, pages: int, vmsas: int) -> str:
    ends = [_word(data, 48 + 8 * k) for k in range(2 * runs)]
    if any(b <= a for a, b in pairwise(ends)) or any(end > 1 << 40 for end in ends):
        return "BAD_RUNS"
    spans = list(zip(ends[::2], ends[1::2], strict=True))
    if sum(b - a for a, b in spans) != pages:
        return "BAD_RUNS"
    claimed = [frame for a, b in spans for frame in range(a, b)]
    at = 48 + 16 * runs
    special = [_word(data, at + 8 * k) for k in range(vmsas)]
    if special != sorted(set(special)) or not set(special) <= set(claimed):
        return "BAD_VMSAS"
    at += 8 * vmsas
    listed = [_word(data, at + 4104 * k) for k in range(pages)]
    return "NONE" if listed == claimed else "BAD_RECORDS"
