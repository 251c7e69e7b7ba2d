"""An SVSM is held to the rules at every operation; whoever leaves them is told of and reduced."""

import json
from collections import Counter
from pathlib import Path

import pytest

from conformance.device import DeviceFault
from conformance.protocol import compiled, defects
from conformance.protocol.device import SvsmDevice
from conformance.protocol.doors import cases, doors
from conformance.protocol.judge import Differs, Joint, Reached
from conformance.protocol.machines import MACHINES
from conformance.protocol.run import (
    BUILTIN,
    along,
    machine_of,
    maker,
    rule_ids,
    run_protocol,
    through,
)
from conformance.protocol.trace import load
from conformance.protocol.vectors import kept
from conformance.protocol.walk import again, drawn, reduced, walk
from conformance.protocol.ways import WAYS, reboot_of_a_large_page, served
from conformance.protocol.world import BLOCKS, PAGES, cold, starts
from conformance.trace import TraceError
from spec.machine.snp import RIGHTS_RWX
from spec.validation import pvalidate, reboot
from spec.validation.svsm_claims import GIVEN, KEPT, named, plain

ids = [found.id for found in defects.all_defects()]


on_each = pytest.mark.parametrize("machine", MACHINES)


@on_each
def test_there_is_a_way_to_every_case(machine: str) -> None:
    assert {(door.rule, door.case) for door in doors(machine)} == set(cases(machine))
    for door in doors(machine):
        reached: Reached = Counter()
        assert through(door, SvsmDevice(), reached) is None
        assert reached[door.rule, door.case], door


@on_each
def test_the_built_in_svsm_keeps_to_the_rules(machine: str) -> None:
    reached: Reached = Counter()
    for seed in range(40):
        taken, failed = walk(SvsmDevice(), seed, reached, machine)
        assert failed is None
        assert taken
    assert sum(reached.values()) > 2000


def test_natively_a_device_asks_nothing_of_the_machine_but_to_read_write_fill_and_flush() -> None:
    asked = set()

    class Watched(SvsmDevice):
        def _advance(self, vcpu: int, go_on: object, *arguments: object) -> None:
            super()._advance(vcpu, go_on, *arguments)
            asked.add(type(self.pending[vcpu]).__name__)

    for seed in range(60):
        assert walk(Watched(), seed, Counter(), "native")[1] is None
    assert asked <= {"Read", "Write", "Fill", "Flush", "Adopt", "Ended"}


def test_on_tdx_a_page_that_was_accepted_before_is_filled_all_the_same() -> None:
    joint = Joint(SvsmDevice(), starts("tdx")[1])
    before = joint.device.platform
    found = 0
    for seed in range(30):
        joint = Joint(SvsmDevice(), starts("tdx")[1])
        for rule, op in drawn(seed, joint):
            accepted = joint.state.hw.accepted
            joint.do(rule, op)
            if rule.name == "validate" and joint.last.case == "validated":
                first, _ = joint.state.block(op.vcpu)
                found += accepted.has(first)
                assert type(joint.device.pending[op.vcpu]) is before.Fill
    assert found


def test_on_tdx_a_part_of_a_leaf_is_given_up_once_the_host_has_split_the_leaf() -> None:
    joint = Joint(SvsmDevice(), cold(machine="tdx"))
    for rule, op in reboot_of_a_large_page(joint, "tdx"):
        if rule.id == reboot.reboot.id:
            break
        joint.do(rule, op)
    block, part = BLOCKS[0], BLOCKS[0] + 7
    assert joint.state.hw.large.has(part)
    request = pvalidate.call, pvalidate.Call(0, PAGES.start << 12 | 8, 1)
    revoked = []
    for rule, op in served(joint, request, part << 12, "tdx"):
        taken = joint.do(rule, op)
        if rule.id == pvalidate.revoke.id:
            revoked.append((taken.case, joint.state.hw.rights.at(part)))
    assert revoked == [("exits", RIGHTS_RWX), ("revoked", 0)]
    assert not joint.state.hw.large.has(part)
    assert joint.state.hw.rights.at(block) == RIGHTS_RWX
    assert not joint.state.claimed.has(part)
    assert joint.state.claimed.has(block)


@on_each
def test_what_is_proved_never_to_be_is_no_case_to_be_reached(machine: str) -> None:
    names = {case for _, case in cases(machine)}
    machine_made = {"exits", "unvalidated", "size_mismatch", "unchanged"}
    assert bool(names & machine_made) == (machine != "native")
    if machine == "tdx":
        assert ("validation.pvalidate.rescind", "unchanged") not in cases(machine)


def test_the_same_seed_draws_the_same_walk() -> None:
    def drawn_by(seed: int) -> list[tuple[str, object]]:
        joint = Joint(SvsmDevice(), starts()[seed % len(starts())])
        steps = []
        for rule, op in drawn(seed, joint):
            steps.append((rule.id, op))
            joint.do(rule, op)
        return steps

    assert drawn_by(5) == drawn_by(5)
    assert drawn_by(5) != drawn_by(5 + len(starts()))


