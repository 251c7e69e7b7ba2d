"""Known-bad variants of the SVSM: what the suite finds, shown by what it must find.

Each is written twice, as small edits of two texts that know nothing of each other: of the rules,
where the sentence that it breaks must be refuted, and of the implementation, where walks must find
it. Changed copies live beside the real modules. The catalogue is `data/svsm_defects.toml`.
"""

import time
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from itertools import groupby, pairwise
from types import ModuleType

import msgspec

from conformance.defects import Kill
from conformance.device import DeviceError
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
    changed_text,
    edited_sources,
    executed,
    load,
    source_of,
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


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In `module`, the one place that reads `old` reads `new` instead."""

    module: str
    old: str
    new: str


class SvsmDefect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known-bad variant.

    breaks: the sentence that no longer holds. rules: the names of the rules in which a proof sees
    it. rule: edits under `spec`, of a module of `spec.validation` where no folder is named. code:
    edits under `impl`. machine: on which it does harm; SEV-SNP where it is left out.
    """

    id: str
    title: str
    breaks: str
    rules: tuple[str, ...]
    rule: tuple[Change, ...]
    code: tuple[Change, ...]
    origin: str = "no report is known"
    machine: str = ""


@cache
def all_defects() -> tuple[SvsmDefect, ...]:
    """Every defect, in the order of the catalogue."""
    rows = tomllib.loads((files("conformance") / "data" / FILE).read_text("utf-8"))["defect"]
    return msgspec.convert(rows, tuple[SvsmDefect, ...])


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


def changed_code(found: SvsmDefect) -> dict[str, ModuleType]:
    """The modules of the implementation with the defect in them, by last name.

    Raises: EditError where an edit does not fit.
    """
    made: dict[str, ModuleType] = {}
    for name in CODE:
        text = source_of(f"impl.{name}")
        for change in found.code:
            if change.module == name:
                text = changed_text(text, change.old, change.new, f"impl.{name}")
        full = f"impl.{name}"
        made[full] = executed(full, compile(text, f"<{full} with {found.id}>", "exec"), made)
    return made


def device(defect_id: str) -> SvsmDevice:
    """The known-bad device with an id.

    Raises: DeviceError where there is no such defect; EditError where an edit does not fit.
    """
    found = named(defect_id)
    if found is None:
        raise DeviceError(f"no defect is called {defect_id!r}")
    return maker(defect_id)()


def maker(defect_id: str) -> Callable[[], SvsmDevice]:
    """How to make the known-bad device with an id, its modules made once.

    Raises: KeyError where there is no such defect.
    """
    found = named(defect_id)
    if found is None:
        raise KeyError(defect_id)
    made = changed_code(found)
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
    found = named(defect_id)
    if found is None:
        raise DeviceError(f"no defect is called {defect_id!r}")
    doors(found.machine)
    moments, marks = [time.perf_counter()], []
    for look in (is_refuted, is_found_by_walks, is_found_by_vectors):
        marks.append(look(found))
        moments.append(time.perf_counter())
    spent = [round(after - before, 3) for before, after in pairwise(moments)]
    return Kill(
        id=found.id,
        title=found.title,
        prove=marks[0],
        conform=marks[1],
        vectors=marks[2],
        prove_seconds=spent[0],
        conform_seconds=spent[1],
        vectors_seconds=spent[2],
    )
