"""What an SVSM holds while it serves any number of vCPUs, on a machine that a host holds.

One model: the record of claimed pages, word for word; who holds the lock of which page; each
vCPU's request, step for step; and the machine beneath. Frames are numbered by GFN.

A page's lock is held from the first look at its record until the request for it is done. The
lock is a parameter: one a page, or one for all. Who meets a held lock is told BUSY.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Any

from spec.machine.snp import Snp
from spec.rule import Case, changed
from spec.tables import in_block
from spec.terms import (
    Bool,
    Count,
    Flag,
    KeySet,
    KeyTable,
    Word,
    all_of,
    any_of,
    negate,
    pick,
)

Set = Annotated[Any, KeySet()]
Words = Annotated[Any, KeyTable()]
LIMIT_GFN = 1 << 40
ROUNDS = 3
"""How often the host is asked again for a page state that it has not come to."""


@unique
class Pc(IntEnum):
    """Where a vCPU's request is: the step it is about to take."""

    IDLE = 0
    READ = 1
    """Read the next entry of the guest's request."""
    CLAIM = 2
    VALIDATE = 3
    FILL = 4
    GRANT = 5
    CHECK = 6
    REVOKE = 7
    RESCIND = 8
    RESTORE = 9
    FLUSH = 10
    RELEASE = 11
    FINISH = 12
    ANSWER = 13
    ASK_PRIVATE = 14
    """Ask the host to make a page private."""
    ASK_SHARED = 15
    PROMOTE = 16
    """Make a page a VMSA."""
    DEMOTE = 17
    REBOOT = 18


@unique
class Mode(IntEnum):
    """For whom a vCPU works on a page."""

    GUEST = 0
    """An entry of a PVALIDATE request."""
    LAUNCH = 1
    """A page of the firmware, at launch or after a reboot."""
    IMPORT = 2
    """A page of a migration stream."""
    SHARE = 3
    """A page of the SVSM's own that is to be shared with the host, a GHCB."""
    UNSHARE = 4
    CREATE = 5
    """A page that becomes a VMSA."""
    DELETE = 6
    REBOOT = 7


@unique
class Stage(IntEnum):
    """What the SVSM as a whole is doing."""

    OFF = 0
    """Before its record holds what the launch validated."""
    COLD = 1
    """Nothing of the guest is validated but what is launched right now."""
    RUNNING = 2
    REBOOTING = 3
    IMPORTING = 4
    MOVED = 5
    """The guest lives elsewhere; nothing goes on here."""


@unique
class Result(IntEnum):
    """What a call answers in RAX. Source: AMD SVSM specification (58019), result codes."""

    SUCCESS = 0
    INCOMPLETE = 0x8000_0000
    UNSUPPORTED_PROTOCOL = 0x8000_0001
    UNSUPPORTED_CALL = 0x8000_0002
    INVALID_ADDRESS = 0x8000_0003
    INVALID_FORMAT = 0x8000_0004
    INVALID_PARAMETER = 0x8000_0005
    INVALID_REQUEST = 0x8000_0006
    BUSY = 0x8000_0007
    FAIL_SIZEMISMATCH = 0x8000_1006
    NO_CHANGE = 0x8000_1010


@unique
class Did(IntEnum):
    """What one step did."""

    DONE = 0
    REFUSED = 1
    """The request ends with a result code, and changes nothing."""
    EXIT = 2
    """The instruction exited to the host and is tried again."""
    HALTED = 3
    """The SVSM stops for good: what it saw can only be tampering."""


@dataclass(frozen=True)
class Policy:
    """What implementations may choose.

    one_lock: one lock for all pages instead of one a page. refused: what a second validation (or
    rescission) answers. heeds_ignore_cf: with ignore-CF set, it is told SUCCESS without effect.
    by_msr: the host is asked for a page state by the MSR protocol, as before a GHCB is there.
    """

    one_lock: Flag
    refused: Count
    heeds_ignore_cf: Flag
    by_msr: Flag


@dataclass(frozen=True)
class Layout:
    """What is fixed before the guest starts.

    guest: the memory map. own: the SVSM's frames, its bitmap among them. ghcbs: those of them
    that it may share. measured: frames that the launch validated. firmware: frames that hold the
    firmware when the guest starts. launch_vmsa: the frame of the first VMSA.
    """

    guest: Set
    own: Set
    ghcbs: Set
    measured: Set
    firmware: Set
    launch_vmsa: Count


@dataclass(frozen=True)
class Vcpus:
    """Each vCPU's request, by the number of the vCPU.

    first, large: the block worked on. block: byte address of the guest's request, entries and
    next as in it. done: a ghost, how many entries have had their effect. result: see `Result`.
    ignore_cf: whether the entry says so. rax: the answer to the call before. rounds: how often the
    host may still be asked for the same page state.
    """

    pc: Words
    mode: Words
    first: Words
    large: Set
    ignore_cf: Set
    block: Words
    entries: Words
    next: Words
    done: Words
    result: Words
    rax: Words
    rounds: Words


