"""Reboot: the guest's vCPUs are stopped and every page of it is given up, as if it had never run.

It can begin in whatever the guest is doing, as soon as nobody works on a page. VMSAs go first.
Then each claimed page of the guest is revoked, rescinded and released by the same steps as a
guest's own request; a page whose rescission fails stays claimed, and the SVSM stops. At the end
every CPU forgets its translations, and what follows is a cold start.
"""

from dataclasses import dataclass

from spec.rule import Case, Cases, changed, rule
from spec.sources import decision
from spec.terms import Count, all_of, negate
from spec.validation.svsm import (
    Cpu,
    Did,
    Mode,
    Pc,
    Result,
    Stage,
    Svsm,
    at,
    idle,
    locked,
)

AREA = "validation.reboot"
CITE = decision("0013-reboot")


@dataclass(frozen=True)
class Frame:
    """A frame that the vCPU takes next, by GFN."""

    vcpu: Count
    gfn: Count


@rule(AREA, Cpu, cite=CITE, enabled=idle(Stage.RUNNING))
def reboot(s: Svsm, op: Cpu) -> Cases:
    """Stop the guest's vCPUs, whatever they were about to ask."""

    def stopped() -> Svsm:
        cpus = changed(s.cpus, pc=s.cpus.pc.filled(Pc.IDLE).put(op.vcpu, Pc.REBOOT))
        return changed(s, cpus=cpus, stage=Stage.REBOOTING)

    return (
        Case(
            "busy",
            negate(s.held.is_empty()),
            Did.REFUSED,
            lambda: s.with_cpu(op.vcpu, rax=Result.BUSY),
            Result.BUSY,
        ),
        Case("stopped", True, Did.DONE, stopped),
    )


@rule(AREA, Frame, cite=CITE, enabled=at(Pc.REBOOT))
def reboot_vmsa(s: Svsm, op: Frame) -> Cases:
    """Take on a VMSA, which is to be one no longer."""
    return (
        Case("not_registered", negate(s.vmsas.has(op.gfn)), Did.REFUSED, s),
        Case(
            "locked",
            True,
            Did.DONE,
            lambda: locked(s, op.vcpu, op.gfn, False, Mode.REBOOT, Pc.DEMOTE),
        ),
    )


@rule(AREA, Frame, cite=CITE, enabled=at(Pc.REBOOT))
def reboot_page(s: Svsm, op: Frame) -> Cases:
    """Take on a claimed page of the guest, which is to be rescinded; VMSAs come first."""
    mine = all_of(s.layout.guest.has(op.gfn), s.claimed.has(op.gfn))
    return (
        Case("vmsa_left", negate(s.vmsas.is_empty()), Did.REFUSED, s),
        Case("not_claimed", negate(mine), Did.REFUSED, s),
        Case(
            "locked",
            True,
            Did.DONE,
            lambda: locked(s, op.vcpu, op.gfn, False, Mode.REBOOT, Pc.REVOKE),
        ),
    )


@rule(AREA, Cpu, cite=CITE, enabled=at(Pc.REBOOT))
def reboot_end(s: Svsm, op: Cpu) -> Cases:
    """Flush, and be as cold as at first, once no page of the guest is claimed."""
    left = s.layout.guest.meet(s.claimed)

    def cold() -> Svsm:
        made = changed(s, hw=s.hw.flushed(), caas=s.caas.emptied(), stage=Stage.COLD)
        return made.going_to(op.vcpu, Pc.IDLE)

    return (
        Case("vmsa_left", negate(s.vmsas.is_empty()), Did.REFUSED, s),
        Case("page_left", negate(left.is_empty()), Did.REFUSED, s),
        Case("cold", True, Did.DONE, cold),
    )


RULES = (reboot, reboot_vmsa, reboot_page, reboot_end)
