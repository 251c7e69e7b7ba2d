"""An SVSM that is a class of Python: what it is given as its platform, and how it is called.

The class has `svsm(platform, start)`, which answers an SVSM in the state `start`. That has the
calls of `struct svsm_protocol` by their names, and shows itself by `stage`, `halted`, `claimed`,
`vmsas`, `caas` and `shared`: attributes, of which the last four are ranges of frames in order, not
touching.
"""

from typing import Any

from conformance.adapters.vcpus import FAULT, STOPPED, Ask, NoSvsm
from conformance.adapters.wire import Ranges, Svsm

LEFT = 0x8000_0006
"""What a call answers that could not go on; nobody looks at it."""
MASK = (1 << 64) - 1


class Fault(Exception):
    """The page is not validated (#VC): the SVSM must stop for good, and show it by `halted`."""


class Stopped(BaseException):
    """The vCPU is stopped: the call has to end, with nothing changed any more.

    No `Exception`, so that whoever handles those of its own lets it pass.
    """


class Platform:
    """All that an SVSM does to the outside; each of these rests while other vCPUs go on.

    Raises: Fault, Stopped, all of them.
    """

    def __init__(self, ask: Ask) -> None:
        self._asking = ask

    def _ask(self, vcpu: int, what: str, *arguments: Any) -> list[Any]:
        told = self._asking(vcpu, what, *arguments)
        if told.status == FAULT:
            raise Fault(what)
        if told.status == STOPPED:
            raise Stopped(what)
        return list(told.answer)

    def read(self, vcpu: int, gpa: int, size: int) -> bytes:
        """So many bytes from a byte address of the guest's."""
        return bytes(self._ask(vcpu, "read", gpa, size)[0])

    def write(self, vcpu: int, gpa: int, data: bytes) -> None:
        """Bytes to a byte address of the guest's."""
        self._ask(vcpu, "write", gpa, bytes(data))

    def fill(self, vcpu: int, frame: int, large: bool, what: int) -> None:
        """The contents of a frame, or of 512: 0 zeros, 1 the firmware's, 2 a migration's."""
        self._ask(vcpu, "fill", frame, int(large), what)

    def flush(self, vcpu: int) -> None:
        """Every CPU forgets its translations."""
        self._ask(vcpu, "flush")

    def pvalidate(self, vcpu: int, frame: int, large: bool, validate: bool) -> tuple[int, bool]:
        """PVALIDATE: EAX and the carry flag."""
        code, carry = self._ask(vcpu, "pvalidate", frame, int(large), int(validate))
        return int(code), bool(carry)

    def rmpadjust(self, vcpu: int, frame: int, large: bool, rights: int, each: bool) -> int:
        """RMPADJUST of the guest's rights; each: page by page where the RMP entry is smaller."""
        return int(self._ask(vcpu, "rmpadjust", frame, int(large), rights, int(each))[0])

    def promote(self, vcpu: int, frame: int, trusted: bool) -> bool:
        """Set the VMSA bit, if the frame makes a VMSA or comes from the SVSM; whether it was."""
        return bool(self._ask(vcpu, "promote", frame, int(trusted))[0])

    def demote(self, vcpu: int, frame: int, rights: int) -> None:
        """Clear the VMSA bit, and give the guest rights."""
        self._ask(vcpu, "demote", frame, rights)

    def page_state(self, vcpu: int, frame: int, private: bool) -> tuple[int, bytes]:
        """A page-state change of one entry: SW_EXITINFO2 and the buffer's first 8 bytes back."""
        info2, header = self._ask(vcpu, "page_state", frame, int(private))
        return int(info2), bytes(header)

    def page_state_msr(self, vcpu: int, frame: int, private: bool) -> int:
        """A page-state change by the MSR protocol."""
        return int(self._ask(vcpu, "page_state_msr", frame, int(private))[0])


class ClassSvsm:
    """The SVSM of somebody's class."""

    def __init__(self, made: Any, ask: Ask) -> None:
        self._made, self._platform, self._svsm = made, Platform(ask), None

    def begin(self, start: Svsm) -> None:
        """Be made anew in a state.

        Raises: NoSvsm.
        """
        self._svsm = _safely("svsm", self._made.svsm, self._platform, start)

    def call(self, name: str, *arguments: int) -> int:
        """The result of a call.

        Raises: NoSvsm.
        """
        return _number(name, _safely(name, getattr, self._svsm, name), *arguments)

    def stage(self) -> int:
        """What it is doing as a whole."""
        return _number("stage", lambda: getattr(self._svsm, "stage"))  # noqa: B009

    def halted(self) -> bool:
        """Whether it has stopped for good."""
        return bool(_safely("halted", getattr, self._svsm, "halted"))

    def frames(self, name: str) -> Ranges:
        """One of the sets that it shows.

        Raises: NoSvsm.
        """
        shown = _safely(name, lambda: list(getattr(self._svsm, name)))
        if not all(isinstance(run, tuple | list) and len(run) == 2 for run in shown):
            raise NoSvsm(f"{name}: {shown!r:.60} is no list of ranges")
        if not all(type(edge) is int and 0 <= edge <= MASK for run in shown for edge in run):
            raise NoSvsm(f"{name}: {shown!r:.60} has edges that are no frames")
        return [(first, stop) for first, stop in shown]


def _number(name: str, function: Any, *arguments: Any) -> int:
    got = _safely(name, function, *arguments)
    if isinstance(got, bool) or not isinstance(got, int) or not 0 <= got <= MASK:
        raise NoSvsm(f"{name} answered {got!r:.60}, which is no number of 64 bits")
    return int(got)


def _safely(name: str, function: Any, *arguments: Any) -> Any:
    """What somebody's code answers; a call that may not go on answers something.

    Raises: NoSvsm where it raises anything else.
    """
    try:
        return function(*arguments)
    except (Fault, Stopped):
        return LEFT
    except NoSvsm:
        raise
    except (Exception, SystemExit) as error:
        # Running somebody's code, which may raise anything; a thread that ended would never tell.
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise NoSvsm(f"{name} raised {said}") from error
