"""The core protocol's PVALIDATE: a guest's request, entry by entry, step by step.

The header is read once, each entry once; the guest may write them meanwhile, so what is read is
any word. An entry's block is locked before its record is looked at. Validating claims it, then
PVALIDATE, then zero, then grant. Rescinding revokes, then PVALIDATE, then flush, then release.
`next` goes on only past an entry that has had its effect.

Proves (`svsm_claims`), with any number of vCPUs and frames: see there.
"""

from dataclasses import dataclass

from spec.machine.snp import RIGHTS_RWX, Contents
from spec.rule import Case, Cases, changed, rule
from spec.sources import apm2, apm3, decision, svsm_spec
from spec.tables import block_pages, in_block
from spec.terms import (
    Bool,
    Count,
    Gpa,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    bit,
    bits_and,
    minus,
    negate,
    pick,
    plus,
    shift_right,
)
from spec.validation.svsm import (
    Cpu,
    Did,
    Mode,
    Pc,
    Result,
    Stage,
    Svsm,
    access,
    adjusting,
    at,
    hits,
    idle,
    is_busy,
    locked,
    not_whole,
)

AREA = "validation.pvalidate"
PAGE_SHIFT = 12
HEADER_BYTES = 8
ENTRY_SHIFT = 3
GFNS = 1 << 52
"""Frames whose bytes have 64-bit addresses."""


@dataclass(frozen=True)
class Call:
    """A guest's call: RCX, and the first 8 bytes it points to, as they are read."""

    vcpu: Count
    rcx: Gpa
    header: Count


@dataclass(frozen=True)
class Entry:
    """The next entry of a request, as it is read."""

    vcpu: Count
    entry: Count


def refused(s: Svsm, vcpu: Word, result: Word) -> Svsm:
    """The state after a call is refused at once."""
    return s.with_cpu(vcpu, rax=result)


def answering(s: Svsm, vcpu: Word, result: Word) -> Svsm:
    """The state in which a request is to be answered with a result."""
    return s.with_cpu(vcpu, pc=Pc.ANSWER, result=result)


@rule(AREA, Call, cite=svsm_spec("SVSM_CORE_PVALIDATE"), enabled=idle(Stage.RUNNING))
def call(s: Svsm, op: Call) -> Cases:
    """Take a request: RCX is 8-byte aligned and its header makes sense."""
    gfn, offset = shift_right(op.rcx, PAGE_SHIFT), bits_and(op.rcx, 0xFFF)
    entries, first = bits_and(op.header, 0xFFFF), bits_and(shift_right(op.header, 16), 0xFFFF)
    room = shift_right(minus(0x1000 - HEADER_BYTES, offset), ENTRY_SHIFT)
    on_caa = all_of(s.caas.has(gfn), below(offset, HEADER_BYTES))

    def no(name: str, when: Bool, result: Result) -> Case:
        return Case(name, when, Did.REFUSED, lambda: refused(s, op.vcpu, result), result)

    def taken() -> Svsm:
        return s.with_cpu(
            op.vcpu, pc=Pc.READ, block=op.rcx, entries=entries, next=first, done=first
        )

    return (
        no("misaligned", bits_and(op.rcx, 7) != 0, Result.INVALID_PARAMETER),
        no("outside", negate(s.layout.guest.has(gfn)), Result.INVALID_ADDRESS),
        no("vmsa", s.vmsas.has(gfn), Result.INVALID_ADDRESS),
        no("caa", on_caa, Result.INVALID_ADDRESS),
        no("launch_vmsa", s.layout.launch_vmsa == gfn, Result.INVALID_ADDRESS),
        no("not_claimed", negate(s.claimed.has(gfn)), Result.INVALID_ADDRESS),
        no("busy", s.held.has(gfn), Result.BUSY),
        *access(s, gfn, False),
        no("no_entry", entries == 0, Result.INVALID_PARAMETER),
        no("too_many", below(room, entries), Result.INVALID_PARAMETER),
        no("next_past_end", at_most(entries, first), Result.INVALID_PARAMETER),
        Case("taken", True, Did.DONE, taken),
    )


def at_entry(s: Svsm, op: Entry) -> Bool:
    """The vCPU is about to read an entry, and the guest is running."""
    return all_of(at(Pc.READ)(s, op), s.stage == Stage.RUNNING)


