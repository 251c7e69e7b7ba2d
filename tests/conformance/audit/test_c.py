"""Accessors in C, as this machine's gcc builds them at four levels: right ones PASS, wrong ones
FAIL, and nothing is left undecided."""

import subprocess
import time
from io import StringIO

import pytest
from built import LEVELS, OBJECTS, cases_of, gcc
from rich.console import Console

from conformance.audit.audit import Question, audit
from conformance.audit.elf import read_objects
from conformance.audit.report import report, show
from conformance.audit.verdict import Verdict

SOURCE = OBJECTS / "accessors.c"
CASES = cases_of(SOURCE)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    made = {}

    def objects(level, kind=".o"):
        if (level, kind) not in made:
            path = folder / f"accessors{level}{kind}"
            if kind == ".a":
                subprocess.run(["ar", "rcs", path, objects(level)[0].name], check=True)
            else:
                flags = ("-shared", "-fPIC") if kind == ".so" else ("-c",)
                gcc(SOURCE, path, level, *flags)
            made[level, kind] = read_objects(path.read_bytes(), str(path))
        return made[level, kind]

    return objects


def judged(objects, case):
    return audit(objects, objects[0], case.function, Question(case.args, case.expect, case.assume))


def test_there_are_right_and_wrong_ones():
    rights = sum(case.function.startswith("right") for case in CASES)
    assert rights > 20 and len(CASES) - rights > 15


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.function)
def test_right_ones_pass_and_wrong_ones_fail(built, case, level):
    found = judged(built(level), case)
    assert found.verdict is (Verdict.PASS if case.is_right(level) else Verdict.FAIL), found
    if found.verdict is Verdict.FAIL:
        assert found.line and found.where and found.witness


@pytest.mark.parametrize("kind", [".so", ".a"])
def test_a_library_and_an_archive_say_the_same(built, kind):
    for case in CASES:
        found = judged(built("-O2", kind), case)
        assert found.verdict is (Verdict.PASS if case.is_right("-O2") else Verdict.FAIL), found


def test_an_accessor_is_audited_in_a_fifth_of_a_second(built):
    # Of this process's own time: what else the machine does is not the audit's affair.
    for case in CASES:
        began = time.process_time()
        judged(built("-O2"), case)
        assert time.process_time() - began < 0.2, case.function


@pytest.mark.parametrize(
    "args, expect, unchecked",
    [
        ("mmio,value", "W32", []),
        ("mmio", "W32", ["what `W32` writes"]),
        ("mmio", "W32(5)", []),
        ("mmio,value", "RMW32", ["what `RMW32` writes"]),
        ("mmio,value", "RMW32(old | value)", []),
        ("mmio", "R32*", ["what `R32*` returns"]),
        ("mmio", "R32* returning read", []),
        ("mmio,value", "only W32", ["what `only W32` writes"]),
    ],
)
def test_a_value_that_nothing_is_said_of_is_told_as_not_checked(args, expect, unchecked):
    found = report("object", Question(args, expect), [])
    assert found.unchecked == unchecked
    assert "panics_do_not_return" in found.assumptions
    console = Console(record=True, file=StringIO(), width=200)
    show(found, console)
    assert ("value not checked" in console.export_text()) == bool(unchecked)
