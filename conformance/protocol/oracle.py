"""The rules by themselves: a step, and what an SVSM then does in its own memory."""

from collections.abc import Iterator
from typing import Any

from conformance.protocol import machines
from conformance.protocol.world import VCPUS
from spec.rule import Rule, Step, step
from spec.validation import reboot
from spec.validation.svsm import Pc, Svsm

PINNED = (Pc.READ, Pc.ANSWER)
"""Where a device has looked at what a request needs and is about to read or write it."""
MOVES = "validation.host."


def inside(state: Svsm, vcpu: int) -> Iterator[tuple[Rule, Any, Step]]:
    """The steps in the SVSM's own memory that a vCPU takes next, each with what came of it."""
    memory = machines.of(state).inside
    while not state.halted and (own := memory.get(state.pc(vcpu))) is not None:
        found = own(state, vcpu)
        if found is None:
            return
        taken = step(found[0], state, found[1])
        yield *found, taken
        state = taken.state


def can(state: Svsm, rule: Rule, op: Any) -> bool:
    """Whether a step can be taken, and a device be held to it.

    What a device looks at and what it then reads it takes in one go, so no other vCPU comes in
    between; and at a reboot it takes frames in their order.
    """
    if rule.enabled is not None and not rule.enabled(state, op):
        return False
    if rule.id.startswith(MOVES):
        return True
    vcpu = getattr(op, "vcpu", None)
    if any(other != vcpu and state.pc(other) in PINNED for other in VCPUS):
        return False
    if rule.id == reboot.reboot_vmsa.id and state.vmsas.has(op.gfn):
        return bool(op.gfn == state.vmsas.bounds[0])
    if rule.id == reboot.reboot_page.id and state.claimed.has(op.gfn):
        left = state.layout.guest.meet(state.claimed).bounds
        return not left or not state.layout.guest.has(op.gfn) or op.gfn == left[0]
    return True


def told_of(start: Svsm, steps: Any) -> Iterator[tuple[Rule, Any, Svsm, Step]]:
    """Every step from a start, those in the SVSM's own memory among them, with what was before."""
    state = start
    for rule, op in steps:
        taken = step(rule, state, op)
        yield rule, op, state, taken
        state = taken.state
        vcpu = getattr(op, "vcpu", None)
        if vcpu is not None and not rule.id.startswith(MOVES):
            for within, cpu, did in inside(state, vcpu):
                yield within, cpu, state, did
                state = did.state
