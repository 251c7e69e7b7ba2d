"""The bitmap's kernels as compiled: each is proved, and a wrong one is refuted."""

import pytest
from built import OBJECTS, gcc

from conformance.audit.elf import read_objects
from conformance.audit.encodings import compared, told
from conformance.audit.faults import UnreadableObject
from conformance.audit.image import load
from conformance.audit.kernel_report import report
from conformance.audit.kernel_rules import RULES
from conformance.audit.kernels import Word, built_object, prove

SHORT = {rule.name.removeprefix("bitmap_"): rule for rule in RULES}


def proof_of(path, kernel, seconds=60):
    objects = read_objects(path.read_bytes(), str(path))
    image = load(objects, objects[:1])
    rule = SHORT[kernel]
    function = next(one for one in image.functions if one.name == rule.name)
    return prove(image, function, rule, seconds)


QUICK = ("point_test", "point_set", "point_clear", "large_test", "large_fill", "range_fill")
SUMS = ("words_count_popcnt", "words_count_plain", "words_count", "range_count", "words_sum")

LONG = ("range_test", "range_find_clear")


@pytest.mark.parametrize(
    "kernel", [*QUICK, *SUMS, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)]
)
def test_a_kernel_of_the_built_in_implementation_is_proved(kernel):
    try:
        path = built_object()
    except UnreadableObject as why:
        pytest.skip(str(why))
    found = proof_of(path, kernel)
    assert found.word is Word.PROVED and found.claims >= 2, found
    assert found.encodings.keys() <= compared().keys(), told(set(found.encodings))
    assert (found.loops > 0) == (kernel not in QUICK)


# Which kernel each mutant of kernels.c breaks.
MUTANTS = (
    *("point_test", "point_set", "point_clear", "range_fill", "range_fill"),
    *("range_test", "range_find_clear", "range_test", "range_find_clear", "range_count"),
    *("range_count", "range_test"),
)


@pytest.mark.parametrize(
    "kernel",
    ["point_test", "point_set", "point_clear", "range_test", "range_find_clear", "range_count"],
)
def test_a_plain_kernel_in_c_is_proved(tmp_path, kernel):
    path = gcc(OBJECTS / "kernels.c", tmp_path / "kernels.o", "-O1", "-c")
    found = proof_of(path, kernel)
    assert found.word is Word.PROVED, found


@pytest.mark.parametrize("number, kernel", list(enumerate(MUTANTS, 1)))
def test_a_mutated_kernel_is_refuted(tmp_path, number, kernel):
    path = gcc(OBJECTS / "kernels.c", tmp_path / "kernels.o", "-O1", "-c", f"-DMUTANT={number}")
    found = proof_of(path, kernel)
    assert found.word is Word.REFUTED and "first" in found.witness, found


def test_what_is_missing_or_open_is_no_success(tmp_path):
    assert report("nothing", []).exit_code == 3
    path = gcc(OBJECTS / "small.c", tmp_path / "small.o", "-c")
    objects = read_objects(path.read_bytes(), str(path))
    assert not any(one.name in SHORT for one in load(objects, objects).functions)
