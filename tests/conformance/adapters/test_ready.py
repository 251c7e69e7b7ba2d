"""The region made ready and OVMF's reading, asked of a shared library."""

from dataclasses import replace

import pytest

from conformance.area import EFFORTS, Task
from conformance.handoff.area import AREA


def report(path, folder):
    effort = replace(EFFORTS["quick"], examples=20, batches=10, batch_seconds=60.0)
    return AREA.run(Task(f"c:{path}", effort, seed=0, only="handoff.*", traces=folder))


def test_a_library_that_does_as_the_page_says_conforms(compiled, tmp_path):
    found = report(compiled("ready.c"), tmp_path)
    assert found.verdict == "CONFORMS"
    assert {row.rule for row in found.rules} == {
        "handoff.validate",
        "handoff.low_memory",
        "handoff.view",
    }
    assert found.unreached == []


@pytest.mark.parametrize(
    ("macros", "rule", "field", "said"),
    [
        ({"TURNS": 2}, "handoff.validate", "fault", "has been validated before"),
        ({"FIRST_ZERO": 1}, "handoff.view", "ram", "[0x1, 0xa0)"),
    ],
)
def test_a_library_that_does_otherwise_is_told(compiled, tmp_path, macros, rule, field, said):
    found = report(compiled("ready.c", **macros), tmp_path)
    assert found.exit_code == 1
    told = [d.finding for d in found.differences if d.finding.rule == rule]
    assert told
    assert told[0].field == field
    assert said in told[0].got
