"""The SVSM's steps on TDX and on any machine."""

import pytest

from conformance.protocol.defects import named
from spec.catalogue import MODELS
from spec.prove.group import prove_group
from spec.prove.inductive import Model, obligations, of_rule
from spec.prove.solvers import Budget
from spec.prove.variant import CATALOGUE, TextEdit, edited_sources, load
from spec.prove.verdict import Verdict


def of_machine(models: tuple[Model, ...], machine: str) -> Model:
    return next(model for model in models if model.machine == machine)


def refuted(model: Model, *rules: str) -> set[str]:
    """The sentences that are refuted in rules of a model."""
    found = set()
    for rule in model.rules:
        if rule.name in rules:
            results = prove_group(list(of_rule(model, rule)), ("z3",), Budget())
            found |= {r.id.partition("/")[2] for r in results if r.verdict == Verdict.REFUTED}
    return found


@pytest.mark.parametrize(
    ("defect", "rules", "broken"),
    [
        ("validated_twice", ("claim",), "pages_in_work_are_nobodys"),
        ("granted_before_zeroed", ("validate",), "a_cold_machine_holds_what_was_launched"),
    ],
)
def test_what_would_accept_again_is_refuted_on_tdx(
    defect: str, rules: tuple[str, ...], broken: str
) -> None:
    found = named(defect)
    assert found is not None
    edits = [TextEdit(f"spec.validation.{c.module}", c.old, c.new) for c in found.rule]
    model = of_machine(load(edited_sources(edits))[CATALOGUE].MODELS, "tdx")
    assert broken in refuted(model, *rules)


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
        assert len(told) == len(set(told)) >= 100
