"""vCPUs that the guest makes and ends. Source: 58019, SVSM_CORE_CREATE_VCPU, _DELETE_VCPU."""

from impl.platform import RIGHTS_ALL, RIGHTS_NONE, Flush, Work
from impl.svsm import PAGE_MASK, PAGE_SHIFT, Rax, Svsm


def create_vcpu(svsm: Svsm, vmsa: int, caa: int) -> Work:
    """Make the page at byte address `vmsa` a VMSA, with its calling area at `caa`."""
    if (vmsa | caa) & PAGE_MASK:
        return Rax.INVALID_ADDRESS
    frame, area = vmsa >> PAGE_SHIFT, caa >> PAGE_SHIFT
    for page in (frame, area):
        if not svsm.is_free(page, 1) or not svsm.record.has(page):
            return Rax.INVALID_ADDRESS
    if frame == area:
        return Rax.INVALID_ADDRESS
    if svsm.locks.covers(area) or not svsm.locks.take(frame, 1):
        return Rax.BUSY
    # Registered before anything else, so that no other call touches the page from here on.
    svsm.vmsas[frame] = area
    svsm.caas.add(area)
    try:
        yield from svsm.platform.set_rights(frame, False, RIGHTS_NONE, False)
        yield Flush()
        if (yield from svsm.platform.make_vcpu(frame, False)):
            return Rax.SUCCESS
        unregister(svsm, frame)
        yield from svsm.platform.set_rights(frame, False, RIGHTS_ALL, True)
        return Rax.INVALID_PARAMETER
    finally:
        svsm.locks.drop(frame)


def unregister(svsm: Svsm, frame: int) -> None:
    """Forget a VMSA and its calling area."""
    area = svsm.vmsas.pop(frame, None)
    svsm.caas.discard(-1 if area is None else area)


def delete_vcpu(svsm: Svsm, vmsa: int) -> Work:
    """Make the VMSA at byte address `vmsa` a page of the guest's again."""
    frame = vmsa >> PAGE_SHIFT
    if vmsa & PAGE_MASK or frame not in svsm.vmsas:
        return Rax.INVALID_PARAMETER
    if not svsm.locks.take(frame, 1):
        return Rax.BUSY
    try:
        yield from svsm.platform.end_vcpu(frame, RIGHTS_ALL)
        unregister(svsm, frame)
        return Rax.SUCCESS
    finally:
        svsm.locks.drop(frame)
