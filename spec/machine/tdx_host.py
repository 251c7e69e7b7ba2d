"""What the host and the guest do by themselves on TDX, between any two steps of the SVSM.

The host adds pages, takes them away and splits them; it can neither write them nor lead a frame to
another's. The guest uses what its L2 VM has rights to, also through translations that a CPU
remembers; the module lets none outlive the page.
"""

from dataclasses import dataclass
from typing import Any

from spec.machine.host import always
from spec.machine.snp import Contents
from spec.machine.tdx import Tdx
from spec.rule import Case, Cases, changed, rule
from spec.sources import tdx_module
from spec.tables import block_pages
from spec.terms import Count, Flag, all_of, bits_and, minus, negate, pick
from spec.validation.svsm import Did, Stage, access, during, hits

AREA = "validation.host"


@dataclass(frozen=True)
class Leaf:
    """A frame, or the 512 of a 2 MiB leaf from it on."""

    gfn: Count
    large: Flag


@dataclass(frozen=True)
class AtGfn:
    """A frame."""

    gfn: Count


def with_hw(s: Any, hw: Tdx) -> Any:
    """The state on a changed machine."""
    return changed(s, hw=hw)


@rule(AREA, Leaf, cite=tdx_module("TDH.MEM.PAGE.AUG"), enabled=always)
def page_aug(s: Any, op: Leaf) -> Cases:
    """Add a page where there is none; it is pending."""
    m = s.hw
    misaligned = bits_and(op.gfn, minus(block_pages(op.large), 1)) != 0

    def added() -> Any:
        stale = m.contents.with_block(op.gfn, op.large, int(Contents.STALE))
        return with_hw(
            s,
            changed(
                m,
                present=m.present.with_block(op.gfn, op.large, True),
                large=m.large.with_block(op.gfn, op.large, op.large),
                contents=stale,
            ),
        )

    return (
        Case("misaligned", misaligned, Did.REFUSED, s),
        Case("present", hits(m.present, op.gfn, op.large), Did.REFUSED, s),
        Case("added", True, Did.DONE, added),
    )


@rule(AREA, Leaf, cite=tdx_module("TDH.MEM.PAGE.REMOVE"), enabled=always)
def page_remove(s: Any, op: Leaf) -> Cases:
    """Block a leaf and take its page away, and what was in it."""
    m = s.hw
    misaligned = bits_and(op.gfn, minus(block_pages(op.large), 1)) != 0
    another_size = all_of(negate(op.large), m.large.has(op.gfn))
    smaller = all_of(op.large, negate(m.large.has(op.gfn)))

    def removed() -> Any:
        gone = ("present", "large", "accepted", "tlb")
        sets = {name: getattr(m, name).with_block(op.gfn, op.large, False) for name in gone}
        return with_hw(s, changed(m, rights=m.rights.with_block(op.gfn, op.large, 0), **sets))

    return (
        Case("misaligned", misaligned, Did.REFUSED, s),
        Case("absent", negate(m.present.has(op.gfn)), Did.REFUSED, s),
        Case("smaller", smaller, Did.REFUSED, s),
        Case("larger", another_size, Did.REFUSED, s),
        Case("removed", True, Did.DONE, removed),
    )


@rule(AREA, AtGfn, cite=tdx_module("TDH.MEM.PAGE.DEMOTE"), enabled=always)
def page_demote(s: Any, op: AtGfn) -> Cases:
    """Split a 2 MiB leaf into 512 that say the same."""
    large = s.hw.large
    return (
        Case("misaligned", bits_and(op.gfn, 511) != 0, Did.REFUSED, s),
        Case("not_large", negate(large.has(op.gfn)), Did.REFUSED, s),
        Case(
            "demoted",
            True,
            Did.DONE,
            lambda: with_hw(s, changed(s.hw, large=large.with_block(op.gfn, True, False))),
        ),
    )


@rule(AREA, AtGfn, cite=tdx_module("L2 VM page attributes"), enabled=during(Stage.RUNNING))
def guest_access(s: Any, op: AtGfn) -> Cases:
    """Let the guest come to a frame that its L2 VM has rights to; a CPU remembers the way."""
    allowed = all_of(s.hw.reaches(op.gfn, False), s.hw.rights.at(op.gfn) != 0)

    def remembered() -> Any:
        return with_hw(s, changed(s.hw, tlb=s.hw.tlb.with_block(op.gfn, False, True)))

    return (
        Case("denied", negate(allowed), Did.REFUSED, s),
        Case("allowed", True, Did.DONE, remembered),
    )


@rule(AREA, AtGfn, cite=tdx_module("L2 VM page attributes"), enabled=during(Stage.RUNNING))
def guest_write(s: Any, op: AtGfn) -> Cases:
    """Let the guest write to a page that a CPU remembers the way to."""

    def written() -> Any:
        made = s.hw.filled(op.gfn, False, int(Contents.GUEST))
        # What comes in by a translation that outlives the rights is nobody's.
        its_own = pick(made.rights.at(op.gfn) != 0, True, made.kept.has(op.gfn))
        return with_hw(s, changed(made, kept=made.kept.with_block(op.gfn, False, its_own)))

    return (
        Case("forgotten", negate(s.hw.tlb.has(op.gfn)), Did.REFUSED, s),
        Case("written", True, Did.DONE, written),
    )


@rule(
    AREA,
    AtGfn,
    cite=tdx_module("TDG.MEM.PAGE.ACCEPT"),
    enabled=during(Stage.COLD, Stage.RUNNING),
)
def svsm_write(s: Any, op: AtGfn) -> Cases:
    """Let the SVSM keep a secret in a page of its own."""
    mine = all_of(s.layout.own.has(op.gfn), s.claimed.has(op.gfn), negate(s.held.has(op.gfn)))
    secret = int(Contents.SECRET)
    return (
        Case("not_its_own", negate(mine), Did.REFUSED, s),
        *access(s, op.gfn, False),
        Case("written", True, Did.DONE, lambda: with_hw(s, s.hw.filled(op.gfn, False, secret))),
    )


RULES = (page_aug, page_remove, page_demote, guest_access, guest_write, svsm_write)
