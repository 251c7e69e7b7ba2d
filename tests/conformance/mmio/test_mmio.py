"""A driver's calls on each machine: what goes out is what was meant, and who strays is told of."""

import json
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from conformance.area import EFFORTS, Task
from conformance.device import DeviceError
from conformance.mmio import area, defects, picture
from conformance.mmio.calls import CONFIG, expected
from conformance.mmio.device import builtin
from conformance.mmio.draw import calls
from conformance.mmio.judge import run, settings_of
from conformance.mmio.trace import finding_of, is_mmio, load, save
from conformance.mmio.trapped import can_trap
from conformance.mmio.vectors import kept, ways
from conformance.mmio.walk import cases, reduced, tried, walk
from conformance.mmio.world import SETTINGS, at_first
from conformance.trace import TraceError
from spec.mmio.claims import GIVEN, KEPT
from spec.mmio.model import named
from spec.mmio.state import Answer

ids = [found.id for found in defects.all_defects()]


def test_there_is_a_way_to_every_case_on_every_machine_where_it_can_be() -> None:
    led = set()
    for one in ways():
        states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
        for call in one.calls:
            meant = expected(states[call.machine], call)
            states[call.machine] = meant.after
        led |= {(rule, case, call.machine) for rule, case in meant.cases}
    assert led >= set(cases())


def test_the_built_in_implementation_keeps_to_the_rules_on_every_machine() -> None:
    reached: Counter[tuple[str, str]] = Counter()
    for seed in range(24):
        assert walk(builtin(), seed, reached) is None
    assert sum(reached.values()) > 1000


def test_what_is_native_is_run_on_pages_that_trap_where_there_are_some() -> None:
    backends = {s.backend for s in settings_of(builtin())}
    assert backends == {"bus", "snp", "tdx", *(["native"] if can_trap() else [])}


def test_the_same_seed_draws_the_same_walk() -> None:
    assert list(calls(5)) == list(calls(5)) != list(calls(9))


def test_what_is_proved_of_states_is_true_of_those_that_walks_come_to() -> None:
    looked = 0
    for seed in range(6):
        states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
        for call in calls(seed):
            now = states[call.machine] = expected(states[call.machine], call).after
            op = call.ops[0]
            things = {"i": 0, "j": 1, "b": now.slots.gpa.at(op.slot), "n": 0}
            points = named(now, op, things)
            for one in (*GIVEN, *KEPT):
                assert all(one.instances(now, points, {})), one.name
                looked += 1
    assert looked > 1000


def test_the_numbers_of_refusals_are_the_same_on_both_sides() -> None:
    refusals = import_module("impl.mmio_backends").Refusal
    ours = {a.name: -a.value for a in Answer if a != Answer.AGAIN}
    assert {r.name: r.value for r in refusals} == ours


@pytest.mark.parametrize("defect", ids)
def test_a_trace_that_is_kept_shows_its_defect_and_not_the_built_in_one(defect: str) -> None:
    one = next(one for one in kept() if one.name == defect)
    assert tried(builtin, list(one.calls)) is None
    assert tried(defects.maker(defect), list(one.calls)) is not None


def test_a_difference_is_reduced_written_and_seen_again(tmp_path: Path) -> None:
    task = Task("defect:size_without_offset", EFFORTS["quick"], 0, "*", tmp_path)
    report = area.run(task)
    assert report.verdict == "DIVERGES"
    first = report.differences[0]
    assert (first.finding.field, first.confirmed) == ("mapping", True)
    path = Path(first.trace)
    assert is_mmio(path)
    assert area.replay(path, None).finding is None
    assert area.replay(path, "defect:size_without_offset").finding is not None


def test_a_divergence_is_told_with_both_timelines(tmp_path: Path) -> None:
    make = defects.maker("by_bytes")
    found = next(f for seed in range(40) if (f := walk(make(), seed, Counter())))
    small = reduced(make, found)
    path = save(small, "defect:by_bytes", "walk", 0, tmp_path)
    finding = finding_of(small)
    assert finding.field in ("transactions", "width")
    said = picture.describe(finding, path)
    assert "svsm-conformance replay" in said
    drawn = picture.strip(finding)
    assert "read 8 bits at" in drawn
    assert "!" in drawn


def test_a_device_that_raises_is_at_fault() -> None:
    class Broken:
        name, claims, backends = "broken", builtin().claims, frozenset(("bus",))

        def start(self, _setting: object, _bus: object) -> object:
            return object()

    seed = next(s for s in range(20) if any(c.machine == 0 for c in calls(s)))
    found = run(Broken(), list(calls(seed)), Counter())
    assert found is not None
    assert found.field == "fault"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": []}, "no step"),
        ({"steps": [{"machine": 0, "rule": "none", "ops": [{}]}]}, "unknown rule"),
        ({"steps": [{"machine": 9, "rule": "mmio.close", "ops": [{"slot": 0}]}]}, "machine 9"),
        ({"steps": [{"machine": 0, "rule": "mmio.close", "ops": []}]}, "0 records"),
        ({"steps": [{"machine": 0, "rule": "mmio.close", "ops": [{"slot": -1}]}]}, "not fit"),
        ({"steps": [{"machine": 0, "rule": "mmio.close", "ops": [{}]}]}, "slot"),
        ({"schema": "svsm-conformance/mmio-trace/9"}, "schema"),
        ({"more": 1}, "not a trace"),
    ],
)
def test_a_trace_that_makes_no_sense_is_one_line(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    step = {"machine": 0, "rule": "mmio.close", "ops": [{"slot": 0}]}
    whole = {"device": "d", "made_by": "m", "seed": 0, "steps": [step]}
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(whole | change))
    with pytest.raises(TraceError, match=said):
        load(path)


def test_a_device_that_is_none_is_told_so() -> None:
    with pytest.raises(DeviceError, match="no defect"):
        area.start("defect:nothing")
    with pytest.raises(DeviceError, match="buses:Bus"):
        area.start("conformance.mmio.buses:Bus")
    assert area.owns("impl:mmio")
    assert not area.owns("impl:fast")


def test_a_field_is_asked_for_at_an_offset_that_fits_its_type() -> None:
    # The walk with this seed has a device of 2^46 bytes.
    asked = [call.ops[0].offset for call in calls(849) if call.name == CONFIG]
    assert asked
    assert max(asked) < 1 << 32
