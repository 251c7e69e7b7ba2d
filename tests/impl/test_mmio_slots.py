"""Slots: what is mapped and when, and that a transport goes before its mapping."""

from __future__ import annotations

import pytest
from machines import GPA, LIMIT, Machine, made, seen

from impl.mmio import Refusal


def test_a_slot_is_opened_in_the_order_of_its_refusals(machine: Machine, backend: str) -> None:
    mmio, native = made(backend, machine), backend in ("native", "bus")
    assert mmio.open(1, GPA + 0x10, 0x20) == (1 if native else 0)
    assert mmio.open(1, 0, 0) == Refusal.ALREADY_OPEN
    assert mmio.open(2, 2**64 - 1, 0) == Refusal.EMPTY
    assert mmio.open(2, LIMIT, 1) == Refusal.ABOVE_LIMIT
    assert mmio.open(2, 2**64 - 1, 2**64 - 1) == Refusal.ABOVE_LIMIT
    for gpa, size in ((GPA, 0x11), (GPA + 0x2F, 1), (GPA + 0x18, 1), (GPA, 0x100)):
        assert mmio.open(2, gpa, size) == Refusal.OVERLAPS
    machine.refuses = True
    # Nothing is mapped where a load or store would not reach the device, so nothing can fail.
    assert mmio.open(2, GPA + 0x30, 0x10) == (Refusal.NO_MAPPING if native else 0)
    machine.refuses = False
    assert mmio.open(4, GPA + 0xFFF, 2) == (2 if native else 0)
    shown = {1: (GPA + 0x10, 0x20, False), 4: (GPA + 0xFFF, 2, False)}
    if not native:
        shown[2] = (GPA + 0x30, 0x10, False)
    assert mmio.slots() == shown
    assert seen(machine) == []


@pytest.mark.parametrize(
    ("within", "size", "pages"),
    [(0, 1, 1), (0, 4096, 1), (0, 4097, 2), (4095, 1, 1), (4095, 2, 2), (1, 4096, 2)],
)
def test_every_page_with_a_byte_of_the_device_is_mapped(within: int, size: int, pages: int) -> None:
    machine = Machine()
    mmio = made("bus", machine)
    assert mmio.open(1, GPA + within, size) == pages
    assert list(machine.mapped.values()) == [(GPA // 4096, pages)]
    assert (mmio.read_u8(1, size - 1), machine.history[0][1]) == (0xFF, GPA + within + size - 1)


def test_what_one_slot_does_leaves_anothers_mapping() -> None:
    machine = Machine([7, 8])
    mmio = made("bus", machine)
    mmio.open(1, GPA, 0x100)
    mmio.open(2, GPA + 0x100, 0x100)
    first, second = machine.mapped
    assert mmio.close(1) == 0
    assert (machine.unmapped, list(machine.mapped)) == ([first], [second])
    assert mmio.read_u32(2, 4) == 7
    assert mmio.read_u32(1, 4) == Refusal.UNMAPPED
    assert mmio.open(1, GPA, 0x100) == 1


def test_a_transport_is_dropped_before_its_mapping(machine: Machine, backend: str) -> None:
    mmio = made(backend, machine)
    mmio.open(1, GPA + 0x200, 0x100)
    mmio.open(2, GPA, 0xFF)
    mmio.open(3, GPA + 0x102, 0xFE)
    assert mmio.attach(2) == Refusal.OUTSIDE
    assert mmio.attach(3) == Refusal.OUTSIDE
    mmio.close(3)
    mmio.open(3, GPA + 0x402, 0x100)
    assert mmio.attach(3) == Refusal.MISALIGNED
    assert mmio.detach(1) == Refusal.NOT_ATTACHED
    assert mmio.attach(1) == 0
    assert mmio.attach(1) == Refusal.ATTACHED
    assert mmio.close(1) == Refusal.ATTACHED
    assert mmio.slots()[1] == (GPA + 0x200, 0x100, True)
    assert seen(machine) == []
    assert mmio.detach(1) == 0
    assert seen(machine) == [(True, GPA + 0x270, 4, 0)]
    assert mmio.detach(1) == Refusal.NOT_ATTACHED
    assert mmio.close(1) == 0
    assert seen(machine) == []
