"""What an SVSM asks of the machine beneath it.

The code of the SVSM does no I/O: each of its steps is a generator that yields an operation and is
sent the answer. So the same code runs on a real platform, on a simulated one, and with any number
of vCPUs interleaved at every operation. An access to a page that is not validated raises `Vc`
where it was yielded; an exit to the host is not seen, the instruction is just run again.

Some operations are the same everywhere and are here. The others are a platform's own, in a module
each (`impl.snp`, `impl.tdx`, `impl.native`), behind the functions of a `Platform`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

RIGHTS_NONE = 0
RIGHTS_ALL = 0xF


class Vc(Exception):
    """An access to a page that is not validated: #VC with exit code 0x404, or on TDX #VE."""


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


class Fill(NamedTuple):
    """The contents of a frame or of 512."""

    frame: int
    large: bool
    what: Fillings


class Flush(NamedTuple):
    """Every CPU forgets its translations."""


Work = Generator[Any, Any, int]
"""Something that an SVSM does: yields operations, ends with a result."""


def drive(work: Work, platform: Callable[[Any], Any]) -> int:
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


@dataclass(frozen=True)
class Platform:
    """How a machine does what an SVSM needs; each of these is work with a result.

    validate: frames just claimed become usable; 0 where the machine's page is smaller.
    rescind: they are so no longer; 0 where the machine's page is smaller.
    set_rights: what the guest may do with frames; 0 where the machine's page is smaller, unless
    it is to be done page by page. make_vcpu: a frame becomes a vCPU's, if what it holds makes one
    or comes from the SVSM itself; 0 where it does not. end_vcpu: it is a page again, with rights.
    change_state: the host is asked to make a frame private or shared; 0 unless it says that it has.
    """

    validate: Callable[[int, bool], Work]
    rescind: Callable[[int, bool], Work]
    set_rights: Callable[[int, bool, int, bool], Work]
    make_vcpu: Callable[[int, bool], Work]
    end_vcpu: Callable[[int, int], Work]
    change_state: Callable[[int, bool], Work]


def nothing(_frame: int, *_more: int) -> Work:
    """What is done already, with success."""
    yield from ()
    return 1


class Adopt(NamedTuple):
    """A vCPU's registers taken from a frame, if what it holds makes one; answered with whether.

    For machines on which a vCPU's page is not marked. trusted: it comes from the SVSM itself.
    """

    frame: int
    trusted: bool


def adopted(frame: int, trusted: bool) -> Work:
    """Have a vCPU whose registers a frame holds."""
    return int((yield Adopt(frame, trusted)))
