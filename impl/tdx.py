"""TDX beneath an SVSM that runs as L1: pages accepted, and attributes of the guest's L2 VM.

Source: Intel TDX module 1.5, TDG.MEM.PAGE.ACCEPT and TDG.MEM.PAGE.ATTR.WR; GHCI, MapGPA.
"""

from typing import NamedTuple

from impl.platform import Platform, Tampered, Work, adopted, nothing


class Accept(NamedTuple):
    """TDG.MEM.PAGE.ACCEPT of a frame, or of 512 as one leaf; answered with RAX."""

    frame: int
    large: bool


class WriteAttributes(NamedTuple):
    """TDG.MEM.PAGE.ATTR.WR: what the L2 VM may do with a frame or 512; answered with RAX.

    each: leaf by leaf where they are smaller.
    """

    frame: int
    large: bool
    rights: int
    each: bool


class MapGpa(NamedTuple):
    """TDG.VP.VMCALL<MapGPA> of one frame; answered with (R10, R11)."""

    frame: int
    private: bool


PAGE_SHIFT = 12
# Completion codes: class and name in the upper half, details such as the level in the lower.
SUCCESS = 0
ALREADY_ACCEPTED = 0x0000_0B0A
SIZE_MISMATCH = 0xC000_0B0B
RECOVERABLE = 0b10
"""Bits 63 and 62 of a code that goes away by itself: somebody else was at the leaf."""
MAPPED, RETRY = 0, 1
PATIENCE = 4
"""How often the host is asked for the same thing while it has not come to it."""


def _settled(operation: Accept | WriteAttributes) -> Work:
    """What a call of the module says in the end, its upper half."""
    while (rax := (yield operation)) >> 62 == RECOVERABLE:
        pass
    return int(rax) >> 32


def validate(frame: int, large: bool) -> Work:
    """Accept pages.

    That they were accepted before is no secret of the host's, and no sign of tampering: a page
    that was given up stays accepted until the host takes it. Its contents stay too, so whoever
    asks for it fills it.
    """
    code = yield from _settled(Accept(frame, large))
    if code == SIZE_MISMATCH:
        return 0
    if code not in (SUCCESS, ALREADY_ACCEPTED):
        raise Tampered
    return 1


def set_rights(frame: int, large: bool, rights: int, each: bool) -> Work:
    """The attributes of the L2 VM; without any its alias of a page is gone."""
    code = yield from _settled(WriteAttributes(frame, large, rights, each))
    if code not in (SUCCESS, SIZE_MISMATCH):
        raise Tampered
    return int(code == SUCCESS)


def end_vcpu(frame: int, rights: int) -> Work:
    """A vCPU of an L2 VM leaves no mark on its page: the guest may have it back."""
    return set_rights(frame, False, rights, True)


def change_state(frame: int, private: bool) -> Work:
    """Ask for a page to be mapped; the host may say how far it has come, within what was asked."""
    for _ in range(PATIENCE):
        status, reached = yield MapGpa(frame, private)
        if status != RETRY:
            return int(status == MAPPED)
        if reached != frame << PAGE_SHIFT:
            return 0
    return 0


PLATFORM = Platform(validate, nothing, set_rights, adopted, end_vcpu, change_state)
