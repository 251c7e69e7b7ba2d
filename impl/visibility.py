"""The SVSM's own pages that the host may see: GHCBs, shared and private again."""

from impl.abi import Status
from impl.platform import Fill, Fillings, Flush, Tampered, Work
from impl.pvalidate import validated
from impl.svsm import PAGE_MASK, PAGE_SHIFT, Rax, Svsm


def share(svsm: Svsm, gpa: int) -> Work:
    """Share the page at a byte address with the host; it is rescinded before the host is asked."""
    frame = gpa >> PAGE_SHIFT
    if gpa & PAGE_MASK or frame not in svsm.ghcbs:
        return Rax.INVALID_PARAMETER
    if not svsm.locks.take(frame, 1):
        return Rax.BUSY
    try:
        if not svsm.record.has(frame):
            return Rax.INVALID_REQUEST
        yield from svsm.platform.rescind(frame, False)
        yield Flush()
        svsm.record.release(frame, False)
        done = yield from svsm.platform.change_state(frame, False)
        # Whatever it said, the host has been asked and may have done it.
        svsm.shared.add(frame)
        return Rax.SUCCESS if done else Rax.INVALID_REQUEST
    finally:
        svsm.locks.drop(frame)


def unshare(svsm: Svsm, gpa: int) -> Work:
    """Make a shared page private again; the host is asked before the page is validated."""
    frame = gpa >> PAGE_SHIFT
    if gpa & PAGE_MASK or frame not in svsm.shared:
        return Rax.INVALID_PARAMETER
    if not svsm.locks.take(frame, 1):
        return Rax.BUSY
    try:
        if not (yield from svsm.platform.change_state(frame, True)):
            return Rax.INVALID_REQUEST
        svsm.shared.discard(frame)
        yield from brought_in(svsm, frame, Fillings.ZERO)
        return Rax.SUCCESS
    finally:
        svsm.locks.drop(frame)


def brought_in(svsm: Svsm, frame: int, what: Fillings) -> Work:
    """Claim, validate and fill a page that the host has made private."""
    if svsm.record.claim(frame, False) != Status.OK:
        raise Tampered
    yield from validated(svsm, frame, False)
    yield Fill(frame, False, what)
    return Rax.SUCCESS
