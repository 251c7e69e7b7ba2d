"""Known-bad readers of a migration stream: what the suite finds, shown by what it must find.

Each is written twice, as small edits of two texts that know nothing of each other: of the rules,
where the sentence that it breaks must be refuted, and of the implementation, where streams that
are drawn must find it. The catalogue is `data/stream_defects.toml`.
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
from conformance.stream.judge import Make, StreamDevice, judged, walk
from conformance.stream.made import WAYS
from spec.prove.inductive import Model, of_rule
from spec.prove.obligation import Obligation
from spec.prove.variant import CATALOGUE, TextEdit, edited_sources, load

FILE = "stream_defects.toml"
CODE = ("stream",)
WALKS = 1500


@cache
def all_defects() -> tuple[Variant, ...]:
    """Every defect, in the order of the catalogue."""
    return catalogue(FILE, Variant)


def changed_model(found: Variant) -> Model:
    """The model with the defect in its rules.

    Raises: EditError where an edit does not fit.
    """
    edits = [TextEdit(f"spec.validation.{c.module}", c.old, c.new) for c in found.rule]
    models: tuple[Model, ...] = load(edited_sources(edits))[CATALOGUE].MODELS
    return next(model for model in models if model.machine == "stream")


def obligations(found: Variant) -> list[Obligation]:
    """The obligations of the changed rules that the defect says it breaks."""
    model = changed_model(found)
    asked = [o for rule in model.rules if rule.name in found.rules for o in of_rule(model, rule)]
    return [o for o in asked if o.id.partition("/")[2] == found.breaks]


def is_refuted(found: Variant) -> bool:
    """Whether the proofs refute what the defect says it breaks, by values that replay."""
    return any_refuted(obligations(found))


def maker(defect_id: str) -> Make:
    """How to make the known-bad device with an id, its modules made once.

    Raises: DeviceError where there is no such defect; EditError where an edit does not fit.
    """
    made = changed_code(called(all_defects(), defect_id), CODE)
    return lambda: StreamDevice(made["impl.stream"], f"defect:{defect_id}")


def is_found_by_walks(found: Variant) -> bool:
    """Whether streams that are drawn find the device wrong."""
    device, reached = maker(found.id)(), Counter[tuple[str, str]]()
    return any(walk(device, seed, reached) for seed in range(WALKS))


def is_found_by_vectors(found: Variant) -> bool:
    """Whether a stream that goes one of the known ways finds it."""
    device, reached = maker(found.id)(), Counter[tuple[str, str]]()
    return any(judged(device, made, reached) for made in WAYS.values())


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