@rule(AREA, Entry, cite=svsm_spec("SVSM_CORE_PVALIDATE"), enabled=at_entry)
def entry(s: Svsm, op: Entry) -> Cases:
    """Read the next entry and lock its block; what names no block of the guest's is refused."""
    size, large = bits_and(op.entry, 3), bits_and(op.entry, 3) == 1
    validate, ignore_cf = bit(op.entry, 2), bit(op.entry, 3)
    gfn = shift_right(op.entry, PAGE_SHIFT)
    block = shift_right(s.cpus.block.at(op.vcpu), PAGE_SHIFT)
    past_end = at_most(minus(GFNS, block_pages(large)), gfn)

    def no(name: str, when: Bool, result: Result) -> Case:
        return Case(name, when, Did.REFUSED, lambda: answering(s, op.vcpu, result), result)

    def taken(pc: Pc) -> Svsm:
        made = locked(s, op.vcpu, gfn, large, Mode.GUEST, pc)
        heeds = made.cpus.ignore_cf.with_block(op.vcpu, False, ignore_cf)
        return changed(made, cpus=changed(made.cpus, ignore_cf=heeds))

    return (
        no("not_claimed", negate(s.claimed.has(block)), Result.INVALID_ADDRESS),
        no("block_busy", s.held.has(block), Result.BUSY),
        *access(s, block, False),
        no("reserved_bits", bits_and(op.entry, 0xFF0) != 0, Result.INVALID_PARAMETER),
        no("bad_size", at_most(2, size), Result.INVALID_PARAMETER),
        no("misaligned", all_of(large, bits_and(gfn, 511) != 0), Result.INVALID_PARAMETER),
        no("wraps", past_end, Result.INVALID_ADDRESS),
        no("outside", not_whole(s.layout.guest, gfn, large), Result.INVALID_ADDRESS),
        no("vmsa", hits(s.vmsas, gfn, large), Result.INVALID_ADDRESS),
        no("caa", hits(s.caas, gfn, large), Result.INVALID_ADDRESS),
        no("launch_vmsa", in_block(s.layout.launch_vmsa, gfn, large), Result.INVALID_ADDRESS),
        no("own_block", in_block(block, gfn, large), Result.INVALID_ADDRESS),
        no("busy", is_busy(s, gfn, large), Result.BUSY),
        Case("validates", validate, Did.DONE, lambda: taken(Pc.CLAIM)),
        Case("rescinds", True, Did.DONE, lambda: taken(Pc.CHECK)),
    )


def twice(s: Svsm, vcpu: Word) -> tuple[Word, Svsm]:
    """What a second validation or rescission answers, and what it leaves behind: nothing new.

    Where ignore-CF is heeded, an entry that asks for what is so already has had its effect.
    """
    heeded = all_of(s.policy.heeds_ignore_cf, s.cpus.ignore_cf.has(vcpu))
    result = pick(heeded, int(Result.SUCCESS), s.policy.refused)
    done = s.cpus.done.at(vcpu)
    ended = s.ending(vcpu, result)
    return result, ended.with_cpu(vcpu, done=pick(result == Result.SUCCESS, plus(done, 1), done))


@rule(AREA, Cpu, cite=apm2("15.36.6"), enabled=at(Pc.CLAIM))
def claim(s: Svsm, op: Cpu) -> Cases:
    """Claim a block before PVALIDATE is run on it; none of its frames may be claimed."""
    first, large = s.block(op.vcpu)
    result, ended = twice(s, op.vcpu)
    mixed = Result.FAIL_SIZEMISMATCH
    return (
        Case("all_claimed", s.claimed.whole_block(first, large), Did.REFUSED, ended, result),
        Case(
            "mixed",
            hits(s.claimed, first, large),
            Did.REFUSED,
            lambda: s.ending(op.vcpu, mixed),
            mixed,
        ),
        Case(
            "claimed",
            True,
            Did.DONE,
            lambda: s.going_to(
                op.vcpu, Pc.VALIDATE, claimed=s.claimed.with_block(first, large, True)
            ),
        ),
    )


@rule(AREA, Cpu, cite=apm3("PVALIDATE"), enabled=at(Pc.VALIDATE))
def validate(s: Svsm, op: Cpu) -> Cases:
    """Run PVALIDATE to validate a claimed block; where its size does not fit, unclaim it."""
    first, large = s.block(op.vcpu)
    asked = s.hw.validate(first, large)
    result = Result.FAIL_SIZEMISMATCH
    return (
        Case("exits", asked.fault, Did.EXIT, s),
        Case(
            "size_mismatch",
            asked.mismatch,
            Did.REFUSED,
            lambda: s.ending(op.vcpu, result, claimed=s.claimed.with_block(first, large, False)),
            result,
        ),
        Case("unchanged", asked.unchanged, Did.HALTED, s.stopped, never=True),
        Case("validated", True, Did.DONE, lambda: s.going_to(op.vcpu, Pc.FILL, hw=asked.then())),
    )


