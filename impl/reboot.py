"""Reboot of the guest: every page that it had is given up, and what follows is a cold start."""

from impl.platform import RIGHTS_NONE, Flush, Work
from impl.svsm import Rax, Stage, Svsm
from impl.vmsa import unregister


def reboot(svsm: Svsm) -> Work:
    """Stop the guest and rescind what it had, VMSAs first, in the order of frames."""
    if svsm.locks:
        return Rax.BUSY
    svsm.stage = Stage.REBOOTING
    for frame in sorted(svsm.vmsas):
        svsm.locks.take(frame, 1)
        yield from svsm.platform.end_vcpu(frame, RIGHTS_NONE)
        unregister(svsm, frame)
        svsm.locks.drop(frame)
    for first, stop in list(svsm.record.runs(svsm.guest)):
        for frame in range(first, stop):
            yield from _give_up(svsm, frame)
    # No vCPU of the guest runs, so one flush at the end is enough.
    yield Flush()
    svsm.caas.clear()
    svsm.stage = Stage.COLD
    return Rax.SUCCESS


def _give_up(svsm: Svsm, frame: int) -> Work:
    svsm.locks.take(frame, 1)
    yield from svsm.platform.set_rights(frame, False, RIGHTS_NONE, False)
    yield from svsm.platform.rescind(frame, False)
    svsm.record.release(frame, False)
    svsm.locks.drop(frame)
    return Rax.SUCCESS
