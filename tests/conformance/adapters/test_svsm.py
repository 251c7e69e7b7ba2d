"""Foreign SVSMs: a program beside the rules, and a library that asks all there is to ask."""

import shlex
import sys
from pathlib import Path

import pytest
from traces import FEW

from conformance.adapters import found
from conformance.areas import area_of
from conformance.device import DeviceError, DeviceFault
from conformance.protocol.device import Ended
from conformance.protocol.judge import Joint
from conformance.protocol.run import maker, run_protocol
from conformance.protocol.walk import walk
from conformance.protocol.world import starts
from conformance.trace import Reached

SPEAKER = Path(__file__).with_name("svsm_speaker.py")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def named(monkeypatch):
    """The name of the program, which does something wrong where it is told what."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return lambda *wrong: f"program:{shlex.join([sys.executable, str(SPEAKER), *wrong])}"


def test_a_program_that_is_an_svsm_keeps_up_with_the_rules(named):
    assert area_of(named()).id == "protocol"
    device, reached = found.svsm(named()), Reached()
    assert [walk(device, seed, reached)[1] for seed in range(6)] == [None] * 6
    assert len(reached) > 50
    device.link.end()


def test_a_wrong_question_is_found_and_made_small(named, tmp_path):
    spec = named("rmpadjust")
    report = run_protocol(maker(spec), ["validation.pvalidate.grant"], 1, 0, tmp_path)
    assert report.verdict == "DIVERGES"
    finding = report.differences[0].finding
    assert finding.field == "operation"
    assert "'Rmpadjust'" in finding.expected
    assert "'Rmpadjust'" in finding.got
    assert report.differences[0].steps < 10


def test_a_death_in_a_call_is_a_verdict(named):
    device = found.svsm(named("fill"))
    failures = [walk(device, seed, Reached())[1] for seed in range(8)]
    assert any(f and f.field == "fault" and "exit code 3" in f.got for f in failures)
    device.link.end()


def test_an_svsm_is_claimed_whole(named):
    with pytest.raises(DeviceError, match=r"not validation\.pvalidate\.call; an SVSM is run whole"):
        found.specs(named("part"))


# A library


def asks(compiled, **macros):
    claims = ", ".join(f'"{i}"' for i in sorted(found.needed_by("protocol")))
    device = found.svsm(f"c:{compiled('asks.c', CLAIMS=claims, **{'BRING': 'one', **macros})}")
    device.link.limits = FEW
    device.reset(starts("")[1])
    return device


ALL = [
    (("Read", 0x1000, 8), b"\x05zzzzzzz"),
    (("Fill", 16, True, 2), None),
    (("Flush",), None),
    (("Pvalidate", 17, False, True), (6, True)),
    (("Rmpadjust", 18, True, 15, False), 10),
    (("Promote", 19, True), True),
    (("Demote", 20, 3), None),
    (("PageState", 21, True), (100, bytes(7) + b"\x07")),
    (("PageStateMsr", 22, False), 0x1000),
    (("Write", 0x1000, b"12345678"), None),
]


def pending(device, vcpu):
    there = device.pending[vcpu]
    return (type(there).__name__, *there) if isinstance(there, tuple) else there


def test_a_library_asks_and_is_answered_on_several_vcpus_by_turns(compiled):
    device = asks(compiled)
    for vcpu in (0, 2):
        device.begin(vcpu, "pvalidate", "pvalidate", 0x1000)
    for question, answer in ALL:
        for vcpu in (2, 0):
            assert pending(device, vcpu) == question
            device.resume(vcpu, answer)
    for vcpu in (0, 2):
        assert isinstance(device.pending[vcpu], Ended)
        assert device.pending[vcpu].result == 5 + 6 + 1 + 10 + 1 + 100 + 7 + 0x1000
    assert device.claimed() == starts("")[1].claimed
    device.link.end()


def test_a_fault_stops_a_library_for_good_and_a_drop_does_not(compiled):
    device = asks(compiled)
    device.begin(1, "pvalidate", "pvalidate", 0x1000)
    device.drop(1)
    assert 1 not in device.pending
    assert not device.svsm.halted
    device.begin(1, "pvalidate", "pvalidate", 0x1000)
    device.resume(1, b"\0" * 8)
    device.fault(1)
    assert device.pending[1].result == 0x80000006
    assert device.svsm.halted
    device.reset(starts("")[0])
    assert device.ask("launch", "record", 5, True) == 6
    assert device.ask("migration", "take", 9) == 9
    device.begin(0, "vmsa", "create_vcpu", 3, 4)
    assert device.pending[0].result == 7
    device.link.end()


def test_a_library_that_is_no_svsm_differs(compiled):
    failed = walk(asks(compiled), 0, Reached())[1]
    assert failed is not None
    assert failed.field != "fault"


def test_a_death_in_a_call_of_a_library_is_a_fault_and_the_next_start_begins_again(compiled):
    device = asks(compiled)
    device.begin(0, "pvalidate", "pvalidate", 0x1000)
    device.link.end()
    with pytest.raises(DeviceFault, match="waits for nothing"):
        device.resume(0, b"\0" * 8)
    assert Joint(device, starts("")[0]) is not None
    device.link.end()


def test_a_function_that_an_svsm_lacks_is_told_of(compiled):
    with pytest.raises(DeviceError, match=r"protocol\.bring is NULL; implement it"):
        asks(compiled, BRING="NULL")
