"""Known-bad variants of the handoff: what the suite finds, shown by what it must find.

Each is written twice, as small edits of two texts that know nothing of each other: of the rules,
where the sentence that it breaks must be refuted, and of the implementation, where calls must find
it. Changed copies live beside the real modules. The catalogue is `data/handoff_defects.toml`.
"""

import random
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.resources import files
from itertools import pairwise
from types import ModuleType

import msgspec

from conformance.defects import Kill
from conformance.device import DeviceError
from conformance.handoff.breaks import kept
from conformance.handoff.builtin import Builtin
from conformance.handoff.calls import RULES
from conformance.handoff.doors import vectors
from conformance.handoff.draw import DRAWS, Random
from conformance.handoff.judge import judge
from conformance.handoff.walk import batch
from conformance.handoff.whole import Version, seen, way
from spec.prove.matrix import Subject, matrix
from spec.prove.obligation import Cache, Obligation, prove
from spec.prove.solvers import Budget
from spec.prove.variant import (
    TextEdit,
    changed_text,
    edited_sources,
    executed,
    load,
    source_of,
)
from spec.prove.verdict import Verdict

FILE = "handoff_defects.toml"
SUBJECTS = "spec.handoff.subjects"
CODE = ("handoff_abi", "_pure_handoff", "handoff")
"""The modules of the implementation, each after those that it imports."""
CALLS = 3000
WAYS = 400
SEED = 0


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In `module`, the one place that reads `old` reads `new` instead."""

    module: str
    old: str
    new: str


class HandoffDefect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known-bad variant.

    breaks: the sentence or lemma that no longer holds. rules: the ids of the rules in which a
    proof sees it. rule: edits under `spec.handoff`. code: edits under `impl`. version: where it is
    a fault of OVMF's reading, what is so of its version.
    """

    id: str
    title: str
    breaks: str
    rules: tuple[str, ...]
    rule: tuple[Change, ...]
    code: tuple[Change, ...]
    origin: str = "no report is known"
    version: dict[str, bool] = {}


@cache
def all_defects() -> tuple[HandoffDefect, ...]:
    """Every defect, in the order of the catalogue."""
    rows = tomllib.loads((files("conformance") / "data" / FILE).read_text("utf-8"))["defect"]
    return msgspec.convert(rows, tuple[HandoffDefect, ...])


def named(defect_id: str) -> HandoffDefect:
    """The defect with an id.

    Raises: DeviceError where there is none.
    """
    for found in all_defects():
        if found.id == defect_id:
            return found
    raise DeviceError(f"no defect is called {defect_id!r}")


def changed_subjects(found: HandoffDefect) -> tuple[Subject, ...]:
    """The stages with the defect in their rules.

    Raises: EditError where an edit does not fit.
    """
    edits = [TextEdit(f"spec.handoff.{c.module}", c.old, c.new) for c in found.rule]
    made: tuple[Subject, ...] = load(edited_sources(edits))[SUBJECTS].SUBJECTS
    return made


def obligations(found: HandoffDefect) -> Iterator[Obligation]:
    """The obligations of the changed rules that the defect says it breaks."""
    for subject in changed_subjects(found):
        if subject.id in found.rules:
            for obligation in matrix(subject):
                said = obligation.id.partition("/")[2]
                if said.partition("[")[0] == found.breaks:
                    yield obligation


def is_refuted(found: HandoffDefect) -> bool:
    """Whether the proofs refute what the defect says it breaks, by values that replay."""
    asked = Cache({})
    results = (prove(o, ("z3",), Budget(), asked) for o in obligations(found))
    return any(result.verdict == Verdict.REFUTED for result in results)


@cache
def changed_code(defect_id: str) -> dict[str, ModuleType]:
    """The modules of the implementation with a defect in them.

    Raises: EditError where an edit does not fit.
    """
    found = named(defect_id)
    made: dict[str, ModuleType] = {}
    for name in CODE:
        text = source_of(f"impl.{name}")
        for change in found.code:
            if change.module == name:
                text = changed_text(text, change.old, change.new, f"impl.{name}")
        full = f"impl.{name}"
        # Its records look for what their annotations name in the module that is really imported.
        import_module(full)
        made[full] = executed(full, compile(text, f"<{full} with {found.id}>", "exec"), made)
    return made


def device(defect_id: str) -> Builtin:
    """The known-bad device with an id, on the plain twin.

    Raises: DeviceError where there is no such defect, or none of code of ours; EditError where an
    edit does not fit.
    """
    if named(defect_id).version:
        raise DeviceError(f"defect {defect_id!r}: is of OVMF's reading; no device has it")
    made = changed_code(defect_id)
    return Builtin(made["impl.handoff"], made["impl._pure_handoff"], f"defect:{defect_id}")


def stages(found: HandoffDefect) -> list[str]:
    """The stages whose rules the defect is in."""
    return [stage for stage, rules in RULES.items() if set(rules) & set(found.rules)]


def is_found_by_calls(found: HandoffDefect) -> bool:
    """Whether calls drawn at random find the device wrong: those of its stages, then all.

    Of a fault of OVMF's reading: whether a whole map is found that it reads as something else.
    """
    if found.version:
        chooser = Random(random.Random(SEED))
        ways = (way(chooser, Version(**found.version)) for _ in range(WAYS))
        return any(not seen(one, Counter()).keeps_contract for one in ways)
    bad = device(found.id)
    asked = (stages(found), list(DRAWS))
    return any(batch(bad, listed, SEED, CALLS, small=False).parted for listed in asked)


def is_found_by_vectors(found: HandoffDefect) -> bool:
    """Whether a call that is kept, or one beside it, finds it; or a map that is kept."""
    if found.version:
        version = Version(**found.version)
        ways = [one.way for one in kept() if one.way.version == version]
        return any(not seen(one, Counter()).keeps_contract for one in ways)
    bad = device(found.id)
    ordered = sorted(vectors(), key=lambda door: door.rule not in found.rules)
    return any(judge(door.call, bad, Counter()) for door in ordered)


def kill(defect_id: str) -> Kill:
    """What finds one defect.

    Raises: DeviceError where there is no such defect.
    """
    found = named(defect_id)
    vectors()
    moments, marks = [time.perf_counter()], []
    for look in (is_refuted, is_found_by_calls, is_found_by_vectors):
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
