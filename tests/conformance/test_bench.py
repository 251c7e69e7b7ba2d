"""The rows compare equal work, and a report survives JSON, comparison and a narrow terminal."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

from conformance import bench
from impl import kernels

PAGES = 2**13
SMALL = {"32 MiB": PAGES, "1 TiB": PAGES}
ANSWERS: dict[str, Callable[[Any], int]] = {
    "query 4 KiB": bool,
    "test region": bool,
    "count region": int,
    "first unclaimed, at end": int,
    "compare two equal": bool,
}


@pytest.fixture(scope="module")
def rig() -> bench.Rig:
    return bench.Rig(kernels.load(), PAGES)


@pytest.fixture(scope="module")
def report() -> bench.BenchReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "GUESTS", SMALL)
        patch.setitem(bench.PROFILES, "quick", bench.Profile(0.0004, 2))
        heard: list[str] = []
        made = bench.run("quick", heard.append)
    assert len(heard) == len(made.rows) == 2 * len(bench.CONTESTS)
    return made


def _bits(rig: bench.Rig) -> dict[str, int]:
    """The claimed pages of everybody, as one integer each."""
    names = rig.names
    found = {"ours": names["bitmap"].words(), "numpy": names["array"].tobytes()}
    if "bits" in names:
        found["bitarray"] = names["bits"].tobytes()
    values = {who: int.from_bytes(raw, "little") for who, raw in found.items()}
    if "roaring" in names:
        values["pyroaring"] = sum(1 << page for page in names["roaring"])
    return values | {"int": names["big"]}


@pytest.mark.parametrize("pattern", ["empty", "full", "alternating", "boot", "last"])
def test_everybody_starts_from_the_same_pages(rig: bench.Rig, pattern: str) -> None:
    rig.load(pattern)
    want = {
        "empty": set(),
        "full": set(range(PAGES)),
        "alternating": set(range(0, PAGES, 2)),
        "boot": {page for page in range(PAGES) if page % 100 != 50},
        "last": set(range(PAGES - 1)),
    }[pattern]
    assert set(_bits(rig).values()) == {sum(1 << page for page in want)}


@pytest.mark.parametrize("contest", bench.CONTESTS, ids=lambda contest: contest.name)
def test_everybody_does_the_same_work(rig: bench.Rig, contest: bench.Contest) -> None:
    rig.load(contest.pattern)
    before = set(_bits(rig).values())
    assert len(before) == 1
    answers = {}
    for who, statement in rig.entries(contest):
        answers[who] = bench.statement(statement, rig.names)()
    assert set(_bits(rig).values()) == before
    if contest.name in ANSWERS:
        unit = 4096 if contest.name.startswith("first") else 1
        found = {answers[who] for who in answers if who in bench.PEERS}
        mine = ANSWERS[contest.name](answers["ours"]) // unit
        assert {ANSWERS[contest.name](answer) for answer in found} == {mine}


@pytest.mark.parametrize("contest", bench.CONTESTS[1:6], ids=lambda contest: contest.name)
def test_the_first_half_of_a_pair_claims_for_everybody(
    rig: bench.Rig, contest: bench.Contest
) -> None:
    rig.load("empty")
    if not contest.peers:
        assert contest.name == "one row of a batch"
        bench.statement(contest.ours, rig.names)()
        assert not rig.names["results"].any()
        return
    for who, statement in rig.entries(contest):
        if who in bench.PEERS or who == "ours":
            parts = statement.split("; ")
            bench.statement("; ".join(parts[: len(parts) // 2]), rig.names)()
    values = _bits(rig)
    del values["int"]  # immutable: its statements leave the name alone
    assert len(set(values.values())) == 1
    assert 0 not in values.values()


def test_a_report_survives_json(report: bench.BenchReport) -> None:
    data = bench.to_json(report)
    assert bench.from_json(data) == report
    assert msgspec.json.decode(data)["schema"] == "svsm-conformance/bench/1"
    with pytest.raises(ValueError, match="schema"):
        bench.from_json(data.replace(b"bench/1", b"bench/0"))
    with pytest.raises(ValueError):
        bench.from_json(b"{}")


def test_a_report_lacks_nobody(report: bench.BenchReport) -> None:
    for row in report.rows:
        contest = next(one for one in bench.CONTESTS if one.name == row.name)
        assert row.peers.keys() | report.missing.keys() >= contest.peers.keys()
        assert row.ours > 0
        assert (row.limit_seconds is None) == (contest.name == "one row of a batch")
        assert len(row.ratios()) == len(row.peers) + bool(row.limit)
    *bitmaps, as_runs = report.memory
    assert [line.pattern for line in bitmaps] == list(bench.PATTERNS)
    assert all(PAGES // 8 <= line.ours <= PAGES // 8 + 400 for line in bitmaps)
    assert as_runs.pattern == bench.AS_RUNS
    assert as_runs.ours < 2**20


def test_compare_gives_ratios_of_ratios(report: bench.BenchReport) -> None:
    assert all(change.change == 1 for change in bench.compare(report, report))
    first = report.rows[0]
    slower = msgspec.structs.replace(first, ours=2 * first.ours)
    faster_machine = [
        msgspec.structs.replace(
            row, ours=row.ours / 4, peers={who: t / 4 for who, t in row.peers.items()},
            limit_seconds=row.limit_seconds and row.limit_seconds / 4,
        )
        for row in [slower, *report.rows[1:-1]]
    ]  # fmt: skip
    changes = bench.compare(report, msgspec.structs.replace(report, rows=faster_machine))
    worst = [change for change in changes if change.change == pytest.approx(2)]
    assert worst == changes[: len(first.ratios())]
    assert {(change.name, change.guest) for change in worst} == {(first.name, first.guest)}
    gone = [change for change in changes if change.new is None]
    assert gone == changes[-len(report.rows[-1].ratios()) :]
    assert all(change.change is None and change.old is not None for change in gone)


def test_tables_fit_100_columns_and_cut_nothing(report: bench.BenchReport) -> None:
    long = [
        msgspec.structs.replace(row, ours=999.9e-9, limit_seconds=80e-9, target=1.15)
        for row in report.rows
    ]
    for shown in (report, msgspec.structs.replace(report, rows=long)):
        console = Console(width=100)
        with console.capture() as captured:
            for table in bench.tables(shown):
                console.print(table)
        text = captured.get()
        assert "\u2026" not in text
        assert max(map(len, text.splitlines())) <= 100
        assert all(contest.name in text for contest in bench.CONTESTS)
        assert all(pattern in text for pattern in bench.PATTERNS)


def test_a_peer_that_is_not_installed_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str) -> Any:
        if name == "pyroaring":
            raise ImportError("No module named 'pyroaring'")
        return real(name)

    monkeypatch.setattr("importlib.import_module", without)
    monkeypatch.setattr(bench, "GUESTS", {"1 TiB": PAGES})
    monkeypatch.setitem(bench.PROFILES, "quick", bench.Profile(0.0002, 2))
    made = bench.run("quick")
    assert made.missing["pyroaring"].startswith("not installed")
    assert all("pyroaring" not in row.peers for row in made.rows)
    caption = bench.tables(made)[-1].caption
    assert "pyroaring: not installed" in str(caption)


def test_an_unknown_profile_is_misuse() -> None:
    with pytest.raises(ValueError, match="'slow'"):
        bench.run("slow")


def test_boot_pattern_words_have_a_hole_in_every_hundred() -> None:
    words = bench.pattern_words("boot", 2**18)
    assert words.dtype == np.uint64
    assert int(np.bitwise_count(words).sum()) == 2**18 - len(range(50, 2**18, 100))
