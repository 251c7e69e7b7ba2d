"""A small SVSM: its state, and the calls that reach it.

What it does is written by subject, in modules of their own: `pvalidate`, `vmsa`, `visibility`,
`launch`, `reboot`, `migration`. All of it is work in the sense of `impl.platform`.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from impl import snp
from impl.platform import Platform, Tampered, Vc, Work
from impl.record import Frames, Locks, Record

PAGE_SHIFT = 12
PAGE_MASK = 0xFFF


class Rax(IntEnum):
    """Result codes. Source: Secure VM Service Module for SEV-SNP Guests (58019)."""

    SUCCESS = 0
    INCOMPLETE = 0x80000000
    UNSUPPORTED_PROTOCOL = 0x80000001
    UNSUPPORTED_CALL = 0x80000002
    INVALID_ADDRESS = 0x80000003
    INVALID_FORMAT = 0x80000004
    INVALID_PARAMETER = 0x80000005
    INVALID_REQUEST = 0x80000006
    BUSY = 0x80000007
    FAIL_SIZEMISMATCH = 0x80001006
    NO_CHANGE = 0x80001010


class Stage(IntEnum):
    """What the SVSM as a whole is doing."""

    OFF = 0
    COLD = 1
    RUNNING = 2
    REBOOTING = 3
    IMPORTING = 4
    MOVED = 5


Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """Ranges of frames, half-open, in order, not touching; and the frame of the launch VMSA."""

    guest: Ranges
    own: Ranges
    ghcbs: Ranges = ()
    measured: Ranges = ()
    firmware: Ranges = ()
    launch_vmsa: int = 0xFFFFFFFFF

    def memory(self) -> Ranges:
        """All frames that there is a record for, joined."""
        joined: list[tuple[int, int]] = []
        for first, stop in sorted((*self.guest, *self.own, *self.measured)):
            if joined and first <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
            else:
                joined.append((first, stop))
        return tuple(joined)


@dataclass(frozen=True)
class Options:
    """What is left open: one lock for all frames or one each, and what asking twice is told.

    by_msr: whether the host is asked for page states by the MSR protocol. most_runs: how many runs
    the record of one range may have before it becomes a bitmap; 0 is a bitmap from the start.
    """

    one_lock: bool = False
    refused: int = Rax.NO_CHANGE
    heeds_ignore_cf: bool = True
    by_msr: bool = False
    most_runs: int = 0


@dataclass
class Stream:
    """What a migration brings: frames, those of them that are VMSAs, and the mark it must bear."""

    frames: Frames = field(default_factory=Frames)
    vmsas: Frames = field(default_factory=Frames)
    nonce: int = 0


class Svsm:
    """What the SVSM keeps between operations."""

    def __init__(
        self,
        layout: Layout,
        options: Options | None = None,
        stream: Stream | None = None,
        platform: Platform | None = None,
    ) -> None:
        """platform: the machine beneath; SEV-SNP where it is left out."""
        self.layout, self.options = layout, options or Options()
        self.platform = platform or snp.platform(self.options.by_msr)
        self.stream = stream or Stream()
        self.guest, self.ghcbs = Frames(layout.guest), Frames(layout.ghcbs)
        self.measured, self.firmware = Frames(layout.measured), Frames(layout.firmware)
        self.record = Record(layout.memory(), self.options.most_runs)
        self.locks = Locks(self.options.one_lock)
        self.vmsas: dict[int, int | None] = {}
        """The frame of each registered VMSA, and that of its calling area."""
        self.caas: set[int] = set()
        self.shared: set[int] = set()
        self.stage = Stage.OFF
        self.halted = False

    def guarded(self, work: Work) -> Work:
        """Work that stops the SVSM for good where hardware and record disagree."""
        try:
            return (yield from work)
        except (Vc, Tampered):
            self.halted = True
            return Rax.INVALID_REQUEST

    def is_free(self, frame: int, count: int) -> bool:
        """Whether frames are the guest's, and neither VMSA nor calling area nor the launch VMSA."""
        if not self.guest.covers(frame, count):
            return False
        if frame <= self.layout.launch_vmsa < frame + count:
            return False
        taken = (*self.vmsas, *self.caas)
        return not any(frame <= one < frame + count for one in taken)
