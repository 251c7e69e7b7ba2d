"""Page visibility: the SVSM's own GHCB pages, shared with the host and private again.

To be shared, a page is first rescinded and released, then the host is asked. To be private, the
host is asked first, then the page is claimed and validated. What the host answers is a word; what
it does is its own affair, and no step believes it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from spec.rule import Case, Cases, changed, rule
from spec.sources import coconut, decision
from spec.terms import Bool, Count, Gpa, all_of, below, bits_and, minus, negate, pick, shift_right
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
    """What the host leaves behind when it is asked to change the state of one page.

    info2: SW_EXITINFO2. header: the 8 bytes that begin the buffer: the entry that it has come to
    [15:0], the last one [31:16], reserved [63:32]. msr: the response of the MSR protocol.
    """

    vcpu: Count
    info2: Count
    header: Count
    msr: Count


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


MSR_RESPONSE = 0x015
"""The response to a page-state change by the MSR protocol, in [11:0]; the error is in [63:32]."""
DONE_HEADER = 1
"""The header of a request with one entry, when the host has gone through it."""


def believed(s: Svsm, op: Told, refused: Callable[[], Svsm]) -> Cases:
    """What makes the host's answer no success, and what makes it ask for another round."""
    ghcb, rounds = negate(s.policy.by_msr), s.cpus.rounds.at(op.vcpu)
    garbled = all_of(s.policy.by_msr, bits_and(op.msr, 0xFFFF_FFFF) != MSR_RESPONSE)
    error = pick(s.policy.by_msr, shift_right(op.msr, 32) != 0, op.info2 != 0)
    result = Result.INVALID_REQUEST
    waiting = all_of(ghcb, op.header == 0)

    def again() -> Svsm:
        return s.with_cpu(op.vcpu, rounds=minus(rounds, 1))

    def no(name: str, when: Bool) -> Case:
        return Case(name, when, Did.REFUSED, refused, result)

    return (
        no("garbled", garbled),
        no("host_refuses", error),
        no("header_changed", all_of(ghcb, shift_right(op.header, 16) != 0)),
        no("past_the_end", all_of(ghcb, below(DONE_HEADER, op.header))),
        no("no_progress", all_of(waiting, rounds == 0)),
        Case("not_yet", waiting, Did.DONE, again),
    )


@rule(AREA, Told, cite=decision("0012-visibility"), enabled=at(Pc.ASK_SHARED))
def ask_shared(s: Svsm, op: Told) -> Cases:
    """Ask the host to share a page; it counts as shared whatever the host answers."""
    first, _ = s.block(op.vcpu)
    shared = s.shared.with_block(first, False, True)

    def ended(result: Result) -> Svsm:
        return s.ending(op.vcpu, result, shared=shared)

    return (
        *believed(s, op, lambda: ended(Result.INVALID_REQUEST)),
        Case("asked", True, Did.DONE, lambda: ended(Result.SUCCESS)),
    )


@rule(AREA, Told, cite=decision("0012-visibility"), enabled=at(Pc.ASK_PRIVATE))
def ask_private(s: Svsm, op: Told) -> Cases:
    """Ask the host to make a page private; only then is it claimed and validated."""
    first, _ = s.block(op.vcpu)
    shared = pick(s.cpus.mode.at(op.vcpu) == Mode.UNSHARE, False, s.shared.has(first))

    def asked() -> Svsm:
        made = changed(s, shared=s.shared.with_block(first, False, shared))
        return made.going_to(op.vcpu, Pc.CLAIM)

    return (
        *believed(s, op, lambda: s.ending(op.vcpu, Result.INVALID_REQUEST)),
        Case("asked", True, Did.DONE, asked),
    )


RULES = (share, unshare, ask_shared, ask_private)
