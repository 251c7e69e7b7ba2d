"""Classes of Python, for each group of rules: right ones agree, wrong ones are found."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from traces import FEW

from conformance.adapters import found
from conformance.device import DeviceError, DeviceFault
from conformance.doors import doors
from conformance.handoff.doors import vectors
from conformance.handoff.judge import judge as judge_call
from conformance.mmio.judge import run
from conformance.mmio.vectors import kept, ways
from conformance.mmio.walk import walk as walk_registers
from conformance.protocol.run import run_protocol
from conformance.protocol.walk import walk
from conformance.protocol.world import starts
from conformance.trace import judge
from spec.catalogue import rules
from spec.pages import ListedPages
from spec.validation.bitmap import ANY_RUNS, Bitmap


@pytest.fixture(autouse=True)
def beside_the_classes(monkeypatch):
    """A class is imported from where the suite is run."""
    monkeypatch.chdir(Path(__file__).parent)


def made(how, name, group=""):
    device = how(f"own_classes:{name}{group}")
    device.link.limits = FEW
    return device


def of_pages(name):
    device = made(found.record, name)
    rules = device.claims & {"validation.bitmap.fill", "validation.bitmap.count"}
    asked = doors(device.policy, rules)
    found_ = [judge(door.start, [(door.rule, door.op)], device) for door in asked]
    device.link.end()
    return [f for f in found_ if f]


def of_stages(name):
    device = made(found.handoff, name)
    asked = [door.call for door in vectors() if door.rule in device.claims]
    found_ = [judge_call(call, device, Counter()) for call in asked]
    device.link.end()
    return [f for f in found_ if f]


def of_registers(name, group=""):
    device = made(found.mmio, name, group)
    parted = [run(device, one.calls, Counter()) for one in (*ways(), *kept())]
    parted += [walk_registers(device, seed, Counter()) for seed in range(10)]
    device.link.end()
    return [p for p in parted if p]


def of_svsms(name, group=""):
    device = made(found.svsm, name, group)
    failures = [walk(device, seed, Counter())[1] for seed in range(6)]
    device.link.end()
    return [f for f in failures if f]


RIGHT = [
    (of_pages, "pages"),
    (of_stages, "handoff"),
    (of_registers, "Registers"),
    (of_svsms, "Svsm"),
]
WRONG = [
    (of_pages, "WrongPages", "value"),
    (of_stages, "WrongSize", "tracked"),
    (of_registers, "WrongRegisters", "width"),
    (of_svsms, "WrongSvsm", "operation"),
]


@pytest.mark.parametrize(("look", "name"), RIGHT, ids=lambda v: str(v)[:12])
def test_a_class_that_is_right_agrees_with_the_rules(look, name):
    assert look(name) == []


@pytest.mark.parametrize(("look", "name", "field"), WRONG, ids=lambda v: str(v)[:12])
def test_what_a_class_does_wrong_is_found(look, name, field):
    assert any(field in one.field for one in look(name)), [one.field for one in look(name)]


@pytest.mark.parametrize("most_runs", [5, ANY_RUNS])
def test_a_class_takes_on_a_record_of_runs_that_has_become_a_bitmap(most_runs):
    device = made(found.record, "Room")
    start = Bitmap(replace(device.policy, most_runs=most_runs), 0, 8, ListedPages((2, 3)))
    device.reset(start)
    rule = rules()["validation.runs.count"]
    assert device.apply(rule.id, rule.operands(0, 8)).value == most_runs
    assert device.observe() == start
    device.link.end()


def test_a_class_may_claim_rules_of_several_groups():
    assert found.specs("own_classes:Several") == [
        f"own_classes:Several#{group}" for group in ("mmio", "protocol")
    ]
    assert of_registers("Several", "#mmio") == []
    assert of_svsms("Several", "#protocol") == []


def test_what_an_svsm_raises_is_told_with_its_call_and_the_next_goes_on():
    device = made(found.svsm, "Raises")
    device.reset(starts("")[1])
    with pytest.raises(DeviceFault, match="share raised ZeroDivisionError"):
        device.begin(0, "visibility", "share", 0x10000)
    device.begin(1, "visibility", "unshare", 0x10000)
    with pytest.raises(DeviceFault, match="unshare raised IndexError"):
        device.resume(1, bytes(8))
    with pytest.raises(DeviceFault, match="launch answered 'done', which is no number"):
        device.begin(0, "launch", "launch", 0x10000)
    with pytest.raises(DeviceFault, match="reboot raised SystemExit: 3"):
        device.begin(0, "reboot", "reboot")
    device.reset(starts("")[0])
    assert device.link.starts == 1
    device.link.end()


def test_a_class_that_lacks_what_it_claims_is_refused_in_one_line():
    with pytest.raises(DeviceError, match="has no svsm; see") as told:
        found.svsm("own_classes:NoSvsm")
    assert "\n" not in str(told.value)


def test_a_wrong_class_is_made_small_and_told_of(tmp_path):
    report = run_protocol(
        lambda: made(found.svsm, "WrongSvsm"), ["validation.pvalidate.grant"], 1, 0, tmp_path
    )
    assert report.verdict == "DIVERGES"
