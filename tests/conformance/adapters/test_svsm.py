"""Foreign SVSMs: a program beside the rules, and libraries that ask all there is to ask."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest
from traces import FEW

from conformance.adapters import cargo, found
from conformance.adapters.skeleton import CRATE
from conformance.areas import area_of
from conformance.device import DeviceError, DeviceFault
from conformance.protocol.device import Ended
from conformance.protocol.judge import Differs, Joint
from conformance.protocol.run import maker, run_protocol
from conformance.protocol.walk import walk
from conformance.protocol.world import off, starts
from conformance.trace import Reached
from spec.validation import launch
from spec.validation.launch import Block, Nothing

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


# A library in Rust


@pytest.fixture(scope="session")
def in_rust(tmp_path_factory):
    """Build the SVSM in Rust, which records frames so far from where they are; it as a device."""
    folder = tmp_path_factory.mktemp("svsm")
    if shutil.which("cargo") is None:
        pytest.skip("there is no cargo here")

    def build(build="release", recorded_at=0):
        crate = folder / f"mine{recorded_at}"
        (crate / "src").mkdir(parents=True, exist_ok=True)
        head = '[package]\nname = "mine"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n'
        kind = '[lib]\ncrate-type = ["cdylib"]\n'
        needs = f'[dependencies]\nsvsm-conformance = {{ path = "{CRATE}" }}\n'
        (crate / "Cargo.toml").write_text(head + kind + needs)
        body = Path(__file__).with_name("svsm.rs").read_text()
        (crate / "src" / "lib.rs").write_text(f"{body}\nconst RECORDED_AT: u64 = {recorded_at};\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CARGO_TARGET_DIR", str(crate / "target"))
            patch.chdir(folder)
            cargo.built.cache_clear()
            device = found.svsm(f"rust-{build}:{crate}")
        device.link.limits = FEW
        device.reset(starts("")[1])
        return device

    return build


def test_rust_claims_an_svsm_whole_and_is_answered_on_several_vcpus_by_turns(in_rust):
    device = in_rust()
    assert device.claims == found.needed_by("protocol")
    for vcpu in (0, 2):
        device.begin(vcpu, "pvalidate", "pvalidate", 0x1000)
    for question, answer in ALL:
        for vcpu in (2, 0):
            assert pending(device, vcpu) == question
            device.resume(vcpu, answer)
    sums = [device.pending[vcpu].result for vcpu in (0, 2)]
    assert sums == [5 + 6 + 1 + 10 + 1 + 100 + 7 + 0x1000] * 2
    device.begin(1, "pvalidate", "pvalidate", 0x1000)
    device.drop(1)
    assert not device.svsm.halted
    device.begin(1, "pvalidate", "pvalidate", 0x1000)
    device.fault(1)
    assert device.svsm.halted
    device.link.end()


def recorded(device):
    """A launch beside the rules: all that was validated is recorded."""
    joint = Joint(device, off())
    for first, stop in joint.state.layout.measured.runs():
        for frame in range(first, stop):
            joint.do(launch.record, Block(frame, False))
    joint.do(launch.power_on, Nothing())
    joint.compare()
    return joint


def test_rust_launches_as_the_rules_do_and_what_it_does_wrong_is_found(in_rust):
    right = in_rust()
    joint = recorded(right)
    assert len(joint.reached) > 1
    right.link.end()
    wrong = in_rust(recorded_at=1)
    with pytest.raises(Differs, match="claimed"):
        recorded(wrong)
    failed = walk(wrong, 0, Reached())[1]
    assert failed is not None
    wrong.link.end()


@pytest.mark.parametrize("build", ["debug", "release"])
def test_a_panic_is_told_in_its_own_words_also_while_another_vcpu_asks(in_rust, build):
    device = in_rust(build)
    device.begin(0, "pvalidate", "pvalidate", 0x1000)
    device.begin(1, "vmsa", "delete_vcpu", 0x16)
    assert pending(device, 1) == ("Flush",)
    with pytest.raises(DeviceFault, match=r"panicked.*no vCPU has a VMSA at 0x16"):
        device.resume(1, None)
    with pytest.raises(DeviceFault, match=r"panicked.*unlucky"):
        device.ask("migration", "take", 13)
    device.resume(0, b"\5zzzzzzz")
    assert pending(device, 0) == ("Fill", 16, True, 2)
    device.reset(starts("")[0])
    assert device.ask("migration", "take", 9) == 9
    device.link.end()
