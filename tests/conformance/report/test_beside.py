"""JUnit XML, SARIF and the step summary: a failure in each exactly where the run has one."""

import json
import xml.etree.ElementTree as ET

import pytest
from report_results import HOSTILE, RUNS, bad_devices, checks_of, of_each_word, proofs, result

from conformance.files import WriteError
from conformance.report import beside
from conformance.report.checks import of_conform, of_proofs
from conformance.report.junit import junit
from conformance.report.sarif import sarif
from conformance.report.summary import summary
from conformance.report.words import visible
from spec.prove.verdict import Verdict


@pytest.mark.parametrize("name", RUNS)
def test_each_format_has_a_failure_exactly_where_the_run_does_not_hold(name):
    found = RUNS[name]()
    holds = found.exit_code == 0 and not found.partial
    checks = checks_of(found)
    root = ET.fromstring(junit(checks))
    failed = root.findall(".//failure") + root.findall(".//error")
    assert (not failed) == holds
    assert int(root.get("failures")) + int(root.get("errors")) == len(failed)
    assert int(root.get("tests")) == len(root.findall(".//testcase")) == len(checks)
    counted = sum(int(suite.get("skipped")) for suite in root)
    assert len(root.findall(".//skipped")) == counted
    results = json.loads(sarif(checks, found.exit_code))["runs"][0]["results"]
    assert (not [one for one in results if one["kind"] == "fail"]) == holds
    assert all(one["level"] != "none" for one in results if one["kind"] == "fail")
    said = summary("run", checks, found.exit_code)
    assert ("- ✕" in said or "- !" in said) == (not holds)


def test_only_what_is_not_claimed_is_skipped_and_it_says_why():
    root = ET.fromstring(junit(checks_of(RUNS["not_claimed"]())))
    skipped = root.find(".//skipped")
    assert skipped.get("message").startswith("NOT CLAIMED: ")
    for name, make in RUNS.items():
        if "claimed" not in name:
            assert all(check.state != "skipped" for check in checks_of(make()))


def test_divergence_has_its_place_its_help_and_its_citation():
    log = json.loads(sarif(of_conform(bad_devices()), 1))
    assert log["version"] == "2.1.0"
    run = log["runs"][0]
    rules, traces = run["tool"]["driver"]["rules"], set()
    for one in run["results"]:
        rule = rules[one["ruleIndex"]]
        assert rule["id"] == one["ruleId"]
        if one["properties"]["verdict"] == "DIVERGES":
            assert rule["properties"]["citation"] in rule["help"]["text"]
            assert "expected" in one["message"]["text"]
            place = one["locations"][0]["physicalLocation"]
            traces.add(place["artifactLocation"]["uri"])
            assert place["region"]["startLine"] >= 1
    known = {d.trace for dev in bad_devices().devices for d in dev.differences}
    assert traces == {f"file://{trace}" for trace in known}
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]


def test_refutation_points_at_the_rule_that_is_refuted():
    refuted = result("validation.bitmap.claim_2m.mixed/a_sentence", Verdict.REFUTED)
    log = json.loads(sarif(of_proofs(proofs([refuted])), 1))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "spec/validation/bitmap.py"
    assert place["region"]["startLine"] > 1


def test_no_text_breaks_a_format():
    odd = [
        result(f"{HOSTILE}/{HOSTILE}", Verdict.REFUTED, claim=HOSTILE, citation=HOSTILE,
               reason=HOSTILE, solvers={HOSTILE: HOSTILE}, assumptions=[HOSTILE])
    ]  # fmt: skip
    checks = of_proofs(proofs(odd))
    root = ET.fromstring(junit(checks))
    assert "\\x00\\x1b[31m<b>]]>&\\ud800\\ufffe\\u202e" in root.find(".//failure").get("message")
    assert json.loads(sarif(checks, 1))["runs"][0]["results"]
    said = summary(HOSTILE, checks, 1)
    assert "<b>" not in said
    assert "\x1b" not in said
    assert sum(line.startswith("|") for line in said.splitlines()) == 3


def test_visible_leaves_what_can_be_seen():
    assert visible("a b\tc\nd é 漢") == "a b\tc\nd é 漢"
    assert visible("\x07\x9b\u2028") == "\\x07\\x9b\\u2028"


def test_summary_is_appended_where_github_says(tmp_path, monkeypatch):
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    checks = of_proofs(proofs(of_each_word()))
    beside.write("prove", checks, 1, beside.Beside())
    beside.write("prove", checks, 1, beside.Beside())
    said = page.read_text()
    assert said.startswith("before\n")
    assert said.count("### svsm-conformance prove: does NOT hold, exit 1") == 2
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    beside.write("prove", checks, 1, beside.Beside())
    assert page.read_text() == said


def test_summary_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(WriteError, match=str(tmp_path)):
        beside.write("x", [], 0, beside.Beside(summary=tmp_path))
