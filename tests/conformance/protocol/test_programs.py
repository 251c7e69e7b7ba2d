"""The program of a rule does what its text does, and a program that does not is told of."""

from dataclasses import replace

import pytest

from conformance.protocol import compiled, machines
from conformance.protocol.device import SvsmDevice
from conformance.protocol.doors import cases
from conformance.protocol.judge import Joint, Reached
from conformance.protocol.run import doors, through
from conformance.protocol.walk import drawn
from conformance.protocol.world import starts
from spec import rule as text
from spec.rule import Case, Rule, changed
from spec.tables import BLOCK, ListedTable
from spec.terms import plus
from spec.validation import pvalidate, reboot
from spec.validation.svsm import Cpu, Did, Pc, Svsm

on_each = pytest.mark.parametrize("machine", machines.MACHINES)


@on_each
def test_on_the_way_to_each_case_the_program_does_what_the_text_does(machine: str) -> None:
    reached = Reached()
    for door in doors(machine):
        assert through(door, SvsmDevice(), reached, compiled.checked) is None
    assert set(cases(machine)) <= set(reached)


@on_each
def test_every_step_of_a_walk_is_what_the_text_says_of_it(machine: str) -> None:
    for seed in range(12):
        joint = Joint(SvsmDevice(), starts(machine)[seed % len(starts(machine))])
        for rule, op in drawn(seed, joint):
            before = compiled.own(joint.state)
            wanted = text.step(rule, before, op)
            taken = joint.do(rule, op)
            assert taken[:3] == wanted[:3]


def test_a_state_of_its_own_shares_no_table_with_what_it_is_a_copy_of() -> None:
    start = starts()[1]
    mine = compiled.own(start)
    assert mine == start
    kept = compiled.own(start)
    for number in range(12):
        joint = Joint(SvsmDevice(), start)
        for rule, op in drawn(number, joint):
            joint.do(rule, op)
    assert start == kept == mine


def edited(cases_of: object) -> Rule:
    return replace(pvalidate.flush, cases=cases_of)


def at_flush() -> tuple[Svsm, Cpu]:
    return starts()[1].with_cpu(0, pc=Pc.FLUSH), Cpu(0)


def test_a_program_that_does_something_else_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    state, op = at_flush()
    other = edited(lambda s, o: (Case("flushed", True, Did.DONE, s.going_to(o.vcpu, Pc.FILL)),))
    honest = compiled.program
    monkeypatch.setattr(compiled, "program", lambda _rule, shape: honest(other, shape))
    held = compiled.checked(pvalidate.flush, Svsm)
    with pytest.raises(compiled.ProgramError, match=r"pvalidate\.flush\.flushed"):
        held(compiled.own(state), op)


def test_what_a_step_needs_of_the_state_is_read_before_any_of_it_is_changed() -> None:
    def swap(s: Svsm, op: Cpu) -> tuple[Case, ...]:
        entries, following = s.cpus.entries.at(op.vcpu), s.cpus.next.at(op.vcpu)
        after = s.with_cpu(op.vcpu, entries=following, next=plus(entries, 1))
        return (Case("swapped", True, Did.DONE, changed(after, held=s.claimed, claimed=s.held)),)

    state, op = at_flush()
    state = state.with_cpu(0, entries=5, next=8)
    wanted = text.step(edited(swap), state, op)
    assert compiled.program(edited(swap), Svsm)(compiled.own(state), op) == wanted
    assert wanted.state.cpus.next.at(0) == 6


def test_a_table_that_would_be_in_two_places_is_not_made_a_program() -> None:
    def shared(s: Svsm, _op: Cpu) -> tuple[Case, ...]:
        return (Case("shared", True, Did.DONE, changed(s, holder=s.caa_of)),)

    with pytest.raises(TypeError, match=r"s\.holder: a table that another field has too"):
        compiled.listed(edited(shared), Svsm)


def test_what_cannot_be_printed_is_not_made_a_program() -> None:
    def product(s: Svsm, _op: Cpu) -> tuple[Case, ...]:
        return (Case("odd", s.nonce * s.nonce == 1, Did.DONE, s), Case("even", True, Did.DONE, s))

    with pytest.raises(TypeError, match="bvmul cannot be printed"):
        compiled.listed(edited(product), Svsm)


def test_no_case_taken_is_no_step() -> None:
    state, op = at_flush()
    never = edited(lambda s, _o: (Case("never", s.halted, Did.DONE, s),))
    with pytest.raises(LookupError):
        compiled.program(never, Svsm)(compiled.own(state), op)


def test_a_block_is_written_in_place_as_a_table_writes_it() -> None:
    table = ListedTable({3: 4, BLOCK: 7, BLOCK + 9: 8}, {0: (1, False)})
    for counting in (False, True):
        mine = ListedTable(dict(table.singles), dict(table.blocks))
        compiled.put_block(mine, BLOCK, True, 512, counting)
        compiled.put_block(mine, 1, False, 5, False)
        assert mine == table.with_block(BLOCK, True, 512, counting).put(1, 5)


def test_a_program_leaves_out_what_a_machine_never_answers() -> None:
    listing, _ = compiled.listed(pvalidate.validate, machines.MACHINES["native"].state)
    assert "exits" not in listing and "size_mismatch" not in listing
    assert "filled" in compiled.listed(reboot.reboot, Svsm)[0]
