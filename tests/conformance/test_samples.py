"""The samples conform; each mutated twin of them is found, and each that misbehaves is told of.

With SVSM_CONFORMANCE_TWINS=all every twin is built and looked for, which takes some minutes.
"""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from conformance import __version__
from conformance.adapters import found
from conformance.adapters.bulk import Bulk, drawing, run_sheet
from conformance.handoff import walk
from conformance.handoff.calls import RULES as STAGES
from conformance.handoff.doors import vectors
from conformance.handoff.judge import judge
from conformance.mmio.judge import run
from conformance.mmio.vectors import kept, ways
from conformance.samples import deeds, twins
from conformance.samples.build import HERE, SOURCES, Workshop
from spec.catalogue import mmio_rules, rules

PAGE = Path(__file__).parents[2] / "docs" / "samples.md"
FEW = (
    "end_is_refused",
    "end_of_a_page_wraps",
    "base_is_set_before_the_cap",
    "room_for_one_less",
    "terminator_is_forgotten",
    "kernel_wraps",
)
EVERY = [twin.id for twin in twins.all_twins()]
CHOSEN = EVERY if os.environ.get("SVSM_CONFORMANCE_TWINS") == "all" else FEW
HAS_RUST = shutil.which("rustc") is not None


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("samples"))


def lacks(sample):
    return sample.endswith("-rust") and not HAS_RUST


BUILDS = [(s, p) for s in SOURCES for p in ("debug", "release") if (s, p) != ("handoff-c", "debug")]


@pytest.mark.parametrize(("sample", "profile"), BUILDS)
def test_a_sample_agrees_with_the_rules(sample, profile, workshop):
    if lacks(sample):
        pytest.skip("there is no rustc here")
    library = workshop.changed(sample, sample, SOURCES[sample].read_text(), profile)
    if sample == "handoff-c":
        device = found.handoff(f"c:{library}")
        reached = Counter()
        assert all(judge(door.call, device, reached) is None for door in vectors())
        assert walk.batch(device, tuple(STAGES), 0, 200, small=False).parted == []
        assert device.claims == {rule for of in STAGES.values() for rule in of}
    elif sample == "mmio-rust":
        device, reached = found.mmio(f"c:{library}"), Counter()
        assert [p for one in (*ways(), *kept()) if (p := run(device, one.calls, reached))] == []
        assert {rule for rule, _ in reached} == device.claims == set(mmio_rules())
    else:
        device = found.record(f"c:{library}")
        claimed = [rules()[i] for i in device.claims]
        result = Bulk()
        for number in range(4):
            run_sheet(device, drawing(claimed, device)(0, number), result)
        assert result.parted is None
        assert result.steps > 40_000
    device.link.end()


def test_the_samples_are_none_of_the_suites_own():
    """They are written from the rules' documentation, as an outsider would."""
    for source in SOURCES.values():
        assert not re.search(r"\bimpl\b\.|_fast|_pure", source.read_text())
        assert (HERE / source.relative_to(HERE).parts[0]).is_dir()


def test_there_are_thirty_twins_and_each_is_of_another_mistake():
    texts = [twin.text() for twin in twins.all_twins()]
    assert len(set(EVERY)) == len(EVERY) >= 30
    assert len(set(texts)) == len(texts)
    assert not set(texts) & {source.read_text() for source in SOURCES.values()}


@pytest.mark.slow
@pytest.mark.parametrize("twin_id", CHOSEN)
def test_a_mutated_twin_is_found(twin_id, workshop):
    twin = next(one for one in twins.all_twins() if one.id == twin_id)
    if lacks(twin.sample):
        pytest.skip("there is no rustc here")
    for profile in twin.profiles:
        looked = twins.hunt(twin, profile, workshop)
        assert looked.by, f"{twin_id} survived as {profile}"
        assert looked.finding is not None
        assert 0 < looked.trace_steps <= 3


def test_a_sample_without_a_mistake_is_not_found_to_have_one(workshop, monkeypatch):
    monkeypatch.setattr(twins, "MOST_CALLS", 100)
    plain = twins.Twin("none", "handoff-c", "none", "no mistake", ())
    looked = twins.hunt(plain, "release", workshop)
    assert (looked.by, looked.finding) == ("", None)


def test_the_page_tells_of_every_twin_and_of_this_version():
    text = PAGE.read_text()
    rows = re.findall(r"^\| `(\w+)`: .* \| (debug|release) \| (.*?) \|", text, re.M)
    builds = [(twin.id, profile) for twin in twins.all_twins() for profile in twin.profiles]
    assert [(name, profile) for name, profile, _ in rows] == builds
    assert {by for *_, by in rows} <= {"a batch", "a vector", "a history", "a walk"}
    assert f"Of version {__version__}. {len(EVERY)} twins, {len(builds)} builds" in text
    said = {deed.title for deed in deeds.all_deeds()}
    assert said <= set(re.findall(r"^\| (.*?) \| (?:debug|release|abort) \|", text, re.M))


DEEDS = ("panics", "panics_to_abort", "loops", "answers_an_unknown_code")


@pytest.mark.slow
@pytest.mark.parametrize("deed_id", DEEDS)
def test_a_deed_is_told_in_words_and_the_run_goes_on(deed_id, workshop):
    deed = next(one for one in deeds.all_deeds() if one.id == deed_id)
    if lacks(deed.sample):
        pytest.skip("there is no rustc here")
    finding, goes_on = deeds.done(deed, workshop)
    assert deeds.is_as_foreseen(deed, finding, goes_on), finding
