"""Known-bad variants of the handoff: what the suite finds, shown by what it must find.

Each is written twice, as small edits of two texts that know nothing of each other: of the rules,
where the sentence that it breaks must be refuted, and of the implementation, where calls must find
it. Changed copies live beside the real modules. The catalogue is `data/handoff_defects.toml`.
"""

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import msgspec

from conformance.device import DeviceError
from conformance.handoff.breaks import kept
from conformance.handoff.builtin import Builtin
from conformance.handoff.calls import RULES
from conformance.handoff.doors import vectors
from conformance.handoff.draw import DRAWS, Random
from conformance.handoff.judge import judge
from conformance.handoff.walk import batch
from conformance.handoff.whole import Version, seen, way
from conformance.known_bad import (
    Kill,
    Variant,
    any_refuted,
    called,
    catalogue,
    changed_code,
    killed,
)
from spec.prove.matrix import Subject, matrix
from spec.prove.obligation import Obligation
from spec.prove.variant import (
    TextEdit,
    edited_sources,
    load,
)

FILE = "handoff_defects.toml"
SUBJECTS = "spec.handoff.subjects"
CODE = ("handoff_abi", "_pure_handoff", "handoff", "snp", "region", "ovmf")
"""The modules of the implementation, each after those that it imports."""
CALLS = 3000
WAYS = 400
SEED = 0


class HandoffDefect(Variant, frozen=True, forbid_unknown_fields=True):
    """One known-bad variant; `version`: where it is a fault of OVMF's reading, what is so of it."""

    version: dict[str, bool] = msgspec.field(default_factory=dict)


@cache
def all_defects() -> tuple[HandoffDefect, ...]:
    """Every defect, in the order of the catalogue."""
    return catalogue(FILE, HandoffDefect)


def named(defect_id: str) -> HandoffDefect:
    """The defect with an id.

    Raises: DeviceError where there is none.
    """
    return called(all_defects(), defect_id)


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
    return any_refuted(list(obligations(found)))


@cache
def changed_modules(defect_id: str) -> dict[str, ModuleType]:
    """The modules of the implementation with a defect in them.

    Raises: EditError where an edit does not fit.
    """
    return changed_code(named(defect_id), CODE)


def device(defect_id: str) -> Builtin:
    """The known-bad device with an id, on the plain twin.

    Raises: DeviceError where there is no such defect, or none of code of ours; EditError where an
    edit does not fit.
    """
    if named(defect_id).version:
        raise DeviceError(f"defect {defect_id!r}: is of OVMF's reading; no device has it")
    made = changed_modules(defect_id)
    return Builtin(made, made["impl._pure_handoff"], f"defect:{defect_id}")


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
    return killed(
        found.id,
        found.title,
        lambda: is_refuted(found),
        lambda: is_found_by_calls(found),
        lambda: is_found_by_vectors(found),
    )
