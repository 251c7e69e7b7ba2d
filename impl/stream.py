"""The migration stream as bytes; the format is told in docs/migration-stream.md."""

import hashlib
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

MAGIC = b"SVSMMIG1"
VERSION = 1
HEADER = struct.Struct("<8sIIQQQQ")
PAGE = 4096
RECORD = 8 + PAGE
DIGEST = 32
LIMIT_FRAME = 1 << 40
Ranges = tuple[tuple[int, int], ...]


class Refusal(IntEnum):
    """Why a stream is not taken."""

    NONE = 0
    TOO_SHORT = 1
    BAD_MAGIC = 2
    BAD_VERSION = 3
    REPLAYED = 4
    OVER_CAP = 5
    WRONG_LENGTH = 6
    BAD_CHECKSUM = 7
    BAD_RUNS = 8
    BAD_VMSAS = 9
    BAD_RECORDS = 10


class Taken(NamedTuple):
    """A stream that is taken: runs of frames, those that are VMSAs, and where each page begins."""

    runs: Ranges
    vmsas: tuple[int, ...]
    records_at: int

    def page(self, data: bytes, number: int) -> bytes:
        """The contents of claimed frame `number`, counted in their order."""
        place = self.records_at + number * RECORD + 8
        return data[place : place + PAGE]


def write(
    runs: Ranges, vmsas: tuple[int, ...], nonce: int, page: Callable[[int], bytes]
) -> Iterator[bytes]:
    """The pieces of a stream, ready to be sent one after another.

    page: the 4096 bytes that a frame holds.
    """
    digest = hashlib.sha256()
    pages = sum(stop - first for first, stop in runs)

    def pieces() -> Iterator[bytes]:
        yield HEADER.pack(MAGIC, VERSION, 0, nonce, len(runs), pages, len(vmsas))
        for run in runs:
            yield struct.pack("<QQ", *run)
        yield struct.pack(f"<{len(vmsas)}Q", *vmsas)
        for first, stop in runs:
            for frame in range(first, stop):
                yield struct.pack("<Q", frame) + page(frame)

    for piece in pieces():
        digest.update(piece)
        yield piece
    yield digest.digest()


def read(data: bytes, nonce: int, cap_pages: int) -> tuple[Refusal, Taken | None]:
    """Take a stream whole, or say why not; whatever the bytes, it ends and raises nothing."""
    if len(data) < HEADER.size + DIGEST:
        return Refusal.TOO_SHORT, None
    magic, version, flags, mark, count, pages, made = HEADER.unpack_from(data)
    if magic != MAGIC:
        return Refusal.BAD_MAGIC, None
    if version != VERSION or flags:
        return Refusal.BAD_VERSION, None
    if mark != nonce:
        return Refusal.REPLAYED, None
    if pages > cap_pages or count > pages or made > pages:
        return Refusal.OVER_CAP, None
    vmsas_at = HEADER.size + 16 * count
    records_at = vmsas_at + 8 * made
    if len(data) != records_at + RECORD * pages + DIGEST:
        return Refusal.WRONG_LENGTH, None
    if hashlib.sha256(memoryview(data)[:-DIGEST]).digest() != data[-DIGEST:]:
        return Refusal.BAD_CHECKSUM, None
    runs = tuple(struct.iter_unpack("<QQ", data[HEADER.size : vmsas_at]))
    if not _in_order(runs) or sum(stop - first for first, stop in runs) != pages:
        return Refusal.BAD_RUNS, None
    vmsas = struct.unpack(f"<{made}Q", data[vmsas_at:records_at])
    if not _are_claimed(vmsas, runs):
        return Refusal.BAD_VMSAS, None
    if not _match(data, records_at, runs):
        return Refusal.BAD_RECORDS, None
    return Refusal.NONE, Taken(runs, vmsas, records_at)


def _in_order(runs: Ranges) -> bool:
    past = -1
    for first, stop in runs:
        if not past < first < stop <= LIMIT_FRAME:
            return False
        past = stop
    return True


def _are_claimed(vmsas: tuple[int, ...], runs: Ranges) -> bool:
    rest, before = iter(runs), -1
    run = next(rest, None)
    for frame in vmsas:
        while run is not None and frame >= run[1]:
            run = next(rest, None)
        if run is None or frame < run[0] or frame <= before:
            return False
        before = frame
    return True


def _match(data: bytes, place: int, runs: Ranges) -> bool:
    for first, stop in runs:
        for frame in range(first, stop):
            if int.from_bytes(data[place : place + 8], "little") != frame:
                return False
            place += RECORD
    return True
