"""Each encoding that the executor meets is compared with a processor, from drawn states."""

import pytest
from built import LEVELS, OBJECTS, cases_of, gcc
from processor import CODE, ENDS, compare

from conformance.audit import step
from conformance.audit.audit import Question, audit
from conformance.audit.decode import decode
from conformance.audit.elf import read_objects
from conformance.audit.encodings import compared, told
from conformance.audit.flags import sub_flags

STATES = 3
ROWS = sorted(compared().items())


@pytest.mark.parametrize("part", range(8))
def test_the_rules_do_what_a_processor_does(part):
    for name, code in ROWS[part::8]:
        found = [compare(code, seed) for seed in range(STATES)]
        assert not any(found), (name, found)
        # Not all of them may have been such that the manual leaves the result open.
        assert [] in found or [] in [compare(code, seed) for seed in range(STATES, 40)], name


def test_the_list_is_what_it_says():
    for name, code in ROWS:
        assert decode(bytes.fromhex(code), CODE).encoding == name


def test_a_broken_rule_is_seen(monkeypatch):
    def broken(s, i):
        sub_flags(s, s.read(i.operands[0], i), s.read(i.operands[1], i), i.operands[0].bits)
        s.flags["cf"] = False

    monkeypatch.setitem(step.RULES, "cmp", broken)
    assert any(compare(compared()["cmp r64, r64"], seed) for seed in range(8))


def test_every_encoding_in_the_audited_objects_is_in_the_list(tmp_path):
    met = {}
    for source in sorted(OBJECTS.glob("*.c")):
        for level in LEVELS:
            path = gcc(source, tmp_path / f"{source.stem}{level}.o", "-c", level)
            objects = read_objects(path.read_bytes(), str(path))
            for case in cases_of(source):
                question = Question(case.args, case.expect, case.assume)
                met |= audit(objects, objects[0], case.function, question).encodings
    assert len(met) > 50
    run = {name for name, code in met.items() if decode(bytes.fromhex(code), 0).op not in ENDS}
    assert run <= compared().keys(), told(run)
