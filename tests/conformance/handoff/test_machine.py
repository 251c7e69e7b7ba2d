"""The machine on which a region is made ready tells at once what no SVSM may do."""

import pytest

from conformance.device import DeviceFault
from conformance.handoff.calls import Validate
from conformance.handoff.machine import FAIL_INPUT, FAIL_SIZEMISMATCH, Machine

CALL = Validate((512, 1536), True, refused=(1024,), small=(512,), failing=(600,), was=(700,))


def test_it_answers_as_the_call_says():
    machine = Machine(CALL)
    assert machine.make_private(512, large=True)
    assert not machine.make_private(1024, large=True)
    assert not machine.make_private(1030)
    assert machine.pvalidate(512, large=True) == (FAIL_SIZEMISMATCH, False)
    assert machine.pvalidate(512) == (0, False)
    assert machine.pvalidate(600) == (FAIL_INPUT, False)
    assert machine.pvalidate(700) == (0, True)
    machine.zero(512)
    assert machine.done() == ([(512, 1024)], [(512, 513)], [(512, 513)])


def test_a_block_that_was_validated_was_so_whole():
    assert Machine(Validate((512, 1024), False, was=(700,))).pvalidate(512, True) == (0, True)


@pytest.mark.parametrize(
    ("said", "act"),
    [
        ("has been validated before", lambda m: [m.pvalidate(513), m.pvalidate(513)]),
        ("is validated already", lambda m: [m.pvalidate(513), m.make_private(513)]),
        ("is not private yet", lambda m: Machine(CALL).pvalidate(513)),
        ("#VC", lambda m: m.zero(514)),
        ("not at a multiple of 2 MiB", lambda m: m.pvalidate(513, large=True)),
        ("not of the region", lambda m: m.zero(1536)),
        ("not of the region", lambda m: m.make_private(0)),
        ("no page number", lambda m: m.pvalidate("513")),
    ],
)
def test_what_no_svsm_may_do_is_a_fault(said, act):
    machine = Machine(CALL)
    machine.make_private(512, large=True)
    with pytest.raises(DeviceFault, match=said):
        act(machine)


def test_asking_without_end_is_a_fault(monkeypatch):
    monkeypatch.setattr("conformance.handoff.machine.MOST_ASKED", 9)
    machine = Machine(Validate((0, 512), True))
    with pytest.raises(DeviceFault, match="and no end"):
        for _ in range(10):
            machine.make_private(0)
