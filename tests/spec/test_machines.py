"""The SVSM's steps on TDX and on any machine."""

import pytest

from conformance.protocol.defects import all_defects, is_refuted, named
from spec.catalogue import MODELS
from spec.machine.snp import Asked, Contents
from spec.machine.tdx import Tdx
from spec.pages import ListedPages
from spec.prove.inductive import Model, obligations
from spec.tables import ListedTable


def of_machine(models: tuple[Model, ...], machine: str) -> Model:
    return next(model for model in models if model.machine == machine)


@pytest.mark.parametrize("defect", [d.id for d in all_defects() if d.machine == "tdx"])
def test_what_does_harm_on_tdx_is_refuted_there(defect: str) -> None:
    found = named(defect)
    assert found is not None
    assert is_refuted(found)


def accepting(large_leaf: bool, accepted: bool, large: bool) -> Asked:
    leaves = ListedPages().with_block(0x200, True, True)
    none = ListedTable()
    made = ListedPages().with_block(0x200, True, accepted)
    empty = ListedPages()
    hw = Tdx(leaves, leaves if large_leaf else empty, made, none, none, empty, empty)
    return hw.validate(0x200, large)


def test_accept_answers_as_the_module_does_at_each_size() -> None:
    assert accepting(True, False, False).fault
    assert not accepting(True, True, False).fault
    assert accepting(False, True, True).mismatch
    done = accepting(False, False, False)
    assert not done.fault
    assert not done.mismatch
    assert done.then().contents.at(0x200) == Contents.ZEROED
    assert accepting(False, True, False).then().contents.at(0x200) == Contents.STALE


def test_what_is_shared_is_proved_on_any_machine_and_the_rest_on_tdx() -> None:
    shared, tdx = of_machine(MODELS, "any"), of_machine(MODELS, "tdx")
    assert tdx.inherits is shared
    own = {rule.id for rule in tdx.rules if rule not in shared.rules}
    asked = {o.id for o in obligations(tdx)}
    for rule in tdx.rules:
        inherited = any(
            o.startswith(tdx.called(rule) + ".") and o.endswith("/who_works_holds_the_lock")
            for o in asked
        )
        assert not inherited or rule.id in own
    assert any("ask_private" in o and o.endswith("/modes_fit_steps") for o in asked)


def test_every_case_on_a_machine_is_reached_or_shown_never_to_be() -> None:
    for model in MODELS:
        told = [o.id for o in obligations(model) if o.id.endswith(("is_reached", "never_taken"))]
        assert len(told) == len(set(told)) >= len(model.rules)
