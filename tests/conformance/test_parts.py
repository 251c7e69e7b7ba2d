"""A device's run in parts tells the same whoever does them, and loses nothing they found."""

from dataclasses import replace

import pytest

from conformance import runner
from conformance.area import EFFORTS, Part, Task
from conformance.conform_report import DeviceReport, Difference, RuleRow, Speed
from conformance.parts import groups, parts_of, whole
from conformance.trace import Finding

FOUR = replace(EFFORTS["quick"], examples=130, batches=4, walks=130, kills=False, parts=4)


def tasks(*devices, folder, only="*"):
    return [Task(device, FOUR, 0, only, folder) for device in devices]


def told(reports):
    """All that reports say but how fast it was."""
    return [(r.device, r.verdict, r.not_claimed, r.rules, r.differences, r.crash) for r in reports]


def run(devices, only, jobs, folder):
    return told(
        runner._run_all(tasks(*devices, folder=folder, only=only), jobs, lambda _said: None, None)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "only"),
    [
        (("impl:fast", "defect:tail_word_lost"), "validation.bitmap.claim_*"),
        (("impl:handoff", "defect:tail_lost"), "handoff.carve"),
        (("impl:mmio",), "mmio.*"),
        (("defect:flush_skipped",), "validation.pvalidate.*"),
        (("impl:stream",), "*"),
    ],
)
def test_however_many_processes_there_are_the_reports_are_the_same(tmp_path, devices, only):
    one = run(devices, only, 1, tmp_path)
    assert one == run(devices, only, 8, tmp_path)
    assert any(report[3] for report in one)


def test_the_parts_of_a_run_do_all_that_is_numbered_and_nothing_twice():
    for of in (1, 3, 4, 32):
        parts = [Part(index, of) for index in range(of)]
        assert sorted(n for part in parts for n in part.share(range(70))) == list(range(70))
        walks = [walk for part in parts for _, listed in part.units(130) for walk in listed]
        assert sorted(walks) == list(range(130))
        numbers = [number for part in parts for number, _ in part.units(130)]
        assert sorted(numbers) == [0, 1, 2]


def test_no_process_is_started_that_is_of_no_use(tmp_path):
    listed = tasks("impl:fast", "impl:pure", "impl:mmio", folder=tmp_path)

    def sizes(jobs):
        return [len(group) for group in groups(listed, jobs)]

    # The twins share a process; each of its parts is theirs both.
    assert sizes(1) == [8, 4]
    assert sizes(2) == [8, 4]
    assert sizes(4) == [4, 4, 2, 2]
    assert sizes(None) == sizes(64) == [2, 2, 2, 2, 1, 1, 1, 1]
    quick = [replace(task, effort=EFFORTS["quick"]) for task in listed]
    assert [len(group) for group in groups(quick, 64)] == [2, 1]


def test_parts_share_the_time_for_batches_and_not_their_number(tmp_path):
    (timed,) = tasks("impl:fast", folder=tmp_path)
    timed = replace(timed, effort=replace(FOUR, batches=None, batch_seconds=60.0))
    assert {part.effort.batch_seconds for part in parts_of(timed)} == {15.0}
    (counted,) = tasks("impl:fast", folder=tmp_path)
    assert {part.effort for part in parts_of(counted)} == {FOUR}


# What is made of the parts' reports


def difference(rule="r", case="c", field="value", steps=1, confirmed=True):
    finding = Finding(
        step=0, rule=rule, case=case, field=field, expected="1", got="2", before={}, op={},
        expected_state={},
    )  # fmt: skip
    return Difference(finding, "walk", steps, f"{rule}-{case}-{field}-{steps}", confirmed)


def report(*differences, vectors=1, reached=(1, 0), crash="", claims=("r",), **more):
    rows = [
        RuleRow(rule, vectors, 2, 3, dict(zip("ab", reached, strict=True)), 0) for rule in claims
    ]
    return DeviceReport(
        device="d",
        twin_note="d",
        rules=rows,
        not_claimed=[i for i in ("r", "q") if i not in claims],
        differences=list(differences),
        speed=more.get("speed", Speed(0, 0)),
        crash=crash,
    )


def test_counts_are_added_and_a_case_is_reached_if_one_part_reached_it():
    made = whole([report(vectors=4), report(vectors=5, reached=(2, 0)), report(reached=(0, 0))])
    (row,) = made.rules
    assert (row.vectors, row.walks, row.batches) == (10, 6, 9)
    assert row.reached == {"a": 3, "b": 0}
    assert made.verdict == "CASES NOT REACHED"
    assert whole([report(), report(reached=(0, 1))]).verdict == "CONFORMS"


def test_of_what_several_parts_found_the_plainest_is_told():
    unsure, long, short = difference(confirmed=False), difference(steps=5), difference(steps=2)
    other = difference(rule="q", steps=9)
    made = whole([report(unsure), report(long, other), report(short)])
    assert made.differences == [short, other]
    assert made.rules[0].differences == 1
    # A case of one area, a field of another: both are one kind.
    same = difference(case="x", steps=3)
    assert whole([report(same), report(short)]).differences == [short]
    many = [difference(rule=f"r{n}") for n in range(9)]
    assert whole([report(*many[:5]), report(*many[5:])]).differences == many[:5]


def test_a_part_that_crashed_takes_nothing_from_the_others():
    made = whole([report(), report(claims=(), crash="died"), report(difference())])
    assert made.verdict == "CRASHES OR HANGS"
    assert made.crash == "died"
    assert made.not_claimed == ["q"]
    assert made.rules[0].vectors == 2
    assert made.differences


def test_speed_is_the_mean_of_what_was_measured():
    speeds = (Speed(100, 0, "compiled"), Speed(0, 7), Speed(300, 0))
    made = whole([report(speed=speed) for speed in speeds])
    assert made.speed == Speed(200, 7, "compiled")
