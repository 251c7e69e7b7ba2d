"""The accessors of the built-in implementation, as compiled: one access of that width, or none."""

import pytest

from conformance.audit.audit import Question, audit, functions_of
from conformance.audit.elf import read_objects
from conformance.audit.encodings import compared, told
from conformance.audit.faults import UnreadableObject
from conformance.audit.kernels import built_object
from conformance.audit.verdict import Verdict

BITS = (8, 16, 32, 64)
SLICE = "{length} if length in 1,2,4,8 else none"
QUESTIONS = {
    **{f"svsm_mmio_read_u{bits}": Question("mmio", f"R{bits}") for bits in BITS},
    **{f"svsm_mmio_write_u{bits}": Question("mmio,value", f"W{bits}") for bits in BITS},
    "svsm_mmio_read": Question("mmio,data,length", f"R{SLICE}"),
    "svsm_mmio_write": Question("mmio,data,length", f"W{SLICE}"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_accessor_makes_one_access_of_its_width(name):
    try:
        path = built_object()
    except UnreadableObject as why:
        pytest.skip(str(why))
    objects = read_objects(path.read_bytes(), str(path))
    if not functions_of(objects, "svsm_mmio_*"):
        pytest.skip("the compiled twin has no accessors to registers")
    found = audit(objects, objects[0], name, QUESTIONS[name])
    assert found.verdict is Verdict.PASS, found
    assert found.encodings.keys() <= compared().keys(), told(set(found.encodings))