@rule(AREA, Cpu, cite=svsm_spec("SVSM_CORE_PVALIDATE"), enabled=at(Pc.FILL))
def fill(s: Svsm, op: Cpu) -> Cases:
    """Make a block what it is to be before anybody else sees it: zero, for a guest's request."""
    first, large = s.block(op.vcpu)
    mode = s.cpus.mode.at(op.vcpu)
    migrated = pick(mode == Mode.IMPORT, int(Contents.MIGRATED), int(Contents.ZEROED))
    contents = pick(mode == Mode.LAUNCH, int(Contents.LAUNCHED), migrated)
    is_vmsa = all_of(mode == Mode.IMPORT, s.vmsas.has(first))
    further = pick(is_vmsa, int(Pc.PROMOTE), int(Pc.GRANT))
    pc = pick(mode == Mode.UNSHARE, int(Pc.FINISH), further)
    return (
        *access(s, first, large),
        Case(
            "filled",
            True,
            Did.DONE,
            lambda: s.going_to(op.vcpu, pc, hw=s.hw.filled(first, large, contents)),
        ),
    )


def effective(s: Svsm, vcpu: Word) -> Svsm:
    """The state in which an entry has had its effect, and its block is to be finished."""
    ended = s.ending(vcpu, Result.SUCCESS)
    return ended.with_cpu(vcpu, done=plus(s.cpus.done.at(vcpu), 1))


@rule(AREA, Cpu, cite=apm3("RMPADJUST"), enabled=at(Pc.GRANT))
def grant(s: Svsm, op: Cpu) -> Cases:
    """Give the guest a block's rights."""
    first, large = s.block(op.vcpu)

    def granted() -> Svsm:
        return effective(changed(s, hw=s.hw.granting(first, large, RIGHTS_RWX)), op.vcpu)

    return (*adjusting(s, first, large), Case("granted", True, Did.DONE, granted))


@rule(AREA, Cpu, cite=apm2("15.36.6"), enabled=at(Pc.CHECK))
def check(s: Svsm, op: Cpu) -> Cases:
    """Look whether a block can be rescinded: each of its frames must be claimed."""
    first, large = s.block(op.vcpu)
    result, ended = twice(s, op.vcpu)
    mixed = Result.FAIL_SIZEMISMATCH
    return (
        Case("none_claimed", s.claimed.no_block(first, large), Did.REFUSED, ended, result),
        Case(
            "mixed",
            not_whole(s.claimed, first, large),
            Did.REFUSED,
            lambda: s.ending(op.vcpu, mixed),
            mixed,
        ),
        Case("claimed", True, Did.DONE, lambda: s.going_to(op.vcpu, Pc.REVOKE)),
    )


@rule(AREA, Cpu, cite=apm3("RMPADJUST"), enabled=at(Pc.REVOKE))
def revoke(s: Svsm, op: Cpu) -> Cases:
    """Take a block's rights away from the guest's VMPL and those below."""
    first, large = s.block(op.vcpu)
    exits, _ = adjusting(s, first, large)
    _, unvalidated = access(s, first, False)
    create = s.cpus.mode.at(op.vcpu) == Mode.CREATE
    pc = pick(create, int(Pc.FLUSH), int(Pc.RESCIND))
    result = Result.FAIL_SIZEMISMATCH
    return (
        exits,
        Case(
            "size_mismatch",
            s.hw.is_too_small(first, large),
            Did.REFUSED,
            lambda: s.ending(op.vcpu, result),
            result,
        ),
        unvalidated,
        Case(
            "revoked",
            True,
            Did.DONE,
            lambda: s.going_to(op.vcpu, pc, hw=s.hw.granting(first, large, 0)),
        ),
    )


@rule(AREA, Cpu, cite=apm3("PVALIDATE"), enabled=at(Pc.RESCIND))
def rescind(s: Svsm, op: Cpu) -> Cases:
    """Run PVALIDATE to rescind a claimed block; the carry flag tells of another page beneath."""
    first, large = s.block(op.vcpu)
    asked = s.hw.rescind(first, large)
    reboot = s.cpus.mode.at(op.vcpu) == Mode.REBOOT
    pc = pick(reboot, int(Pc.RELEASE), int(Pc.FLUSH))
    return (
        Case("exits", asked.fault, Did.EXIT, s),
        Case(
            "size_mismatch",
            asked.mismatch,
            Did.DONE,
            lambda: s.going_to(op.vcpu, Pc.RESTORE),
        ),
        Case("unchanged", asked.unchanged, Did.HALTED, s.stopped),
        Case("rescinded", True, Did.DONE, lambda: s.going_to(op.vcpu, pc, hw=asked.then())),
    )


