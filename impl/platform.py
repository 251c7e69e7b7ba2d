"""What an SVSM asks of the machine beneath it.

The code of the SVSM does no I/O: each of its steps is a generator that yields one of these and is
sent the answer. So the same code runs on a real platform, on a simulated one, and with any number
of vCPUs interleaved at every operation. An access to a page that is not validated raises `Vc`
where it was yielded; an exit to the host is not seen, the instruction is just run again.
"""

from collections.abc import Callable, Generator
from enum import IntEnum
from typing import Any, NamedTuple

RIGHTS_NONE = 0
RIGHTS_ALL = 0xF


class Vc(Exception):
    """#VC with exit code 0x404: an access to a page that is not validated."""


class Tampered(Exception):
    """Hardware and record disagree, which no honest host brings about."""


class Fillings(IntEnum):
    """What a page is to hold."""

    ZERO = 0
    FIRMWARE = 1
    STREAM = 2


class Read(NamedTuple):
    """`size` bytes at byte address `gpa`; answered with them."""

    gpa: int
    size: int


class Write(NamedTuple):
    """`data` to byte address `gpa`."""

    gpa: int
    data: bytes


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


class Fill(NamedTuple):
    """The contents of a frame or of 512."""

    frame: int
    large: bool
    what: Fillings


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


class Flush(NamedTuple):
    """Every CPU forgets its translations."""


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


Operation = (
    Read
    | Write
    | Pvalidate
    | Rmpadjust
    | Fill
    | Promote
    | Demote
    | Flush
    | PageState
    | PageStateMsr
)
SUCCESS = 0
FAIL_SIZEMISMATCH = 6

Work = Generator[Operation, Any, int]
"""Something that an SVSM does: yields operations, ends with a result."""


def drive(work: Work, platform: Callable[[Operation], Any]) -> int:
    """Run work to its end on a platform; the result.

    platform: answers an operation, or raises `Vc`.
    """
    try:
        operation = next(work)
        while True:
            try:
                answer = platform(operation)
            except Vc as fault:
                operation = work.throw(fault)
            else:
                operation = work.send(answer)
    except StopIteration as end:
        return int(end.value)
