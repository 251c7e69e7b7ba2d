"""The bitmap's kernels as compiled: each is proved, and a wrong one is refuted."""

import ctypes

import pytest
from built import OBJECTS, gcc

from conformance.audit import step
from conformance.audit.elf import read_objects
from conformance.audit.encodings import compared, told
from conformance.audit.externals import COUNT_ONES
from conformance.audit.faults import UnreadableObject
from conformance.audit.image import load
from conformance.audit.kernel_proof import Word
from conformance.audit.kernel_report import report
from conformance.audit.kernel_rules import RULES
from conformance.audit.kernels import built_object, prove, prove_all

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
    assert "a processor does it wrong as well" in found.reason, found


def test_what_is_missing_or_open_is_no_success(tmp_path):
    assert report("nothing", []).exit_code == 3
    path = gcc(OBJECTS / "small.c", tmp_path / "small.o", "-c")
    objects = read_objects(path.read_bytes(), str(path))
    assert not any(one.name in SHORT for one in load(objects, objects).functions)


ONES = """
int __popcountdi2(unsigned long v) {
    v -= v >> 1 & 0x5555555555555555;
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    return (MASK & (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56;
}
"""


@pytest.mark.parametrize("mask, word", [("~0ul", Word.PROVED), ("~(1ul << 32)", Word.REFUTED)])
def test_a_function_that_counts_ones_is_proved_from_its_code(tmp_path, mask, word):
    source = tmp_path / "ones.c"
    source.write_text(ONES.replace("MASK", mask))
    path = gcc(source, tmp_path / "ones.o", "-O1", "-c")
    found = prove_all(read_objects(path.read_bytes(), str(path)))
    ones = next(one for one in found if one.kernel == COUNT_ONES)
    assert ones.word is word and ones.claims == 3, ones
    # What is proved is supposed no longer; what is not, is.
    assumed = report("ones", found).assumptions
    assert ("popcount_contract" in assumed) == (word is not Word.PROVED)
    if word is Word.REFUTED:
        value = ones.witness["value"]
        made = gcc(source, tmp_path / "ones.so", "-O1", "-shared", "-fPIC")
        count = ctypes.CDLL(str(made)).__getattr__(COUNT_ONES)
        count.argtypes = [ctypes.c_uint64]
        assert count(value) != value.bit_count()


def test_without_the_code_the_contract_stays_an_assumption(tmp_path):
    path = gcc(OBJECTS / "small.c", tmp_path / "small.o", "-c")
    found = prove_all(read_objects(path.read_bytes(), str(path)))
    assert not any(one.kernel == COUNT_ONES for one in found)
    assert "popcount_contract" in report("small", found).assumptions


def test_a_counterexample_that_a_processor_does_not_show_is_an_error(tmp_path, monkeypatch):
    # The executor now takes `and` to be `or`: a right kernel looks wrong to it.
    monkeypatch.setitem(step.RULES, "and", step.RULES["or"])
    path = gcc(OBJECTS / "kernels.c", tmp_path / "kernels.o", "-O1", "-c")
    found = proof_of(path, "point_test")
    assert found.word is Word.ERROR and "does not replay" in found.reason and found.witness, found
    assert report("kernels", [found]).exit_code == 6
