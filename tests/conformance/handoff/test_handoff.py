"""Devices of the handoff beside the rules: what conforms, what differs, what is a fault."""

import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from conformance.area import Area, Effort, Task
from conformance.device import DeviceError, DeviceFault
from conformance.handoff import builtin, calls, defects, draw, oracle, picture
from conformance.handoff.area import AREA
from conformance.handoff.breaks import NEEDS, kept, search
from conformance.handoff.device import HandoffDevice, ask, heard
from conformance.handoff.doors import cases, doors, led, reaches, vectors
from conformance.handoff.judge import HandoffTrace, decoded, judge, load, save
from conformance.handoff.reduce import neighbours, plainer, reduced, weight
from conformance.handoff.walk import batch, smaller, walk
from conformance.handoff.whole import Version, Way, seen, way
from conformance.trace import TraceError
from spec.catalogue import handoff_rules
from spec.handoff.view import HOLE_STOP
from spec.handoff.words import BLOCK, Answer

STAGES = list(draw.DRAWS)
ids = [found.id for found in defects.all_defects()]


class Oracle:
    """A device that answers as the rules do."""

    name = "oracle"
    claims = frozenset(handoff_rules())

    def _told(self, call):
        told = oracle.answer(call, Counter())
        return told.answer.name, told.value

    def read(self, area, limit):
        return self._told(calls.Read(area, limit))

    def size(self, entries, cap, tracks):
        return self._told(calls.Size(tuple(entries), cap, tracks))

    def reserve(self, entries, kernel, excluded, bitmaps, limit):
        return self._told(calls.Reserve(tuple(entries), kernel, tuple(excluded), bitmaps, limit))

    def carve(self, entries, kernel, region, low_pages):
        return self._told(calls.Carve(tuple(entries), kernel, region, low_pages))

    def write(self, memory, area, guest, with_terminator, published):
        flags = with_terminator, published
        return self._told(calls.Write(bytes(memory), *area, tuple(guest), *flags))

    def validate(self, region, shared, machine):
        """As an SVSM that never tries a whole block at once."""
        first, stop = region
        for at in range(first, stop, BLOCK) if shared else ():
            if not machine.make_private(at, large=True):
                return self._refused(Answer.NOT_PRIVATE)
        for at in range(first, stop):
            if machine.pvalidate(at) != (0, False):
                return self._refused(Answer.NOT_VALIDATED)
            machine.zero(at)
        return "OK", None

    def _refused(self, answer):
        return answer.name, None

    def view(self, page, version, told):
        name, seen = self._told(calls.View(page, *version, told))
        return name, seen or None


class ByNumber(Oracle):
    """Says its refusals by number."""

    def _told(self, call):
        told = oracle.answer(call, Counter())
        return int(told.answer), told.value

    def _refused(self, answer):
        return int(answer), None


def task(device, tmp_path, only="handoff.*", examples=30, batches=6):
    effort = Effort(examples, batches, 60.0, False, 300.0, 0)
    return Task(device, effort, 0, only, tmp_path)


# What conforms


@pytest.mark.parametrize("spec", builtin.TWINS)
def test_the_built_in_handoff_conforms(spec, tmp_path):
    report = AREA.run(task(spec, tmp_path))
    assert report.verdict == "CONFORMS"
    assert report.exit_code == 0
    assert report.unreached == []
    assert report.not_claimed == []
    assert {row.rule for row in report.rules} | set(report.not_claimed) == set(handoff_rules())
    assert all(row.vectors for row in report.rules)


@pytest.mark.parametrize("kind", [Oracle, ByNumber])
def test_a_device_that_answers_as_the_rules_do_conforms(kind):
    assert isinstance(kind(), HandoffDevice)
    done = batch(kind(), STAGES, 0, 150)
    assert done.calls == 150
    assert not done.parted
    assert not walk(kind(), STAGES, 1, 20).parted


def test_there_is_a_door_to_every_case_and_it_leads_there():
    assert {(door.rule, door.case) for door in doors()} >= set(cases())
    for door in doors():
        assert calls.suits(door.call)
        assert reaches(door.call, (door.rule, door.case)), door


def test_vectors_stand_on_both_sides_of_edges():
    taken = Counter(case for door in vectors() for case in led(door.call))
    assert min(taken[case] for case in cases()) >= 1
    limit = next(d.call for d in doors() if d.case == "above_limit")
    assert any(led(c) == {("handoff.read", "ended")} or len(led(c)) > 1 for c in neighbours(limit))


