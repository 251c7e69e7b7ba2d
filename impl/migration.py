"""Migration: the record handed out, and brought in page by page on another machine."""

from impl.launch import is_claimed
from impl.platform import RIGHTS_ALL, Fillings, Work
from impl.record import Frames
from impl.svsm import PAGE_MASK, PAGE_SHIFT, Rax, Stage, Stream, Svsm
from impl.visibility import brought_in


def export(svsm: Svsm) -> int:
    """Hand out the record of the guest's pages, in `stream`, and run no more."""
    if svsm.stage != Stage.RUNNING or svsm.locks:
        return Rax.INVALID_REQUEST
    frames = Frames(svsm.record.runs(svsm.guest))
    vmsas = Frames((frame, frame + 1) for frame in sorted(svsm.vmsas) if frame in frames)
    svsm.stream = Stream(frames, vmsas, svsm.stream.nonce)
    svsm.stage = Stage.MOVED
    return Rax.SUCCESS


def take(svsm: Svsm, nonce: int) -> int:
    """Take the stream in hand, if it bears the mark given out and fits this guest, still empty."""
    stream = svsm.stream
    fits = all(svsm.guest.covers(first, stop - first) for first, stop in stream.frames.ranges)
    if svsm.stage != Stage.COLD or svsm.locks or nonce != stream.nonce or not fits:
        return Rax.INVALID_REQUEST
    if svsm.layout.launch_vmsa in stream.frames or any(svsm.record.runs(svsm.guest)):
        return Rax.INVALID_REQUEST
    svsm.stage = Stage.IMPORTING
    return Rax.SUCCESS


def _pages_left(svsm: Svsm) -> bool:
    """Whether a page of the stream that is no VMSA is still missing."""
    return any(
        frame not in svsm.stream.vmsas and not svsm.record.has(frame)
        for first, stop in svsm.stream.frames.ranges
        for frame in range(first, stop)
    )


def bring(svsm: Svsm, gpa: int) -> Work:
    """Bring in the page of the stream at a byte address; VMSAs when all others are there."""
    frame = gpa >> PAGE_SHIFT
    if svsm.stage != Stage.IMPORTING or gpa & PAGE_MASK or frame not in svsm.stream.frames:
        return Rax.INVALID_PARAMETER
    is_vmsa = frame in svsm.stream.vmsas
    if svsm.record.has(frame) or (is_vmsa and _pages_left(svsm)):
        return Rax.INVALID_REQUEST
    if not svsm.locks.take(frame, 1):
        return Rax.BUSY
    try:
        if is_vmsa:
            svsm.vmsas.setdefault(frame, None)
        if not (yield from svsm.platform.change_state(frame, True)):
            return Rax.INVALID_REQUEST
        yield from brought_in(svsm, frame, Fillings.STREAM)
        if is_vmsa:
            yield from svsm.platform.make_vcpu(frame, True)
        else:
            yield from svsm.platform.set_rights(frame, False, RIGHTS_ALL, True)
        return Rax.SUCCESS
    finally:
        svsm.locks.drop(frame)


def complete(svsm: Svsm) -> int:
    """Let the guest run here, if every page of the stream is there."""
    if svsm.stage != Stage.IMPORTING or svsm.locks or not is_claimed(svsm, svsm.stream.frames):
        return Rax.INVALID_REQUEST
    svsm.stage = Stage.RUNNING
    return Rax.SUCCESS