@dataclass(frozen=True)
class Svsm:
    """The whole state; `hw` is the machine.

    claimed: the record, a bit a frame. held, holder: which frames are locked, and by which vCPU.
    vmsas, caas: frames registered as VMSAs, or that begin with a calling area; caa_of: which goes
    with which. shared: own frames that the host was last asked to share. stream, stream_vmsas: the
    frames that a migration brings, and those of them that are VMSAs; nonce: its mark.
    """

    policy: Policy
    layout: Layout
    hw: Snp
    cpus: Vcpus
    claimed: Annotated[Any, KeySet(packed=True)]
    held: Set
    holder: Words
    vmsas: Set
    caas: Set
    caa_of: Words
    shared: Set
    stream: Set
    stream_vmsas: Set
    nonce: Count
    stage: Count
    halted: Flag

    def pc(self, vcpu: Word) -> Word:
        """What a vCPU is about to do."""
        return self.cpus.pc.at(vcpu)

    def block(self, vcpu: Word) -> tuple[Word, Bool]:
        """The block that a vCPU works on."""
        return self.cpus.first.at(vcpu), self.cpus.large.has(vcpu)

    def works_on(self, vcpu: Word, gfn: Word) -> Bool:
        """A frame is in the block of a vCPU."""
        return in_block(gfn, *self.block(vcpu))

    def with_cpu(self, vcpu: Word, **values: Word) -> "Svsm":
        """A vCPU's own words changed."""
        words = {name: getattr(self.cpus, name).put(vcpu, v) for name, v in values.items()}
        return changed(self, cpus=changed(self.cpus, **words))

    def going_to(self, vcpu: Word, pc: Pc, **other: Any) -> "Svsm":
        """The state with a vCPU about to take another step, and some fields changed."""
        cpus = changed(self.cpus, pc=self.cpus.pc.put(vcpu, pc))
        return changed(self, cpus=cpus, **other)

    def ending(self, vcpu: Word, result: Word, **other: Any) -> "Svsm":
        """The state with a vCPU's block to be finished with a result."""
        cpus = self.cpus
        pc, results = cpus.pc.put(vcpu, Pc.FINISH), cpus.result.put(vcpu, result)
        return changed(self, cpus=changed(cpus, pc=pc, result=results), **other)

    def stopped(self) -> "Svsm":
        """The state after the SVSM has stopped for good."""
        return changed(self, halted=True)


def not_whole(pages: Any, first: Word, large: Bool) -> Bool:
    """Not every frame of a block is in a set."""
    return negate(pages.whole_block(first, large))


def hits(pages: Any, first: Word, large: Bool) -> Bool:
    """Some frame of a block is in a set."""
    return negate(pages.no_block(first, large))


@dataclass(frozen=True)
class Cpu:
    """The vCPU that takes its next step."""

    vcpu: Count


def at(*pcs: Pc) -> Callable[[Svsm, Any], Bool]:
    """A vCPU can take a step of this kind where it has come to it."""
    return lambda s, op: all_of(negate(s.halted), any_of(*(s.pc(op.vcpu) == pc for pc in pcs)))


def idle(*stages: Stage) -> Callable[[Svsm, Any], Bool]:
    """A vCPU that has nothing in hand can be asked for something new, in some stages."""
    here = at(Pc.IDLE)
    return lambda s, op: all_of(here(s, op), any_of(*(s.stage == stage for stage in stages)))


def during(*stages: Stage) -> Callable[[Svsm, Any], Bool]:
    """The SVSM as a whole can do something in some stages."""
    return lambda s, _op: all_of(negate(s.halted), any_of(*(s.stage == g for g in stages)))


def is_busy(s: Svsm, first: Word, large: Bool) -> Bool:
    """Somebody holds the lock of a block."""
    return pick(s.policy.one_lock, negate(s.held.is_empty()), hits(s.held, first, large))


def locked(s: Svsm, vcpu: Word, first: Word, large: Bool, mode: Word, pc: Word) -> Svsm:
    """The state in which a vCPU holds the lock of a block and is about to work on it."""
    cpus = changed(
        s.cpus,
        pc=s.cpus.pc.put(vcpu, pc),
        mode=s.cpus.mode.put(vcpu, mode),
        first=s.cpus.first.put(vcpu, first),
        large=s.cpus.large.with_block(vcpu, False, large),
        result=s.cpus.result.put(vcpu, Result.SUCCESS),
        rounds=s.cpus.rounds.put(vcpu, ROUNDS),
    )
    held = s.held.with_block(first, large, True)
    return changed(s, cpus=cpus, held=held, holder=s.holder.with_block(first, large, vcpu))


def access(s: Svsm, gfn: Word, large: Bool) -> tuple[Case, Case]:
    """How an access by the SVSM to a claimed block can fail.

    An exit to the host is tried again. A page that is not validated raises #VC, and a claimed
    page that is not validated is another than the one that was: the SVSM stops.
    """
    return (
        Case("exits", s.hw.exits(gfn), Did.EXIT, s),
        Case("unvalidated", negate(s.hw.reaches(gfn, large)), Did.HALTED, s.stopped),
    )


def adjusting(s: Svsm, gfn: Word, large: Bool) -> tuple[Case, Case]:
    """How a change of the guest's rights to a claimed block can fail: as an access to it.

    That each of its pages is validated is looked at, whatever size the machine has them in.
    """
    _, unvalidated = access(s, gfn, large)
    return Case("exits", s.hw.adjusting_exits(gfn, large), Did.EXIT, s), unvalidated
