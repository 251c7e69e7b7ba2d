"""Known-bad variants of MMIO: what the suite finds, shown by what it must find.

Each is written twice, as small edits of two texts that know nothing of each other: of the rules,
where the sentence that it breaks must be refuted, and of the implementation, where walks must find
it. Changed copies live beside the real modules. The catalogue is `data/mmio_defects.toml`.
"""

import time
import tomllib
from collections import Counter
from functools import cache
from importlib import import_module
from importlib.resources import files
from itertools import pairwise
from types import ModuleType

import msgspec

from conformance.defects import Kill
from conformance.device import DeviceError
from conformance.mmio.device import TOLD, Builtin, Make
from conformance.mmio.judge import Reached, run
from conformance.mmio.vectors import kept, ways
from conformance.mmio.walk import walk
from spec.prove.inductive import Model, of_rule, of_states
from spec.prove.obligation import Cache, Obligation, prove
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

__all__ = ["Reached", "all_defects", "kill", "maker"]

FILE = "mmio_defects.toml"
CODE = ("mmio_backends", "mmio")
"""The modules of the implementation, each after those that it imports."""
WALKS = 300


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In `module`, the one place that reads `old` reads `new` instead."""

    module: str
    old: str
    new: str


class MmioDefect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known-bad variant.

    breaks: the sentence that no longer holds. rules: the names of the rules in which a proof sees
    it. rule: edits under `spec.mmio`. code: edits under `impl`.
    """

    id: str
    title: str
    breaks: str
    rules: tuple[str, ...]
    rule: tuple[Change, ...]
    code: tuple[Change, ...]
    origin: str = "no report is known"


@cache
def all_defects() -> tuple[MmioDefect, ...]:
    """Every defect, in the order of the catalogue."""
    rows = tomllib.loads((files("conformance") / "data" / FILE).read_text("utf-8"))["defect"]
    return msgspec.convert(rows, tuple[MmioDefect, ...])


def named(defect_id: str) -> MmioDefect:
    """The defect with an id.

    Raises: DeviceError where there is no such defect.
    """
    for found in all_defects():
        if found.id == defect_id:
            return found
    raise DeviceError(f"no defect is called {defect_id!r}")


def changed_model(found: MmioDefect) -> Model:
    """The model with the defect in its rules.

    Raises: EditError where an edit does not fit.
    """
    edits = [TextEdit(f"spec.mmio.{c.module}", c.old, c.new) for c in found.rule]
    made: Model = load(edited_sources(edits))[CATALOGUE].MMIO[0]
    return made


def obligations(found: MmioDefect) -> list[Obligation]:
    """The obligations of the changed rules that the defect says it breaks."""
    model = changed_model(found)
    asked = [o for rule in model.rules if rule.name in found.rules for o in of_rule(model, rule)]
    asked += of_states(model)
    return [o for o in asked if o.id.partition("/")[2] == found.breaks]


def is_refuted(found: MmioDefect) -> bool:
    """Whether the proofs refute what the defect says it breaks, by values that replay."""
    asked = Cache({})
    return any(
        prove(o, ("z3",), Budget(), asked).verdict == Verdict.REFUTED for o in obligations(found)
    )


def maker(defect_id: str) -> Make:
    """How to make the known-bad device with an id, its modules made once.

    Raises: DeviceError where there is no such defect; EditError where an edit does not fit.
    """
    found = named(defect_id)
    made: dict[str, ModuleType] = {}
    for name in CODE:
        full = f"impl.{name}"
        # A dataclass of a changed copy looks its annotations up in the module that has its name.
        import_module(full)
        text = source_of(full)
        for change in found.code:
            if change.module == name:
                text = changed_text(text, change.old, change.new, full)
        made[full] = executed(full, compile(text, f"<{full} with {found.id}>", "exec"), made)
    return lambda: Builtin(made["impl.mmio"], f"defect:{defect_id}", TOLD)


def is_found_by_walks(found: MmioDefect) -> bool:
    """Whether walks find the device wrong."""
    make, reached = maker(found.id), Counter[tuple[str, str]]()
    return any(walk(make(), seed, reached) for seed in range(WALKS))


def is_found_by_vectors(found: MmioDefect) -> bool:
    """Whether a trace that is kept finds it, or the way to a case of a rule."""
    make, reached = maker(found.id), Counter[tuple[str, str]]()
    return any(run(make(), one.calls, reached) for one in (*kept(), *ways()))


def kill(defect_id: str) -> Kill:
    """What finds one defect.

    Raises: DeviceError where there is no such defect.
    """
    found = named(defect_id)
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
