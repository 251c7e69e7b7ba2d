"""Page visibility on TDX: the host is asked by MapGPA, for one page at a time.

What it answers is two words: a status, and where it has got to; neither is believed in anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spec.rule import Case, Cases, changed, rule
from spec.sources import ghci
from spec.terms import Count, all_of, minus, pick, shift_left
from spec.validation.svsm import Did, Mode, Pc, Result, at
from spec.validation.visibility import PAGE_SHIFT

AREA = "validation.visibility"
DONE, RETRY = 0, 1
"""R10 of TDG.VP.VMCALL<MapGPA>."""


@dataclass(frozen=True)
class Mapped:
    """What the host answers to MapGPA: R10, a status, and R11, where to go on from, in bytes."""

    vcpu: Count
    r10: Count
    r11: Count


def believed(s: Any, op: Mapped, refused: Callable[[], Any]) -> Cases:
    """What makes the host's answer no success, and what makes it ask for another round."""
    rounds = s.cpus.rounds.at(op.vcpu)
    first, _ = s.block(op.vcpu)
    retry = op.r10 == RETRY
    result = Result.INVALID_REQUEST

    def again() -> Any:
        return s.with_cpu(op.vcpu, rounds=minus(rounds, 1))

    def no(name: str, when: Any) -> Case:
        return Case(name, when, Did.REFUSED, refused, result)

    return (
        no("outside", all_of(retry, op.r11 != shift_left(first, PAGE_SHIFT))),
        no("no_progress", all_of(retry, rounds == 0)),
        Case("not_yet", retry, Did.DONE, again),
        no("host_refuses", op.r10 != DONE),
    )


@rule(AREA, Mapped, cite=ghci("TDG.VP.VMCALL<MapGPA>"), enabled=at(Pc.ASK_SHARED))
def ask_shared(s: Any, op: Mapped) -> Cases:
    """Ask the host to share a page; it counts as shared whatever the host answers."""
    first, _ = s.block(op.vcpu)
    shared = s.shared.with_block(first, False, True)

    def ended(result: Result) -> Any:
        return s.ending(op.vcpu, result, shared=shared)

    return (
        *believed(s, op, lambda: ended(Result.INVALID_REQUEST)),
        Case("asked", True, Did.DONE, lambda: ended(Result.SUCCESS)),
    )


@rule(AREA, Mapped, cite=ghci("TDG.VP.VMCALL<MapGPA>"), enabled=at(Pc.ASK_PRIVATE))
def ask_private(s: Any, op: Mapped) -> Cases:
    """Ask the host to make a page private; only then is it claimed and accepted."""
    first, _ = s.block(op.vcpu)
    shared = pick(s.cpus.mode.at(op.vcpu) == Mode.UNSHARE, False, s.shared.has(first))

    def asked() -> Any:
        made = changed(s, shared=s.shared.with_block(first, False, shared))
        return made.going_to(op.vcpu, Pc.CLAIM)

    return (
        *believed(s, op, lambda: s.ending(op.vcpu, Result.INVALID_REQUEST)),
        Case("asked", True, Did.DONE, asked),
    )


RULES = (ask_shared, ask_private)
