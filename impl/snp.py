"""SEV-SNP beneath an SVSM: PVALIDATE, RMPADJUST, and the GHCB. Source: AMD64 APM vol. 3; 56421."""

import struct
from functools import partial
from typing import NamedTuple

from impl.platform import Platform, Tampered, Work


class Pvalidate(NamedTuple):
    """PVALIDATE of a frame, or of 512; answered with (code, carry)."""

    frame: int
    large: bool
    validate: bool


class Rmpadjust(NamedTuple):
    """The guest's rights to a frame or to 512, none for lesser VMPLs; answered with a code.

    each: page by page where the RMP entry is smaller.
    """

    frame: int
    large: bool
    rights: int
    each: bool


class Promote(NamedTuple):
    """The VMSA bit of a frame, if what it holds makes a VMSA; answered with whether it does.

    trusted: what it holds comes from the SVSM itself.
    """

    frame: int
    trusted: bool


class Demote(NamedTuple):
    """The VMSA bit taken from a frame, with the rights that the guest is to have."""

    frame: int
    rights: int


class PageState(NamedTuple):
    """The host is asked to make a frame private or shared, by a request of one entry.

    Answered with (SW_EXITINFO2, the 8 bytes that begin the buffer afterwards).
    """

    frame: int
    private: bool


class PageStateMsr(NamedTuple):
    """The same by the MSR protocol, before there is a GHCB; answered with the response."""

    frame: int
    private: bool


SUCCESS = 0
FAIL_SIZEMISMATCH = 6
HEADER = struct.Struct("<HHI")
MSR_DONE = 0x015
PATIENCE = 4
"""How often the host is asked for the same thing while it has not come to it."""


def validate(frame: int, large: bool) -> Work:
    """Validate frames; the carry flag would say that they were."""
    code, carry = yield Pvalidate(frame, large, True)
    if code == FAIL_SIZEMISMATCH:
        return 0
    if code != SUCCESS or carry:
        raise Tampered
    return 1


def rescind(frame: int, large: bool) -> Work:
    """Rescind frames; the carry flag says that other pages lie beneath than were validated."""
    code, carry = yield Pvalidate(frame, large, False)
    if code == FAIL_SIZEMISMATCH:
        return 0
    if code != SUCCESS or carry:
        raise Tampered
    return 1


def set_rights(frame: int, large: bool, rights: int, each: bool) -> Work:
    """The rights of the guest's VMPL."""
    return int((yield Rmpadjust(frame, large, rights, each)) != FAIL_SIZEMISMATCH)


def make_vcpu(frame: int, trusted: bool) -> Work:
    """Set the VMSA bit."""
    return int((yield Promote(frame, trusted)))


def end_vcpu(frame: int, rights: int) -> Work:
    """Clear the VMSA bit."""
    yield Demote(frame, rights)
    return 1


def change_state(frame: int, private: bool, by_msr: bool) -> Work:
    """Ask for a page-state change; what the host says is looked at bit by bit."""
    if by_msr:
        return int((yield PageStateMsr(frame, private)) == MSR_DONE)
    for _ in range(PATIENCE):
        error, header = yield PageState(frame, private)
        current, end, reserved = HEADER.unpack(header)
        if error or end or reserved or current > 1:
            return 0
        if current == 1:
            return 1
    return 0


def platform(by_msr: bool = False) -> Platform:
    """SEV-SNP; by_msr: whether the host is asked for page states by the MSR protocol."""
    change = partial(change_state, by_msr=by_msr)
    return Platform(validate, rescind, set_rights, make_vcpu, end_vcpu, change)
