"""Slots: one device's registers each, with a mapping of their own, used by a transport or not.

A device need not begin at a page, and two may be in one. The transport is dropped before the
mapping, because dropping it still writes to the device.
"""

from dataclasses import dataclass
from typing import Any

from spec.mmio.access import AREA, met, no
from spec.mmio.state import Answer, Mmio, is_past
from spec.mmio.wire import IN_PAGE, Backend, Transaction
from spec.rule import Case, Cases, changed, rule
from spec.sources import coconut, coconut_pull
from spec.terms import (
    Bool,
    Count,
    Gpa,
    Word,
    all_of,
    any_of,
    below,
    bits_and,
    bits_not,
    minus,
    negate,
    pick,
    plus,
    shift_right,
)

CONTROL_BYTES = 0x100
"""What the control registers of a virtio device take; the configuration space is behind them."""
STATUS = 0x70
"""Offset of the Status register: writing 0 resets the device."""
PAGE_SHIFT = 12


@dataclass(frozen=True)
class Open:
    """A slot and the device's bytes. home: where the page tables put the mapping; 0: nowhere."""

    slot: Count
    gpa: Gpa
    size: Count
    home: Gpa


@dataclass(frozen=True)
class Slot:
    """A slot."""

    slot: Count


@dataclass(frozen=True)
class Detach:
    """A slot, and the host's two words on the write that resets the device; see `Write`."""

    slot: Count
    failed: Count
    status: Count


def first_page(gpa: Word) -> Word:
    """The address of the page that holds a byte."""
    return bits_and(gpa, bits_not(IN_PAGE))


def mapped(s: Mmio, op: Open) -> Word:
    """Where the pages end that hold some byte of a device; 0 where none is mapped."""
    stop = first_page(plus(plus(op.gpa, op.size), IN_PAGE))
    return pick(s.machine.backend == Backend.NATIVE, stop, 0)


def pages(s: Mmio, op: Open) -> Word:
    """How many pages `open` maps."""
    count = shift_right(minus(mapped(s, op), first_page(op.gpa)), PAGE_SHIFT)
    return pick(s.machine.backend == Backend.NATIVE, count, 0)


def is_mapping(s: Mmio, op: Open) -> Bool:
    """Page tables answer nothing, or the address of a page from which on the pages are there."""
    aligned = bits_and(op.home, IN_PAGE) == 0
    sized = minus(mapped(s, op), first_page(op.gpa))
    fits = any_of(op.home == 0, all_of(aligned, below(sized, minus(0, op.home))))
    # What is mapped nowhere was not asked for: SNP and TDX.
    return pick(s.machine.backend == Backend.NATIVE, fits, op.home == 0)


@rule(AREA, Open, cite=coconut_pull(1167), enabled=is_mapping)
def open(s: Mmio, op: Open) -> Cases:
    """Take a device's bytes and map every page that holds one of them."""
    stop = plus(op.gpa, op.size)
    native = s.machine.backend == Backend.NATIVE
    free = s.taken.none(op.gpa, stop)

    def opened() -> Any:
        made = s.with_slot(
            op.slot,
            open=True,
            gpa=op.gpa,
            stop=stop,
            home=op.home,
            mapped=mapped(s, op),
        )
        return changed(made, taken=s.taken.with_range(op.gpa, stop, True))

    return (
        no("already_open", s.slots.open.has(op.slot), Answer.ALREADY_OPEN, s),
        no("empty", op.size == 0, Answer.EMPTY, s),
        no("above_limit", is_past(op.gpa, op.size, s.machine.limit), Answer.ABOVE_LIMIT, s),
        no("overlaps", negate(free), Answer.OVERLAPS, s),
        no("no_mapping", all_of(native, op.home == 0), Answer.NO_MAPPING, s),
        Case("opened", True, Answer.OK, opened, pages(s, op)),
    )


@rule(AREA, Slot, cite=coconut("kernel/src/virtio/mmio.rs"))
def attach(s: Mmio, op: Slot) -> Cases:
    """A transport begins to use a slot that has room for the control registers."""
    odd = bits_and(s.slots.gpa.at(op.slot), 3) != 0
    return (
        no("unmapped", negate(s.slots.open.has(op.slot)), Answer.UNMAPPED, s),
        no("attached", s.slots.attached.has(op.slot), Answer.ATTACHED, s),
        no("outside", below(s.slots.size(op.slot), CONTROL_BYTES), Answer.OUTSIDE, s),
        no("misaligned", odd, Answer.MISALIGNED, s),
        Case("done", True, Answer.OK, lambda: s.with_slot(op.slot, attached=True)),
    )


@rule(AREA, Detach, cite=coconut("kernel/src/virtio/mmio.rs"))
def detach(s: Mmio, op: Detach) -> Cases:
    """The transport is dropped: it resets the device, then is gone, whatever the host answers."""
    reset = Transaction(True, plus(s.slots.gpa.at(op.slot), STATUS), 4, 0)

    def gone(state: Any) -> Any:
        return state.with_slot(op.slot, attached=False)

    return (
        no("unmapped", negate(s.slots.open.has(op.slot)), Answer.UNMAPPED, s),
        no("not_attached", negate(s.slots.attached.has(op.slot)), Answer.NOT_ATTACHED, s),
        *met(s, op, reset, 0, gone),
    )


@rule(AREA, Slot, cite=coconut("kernel/src/virtio/mmio.rs"))
def close(s: Mmio, op: Slot) -> Cases:
    """Give up a slot that no transport uses, and undo its mapping and no other."""
    first = s.slots.gpa.at(op.slot)
    stop = s.slots.stop.at(op.slot)

    def closed() -> Any:
        made = s.with_slot(op.slot, open=False, mapped=0, home=0)
        return changed(made, taken=s.taken.with_range(first, stop, False))

    return (
        no("unmapped", negate(s.slots.open.has(op.slot)), Answer.UNMAPPED, s),
        no("attached", s.slots.attached.has(op.slot), Answer.ATTACHED, s),
        Case("done", True, Answer.OK, closed),
    )


RULES = (open, attach, detach, close)