def test_the_same_seed_draws_the_same_calls():
    def drawn(seed):
        source = draw.draws(draw.Random(random.Random(seed)), STAGES)
        return [next(source) for _ in range(20)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


# What differs


def test_a_device_that_differs_is_told_of_with_rule_case_field_and_source(tmp_path):
    asked = task("defect:lowest_run_first", tmp_path, "handoff.reserve", examples=0, batches=1)
    report = AREA.run(asked)
    assert report.verdict == "DIVERGES"
    found = report.differences[0]
    assert found.confirmed
    assert found.finding.rule == "handoff.reserve"
    assert found.finding.field == "region"
    said = AREA.describe(found.finding, found.trace)
    for part in ("expected: [", "got: [", "source: svsm-conformance, docs/handoff.md", "replay: "):
        assert part in said
    drawn = AREA.strip(found.finding, True)
    assert drawn.isascii()
    assert "map" in drawn
    assert "#" in drawn


def test_a_difference_is_made_small_and_replays_from_its_file(tmp_path):
    bad = defects.device("first_kept_page_given_away")
    done = batch(bad, ["carve"], 3, 200)
    call, finding = done.parted[0]
    assert len(call.entries) == 1
    trace = HandoffTrace(device="d", made_by="t", seed=0, call=call, finding=finding)
    path = save(trace, tmp_path)
    assert AREA.replays(path)
    assert AREA.replay(path, "defect:first_kept_page_given_away").finding == finding
    assert AREA.replay(path, "impl:handoff").finding is None
    again = load(path)
    assert again.call == call
    assert judge(again.call, bad, Counter()) == finding
    assert judge(again.call, Oracle(), Counter()) is None


def test_hypothesis_finds_and_makes_small_too():
    bad = defects.device("overlap_taken")
    parted = walk(bad, ["read"], 0, 400).parted
    assert len(parted) == 1
    assert weight(parted[0][0]) < (20, 1 << 16)


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_plainer_is_still_a_call(stage):
    source = draw.draws(draw.Random(random.Random(9)), [stage])
    call = next(source)
    for other in [*plainer(call)][:50]:
        assert calls.suits(other)
        assert other != call
    small = reduced(call, lambda _other: True)
    assert weight(small) <= weight(call)


def test_pictures_are_drawn_of_every_stage():
    for door in doors():
        finding = judge(door.call, Raising(), Counter())
        assert picture.strip(finding, ascii=True).isascii()
        assert "\n" in picture.describe(finding, "trace.json")


# What is a fault


class Raising(Oracle):
    """Raises, whatever it is asked."""

    def _told(self, call):
        raise RuntimeError("two\nlines")

    def validate(self, region, shared, machine):
        raise RuntimeError("two\nlines")


def test_a_device_that_raises_is_at_fault_and_the_run_goes_on():
    finding = judge(doors()[0].call, Raising(), Counter())
    assert finding.field == "fault"
    assert finding.got == "read raised RuntimeError: two lines"


@pytest.mark.parametrize(
    "told",
    [
        None,
        "OK",
        ("OK",),
        (None, 1),
        (True, 1),
        (99, 1),
        ("NO_SUCH_REFUSAL", None),
        ("OK", None),
        ("OK", [1, 2, 3]),
        ("OK", [(1, 2)]),
        ("OK", [(1, 2, -3)]),
        ("OK", [(1, 2, 3.0)]),
        ("OK", [(0, 1, 0)] * 70000),
        ("OK", ((0, 1), [2, 3], "x")),
    ],
)
@pytest.mark.parametrize("stage", ["read", "reserve", "write"])
def test_an_answer_that_is_none_is_a_fault(told, stage):
    with pytest.raises(DeviceFault) as caught:
        heard(told, stage)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 160


def test_a_refusal_that_has_written_is_a_fault():
    class Writes(Oracle):
        def write(self, memory, *others):
            memory[:] = bytes(len(memory))
            return "TOO_MANY", None

    call = next(d.call for d in doors() if d.case == "too_many")
    assert any(call.memory)
    with pytest.raises(DeviceFault, match="has changed"):
        ask(Writes(), call)


# Traces that are none


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not a trace"),
        (b"[]", "not a trace"),
        (b"{}", "schema is None"),
        (b'{"schema": "svsm-conformance/handoff-trace/1"}', "not a trace"),
        (b"\xff\xfe", "not a trace"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_in_one_line(text, said, tmp_path):
    with pytest.raises(TraceError) as caught:
        decoded(text, "file")
    assert str(caught.value).startswith("file: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_call_that_no_stage_is_asked_is_refused():
    call = calls.Size(((5, 4, 0),), 1, True)
    trace = HandoffTrace(device="d", made_by="t", seed=0, call=call)
    with pytest.raises(TraceError, match="size is never asked this"):
        decoded(msgspec.json.encode(trace), "file")


def test_a_file_that_is_not_there_is_told_of(tmp_path):
    with pytest.raises(TraceError, match="No such file"):
        load(tmp_path / "none.json")


# The area


def test_the_area_has_what_the_suite_asks_of_it():
    assert isinstance(AREA, Area)
    assert AREA.id == "handoff"
    assert all(AREA.owns(spec) for spec in AREA.builtin())
    assert all(AREA.owns(f"defect:{found}") for found in AREA.defects())
    assert not AREA.owns("impl")
    assert not AREA.owns("impl:fast")
    assert not AREA.owns("defect:tail_word_lost")
    assert not AREA.owns("no_such_module:Thing")


def test_a_device_of_others_is_owned_if_it_has_the_stages(tmp_path, monkeypatch):
    home = Path(__file__).parent
    monkeypatch.syspath_prepend(str(home))
    (tmp_path / "somebodys.py").write_text(
        "class Good:\n"
        "    name = 'good'\n"
        "    claims = frozenset(['handoff.read'])\n"
        "    read = size = view = reserve = carve = write = lambda self, *a: ('NO_MEMORY', None)\n"
        "class Odd(Good):\n"
        "    claims = frozenset(['handoff.nothing'])\n"
        "class Broken(Good):\n"
        "    def __init__(self): raise ValueError('no\\nway')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert AREA.owns("somebodys:Good")
    report = AREA.run(task("somebodys:Good", tmp_path, examples=5, batches=1))
    assert report.exit_code == 1
    assert "handoff.write" in report.not_claimed
    for name, said in (("Odd", "is no rule"), ("Broken", "ValueError: no way"), ("None", "None")):
        with pytest.raises(DeviceError, match=said):
            AREA.start(f"somebodys:{name}")


def test_a_defect_that_there_is_not_does_not_start():
    with pytest.raises(DeviceError, match="no defect"):
        AREA.start("defect:nothing")
    with pytest.raises(DeviceError, match="OVMF"):
        AREA.start("defect:low_memory_is_one_block")


# Defects


def test_defects_bear_names_of_their_own_and_the_reported_ones_are_among_them():
    assert len(set(ids)) == len(ids) >= 30
    origins = " ".join(found.origin for found in defects.all_defects())
    for known in ("pull request 426", "issue 896", "pull request 12132"):
        assert known in origins


@pytest.mark.parametrize("found", defects.all_defects(), ids=ids)
def test_proofs_vectors_and_calls_find_each_defect(found):
    assert found.code or found.version
    assert defects.is_refuted(found)
    assert defects.is_found_by_vectors(found)
    assert defects.is_found_by_calls(found)


def test_the_plain_twin_without_an_edit_is_no_defect():
    assert not batch(builtin.device("impl:handoff+pure"), STAGES, defects.SEED, 200).parted


def test_smaller_keeps_what_is_shown():
    bad = defects.device("tail_lost")
    parted = batch(bad, ["carve"], 0, 300, small=False).parted[0]
    call, finding = smaller(bad, parted)
    assert finding.field == parted[1].field
    assert weight(call) <= weight(parted[0])


# The whole way


def test_the_contract_holds_of_whole_maps_at_random():
    chooser = draw.Random(random.Random(0))
    results = [seen(way(chooser, Version()), Counter()) for _ in range(300)]
    assert all(result.keeps_contract for result in results)
    assert sum(not result.refused for result in results) >= 50


def test_every_step_of_ovmf_is_taken_in_some_way():
    reached = Counter()
    chooser = draw.Random(random.Random(1))
    for version in (Version(), Version(low_from_base=False), Version(takes_map=False)):
        for _ in range(150):
            seen(way(chooser, version), reached)
    taken = {case for rule, case in reached if rule in ("handoff.view", "handoff.low_memory")}
    assert {"ended", "at_base", "higher", "passes", "no_reader", "above_low", "in_low"} <= taken


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.name)
def test_the_smallest_map_without_a_need_is_the_one_that_is_kept(need):
    assert search(need) == next(one for one in kept() if one.need == need.name)


@pytest.mark.parametrize("one", kept(), ids=lambda one: one.need)
def test_a_map_that_breaks_the_contract_keeps_it_where_the_need_is_met(one):
    assert not one.seen.keeps_contract
    assert seen(one.way, Counter()) == one.seen
    met = msgspec.structs.replace(
        one.way, version=Version(), with_terminator=True, low_pages=HOLE_STOP
    )
    assert seen(met, Counter()).keeps_contract


def test_a_contract_that_is_broken_is_seen_as_such():
    sees = seen(Way(((0, 257, 0),), (256, 257)), Counter())
    assert sees.keeps_contract
    assert not msgspec.structs.replace(sees, ram=((0, 257),)).keeps_contract
