"""What the host and the guest do by themselves, between any two steps of the SVSM.

The host moves nested tables, assigns pages and takes them away, smashes, writes what is not
assigned. The guest uses what it has rights to, also through translations that a CPU remembers.
"""

from dataclasses import dataclass

from spec.machine.snp import Contents, Snp
from spec.rule import Case, Cases, changed, rule
from spec.sources import apm2, apm3
from spec.tables import block_pages
from spec.terms import (
    Bool,
    Count,
    Flag,
    Word,
    all_of,
    any_of,
    bits_and,
    bits_not,
    minus,
    negate,
)
from spec.validation.svsm import Did, Stage, Svsm, access, during, hits

AREA = "validation.host"


@dataclass(frozen=True)
class Rmpupdate:
    """A page by SPN, and what its RMP entry is to say."""

    spn: Count
    assigned: Flag
    gfn: Count
    large: Flag


@dataclass(frozen=True)
class AtSpn:
    """A page by SPN."""

    spn: Count


@dataclass(frozen=True)
class Remap:
    """A block of frames, and the pages that the nested table is to lead to."""

    gfn: Count
    spn: Count
    large: Flag


@dataclass(frozen=True)
class AtGfn:
    """A frame."""

    gfn: Count


@dataclass(frozen=True)
class Delegate:
    """A frame, and the rights that VMPL3 is to have."""

    gfn: Count
    rights: Count


def always(s: Svsm, _op: object) -> Bool:
    """The host can do what it likes, when it likes."""
    return any_of(True, s.halted)


@rule(AREA, Rmpupdate, cite=apm3("RMPUPDATE"), enabled=always)
def rmpupdate(s: Svsm, op: Rmpupdate) -> Cases:
    """Assign a page to the guest for a frame, or take it away; it is not validated then."""
    m = s.hw
    part = minus(block_pages(op.large), 1)
    misaligned = any_of(bits_and(op.spn, part) != 0, bits_and(op.gfn, part) != 0)
    smaller = all_of(op.large, negate(m.large.has(op.spn)), hits(m.assigned, op.spn, op.large))
    larger = all_of(negate(op.large), m.large.has(op.spn))

    def updated() -> Svsm:
        hw = changed(
            m,
            assigned=m.assigned.with_block(op.spn, op.large, op.assigned),
            gfn=m.gfn.with_block(op.spn, op.large, op.gfn, counting=True),
            large=m.large.with_block(op.spn, op.large, all_of(op.large, op.assigned)),
            validated=m.validated.with_block(op.spn, op.large, False),
            vmsa=m.vmsa.with_block(op.spn, op.large, False),
            tlb=m.tlb.with_block(op.spn, op.large, False),
        )
        return changed(s, hw=hw.with_rights(op.spn, op.large, 0))

    return (
        Case("misaligned", misaligned, Did.REFUSED, s),
        Case("overlap", any_of(smaller, larger), Did.REFUSED, s),
        Case("assigned", op.assigned, Did.DONE, updated),
        Case("taken_away", True, Did.DONE, updated),
    )


@rule(AREA, AtSpn, cite=apm3("PSMASH"), enabled=always)
def psmash(s: Svsm, op: AtSpn) -> Cases:
    """Make a 2 MiB entry 512 entries of 4 KiB that say the same."""
    large = s.hw.large
    return (
        Case("misaligned", bits_and(op.spn, 511) != 0, Did.REFUSED, s),
        Case("not_large", negate(large.has(op.spn)), Did.REFUSED, s),
        Case(
            "smashed",
            True,
            Did.DONE,
            lambda: changed(s, hw=changed(s.hw, large=large.with_block(op.spn, True, False))),
        ),
    )


