"""The core protocol's PVALIDATE. Source: AMD SVSM specification (58019), SVSM_CORE_PVALIDATE."""

import struct

from impl.abi import RANGE_ALL, RANGE_NONE, Status
from impl.platform import (
    RIGHTS_ALL,
    RIGHTS_NONE,
    Fill,
    Fillings,
    Flush,
    Read,
    Work,
    Write,
)
from impl.record import LARGE
from impl.svsm import PAGE_MASK, PAGE_SHIFT, Rax, Svsm

HEADER = struct.Struct("<HHI")
ENTRY_BYTES = 8
PAGE = 1 << PAGE_SHIFT


def pvalidate(svsm: Svsm, rcx: int) -> Work:
    """Serve the request at byte address `rcx`; the result for RAX."""
    page, offset = rcx >> PAGE_SHIFT, rcx & PAGE_MASK
    if rcx % ENTRY_BYTES:
        return Rax.INVALID_PARAMETER
    if not may_hold_a_request(svsm, page, offset):
        return Rax.INVALID_ADDRESS
    if svsm.locks.covers(page):
        return Rax.BUSY
    entries, following, reserved = HEADER.unpack((yield Read(rcx, HEADER.size)))
    room = (PAGE - offset - HEADER.size) // ENTRY_BYTES
    if not 0 < entries <= room or following >= entries:
        return Rax.INVALID_PARAMETER
    result: int = Rax.SUCCESS
    while following < entries:
        result = yield from _entry(svsm, page, rcx + HEADER.size + ENTRY_BYTES * following)
        if result != Rax.SUCCESS:
            break
        following += 1
    if not svsm.record.has(page) or svsm.locks.covers(page) or page in svsm.vmsas:
        return Rax.INVALID_ADDRESS
    yield Write(rcx, HEADER.pack(entries, following, reserved))
    return result


def may_hold_a_request(svsm: Svsm, page: int, offset: int) -> bool:
    """Whether the SVSM can read a request there: validated guest memory that no vCPU is made of."""
    if page in svsm.caas and offset < HEADER.size:
        return False
    if page in svsm.vmsas or page == svsm.layout.launch_vmsa:
        return False
    return page in svsm.guest and svsm.record.has(page)


def _entry(svsm: Svsm, page: int, gpa: int) -> Work:
    if not svsm.record.has(page):
        return Rax.INVALID_ADDRESS
    if svsm.locks.covers(page):
        return Rax.BUSY
    word = int.from_bytes((yield Read(gpa, ENTRY_BYTES)), "little")
    large, count = bool(word & 1), LARGE if word & 1 else 1
    frame = word >> PAGE_SHIFT
    if word & 0xFF2 or frame % count:
        return Rax.INVALID_PARAMETER
    if not svsm.is_free(frame, count) or frame <= page < frame + count:
        return Rax.INVALID_ADDRESS
    if not svsm.locks.take(frame, count):
        return Rax.BUSY
    try:
        serve = _validate if word & 4 else _rescind
        return (yield from serve(svsm, frame, large, bool(word & 8)))
    finally:
        svsm.locks.drop(frame)


def _asked_twice(svsm: Svsm, ignore_cf: bool) -> int:
    return Rax.SUCCESS if ignore_cf and svsm.options.heeds_ignore_cf else svsm.options.refused


def _validate(svsm: Svsm, frame: int, large: bool, ignore_cf: bool) -> Work:
    refusal = svsm.record.claim(frame, large)
    if refusal == Status.ALREADY_CLAIMED:
        return _asked_twice(svsm, ignore_cf)
    if refusal:
        return Rax.FAIL_SIZEMISMATCH
    if not (yield from validated(svsm, frame, large)):
        return Rax.FAIL_SIZEMISMATCH
    yield Fill(frame, large, Fillings.ZERO)
    yield from svsm.platform.set_rights(frame, large, RIGHTS_ALL, True)
    return Rax.SUCCESS


def validated(svsm: Svsm, frame: int, large: bool) -> Work:
    """Validate frames just claimed; 0, and no claim, where the size does not fit."""
    if not (yield from svsm.platform.validate(frame, large)):
        svsm.record.release(frame, large)
        return 0
    return 1


def _rescind(svsm: Svsm, frame: int, large: bool, ignore_cf: bool) -> Work:
    extent = svsm.record.extent(frame, large)
    if extent == RANGE_NONE:
        return _asked_twice(svsm, ignore_cf)
    if extent != RANGE_ALL:
        return Rax.FAIL_SIZEMISMATCH
    if not (yield from svsm.platform.set_rights(frame, large, RIGHTS_NONE, False)):
        return Rax.FAIL_SIZEMISMATCH
    if not (yield from svsm.platform.rescind(frame, large)):
        # The host took the page apart in between: the guest is to have what it had.
        yield from svsm.platform.set_rights(frame, large, RIGHTS_ALL, True)
        return Rax.FAIL_SIZEMISMATCH
    yield Flush()
    svsm.record.release(frame, large)
    return Rax.SUCCESS
