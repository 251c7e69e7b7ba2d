"""Foreign handoffs and foreign MMIO: libraries beside the rules, in a process of their own."""

from collections import Counter

import pytest
from traces import FEW

from conformance.adapters import found
from conformance.areas import area_of
from conformance.device import DeviceError
from conformance.handoff.doors import vectors
from conformance.handoff.judge import judge
from conformance.handoff.walk import batch
from conformance.mmio.judge import run
from conformance.mmio.vectors import kept, ways
from conformance.mmio.walk import walk


def of_stages(spec, names=("read", "size")):
    """What becomes of the vectors of some stages: the findings, and the cases reached."""
    device, reached = found.handoff(spec), Counter()
    device.link.limits = FEW
    asked = [door.call for door in vectors() if type(door.call).__name__.lower() in names]
    findings = [judge(call, device, reached) for call in asked]
    more = batch(device, names, 1, 100, small=False)
    device.link.end()
    return [f for f in findings if f] + [f for _, f in more.parted], reached


def test_stages_of_a_library_agree_with_the_rules_by_its_own_codes(compiled):
    findings, reached = of_stages(f"c:{compiled('stages.c')}")
    assert findings == []
    assert len([key for key in reached if key[0] in ("handoff.read", "handoff.size")]) == 16


@pytest.mark.parametrize(
    ("macros", "field", "says"),
    [
        ({"NO_OVERLAPS": 1}, "fault", "answered the code -6, which is no outcome"),
        ({"WRONG": "if(type==3)type=0"}, "entries", "[0x"),
        ({"WRONG": "if(type==3)return 99"}, "fault", "answered the code 99"),
    ],
)
def test_what_a_stage_gets_wrong_is_found(compiled, macros, field, says):
    findings, _ = of_stages(f"c:{compiled('stages.c', **macros)}")
    assert any(f.field == field and says in f.got for f in findings)


def test_a_stage_that_dies_is_a_verdict(compiled):
    device = found.handoff(f"c:{compiled('stages.c', WRONG='if(flags)abort()')}")
    door = next(d for d in vectors() if d.rule == "handoff.read" and d.case == "nonzero_reserved")
    finding = judge(door.call, device, Counter())
    assert (finding.field, finding.got) == ("fault", "died of SIGABRT")
    assert device.asked(next(d.call for d in vectors() if d.rule == "handoff.size"))
    device.link.end()


def of_registers(spec, walks=40):
    device, reached = found.mmio(spec), Counter()
    device.link.limits = FEW
    parted = [run(device, one.calls, reached) for one in (*ways(), *kept())]
    parted += [walk(device, seed, reached) for seed in range(walks)]
    device.link.end()
    return [p for p in parted if p], reached


def test_registers_of_a_library_agree_with_the_rules(compiled):
    parted, reached = of_registers(f"c:{compiled('registers.c')}")
    assert parted == []
    assert len(reached) > 60


def test_an_access_of_another_width_is_found(compiled):
    parted, _ = of_registers(f"c:{compiled('registers.c', **{'WIDTH(n)': '(n == 8 ? 4 : n)'})}", 0)
    assert {p.field for p in parted} <= {"width", "answer"}
    assert any((p.field, p.expected, p.got) == ("width", "0x8", "0x4") for p in parted)


def test_a_death_between_two_accesses_is_a_verdict_and_the_next_call_begins_again(compiled):
    device = found.mmio(f"c:{compiled('registers.c', DEED='abort()')}")
    asked = [w for w in ways() if w.calls[-1].rule.name in ("attach", "write_u32")][:20]
    parted = [run(device, one.calls, Counter()) for one in asked]
    assert any(p and (p.field, p.got) == ("fault", "DeviceFault: died of SIGABRT") for p in parted)
    assert None in parted
    device.link.end()


def test_a_device_is_of_the_area_whose_rules_it_claims(compiled):
    assert area_of(f"c:{compiled('stages.c')}").id == "handoff"
    assert area_of(f"c:{compiled('registers.c')}").id == "mmio"
    assert area_of(f"c:{compiled('flat.c')}") is None
    with pytest.raises(DeviceError, match="claims no rule of mmio"):
        found.specs(f"c:{compiled('flat.c')}#mmio")
    with pytest.raises(DeviceError, match="behind it comes nothing or one of #bitmap"):
        found.specs(f"c:{compiled('flat.c')}#x")
    with pytest.raises(DeviceError, match="claims rules of bitmap and none of handoff"):
        found.handoff(f"c:{compiled('flat.c')}")
