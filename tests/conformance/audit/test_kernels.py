"""The bitmap's kernels as compiled: proved where the proof goes through, and a wrong one never is.

Two kernels with loops over blocks of words are not proved yet, and are said to be so.
"""

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


@pytest.mark.parametrize("kernel", ["point_test", "point_set", "point_clear", "large_test"])
def test_a_kernel_of_the_built_in_implementation_is_proved(kernel):
    try:
        path = built_object()
    except UnreadableObject as why:
        pytest.skip(str(why))
    found = proof_of(path, kernel)
    assert found.word is Word.PROVED and found.claims >= 2, found
    assert found.encodings.keys() <= compared().keys(), told(set(found.encodings))


# Which kernel each mutant of kernels.c breaks.
MUTANTS = ("point_test", "point_set", "point_clear", "range_fill", "range_fill")
LOOPS = ("range_test", "range_find_clear")


@pytest.mark.parametrize("kernel", ["point_test", "point_set", "point_clear"])
def test_a_plain_kernel_in_c_is_proved(tmp_path, kernel):
    path = gcc(OBJECTS / "kernels.c", tmp_path / "kernels.o", "-O1", "-c")
    assert proof_of(path, kernel).word is Word.PROVED


@pytest.mark.parametrize("number, kernel", list(enumerate(MUTANTS, 1)))
def test_a_mutated_kernel_is_refuted(tmp_path, number, kernel):
    path = gcc(OBJECTS / "kernels.c", tmp_path / "kernels.o", "-O1", "-c", f"-DMUTANT={number}")
    found = proof_of(path, kernel)
    assert found.word is Word.REFUTED and "first" in found.witness, found


@pytest.mark.parametrize("number, kernel", list(enumerate(LOOPS, 6)))
def test_a_mutated_loop_is_not_proved(tmp_path, number, kernel):
    path = gcc(OBJECTS / "kernels.c", tmp_path / "kernels.o", "-O1", "-c", f"-DMUTANT={number}")
    assert proof_of(path, kernel, 20).word is not Word.PROVED


def test_what_is_missing_or_open_is_no_success(tmp_path):
    assert report("nothing", []).exit_code == 3
    path = gcc(OBJECTS / "small.c", tmp_path / "small.o", "-c")
    objects = read_objects(path.read_bytes(), str(path))
    assert not any(one.name in SHORT for one in load(objects, objects).functions)
