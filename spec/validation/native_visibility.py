"""Page visibility natively: there is nobody to ask, every page is private and shared at once."""

from typing import Any

from spec.rule import Case, Cases, changed, rule
from spec.sources import decision
from spec.terms import pick
from spec.validation.svsm import Cpu, Did, Mode, Pc, Result, at

AREA = "validation.visibility"


@rule(AREA, Cpu, cite=decision("0028-platforms"), enabled=at(Pc.ASK_SHARED))
def count_shared(s: Any, op: Cpu) -> Cases:
    """Count a page as shared."""
    first, _ = s.block(op.vcpu)
    shared = s.shared.with_block(first, False, True)
    return (
        Case("shared", True, Did.DONE, lambda: s.ending(op.vcpu, Result.SUCCESS, shared=shared)),
    )


@rule(AREA, Cpu, cite=decision("0028-platforms"), enabled=at(Pc.ASK_PRIVATE))
def count_private(s: Any, op: Cpu) -> Cases:
    """Count a page as private, which is then claimed."""
    first, _ = s.block(op.vcpu)
    shared = pick(s.cpus.mode.at(op.vcpu) == Mode.UNSHARE, False, s.shared.has(first))

    def private() -> Any:
        made = changed(s, shared=s.shared.with_block(first, False, shared))
        return made.going_to(op.vcpu, Pc.CLAIM)

    return (Case("private", True, Did.DONE, private),)


RULES = (count_shared, count_private)
