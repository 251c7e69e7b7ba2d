"""Known-bad variants of MMIO: what the suite finds, shown by what it must find.

Each is written twice, as small edits of two texts that know nothing of each other: of the rules,
where the sentence that it breaks must be refuted, and of the implementation, where walks must find
it. Changed copies live beside the real modules. The catalogue is `data/mmio_defects.toml`.
"""

from collections import Counter
from functools import cache

from conformance.known_bad import (
    Kill,
    Variant,
    any_refuted,
    called,
    catalogue,
    changed_code,
    killed,
)
from conformance.mmio.device import TOLD, Builtin, Make
from conformance.mmio.judge import Reached, run
from conformance.mmio.vectors import kept, ways
from conformance.mmio.walk import walk
from spec.prove.inductive import Model, of_rule, of_states
from spec.prove.obligation import Obligation
from spec.prove.variant import (
    CATALOGUE,
    TextEdit,
    edited_sources,
    load,
)

__all__ = ["Reached", "all_defects", "kill", "maker"]

FILE = "mmio_defects.toml"
CODE = ("mmio_backends", "mmio")
"""The modules of the implementation, each after those that it imports."""
WALKS = 300


@cache
def all_defects() -> tuple[Variant, ...]:
    """Every defect, in the order of the catalogue."""
    return catalogue(FILE, Variant)


def changed_model(found: Variant) -> Model:
    """The model with the defect in its rules.

    Raises: EditError where an edit does not fit.
    """
    edits = [TextEdit(f"spec.mmio.{c.module}", c.old, c.new) for c in found.rule]
    made: Model = load(edited_sources(edits))[CATALOGUE].MMIO[0]
    return made


def obligations(found: Variant) -> list[Obligation]:
    """The obligations of the changed rules that the defect says it breaks."""
    model = changed_model(found)
    asked = [o for rule in model.rules if rule.name in found.rules for o in of_rule(model, rule)]
    asked += of_states(model)
    return [o for o in asked if o.id.partition("/")[2] == found.breaks]


def is_refuted(found: Variant) -> bool:
    """Whether the proofs refute what the defect says it breaks, by values that replay."""
    return any_refuted(obligations(found))


def maker(defect_id: str) -> Make:
    """How to make the known-bad device with an id, its modules made once.

    Raises: DeviceError where there is no such defect; EditError where an edit does not fit.
    """
    made = changed_code(called(all_defects(), defect_id), CODE)
    return lambda: Builtin(made["impl.mmio"], f"defect:{defect_id}", TOLD)


def is_found_by_walks(found: Variant) -> bool:
    """Whether walks find the device wrong."""
    make, reached = maker(found.id), Counter[tuple[str, str]]()
    return any(walk(make(), seed, reached) for seed in range(WALKS))


def is_found_by_vectors(found: Variant) -> bool:
    """Whether a trace that is kept finds it, or the way to a case of a rule."""
    make, reached = maker(found.id), Counter[tuple[str, str]]()
    return any(run(make(), one.calls, reached) for one in (*kept(), *ways()))


def kill(defect_id: str) -> Kill:
    """What finds one defect.

    Raises: DeviceError where there is no such defect.
    """
    found = called(all_defects(), defect_id)
    return killed(
        found.id,
        found.title,
        lambda: is_refuted(found),
        lambda: is_found_by_walks(found),
        lambda: is_found_by_vectors(found),
    )