def test_what_is_proved_of_states_is_true_of_those_that_walks_come_to() -> None:
    looked = 0
    for seed in range(12):
        joint = Joint(SvsmDevice(), starts()[seed % len(starts())])
        for rule, op in drawn(seed, joint):
            joint.do(rule, op)
            things = {"p": 0x1012, "q": 0x3000, "g": 0x12, "h": 0x13, "c": 0, "d": 1}
            points = named(joint.state, op, things)
            for one in (*GIVEN, *KEPT):
                assert all(one.instances(joint.state, points, {})), one.name
                looked += 1
            plain(joint.state, op)
    assert looked > 10000


@pytest.mark.parametrize("defect", ids)
def test_a_trace_that_is_kept_shows_its_defect_and_not_the_built_in_svsm(defect: str) -> None:
    found = defects.named(defect)
    assert found is not None
    one = next(one for one in kept(found.machine) if one.defect == defect)
    assert again(SvsmDevice, one.start, one.steps) is None
    assert again(defects.maker(defect), one.start, one.steps) is not None


def test_a_difference_is_reduced_written_and_seen_again(tmp_path: Path) -> None:
    make = defects.maker("flush_skipped")
    report = run_protocol(make, rule_ids("impl:svsm"), 60, 0, tmp_path)
    assert report.verdict == "DIVERGES"
    first = report.differences[0]
    assert first.confirmed
    start, steps = load(Path(first.trace))
    assert again(make, start, steps) is not None
    assert again(SvsmDevice, start, steps) is None


def test_nothing_can_be_left_out_of_a_reduced_trace() -> None:
    make = defects.maker("claim_kept_after_mismatch")
    found = next(f for seed in range(400) if (f := walk(make(), seed, Counter())[1]))
    small = reduced(make, found)
    assert len(small.steps) < len(found.steps)


def test_a_device_that_raises_is_at_fault() -> None:
    class Broken(SvsmDevice):
        def begin(self, *_arguments: object) -> None:
            raise RuntimeError("no more")

    joint = Joint(Broken(), starts()[1])
    with pytest.raises(DeviceFault, match="no more"):
        for rule, op in drawn(1, joint):
            joint.do(rule, op)


def test_a_device_with_another_record_differs() -> None:
    class Forgetful(SvsmDevice):
        def resume(self, vcpu: int, answer: object) -> None:
            super().resume(vcpu, answer)
            self.svsm.record.release(0x800, False)

    with pytest.raises((Differs, DeviceFault)):
        joint = Joint(Forgetful(), starts()[1])
        for rule, op in drawn(1, joint):
            joint.do(rule, op)
        joint.compare()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start": 99}, "start 99"),
        ({"machine": "none"}, "no machine"),
        ({"steps": []}, "no step"),
        ({"steps": [{"rule": "none", "op": {}}]}, "unknown rule"),
        ({"steps": [{"rule": "validation.host.psmash", "op": {}}]}, "spn"),
        ({"steps": [{"rule": "validation.host.psmash", "op": {"spn": -1}}]}, "does not fit"),
        ({"steps": [{"rule": "validation.host.psmash", "op": {"spn": True}}]}, "does not fit"),
        ({"more": 1}, "not a trace"),
    ],
)
def test_a_trace_that_makes_no_sense_is_one_line(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    step = {"rule": "validation.host.psmash", "op": {"spn": 512}}
    whole = {"device": "d", "made_by": "m", "seed": 0, "start": 0, "steps": [step]}
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(whole | change))
    with pytest.raises(TraceError, match=said):
        load(path)


@pytest.mark.parametrize("spec", BUILTIN)
def test_a_reboot_gives_up_each_frame_of_a_2_mib_page(spec: str) -> None:
    reached: Reached = Counter()
    machine = machine_of(spec)
    way = WAYS["reboot of a 2 MiB page"](machine)
    assert along(cold(machine=machine), way, maker(spec)(), reached, compiled.checked) is None
    firmware = 2
    assert reached["validation.pvalidate.claim", "claimed"] == firmware
    assert reached["validation.reboot.reboot_page", "locked"] == 512 + firmware
    assert reached["validation.pvalidate.rescind", "rescinded"] == 512 + firmware
    assert reached["validation.host.psmash", "smashed"] == (machine == "")
    assert reached["validation.reboot.reboot_end", "cold"] == 1


def test_a_reboot_that_leaves_the_end_of_a_2_mib_page_is_found() -> None:
    class Hasty(SvsmDevice):
        def resume(self, vcpu: int, answer: object) -> None:
            super().resume(vcpu, answer)
            if self.svsm.stage == 3 and self.svsm.record.has(0x3F0):
                self.svsm.record.release(0x3F0, False)

    way = WAYS["reboot of a 2 MiB page"]("")
    found = along(cold(), way, Hasty(), Counter())
    assert found is not None
    assert found.rule.id.startswith("validation.")
