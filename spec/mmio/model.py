"""The model of MMIO: slots, accesses and what goes out; any number of slots, any back end."""

from collections.abc import Mapping
from typing import Any

from spec.assumptions import FRESH_MAPPINGS, SERIAL_CALLS
from spec.mmio import access, config, slots
from spec.mmio.claims import FIRST, GIVEN, KEPT, STEPS
from spec.mmio.state import Answer, Mmio
from spec.prove.inductive import Model, Points
from spec.terms import Bool, Word

RULES = (*slots.RULES, *access.RULES, *config.RULES)


def named(_state: Any, op: Any, things: Mapping[str, Word]) -> Points:
    """What a step names, for a proof to look at."""
    own = [op.slot] if op is not None else []
    return {
        "slot": [things["i"], things["j"], *own],
        "byte": [things["b"]],
        "place": [things["n"]],
    }


def plain(_state: Any, _op: Any) -> Bool:
    """Any step will do to show that a case is reached."""
    return True


MODEL = Model(
    "mmio",
    Mmio,
    RULES,
    GIVEN,
    KEPT,
    STEPS,
    (),
    FIRST,
    named,
    plain,
    (SERIAL_CALLS, FRESH_MAPPINGS),
    answers=Answer,
    alone=frozenset({slots.open.id}),
    best="z3",
)
