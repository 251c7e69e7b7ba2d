"""Wrong steps are seen of an honest adapter, and told HIDDEN of one that hides something."""

import shlex
import sys
from pathlib import Path

import pytest

from conformance.adapters import (
    command,
    crooked_handoff,
    crooked_mmio,
    crooked_protocol,
    found,
    link,
)
from conformance.device import DeviceError
from conformance.protocol.doors import doors

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture
def classes(monkeypatch):
    """The name of a device that is a class of a module beside this one."""
    monkeypatch.syspath_prepend(str(HERE))
    return lambda module, name: f"{module}:{name}"


def looked_at(device, look, *rules):
    """What became of each wrong thing of some rules, by the last word of their ids."""
    device.claims = frozenset(rules) or device.claims
    try:
        return {(one.rule.rpartition(".")[2], one.bent): one.result for one in look(device)}
    finally:
        device.link.end()


def those(results, word):
    return {at for at, result in results.items() if result == word}


# The handoff


def test_cases_that_answer_alike_are_not_said_to_be_hidden(classes):
    device = found.handoff(classes("own_classes", "handoff"))
    results = looked_at(device, crooked_handoff.look, "handoff.view", "handoff.size")
    assert set(results.values()) == {"seen"}


# MMIO

SOME = {
    "c": ("mmio.open", "mmio.attach", "mmio.write_u16", "mmio.config_round"),
    "class": ("mmio.open", "mmio.attach", "mmio.detach"),
}
OUTSIDE = ("bus", "address", "width", "value", "one less", "one more")
OF_NOTHING = {
    # Nothing goes out when a transport begins to use a slot, and only writes have a value.
    *(("attach", bent) for bent in OUTSIDE),
    ("open", "value"),
    ("config_round", "value"),
}


@pytest.mark.parametrize("kind", SOME)
def test_every_wrong_thing_of_an_honest_mmio_is_seen(kind, compiled, classes):
    spec = f"c:{compiled('registers.c')}" if kind == "c" else classes("own_classes", "Registers")
    results = looked_at(found.mmio(spec), crooked_mmio.look, *SOME[kind])
    assert set(results.values()) == {"seen", "not tried"}
    assert those(results, "not tried") == OF_NOTHING & results.keys()
    assert len(results) == len(SOME[kind]) * len(crooked_mmio.BENT)


def test_an_mmio_without_a_back_end_is_looked_at_on_the_others(compiled):
    device = found.mmio(f"c:{compiled('registers.c')}")
    device.backends = frozenset(("tdx",))
    results = looked_at(device, crooked_mmio.look, "mmio.open")
    # Without page tables no mapping is asked for, so that nothing at all goes out.
    assert those(results, "not tried") == {("open", bent) for bent in OUTSIDE}


HIDE_MMIO = {
    "CannedRegisters": {"start", "arguments", "bus"},
    "KeepsReads": {"bus"},
}


@pytest.mark.parametrize("name", HIDE_MMIO)
def test_an_mmio_that_answers_from_memory_is_found_out(name, classes):
    results = looked_at(found.mmio(classes("hiding_classes", name)), crooked_mmio.look)
    assert those(results, "HIDDEN") == {("read_u32", bent) for bent in HIDE_MMIO[name]}
    assert not those(results, "differs as it is")


def test_an_mmio_that_differs_is_not_said_to_hide_anything(classes):
    device = found.mmio(classes("own_classes", "WrongRegisters"))
    results = looked_at(device, crooked_mmio.look, "mmio.write_u64", "mmio.attach")
    assert {r for (rule, _), r in results.items() if rule == "write_u64"} == {"differs as it is"}
    assert not those(results, "HIDDEN")


# An SVSM

FEW = [
    "validation.launch.record",
    "validation.pvalidate.validate",
    "validation.pvalidate.revoke",
    "validation.pvalidate.answer",
    "validation.visibility.share",
]
SILENT = {
    *(("record", bent) for bent in ("platform", "frame", "operand", "request")),
    *(("record", bent) for bent in ("one less", "one more")),
    # What goes on where it was is called by nobody, and its call is not at its end.
    *((rule, bent) for rule in ("validate", "revoke") for bent in ("call", "request", "result")),
    # The header is written back whole.
    *(("answer", bent) for bent in ("call", "operand")),
    # A page is rescinded only after this step, which reads nothing of a guest's.
    *(("share", bent) for bent in ("platform", "request", "one less", "one more")),
}


@pytest.mark.parametrize("kind", ["program", "class"])
def test_every_wrong_thing_of_an_honest_svsm_is_seen(kind, classes, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    speaker = shlex.join([sys.executable, str(HERE / "svsm_speaker.py")])
    spec = f"program:{speaker}" if kind == "program" else classes("own_classes", "Svsm")
    results = looked_at(found.svsm(spec), crooked_protocol.look, *FEW)
    assert set(results.values()) == {"seen", "not tried"}
    assert those(results, "not tried") == SILENT
    assert len(results) == len(FEW) * len(crooked_protocol.BENT)


def test_an_svsm_that_heeds_no_carry_flag_is_found_out(classes):
    device = found.svsm(classes("hiding_classes", "Unheeding"))
    results = looked_at(device, crooked_protocol.look, *FEW[1:3])
    assert those(results, "HIDDEN") == {("validate", "platform")}
    assert not those(results, "differs as it is")


def test_an_svsm_that_answers_from_memory_is_found_out(classes):
    device = found.svsm(classes("hiding_classes", "CannedSvsm"))
    results = looked_at(device, crooked_protocol.look, FEW[0])
    assert those(results, "HIDDEN") == {("record", "start"), ("record", "call")}
    assert not those(results, "differs as it is")


def test_an_svsm_that_differs_is_not_said_to_hide_anything(classes):
    device = found.svsm(classes("own_classes", "WrongSvsm"))
    results = looked_at(device, crooked_protocol.look, "validation.pvalidate.grant", FEW[0])
    assert {r for (rule, _), r in results.items() if rule == "grant"} == {"differs as it is"}
    assert not those(results, "HIDDEN")


# The command

CODES = [
    ("own_classes", "Svsm", 0, "the adapter hides nothing of it"),
    ("hiding_classes", "Unheeding", 4, "was NOT seen"),
    ("own_classes", "WrongSvsm", 1, "differs from the rules as it is"),
    ("hiding_classes", "KeepsReads", 4, "was NOT seen"),
]


@pytest.mark.parametrize(("module", "name", "code", "says"), CODES, ids=lambda one: str(one)[:20])
def test_the_command_says_so_and_its_exit_code_too(
    module, name, code, says, classes, monkeypatch, capsys
):
    few = [one for one in doors() if one.rule.endswith((".validate", ".grant"))]
    monkeypatch.setattr(crooked_protocol, "doors", lambda: few)
    assert command.check(classes(module, name)) == code
    out = capsys.readouterr().out
    assert says in out
    assert ("HIDDEN" in out) == (code == 4)
    assert (name == "Unheeding") == ("validate.validated: wrong platform was not seen" in out)


def test_a_device_that_dies_too_often_is_one_line_and_not_a_verdict(compiled, monkeypatch):
    monkeypatch.setattr(link, "MOST_STARTS", 1)
    with pytest.raises(DeviceError, match=r"has ended 1 times, and is given up"):
        command.check(f"c:{compiled('registers.c', DEED='abort()')}")


def test_every_group_can_be_checked():
    assert set(command.LOOKS) == set(found.GROUPS)