@rule(AREA, Remap, cite=apm2("15.25"), enabled=always)
def remap(s: Svsm, op: Remap) -> Cases:
    """Lead a frame, or the 512 of a block, to other pages."""
    part = minus(block_pages(op.large), 1)
    misaligned = any_of(bits_and(op.spn, part) != 0, bits_and(op.gfn, part) != 0)

    def led() -> Svsm:
        npt = s.hw.npt.with_block(op.gfn, op.large, op.spn, counting=True)
        return changed(s, hw=changed(s.hw, npt=npt))

    return (Case("misaligned", misaligned, Did.REFUSED, s), Case("led", True, Did.DONE, led))


def holding(s: Svsm, spn: Word, contents: Contents) -> Svsm:
    """The state in which a page holds something else."""
    made = s.hw.contents.with_block(spn, False, int(contents))
    return changed(s, hw=changed(s.hw, contents=made))


@rule(AREA, AtSpn, cite=apm2("15.36.10"), enabled=always)
def host_write(s: Svsm, op: AtSpn) -> Cases:
    """Write to a page from the host, which the RMP allows where it is not assigned."""
    return (
        Case("assigned", s.hw.assigned.has(op.spn), Did.REFUSED, s),
        Case("written", True, Did.DONE, lambda: holding(s, op.spn, Contents.STALE)),
    )


def remembered(m: Snp, spn: Word) -> Snp:
    """The machine in which a CPU remembers how it came to a page."""
    return changed(m, tlb=m.tlb.with_block(spn, False, True))


@rule(AREA, AtGfn, cite=apm2("15.36.10"), enabled=during(Stage.RUNNING))
def guest_access(s: Svsm, op: AtGfn) -> Cases:
    """Let the guest come to a frame that it has rights to; a CPU remembers the way."""
    spn = s.hw.npt.at(op.gfn)
    allowed = all_of(s.hw.reaches(op.gfn, False), s.hw.weak_rights(spn) != 0)
    return (
        Case("denied", negate(allowed), Did.REFUSED, s),
        Case("allowed", True, Did.DONE, lambda: changed(s, hw=remembered(s.hw, spn))),
    )


@rule(AREA, AtSpn, cite=apm2("15.36.10"), enabled=during(Stage.RUNNING))
def guest_write(s: Svsm, op: AtSpn) -> Cases:
    """Let the guest write to a page that a CPU remembers the way to."""
    return (
        Case("forgotten", negate(s.hw.tlb.has(op.spn)), Did.REFUSED, s),
        Case("written", True, Did.DONE, lambda: holding(s, op.spn, Contents.GUEST)),
    )


@rule(AREA, Delegate, cite=apm3("RMPADJUST"), enabled=during(Stage.RUNNING))
def guest_delegate(s: Svsm, op: Delegate) -> Cases:
    """Let the guest pass rights that it has on to VMPL3."""
    spn = s.hw.npt.at(op.gfn)
    lacks = bits_and(op.rights, bits_not(s.hw.rights.at(spn))) != 0
    return (
        Case("denied", negate(s.hw.reaches(op.gfn, False)), Did.REFUSED, s),
        Case("lacks", lacks, Did.REFUSED, s),
        Case(
            "delegated",
            True,
            Did.DONE,
            lambda: changed(
                s,
                hw=changed(s.hw, lesser_rights=s.hw.lesser_rights.put(spn, op.rights)),
            ),
        ),
    )


@rule(AREA, AtGfn, cite=apm2("15.36.10"), enabled=during(Stage.COLD, Stage.RUNNING))
def svsm_write(s: Svsm, op: AtGfn) -> Cases:
    """Let the SVSM keep a secret in a page of its own."""
    mine = all_of(s.layout.own.has(op.gfn), s.claimed.has(op.gfn), negate(s.held.has(op.gfn)))
    spn = s.hw.npt.at(op.gfn)
    return (
        Case("not_its_own", negate(mine), Did.REFUSED, s),
        *access(s, op.gfn, False),
        Case("written", True, Did.DONE, lambda: holding(s, spn, Contents.SECRET)),
    )


RULES = (
    rmpupdate,
    psmash,
    remap,
    host_write,
    guest_access,
    guest_write,
    guest_delegate,
    svsm_write,
)
