"""The rules of a migration stream, executed on bytes: what a reader must say of any.

The bytes are cut into the pieces that the rules read, in their order, for as long as the rules go
on; where a piece would begin is told by what was read before.
"""

import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from spec.pages import ListedPages
from spec.rule import Rule, step
from spec.tables import ListedTable
from spec.validation import stream
from spec.validation.stream import Phase, Reader, Why

HEADER = struct.Struct("<8sIIQQQQ")
RUN = struct.Struct("<QQ")
FRAME = struct.Struct("<Q")


def reader(data: bytes, nonce: int, cap_pages: int) -> Reader:
    """A reader that has read nothing of some bytes yet."""
    summed = sha256(memoryview(data)[: -stream.CHECKSUM_BYTES]).digest()
    nothing, none = ListedPages(), ListedTable()
    return Reader(
        nonce=nonce,
        cap=cap_pages,
        length=len(data),
        sum_fits=summed == data[-stream.CHECKSUM_BYTES :],
        phase=int(Phase.HEADER),
        runs=0,
        pages=0,
        vmsas=0,
        first=none,
        stop=none,
        before=none,
        seen_runs=0,
        seen_vmsas=0,
        seen_records=0,
        claimed=nothing,
        special=nothing,
        last=0,
        run=0,
        next=0,
        left=0,
        read=nothing,
    )


def _header(data: bytes) -> stream.Header:
    """The header; of bytes too short for one, what is missing counts as zero."""
    filled = data[: HEADER.size].ljust(HEADER.size, b"\0")
    magic, *words = HEADER.unpack(filled)
    return stream.Header(int.from_bytes(magic, "little"), *words)


def _piece(s: Reader, data: bytes) -> tuple[Rule, Any]:
    """The rule whose turn it is, and its operands from the bytes."""
    match s.phase:
        case Phase.HEADER:
            return stream.header, _header(data)
        case Phase.RUNS if s.seen_runs < s.runs:
            words = RUN.unpack_from(data, stream.run_at(s))
            return stream.run, stream.Run(*words)
        case Phase.RUNS:
            return stream.runs_end, stream.End()
        case Phase.VMSAS if s.seen_vmsas < s.vmsas:
            return stream.vmsa, stream.Frame(*FRAME.unpack_from(data, stream.vmsa_at(s)))
        case Phase.VMSAS:
            return stream.vmsas_end, stream.End()
        case _ if s.run < s.runs:
            return stream.record, stream.Frame(*FRAME.unpack_from(data, stream.record_at(s)))
    return stream.records_end, stream.End()


def steps(data: bytes, nonce: int, cap_pages: int) -> Iterator[tuple[Rule, str, Why, Reader]]:
    """Each step of the rules on some bytes: rule, case, why it refuses, and the state after it."""
    s = reader(data, nonce, cap_pages)
    while s.phase not in (Phase.TAKEN, Phase.REFUSED):
        rule, op = _piece(s, data)
        taken = step(rule, s, op)
        s = taken.state
        yield rule, taken.case, Why(taken.value), s


def verdict(data: bytes, nonce: int, cap_pages: int) -> str:
    """The name of the first thing that is wrong, or NONE."""
    *_, (_, _, why, _) = steps(data, nonce, cap_pages)
    return why.name
