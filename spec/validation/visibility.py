"""Page visibility: the SVSM's own GHCB pages, shared with the host and private again.

To be shared, a page is first rescinded and released, then the host is asked. To be private, the
host is asked first, then the page is claimed and validated. What the host answers is a word; what
it does is its own affair, and no step believes it.
"""

from dataclasses import dataclass

from spec.rule import Case, Cases, changed, rule
from spec.sources import coconut, decision
from spec.terms import Count, Gpa, bits_and, negate, pick, shift_right
from spec.validation.svsm import (
    Did,
    Mode,
    Pc,
    Result,
    Stage,
    Svsm,
    at,
    idle,
    is_busy,
    locked,
)

AREA = "validation.visibility"
PAGE_SHIFT = 12


@dataclass(frozen=True)
class Page:
    """The byte address of a page of the SVSM's own."""

    vcpu: Count
    gpa: Gpa


@dataclass(frozen=True)
class Told:
    """What the host answers to a page-state change: 0 where it says that it was done."""

    vcpu: Count
    error: Count


SERVING = (Stage.COLD, Stage.RUNNING, Stage.IMPORTING)


@rule(AREA, Page, cite=coconut("kernel/src/sev/ghcb.rs"), enabled=idle(*SERVING))
def share(s: Svsm, op: Page) -> Cases:
    """Begin to share a page with the host: it is rescinded first."""
    gfn = shift_right(op.gpa, PAGE_SHIFT)
    return (
        Case("misaligned", bits_and(op.gpa, 0xFFF) != 0, Did.REFUSED, s),
        Case("not_a_ghcb", negate(s.layout.ghcbs.has(gfn)), Did.REFUSED, s),
        Case("busy", is_busy(s, gfn, False), Did.REFUSED, s),
        Case("not_claimed", negate(s.claimed.has(gfn)), Did.REFUSED, s),
        Case(
            "locked",
            True,
            Did.DONE,
            lambda: locked(s, op.vcpu, gfn, False, Mode.SHARE, Pc.RESCIND),
        ),
    )


@rule(AREA, Page, cite=coconut("kernel/src/sev/ghcb.rs"), enabled=idle(*SERVING))
def unshare(s: Svsm, op: Page) -> Cases:
    """Begin to make a shared page private: the host is asked first."""
    gfn = shift_right(op.gpa, PAGE_SHIFT)
    return (
        Case("misaligned", bits_and(op.gpa, 0xFFF) != 0, Did.REFUSED, s),
        Case("not_shared", negate(s.shared.has(gfn)), Did.REFUSED, s),
        Case("busy", is_busy(s, gfn, False), Did.REFUSED, s),
        Case(
            "locked",
            True,
            Did.DONE,
            lambda: locked(s, op.vcpu, gfn, False, Mode.UNSHARE, Pc.ASK_PRIVATE),
        ),
    )


@rule(AREA, Told, cite=decision("0012-visibility"), enabled=at(Pc.ASK_SHARED))
def ask_shared(s: Svsm, op: Told) -> Cases:
    """Ask the host to share a page; it counts as shared whatever the host answers."""
    first, _ = s.block(op.vcpu)
    shared = s.shared.with_block(first, False, True)

    def ended(result: Result) -> Svsm:
        return s.ending(op.vcpu, result, shared=shared)

    refused = Result.INVALID_REQUEST
    return (
        Case("host_refuses", op.error != 0, Did.REFUSED, lambda: ended(refused), refused),
        Case("asked", True, Did.DONE, lambda: ended(Result.SUCCESS)),
    )


@rule(AREA, Told, cite=decision("0012-visibility"), enabled=at(Pc.ASK_PRIVATE))
def ask_private(s: Svsm, op: Told) -> Cases:
    """Ask the host to make a page private; only then is it claimed and validated."""
    first, _ = s.block(op.vcpu)
    refused = Result.INVALID_REQUEST
    shared = pick(s.cpus.mode.at(op.vcpu) == Mode.UNSHARE, False, s.shared.has(first))

    def asked() -> Svsm:
        made = changed(s, shared=s.shared.with_block(first, False, shared))
        return made.going_to(op.vcpu, Pc.CLAIM)

    return (
        Case(
            "host_refuses",
            op.error != 0,
            Did.REFUSED,
            lambda: s.ending(op.vcpu, refused),
            refused,
        ),
        Case("asked", True, Did.DONE, asked),
    )


RULES = (share, unshare, ask_shared, ask_private)
