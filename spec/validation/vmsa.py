"""VMSAs: a page of the guest's becomes the save area of a vCPU, and a page of the guest's again.

A page is registered before anything else is done to it, so that no other call can touch it; its
rights are taken away and forgotten by every CPU before its contents are looked at.
"""

from dataclasses import dataclass

from spec.machine.snp import RIGHTS_RWX
from spec.rule import Case, Cases, changed, rule
from spec.sources import coconut, svsm_spec
from spec.terms import (
    Bool,
    Count,
    Flag,
    Gpa,
    Word,
    all_of,
    any_of,
    bits_and,
    negate,
    pick,
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
    idle,
    is_busy,
    locked,
)

AREA = "validation.vmsa"
PAGE_SHIFT = 12


@dataclass(frozen=True)
class Create:
    """The byte addresses of a VMSA and of its calling area."""

    vcpu: Count
    vmsa: Gpa
    caa: Gpa


@dataclass(frozen=True)
class Checked:
    """Whether the contents of a page make a VMSA that the guest may have."""

    vcpu: Count
    valid: Flag


@dataclass(frozen=True)
class Delete:
    """The byte address of a VMSA."""

    vcpu: Count
    vmsa: Gpa


def not_the_guests(s: Svsm, gfn: Word) -> Bool:
    """A frame is not a claimed frame of the guest's, or is taken for a vCPU."""
    return any_of(
        negate(s.layout.guest.has(gfn)),
        negate(s.claimed.has(gfn)),
        s.vmsas.has(gfn),
        s.caas.has(gfn),
        s.layout.launch_vmsa == gfn,
    )


@rule(AREA, Create, cite=svsm_spec("SVSM_CORE_CREATE_VCPU"), enabled=idle(Stage.RUNNING))
def create(s: Svsm, op: Create) -> Cases:
    """Register a VMSA and its calling area, and lock the VMSA's page."""
    gfn, caa = shift_right(op.vmsa, PAGE_SHIFT), shift_right(op.caa, PAGE_SHIFT)
    unaligned = any_of(bits_and(op.vmsa, 0xFFF) != 0, bits_and(op.caa, 0xFFF) != 0)
    busy = any_of(is_busy(s, gfn, False), s.held.has(caa))

    def no(name: str, when: Bool, result: Result) -> Case:
        after = s.with_cpu(op.vcpu, rax=result)
        return Case(name, when, Did.REFUSED, after, result)

    def registered() -> Svsm:
        made = locked(s, op.vcpu, gfn, False, Mode.CREATE, Pc.REVOKE)
        return changed(
            made,
            vmsas=s.vmsas.with_block(gfn, False, True),
            caas=s.caas.with_block(caa, False, True),
            caa_of=s.caa_of.put(gfn, caa),
        )

    return (
        no("misaligned", unaligned, Result.INVALID_ADDRESS),
        no("not_a_guest_page", not_the_guests(s, gfn), Result.INVALID_ADDRESS),
        no("bad_caa", not_the_guests(s, caa), Result.INVALID_ADDRESS),
        no("overlap", gfn == caa, Result.INVALID_ADDRESS),
        no("busy", busy, Result.BUSY),
        Case("registered", True, Did.DONE, registered),
    )


def unregistered(s: Svsm, gfn: Word) -> Svsm:
    """The state in which a frame is no VMSA, and its calling area none."""
    return changed(
        s,
        vmsas=s.vmsas.with_block(gfn, False, False),
        caas=s.caas.with_block(s.caa_of.at(gfn), False, False),
    )


@rule(AREA, Checked, cite=coconut("kernel/src/protocols/core.rs"), enabled=at(Pc.PROMOTE))
def promote(s: Svsm, op: Checked) -> Cases:
    """Make the page a VMSA, if what the guest left in it may be one."""
    first, _ = s.block(op.vcpu)
    imported = s.cpus.mode.at(op.vcpu) == Mode.IMPORT
    bad = all_of(negate(imported), negate(op.valid))

    def promoted() -> Svsm:
        return s.ending(op.vcpu, Result.SUCCESS, hw=s.hw.with_vmsa(first, True))

    return (
        *access(s, first, False),
        Case(
            "bad_vmsa",
            bad,
            Did.DONE,
            lambda: unregistered(s, first).going_to(op.vcpu, Pc.RESTORE),
        ),
        Case("promoted", True, Did.DONE, promoted),
    )


@rule(AREA, Delete, cite=svsm_spec("SVSM_CORE_DELETE_VCPU"), enabled=idle(Stage.RUNNING))
def delete(s: Svsm, op: Delete) -> Cases:
    """Lock the page of a VMSA that is to be one no longer."""
    gfn = shift_right(op.vmsa, PAGE_SHIFT)

    def no(name: str, when: Bool, result: Result) -> Case:
        after = s.with_cpu(op.vcpu, rax=result)
        return Case(name, when, Did.REFUSED, after, result)

    unaligned = bits_and(op.vmsa, 0xFFF) != 0
    return (
        no("misaligned", unaligned, Result.INVALID_PARAMETER),
        no("not_registered", negate(s.vmsas.has(gfn)), Result.INVALID_PARAMETER),
        no("busy", is_busy(s, gfn, False), Result.BUSY),
        Case(
            "locked",
            True,
            Did.DONE,
            lambda: locked(s, op.vcpu, gfn, False, Mode.DELETE, Pc.DEMOTE),
        ),
    )


@rule(AREA, Cpu, cite=svsm_spec("SVSM_CORE_DELETE_VCPU"), enabled=at(Pc.DEMOTE))
def demote(s: Svsm, op: Cpu) -> Cases:
    """Make a VMSA a page again: the guest's, or at a reboot nobody's."""
    first, _ = s.block(op.vcpu)
    reboot = s.cpus.mode.at(op.vcpu) == Mode.REBOOT
    rights = pick(reboot, 0, RIGHTS_RWX)

    def demoted() -> Svsm:
        hw = s.hw.with_vmsa(first, False).granting(first, False, rights)
        return unregistered(s, first).ending(op.vcpu, Result.SUCCESS, hw=hw)

    return (*adjusting(s, first, False), Case("demoted", True, Did.DONE, demoted))


RULES = (create, promote, delete, demote)
