"""Launch: what was measured is recorded, then the firmware is brought in and the guest started."""

from impl.platform import RIGHTS_ALL, Fillings, Work
from impl.record import LARGE, Frames
from impl.svsm import PAGE_MASK, PAGE_SHIFT, Rax, Stage, Svsm
from impl.visibility import brought_in


def record(svsm: Svsm, frame: int, large: bool) -> int:
    """Record a page that the launch validated."""
    count = LARGE if large else 1
    if svsm.stage != Stage.OFF or frame % count or not svsm.measured.covers(frame, count):
        return Rax.INVALID_PARAMETER
    svsm.record.mark(frame, count)
    return Rax.SUCCESS


def is_claimed(svsm: Svsm, frames: Frames) -> bool:
    """Whether all of some frames are claimed."""
    claimed = Frames(svsm.record.runs())
    return all(claimed.covers(first, stop - first) for first, stop in frames.ranges)


def power_on(svsm: Svsm) -> int:
    """Begin to serve, if all that the launch validated is recorded."""
    if svsm.stage != Stage.OFF or not is_claimed(svsm, svsm.measured):
        return Rax.INVALID_REQUEST
    svsm.stage = Stage.COLD
    return Rax.SUCCESS


def launch(svsm: Svsm, gpa: int) -> Work:
    """Bring in the page of the firmware at a byte address, and give it to the guest."""
    frame = gpa >> PAGE_SHIFT
    if svsm.stage != Stage.COLD or gpa & PAGE_MASK or frame not in svsm.firmware:
        return Rax.INVALID_PARAMETER
    if not svsm.locks.take(frame, 1):
        return Rax.BUSY
    try:
        if not svsm.record.has(frame):
            if not (yield from svsm.platform.change_state(frame, True)):
                return Rax.INVALID_REQUEST
            yield from brought_in(svsm, frame, Fillings.FIRMWARE)
        yield from svsm.platform.set_rights(frame, False, RIGHTS_ALL, True)
        return Rax.SUCCESS
    finally:
        svsm.locks.drop(frame)


def start(svsm: Svsm) -> int:
    """Let the guest run, if its firmware is complete and nobody works on a page."""
    if svsm.stage != Stage.COLD or svsm.locks or not is_claimed(svsm, svsm.firmware):
        return Rax.INVALID_REQUEST
    svsm.stage = Stage.RUNNING
    return Rax.SUCCESS