@rule(AREA, Cpu, cite=decision("0011-restore"), enabled=at(Pc.RESTORE))
def restore(s: Svsm, op: Cpu) -> Cases:
    """Give back the rights of a block that could not be rescinded, or not become a VMSA."""
    first, large = s.block(op.vcpu)
    create = s.cpus.mode.at(op.vcpu) == Mode.CREATE
    result = pick(create, int(Result.INVALID_PARAMETER), int(Result.FAIL_SIZEMISMATCH))

    def restored() -> Svsm:
        return s.ending(op.vcpu, result, hw=s.hw.granting(first, large, RIGHTS_RWX))

    return (*adjusting(s, first, large), Case("restored", True, Did.REFUSED, restored, result))


@rule(AREA, Cpu, cite=svsm_spec("SVSM_CORE_PVALIDATE"), enabled=at(Pc.FLUSH))
def flush(s: Svsm, op: Cpu) -> Cases:
    """Make every CPU forget its translations."""
    create = s.cpus.mode.at(op.vcpu) == Mode.CREATE
    pc = pick(create, int(Pc.PROMOTE), int(Pc.RELEASE))

    def flushed() -> Svsm:
        return s.going_to(op.vcpu, pc, hw=s.hw.flushed())

    return (Case("flushed", True, Did.DONE, flushed),)


@rule(AREA, Cpu, cite=apm2("15.36.6"), enabled=at(Pc.RELEASE))
def release(s: Svsm, op: Cpu) -> Cases:
    """Release a block whose validation has been rescinded."""
    first, large = s.block(op.vcpu)
    share = s.cpus.mode.at(op.vcpu) == Mode.SHARE

    def released() -> Svsm:
        return changed(s, claimed=s.claimed.with_block(first, large, False))

    return (
        Case("to_be_shared", share, Did.DONE, lambda: released().going_to(op.vcpu, Pc.ASK_SHARED)),
        Case("released", True, Did.DONE, lambda: effective(released(), op.vcpu)),
    )


@rule(AREA, Cpu, cite=svsm_spec("SVSM_CORE_PVALIDATE"), enabled=at(Pc.FINISH))
def finish(s: Svsm, op: Cpu) -> Cases:
    """Unlock a block; `next` goes on where its entry has had its effect."""
    first, large = s.block(op.vcpu)
    mode, result = s.cpus.mode.at(op.vcpu), s.cpus.result.at(op.vcpu)
    further = plus(s.cpus.next.at(op.vcpu), 1)
    more = below(further, s.cpus.entries.at(op.vcpu))

    def to(pc: Pc, **words: Word) -> Svsm:
        held = s.held.with_block(first, large, False)
        return changed(s, held=held).with_cpu(op.vcpu, pc=pc, **words)

    return (
        Case("reboots", mode == Mode.REBOOT, Did.DONE, lambda: to(Pc.REBOOT)),
        Case("by_itself", mode != Mode.GUEST, Did.DONE, lambda: to(Pc.IDLE, rax=result), result),
        Case("refused", result != Result.SUCCESS, Did.DONE, lambda: to(Pc.ANSWER)),
        Case("more", more, Did.DONE, lambda: to(Pc.READ, next=further)),
        Case("last", True, Did.DONE, lambda: to(Pc.ANSWER, next=further)),
    )


@rule(AREA, Cpu, cite=svsm_spec("SVSM_CORE_PVALIDATE"), enabled=at(Pc.ANSWER))
def answer(s: Svsm, op: Cpu) -> Cases:
    """Write the header back and answer; where its page is gone meanwhile, say so."""
    block = shift_right(s.cpus.block.at(op.vcpu), PAGE_SHIFT)
    result = s.cpus.result.at(op.vcpu)
    gone = any_of(negate(s.claimed.has(block)), s.held.has(block), s.vmsas.has(block))

    def to(rax: Word) -> Svsm:
        return s.with_cpu(op.vcpu, pc=Pc.IDLE, rax=rax)

    bad = Result.INVALID_ADDRESS
    return (
        Case("gone", gone, Did.REFUSED, lambda: to(bad), bad),
        *access(s, block, False),
        Case("answered", True, Did.DONE, lambda: to(result), result),
    )


RULES = (
    call,
    entry,
    claim,
    validate,
    fill,
    grant,
    check,
    revoke,
    rescind,
    restore,
    flush,
    release,
    finish,
    answer,
)
