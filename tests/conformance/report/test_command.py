"""`svsm-conformance report`: what it is made of, and what it exits with."""

import json

import pytest
from report_results import bad_devices, bench, conforming, map_file, of_each_word, proofs, result

from conformance import bench as benches
from conformance import cli
from conformance.handoff import command as handoff
from conformance.report import command


def wrote(data, code=0):
    """A stand-in for a verb that writes its results."""

    def verb(*_, json, **__):
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_bytes(data)
        return code

    return verb


@pytest.fixture
def verbs(monkeypatch, tmp_path):
    """The four verbs, each quickly done."""
    monkeypatch.setattr(cli, "prove", wrote(proofs([result()]).to_json()))
    monkeypatch.setattr(cli, "conform", wrote(conforming().to_json()))
    monkeypatch.setattr(cli, "bench", wrote(benches.to_json(bench())))
    monkeypatch.setattr(handoff, "handoff", wrote(map_file(tmp_path).read_bytes()))


def test_report_of_nothing_given_runs_all_four_and_keeps_their_results(verbs, tmp_path):
    out, results = tmp_path / "out.html", tmp_path / "results"
    assert command.report(out, results=results) == 0
    assert sorted(path.name for path in results.iterdir()) == [
        "bench.json", "conform.json", "handoff.json", "prove.json",
    ]  # fmt: skip
    assert "All that was run holds" in out.read_text()


def test_report_tells_what_could_not_be_run(verbs, monkeypatch, tmp_path, capsys):
    def refuses(**_):
        raise ValueError("no memory map here")

    monkeypatch.setattr(handoff, "handoff", refuses)
    out = tmp_path / "out.html"
    assert command.report(out, results=tmp_path / "results") == 0
    assert "handoff: not run: no memory map here" in capsys.readouterr().err
    assert "NOT RUN" in out.read_text()


def test_results_of_an_earlier_run_are_not_taken_for_this_one(verbs, monkeypatch, tmp_path):
    results = tmp_path / "results"
    command.report(tmp_path / "out.html", results=results)
    monkeypatch.setattr(cli, "prove", lambda **_: 1)
    assert command.report(tmp_path / "out.html", results=results) == 1
    assert not (results / "prove.json").exists()
    assert "no results of prove were given" in (tmp_path / "out.html").read_text()


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda: proofs([result()]), 0),
        (lambda: proofs(of_each_word()), 6),
        (proofs, 3),
        (conforming, 0),
        (bad_devices, 1),
    ],
)
def test_report_exits_with_the_worst_that_the_results_stand_for(made, code, tmp_path, capsys):
    (tmp_path / "results.json").write_bytes(made().to_json())
    out = tmp_path / "out.html"
    assert command.report(out, from_=[tmp_path / "results.json"]) == code
    assert out.read_text().startswith("<!doctype html>")
    assert str(out) in capsys.readouterr().out.replace("\n", "")


def test_what_is_printed_of_a_file_moves_no_cursor(tmp_path, capsys):
    plain = json.loads(conforming().to_json())
    plain["devices"][0]["device"] = "a\x1b[2Jb"
    (tmp_path / "results.json").write_text(json.dumps(plain))
    command.report(tmp_path / "out.html", from_=[tmp_path / "results.json"])
    assert "\x1b" not in capsys.readouterr().out
