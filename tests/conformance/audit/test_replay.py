"""The witness of a FAIL is run on a processor, which has to break the expectation as well; where it
does not, that is an error of the audit, and never a FAIL."""

import pytest
from built import LEVELS, OBJECTS, cases_of, gcc

from conformance.audit import replay, step
from conformance.audit.audit import Question, audit
from conformance.audit.command import audit_command
from conformance.audit.elf import read_objects
from conformance.audit.verdict import Verdict

SOURCE = OBJECTS / "accessors.c"
CASES = {case.function: case for case in cases_of(SOURCE)}
WRONG = [name for name in CASES if name.startswith("wrong")]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("replay"), {}

    def objects(level):
        if level not in made:
            path = gcc(SOURCE, folder / f"accessors{level}.o", "-c", level)
            made[level] = read_objects(path.read_bytes(), str(path))
        return made[level]

    return objects


def judged(objects, name):
    case = CASES[name]
    return audit(objects, objects[0], name, Question(case.args, case.expect, case.assume))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", WRONG)
def test_each_witness_replays_with_the_same_accesses(built, name, level):
    if CASES[name].is_right(level):
        return
    found = judged(built(level), name)
    assert found.verdict is Verdict.FAIL and not found.not_replayed, found
    assert found.replayed[: len(found.accesses)] == found.accesses


@pytest.mark.parametrize(
    "name, of, falsified",
    [
        # It loops for one value only; with another it returns, as it should.
        ("wrong_never_returns", "value", lambda told: {**told, 6: 7}),
        # An answer of 77 is what it gets wrong.
        ("wrong_answer", "answers", lambda told: [(32, 5)]),
    ],
)
def test_a_witness_that_was_falsified_is_an_error(built, monkeypatch, name, of, falsified):
    if of == "answers":
        honest = replay.Witness.answers
        monkeypatch.setattr(replay.Witness, "answers", lambda self: falsified(honest(self)))
    else:
        honest_put = replay.Machine.put

        def put(self, regs, wide, segments):
            changed = falsified(dict(enumerate(regs)))
            honest_put(self, list(changed.values()), wide, segments)

        monkeypatch.setattr(replay.Machine, "put", put)
    found = judged(built("-O2"), name)
    assert found.verdict is Verdict.ERROR, found
    assert found.reason.startswith("the witness does not replay") and found.witness


def test_a_wrong_rule_of_an_instruction_is_told_as_an_error(built, monkeypatch, tmp_path, capsys):
    # The executor now takes every `mov` to write 0: a right accessor looks wrong to it.
    honest = step.RULES["mov"]

    def broken(s, i):
        if i.encoding == "mov m32, r32":
            s.write(i.operands[0], 0, i)
        else:
            honest(s, i)

    monkeypatch.setitem(step.RULES, "mov", broken)
    path = gcc(SOURCE, tmp_path / "accessors.o", "-c", "-O2")
    options = {"args": "mmio,value", "expect": "W32"}
    assert audit_command(path, function="right_write32", **options) == 6
    said = capsys.readouterr().out
    assert "ERROR right_write32" in said and "does not replay" in said and "value = " in said


def test_what_a_processor_cannot_be_given_is_said(built):
    # Wrong only near the end of the address space, where this processor has no pages.
    case = CASES["right_write32"]
    question = Question(case.args, "W32 if mmio < 0xfffffffffff00000 else none")
    found = audit(built("-O2"), built("-O2")[0], "right_write32", question)
    assert found.verdict is Verdict.FAIL and "no page can be" in found.not_replayed, found


@pytest.mark.parametrize(
    "expect, assume",
    [
        ("R32 if mmio % 4 == 0 else none", ()),
        ("R32 if mmio % 4096 < 4094 else none", ()),
        ("R32 if mmio != 4 else none", ()),
    ],
)
def test_addresses_that_are_no_multiple_cross_a_page_or_are_low_replay(built, expect, assume):
    found = audit(built("-O2"), built("-O2")[0], "right_read32", Question("mmio", expect, assume))
    assert found.verdict is Verdict.FAIL and found.replayed == found.accesses, found
