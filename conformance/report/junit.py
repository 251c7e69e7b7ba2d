"""Checks as JUnit XML, as test runners of all kinds write it and build servers read it."""

from collections.abc import Sequence
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from conformance.report.checks import Check
from conformance.report.words import line, visible

TAGS = {"failed": "failure", "error": "error", "skipped": "skipped"}
MOST_TEXT = 20_000


def junit(checks: Sequence[Check]) -> bytes:
    """The XML: a suite for each thing that was run, a case for each check."""
    root = Element("testsuites", name="svsm-conformance")
    for name, listed in groupby(checks, lambda check: check.suite):
        mine = list(listed)
        suite = SubElement(root, "testsuite", {"name": line(name), **_counts(mine)})
        for check in mine:
            _case(suite, check)
    for key, value in _counts(checks).items():
        if key != "skipped":
            # The schema that build servers share counts these in suites alone.
            root.set(key, value)
    indent(root)
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _counts(checks: Sequence[Check]) -> dict[str, str]:
    states = [check.state for check in checks]
    return {
        "tests": str(len(checks)),
        "failures": str(states.count("failed")),
        "errors": str(states.count("error")),
        "skipped": str(states.count("skipped")),
        "time": f"{sum(check.seconds for check in checks):.3f}",
    }


def _case(suite: Element, check: Check) -> None:
    stem, _, name = check.id.rpartition("/" if "/" in check.id else ".")
    classname = f"{check.suite}.{stem}" if stem else check.suite
    case = SubElement(
        suite,
        "testcase",
        classname=line(classname),
        name=line(name),
        time=f"{check.seconds:.3f}",
    )
    if check.state == "passed":
        return
    says = line(f"{check.word}: {check.says}")[:MOST_TEXT]
    found = SubElement(case, TAGS[check.state], message=says)
    if check.state != "skipped":
        found.set("type", line(check.word))
        again = f"\nagain: {check.again}" if check.again else ""
        found.text = visible(f"{check.told or check.says}{again}"[:MOST_TEXT])
