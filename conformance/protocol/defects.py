"""Known-bad variants of the SVSM: what the suite finds, shown by what it must find.

Each is written twice, as small edits of two texts that know nothing of each other: of the rules,
where the sentence that it breaks must be refuted, and of the implementation, where walks must find
it. Changed copies live beside the real modules. The catalogue is `data/svsm_defects.toml`.
"""

from collections.abc import Callable
from functools import cache
from itertools import groupby

from conformance.known_bad import Kill, Variant, called, catalogue, changed_code, killed
from conformance.protocol.device import SvsmDevice
from conformance.protocol.doors import doors
from conformance.protocol.judge import Reached
from conformance.protocol.run import through
from conformance.protocol.vectors import kept
from conformance.protocol.walk import again, walk
from spec.prove.group import prove_group
from spec.prove.inductive import Model, of_rule
from spec.prove.obligation import Obligation
from spec.prove.solvers import Budget
from spec.prove.variant import (
    CATALOGUE,
    TextEdit,
    edited_sources,
    load,
)
from spec.prove.verdict import Verdict

FILE = "svsm_defects.toml"
CODE = (
    "platform",
    "snp",
    "tdx",
    "native",
    "record",
    "svsm",
    "pvalidate",
    "vmsa",
    "visibility",
    "launch",
    "reboot",
    "migration",
)
"""The modules of the implementation, each after those that it imports."""
WALKS = 400


class SvsmDefect(Variant, frozen=True, forbid_unknown_fields=True):
    """One known-bad variant.

    An edit of the rules is of a module of `spec.validation` where no folder is named. machine: on
    which it does harm; SEV-SNP where it is left out.
    """

    machine: str = ""


@cache
def all_defects() -> tuple[SvsmDefect, ...]:
    """Every defect, in the order of the catalogue."""
    return catalogue(FILE, SvsmDefect)


def named(defect_id: str) -> SvsmDefect | None:
    """The defect with an id, if there is one."""
    return next((found for found in all_defects() if found.id == defect_id), None)


def changed_model(found: SvsmDefect) -> Model:
    """The model with the defect in its rules.

    Raises: EditError where an edit does not fit.
    """
    edits = [TextEdit(_module(c.module), c.old, c.new) for c in found.rule]
    models: tuple[Model, ...] = load(edited_sources(edits))[CATALOGUE].MODELS
    return next(model for model in models if model.machine == found.machine)


def _module(name: str) -> str:
    return f"spec.{name}" if "." in name else f"spec.validation.{name}"


def obligations(found: SvsmDefect) -> list[Obligation]:
    """The obligations of the changed rules that the defect says it breaks."""
    model = changed_model(found)
    rules = [rule for rule in model.rules if rule.name in found.rules]
    asked = [o for rule in rules for o in of_rule(model, rule)]
    return [o for o in asked if o.id.partition("/")[2] == found.breaks]


def is_refuted(found: SvsmDefect) -> bool:
    """Whether the proofs refute what the defect says it breaks, by values that replay."""
    for _, group in groupby(obligations(found), key=lambda o: o.shares):
        results = prove_group(list(group), ("z3",), Budget())
        if any(result.verdict == Verdict.REFUTED for result in results):
            return True
    return False


def maker(defect_id: str) -> Callable[[], SvsmDevice]:
    """How to make the known-bad device with an id, its modules made once.

    Raises: DeviceError where there is no such defect; EditError where an edit does not fit.
    """
    made = changed_code(called(all_defects(), defect_id), CODE)
    return lambda: SvsmDevice(lambda name: made[f"impl.{name}"], f"defect:{defect_id}")


def is_found_by_walks(found: SvsmDefect) -> bool:
    """Whether walks find the device wrong."""
    make, reached = maker(found.id), Reached()
    return any(walk(make(), seed, reached, found.machine)[1] for seed in range(WALKS))


def is_found_by_vectors(found: SvsmDefect) -> bool:
    """Whether a trace that is kept finds it, or the way to a case of a rule."""
    make, reached = maker(found.id), Reached()
    if any(again(make, one.start, one.steps) for one in kept(found.machine)):
        return True
    return any(through(door, make(), reached) for door in doors(found.machine))


def kill(defect_id: str) -> Kill:
    """What finds one defect.

    Raises: DeviceError where there is no such defect.
    """
    found = called(all_defects(), defect_id)
    doors(found.machine)
    return killed(
        found.id,
        found.title,
        lambda: is_refuted(found),
        lambda: is_found_by_walks(found),
        lambda: is_found_by_vectors(found),
    )
