"""What is proved of MMIO, and that it is refuted where a rule says something else."""

import pytest

from conformance.known_bad import called
from conformance.mmio import defects
from spec.catalogue import MMIO, mmio_rules
from spec.mmio import lemmas
from spec.mmio.access import LENGTH
from spec.mmio.claims import KEPT, STEPS
from spec.mmio.state import Answer
from spec.prove.inductive import obligations
from spec.prove.run import PROFILES, prove_ids
from spec.prove.solvers import Budget


def test_some_obligations_of_each_rule_are_proved() -> None:
    ids = [
        "mmio.read_u32.done/what_is_read_is_no_wider_than_asked",
        "mmio.write.bad_length/a_refusal_before_makes_no_transaction",
        "mmio.close.done/only_the_slot_changes",
        "mmio.config_round.last_unmet/is_never_taken",
        "mmio/slice_and_typed_agree[read_u16]",
        "mmio/back_ends_agree[write,tdx]",
        "mmio.devices.fifo.taken/a_fifo_moves_by_one",
    ]
    results = prove_ids(ids, PROFILES["quick"], Budget())
    assert {r.id: r.verdict for r in results} == dict.fromkeys(ids, "PROVED")


def test_every_case_is_shown_to_be_reached_or_never_to_be() -> None:
    for model in MMIO:
        told = {o.id for o in obligations(model)}
        for rule in model.rules:
            assert any(i.startswith(f"{model.called(rule)}.") for i in told), rule.id
    never = [o.id for o in obligations(MMIO[0]) if o.id.endswith("/is_never_taken")]
    assert never == [
        "mmio.read_u8.misaligned/is_never_taken",
        "mmio.write_u8.misaligned/is_never_taken",
        "mmio.config_round.last_unmet/is_never_taken",
    ]


def test_every_sentence_is_broken_by_a_defect() -> None:
    broken = {found.breaks for found in defects.all_defects()}
    assert {one.name for one in (*KEPT, *STEPS)} <= broken


@pytest.mark.parametrize("one", lemmas.WRONG, ids=lambda one: one.name)
def test_a_device_tells_a_wrong_lowering_from_the_right_one(one: lemmas.Wrong) -> None:
    meant, made = lemmas.after(one.device, [one.meant]), lemmas.after(one.device, one.made)
    assert meant != made


def test_memcpy_of_four_bytes_takes_four_items() -> None:
    state, value = lemmas.after(lemmas.fifo, [lemmas.Access(False, n, 1, 0) for n in range(4)])
    assert (state.fifo.head, value) == (4, 0x44332211)


@pytest.mark.parametrize("name", ["size_without_offset", "two_halves", "any_length", "torn"])
def test_a_defect_is_refuted_by_values_that_replay(name: str) -> None:
    assert defects.is_refuted(called(defects.all_defects(), name))


def test_every_refusal_is_answered_by_some_case() -> None:
    assert set(LENGTH.values()) == {1, 2, 4, 8}
    assert len(mmio_rules()) == 15
    assert [a.value for a in Answer] == list(range(17))
