"""Migration: what is claimed here is claimed there, each page validated once, and nowhere else.

The source stops for good when it hands out its record. The destination takes a stream that bears
the mark it gave out itself, brings its pages in by the same steps as a launch, VMSAs last, and
lets the guest run when no page is missing.
"""

from dataclasses import dataclass

from spec.rule import Case, Cases, changed, rule
from spec.sources import decision
from spec.terms import Count, Gpa, all_of, any_of, bits_and, negate, pick, shift_right
from spec.validation.launch import Nothing
from spec.validation.svsm import (
    Did,
    Mode,
    Pc,
    Stage,
    Svsm,
    during,
    idle,
    is_busy,
    locked,
)

AREA = "validation.migration"
PAGE_SHIFT = 12
CITE = decision("0014-migration")


@dataclass(frozen=True)
class Marked:
    """The mark of a stream."""

    nonce: Count


@dataclass(frozen=True)
class Page:
    """The byte address of a page of a stream."""

    vcpu: Count
    gpa: Gpa


@rule(AREA, Nothing, cite=CITE, enabled=during(Stage.RUNNING))
def export(s: Svsm, _op: Nothing) -> Cases:
    """Hand out the record of the guest's pages, and run no more."""

    def handed_out() -> Svsm:
        stream = s.layout.guest.meet(s.claimed)
        return changed(s, stage=Stage.MOVED, stream=stream, stream_vmsas=stream.meet(s.vmsas))

    return (
        Case("busy", negate(s.held.is_empty()), Did.REFUSED, s),
        Case("handed_out", True, Did.DONE, handed_out),
    )


@rule(AREA, Marked, cite=CITE, enabled=during(Stage.COLD))
def take(s: Svsm, op: Marked) -> Cases:
    """Take a stream: it bears the mark that was asked for, its pages are the guest's."""
    stray = any_of(
        negate(s.stream.minus(s.layout.guest).is_empty()),
        s.stream.has(s.layout.launch_vmsa),
    )
    return (
        Case("replayed", op.nonce != s.nonce, Did.REFUSED, s),
        Case("busy", negate(s.held.is_empty()), Did.REFUSED, s),
        Case(
            "not_empty",
            negate(s.layout.guest.meet(s.claimed).is_empty()),
            Did.REFUSED,
            s,
        ),
        Case("stray", stray, Did.REFUSED, s),
        Case("taken", True, Did.DONE, lambda: changed(s, stage=Stage.IMPORTING)),
    )


@rule(AREA, Page, cite=CITE, enabled=idle(Stage.IMPORTING))
def bring(s: Svsm, op: Page) -> Cases:
    """Begin to bring in a page of the stream; VMSAs come last, and are registered first."""
    gfn = shift_right(op.gpa, PAGE_SHIFT)
    is_vmsa = s.stream_vmsas.has(gfn)
    pages_left = s.stream.minus(s.stream_vmsas).minus(s.claimed)

    def begun() -> Svsm:
        made = locked(s, op.vcpu, gfn, False, Mode.IMPORT, Pc.ASK_PRIVATE)
        marked = pick(is_vmsa, True, s.vmsas.has(gfn))
        return changed(made, vmsas=s.vmsas.with_block(gfn, False, marked))

    return (
        Case("misaligned", bits_and(op.gpa, 0xFFF) != 0, Did.REFUSED, s),
        Case("not_in_stream", negate(s.stream.has(gfn)), Did.REFUSED, s),
        Case("busy", is_busy(s, gfn, False), Did.REFUSED, s),
        Case("already_claimed", s.claimed.has(gfn), Did.REFUSED, s),
        Case("too_early", all_of(is_vmsa, negate(pages_left.is_empty())), Did.REFUSED, s),
        Case("locked", True, Did.DONE, begun),
    )


@rule(AREA, Nothing, cite=CITE, enabled=during(Stage.IMPORTING))
def complete(s: Svsm, _op: Nothing) -> Cases:
    """Let the guest run, once every page of the stream is claimed and nobody works on one."""
    left = s.stream.minus(s.claimed)
    return (
        Case("busy", negate(s.held.is_empty()), Did.REFUSED, s),
        Case("incomplete", negate(left.is_empty()), Did.REFUSED, s),
        Case("complete", True, Did.DONE, lambda: changed(s, stage=Stage.RUNNING)),
    )


RULES = (export, take, bring, complete)
