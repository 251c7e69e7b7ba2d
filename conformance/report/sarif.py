"""Checks that did not pass as SARIF 2.1.0, which code scanning reads.

Of what is not decided the level is `warning`, so that a reader of levels alone sees it; of what
is not claimed it is `none`. Passed checks are not listed.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import msgspec

from conformance import __version__
from conformance.areas import areas
from conformance.report.checks import Check
from conformance.report.words import line, visible
from spec.catalogue import rules

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
OPEN = ("UNKNOWN", "BOUNDED", "INTERRUPTED", "NOTHING COMPARED")
CATALOGUE = "spec/catalogue.py"
HERE = "%SRCROOT%"
WHAT_IS_HERE = "Of rules the sources of the suite; of traces the directory in which it was run."


def sarif(checks: Sequence[Check], exit_code: int) -> bytes:
    """One run of the suite as a SARIF log."""
    told = [check for check in checks if check.state != "passed"]
    ids = list(dict.fromkeys(line(check.id) for check in told))
    first = {line(check.id): check for check in reversed(told)}
    run = {
        "tool": {
            "driver": {
                "name": "svsm-conformance",
                "version": __version__,
                "rules": [_rule(first[i]) for i in ids],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not any(c.word == "INTERRUPTED" for c in checks),
                "exitCode": exit_code,
            }
        ],
        "results": [_result(check, ids.index(line(check.id))) for check in told],
        "originalUriBaseIds": {HERE: {"description": {"text": WHAT_IS_HERE}}},
        "columnKind": "unicodeCodePoints",
        "properties": {"checks": len(checks), "passed": len(checks) - len(told)},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=1) + b"\n"


def _rule(check: Check) -> dict[str, Any]:
    claim = line(check.claim or check.id)
    source = line(check.citation or "svsm-conformance")
    return {
        "id": line(check.id),
        "shortDescription": {"text": claim},
        "fullDescription": {"text": f"{claim} Source: {source}."},
        "help": {"text": f"{claim}\nSource: {source}\nSee it again: {line(check.again)}"},
        "properties": {"citation": source, "tags": ["confidential-computing"]},
    }


def _result(check: Check, index: int) -> dict[str, Any]:
    skipped = check.state == "skipped"
    level = "none" if skipped else "warning" if check.word in OPEN else "error"
    told = f"\n{check.told}" if check.told else ""
    again = f"\nSee it again: {check.again}" if check.again else ""
    return {
        "ruleId": line(check.id),
        "ruleIndex": index,
        "kind": "notApplicable" if skipped else "fail",
        "level": level,
        "message": {"text": visible(f"{check.word}: {check.says}{told}{again}")},
        "locations": [_location(check)],
        "partialFingerprints": {"check/v1": line(f"{check.suite}: {check.id}: {check.word}")},
        "properties": {"verdict": line(check.word), "suite": line(check.suite)},
    }


def _location(check: Check) -> dict[str, Any]:
    uri, number = (_uri(check.trace), 1) if check.trace else _written(check.id)
    file = {"uri": uri} if ":" in uri.partition("/")[0] else {"uri": uri, "uriBaseId": HERE}
    place = {"artifactLocation": file, "region": {"startLine": number}}
    name = {"fullyQualifiedName": line(check.id), "kind": "function"}
    return {"physicalLocation": place, "logicalLocations": [name]}


def _uri(name: str) -> str:
    path = Path(name)
    if path.is_absolute():
        return path.as_uri()
    return quote(str(PurePosixPath(*path.parts)))


def _written(name: str) -> tuple[str, int]:
    """The file and the line of the rule that an id begins with."""
    stem = name.partition("/")[0]
    for known in (stem, stem.rpartition(".")[0]):
        found: Any = rules().get(known)
        for area in areas():
            found = found or area.rules().get(known)
        if found is not None:
            rule = found[1] if isinstance(found, tuple) else found
            module = rule.cases.__module__.replace(".", "/")
            return f"{module}.py", rule.cases.__code__.co_firstlineno
    return CATALOGUE, 1
