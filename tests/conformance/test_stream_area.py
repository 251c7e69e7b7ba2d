"""Readers of a migration stream as an area: streams that are drawn, known-bad readers, traces."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from conformance.area import EFFORTS, Task
from conformance.device import DeviceError
from conformance.stream import area, defects
from conformance.stream.judge import StreamDevice, judged, reduced, tried, walk
from conformance.stream.made import WAYS, Made, bytes_of, drawn
from conformance.stream.trace import MODEL, is_stream, load
from conformance.trace import TraceError
from spec.validation.stream import Why

ids = [found.id for found in defects.all_defects()]


def report(device: str, folder: Path, only: str = "*"):
    return area.run(Task(device, EFFORTS["quick"], 0, only, folder))


def test_the_built_in_reader_conforms_and_every_case_is_reached(tmp_path: Path) -> None:
    found = report("impl:stream", tmp_path)
    assert found.verdict == "CONFORMS"
    assert [row.rule for row in found.rules] == list(area.rules())
    assert found.compared > 300


def test_the_known_ways_reach_every_case_by_themselves() -> None:
    reached = Counter()
    assert not any(judged(StreamDevice(), made, reached) for made in WAYS.values())
    assert {rule for rule, _ in reached} == {rule.id for rule in MODEL.rules}


def test_drawn_streams_are_taken_and_refused_for_every_reason() -> None:
    device, whys = StreamDevice(), Counter()
    for seed in range(1500):
        made = drawn(Random(seed))
        whys[device.read(made, bytes_of(made))[0]] += 1
    assert set(whys) == set(map(int, Why))
    assert min(whys.values()) > 5


@pytest.mark.parametrize("defect_id", ids)
def test_a_known_bad_reader_is_refuted_walked_into_and_on_a_known_way(defect_id: str) -> None:
    assert defects.kill(defect_id).is_killed


def test_there_is_no_other_known_bad_reader() -> None:
    assert len(set(ids)) == len(ids) >= 13
    with pytest.raises(DeviceError, match="no defect"):
        defects.kill("stream_of_nobody")


def test_a_difference_is_reduced_written_and_seen_again(tmp_path: Path) -> None:
    spec = "defect:stream_record_of_another"
    found = report(spec, tmp_path)
    assert found.verdict == "DIVERGES"
    first = found.differences[0]
    assert first.confirmed
    path = Path(first.trace)
    assert is_stream(path)
    assert area.replay(path, spec).finding is not None
    assert area.replay(path, None).finding is None
    assert "frames" in area.describe(first.finding, path)


def test_what_is_not_unusual_in_a_difference_is_left_out() -> None:
    make = defects.maker("stream_flags_ignored")
    odd = Made(flags=1, vmsas=(), cap=5)
    found = tried(make, odd)
    assert found is not None
    assert reduced(make, found).made == Made(flags=1)


class Odd(StreamDevice):
    """Wrong in one way that is chosen."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def read(self, made, data):
        why, taken = super().read(made, data)
        if self.how == "raises":
            raise RuntimeError("no more")
        if why or self.how == "written":
            return why, taken
        return why, {
            "runs": taken._replace(runs=()),
            "vmsas": taken._replace(vmsas=(0x10,)),
            "page": taken._replace(records_at=taken.records_at + 8),
        }[self.how]

    def write(self, runs, vmsas):
        return super().write(runs, vmsas)[: -1 if self.how == "written" else None]


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ("raises", "fault"),
        ("runs", "runs"),
        ("vmsas", "vmsas"),
        ("page", "page[0x10]"),
        ("written", "written"),
    ],
)
def test_each_thing_that_is_compared_is_looked_at(how: str, field: str) -> None:
    found = judged(Odd(how), Made(), Counter())
    assert found is not None
    assert found.field == field


def test_the_same_seed_draws_the_same_stream() -> None:
    assert drawn(Random(7)) == drawn(Random(7))
    assert walk(StreamDevice(), 7, Counter()) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a trace"),
        ('{"device": "", "made_by": "", "seed": 0, "stream": {"cut": 99999999999}}', "cut"),
        ('{"device": "", "made_by": "", "seed": 0, "stream": {"runs": [[0, 99999]]}}', "runs"),
        ('{"device": "", "made_by": "", "seed": 0, "stream": {"vmsas": [-1]}}', "vmsas"),
    ],
)
def test_a_trace_that_makes_no_sense_is_told_of_in_a_line(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(TraceError, match=said) as told:
        load(path)
    assert "\n" not in str(told.value)
    with pytest.raises(TraceError):
        load(tmp_path / "none.json")
