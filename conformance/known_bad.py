"""What catalogues of known-bad variants have in common: how one is written, changed and looked for.

A variant is written twice, as small edits of two texts that know nothing of each other: of the
rules, where the sentence that it breaks must be refuted, and of the implementation, where a run
beside the rules must find it. Changed copies live beside the real modules; nothing is written.
"""

import time
import tomllib
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import TypeVar

import msgspec

from conformance.device import DeviceError
from spec.prove.obligation import Cache, Obligation, prove
from spec.prove.solvers import Budget
from spec.prove.variant import changed_text, executed, source_of
from spec.prove.verdict import Verdict


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In `module`, the one place that reads `old` reads `new` instead."""

    module: str
    old: str
    new: str


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known-bad variant.

    breaks: the sentence that no longer holds. rules: the rules in which a proof sees it. rule:
    edits under `spec`. code: edits under `impl`.
    """

    id: str
    title: str
    breaks: str
    rules: tuple[str, ...]
    rule: tuple[Change, ...]
    code: tuple[Change, ...]
    origin: str = "no report is known"


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """What found one defect: the proofs, the runs beside the rules, the vectors."""

    id: str
    title: str
    prove: bool
    conform: bool
    vectors: bool
    prove_seconds: float
    conform_seconds: float
    vectors_seconds: float

    @property
    def is_killed(self) -> bool:
        """Whether all three found it."""
        return self.prove and self.conform and self.vectors

    def marks(self) -> tuple[tuple[bool, float], ...]:
        """Whether each of the three found it, and in how many seconds."""
        return (
            (self.prove, self.prove_seconds),
            (self.conform, self.conform_seconds),
            (self.vectors, self.vectors_seconds),
        )


V = TypeVar("V", bound=Variant)


def catalogue(file: str, shape: type[V]) -> tuple[V, ...]:
    """The variants that a file of `data/` lists, in its order."""
    rows = tomllib.loads((files("conformance") / "data" / file).read_text("utf-8"))["defect"]
    return msgspec.convert(rows, tuple[shape, ...])  # type: ignore[valid-type]


def called(listed: Sequence[V], defect_id: str) -> V:
    """The variant with an id.

    Raises: DeviceError where there is none.
    """
    for found in listed:
        if found.id == defect_id:
            return found
    raise DeviceError(f"no defect is called {defect_id!r}")


def changed_code(found: Variant, names: Sequence[str]) -> dict[str, ModuleType]:
    """Modules of the implementation with a variant in them, by full name.

    names: last names, each after those that it imports.

    Raises: EditError where an edit does not fit.
    """
    made: dict[str, ModuleType] = {}
    for name in names:
        full = f"impl.{name}"
        # Its records look for what their annotations name in the module that is really imported.
        import_module(full)
        text = source_of(full)
        for change in found.code:
            if change.module == name:
                text = changed_text(text, change.old, change.new, full)
        made[full] = executed(full, compile(text, f"<{full} with {found.id}>", "exec"), made)
    return made


def any_refuted(obligations: Sequence[Obligation]) -> bool:
    """Whether the proofs refute one of some obligations, by values that replay."""
    asked = Cache({})
    results = (prove(one, ("z3",), Budget(), asked) for one in obligations)
    return any(result.verdict == Verdict.REFUTED for result in results)


def killed(
    defect_id: str,
    title: str,
    prove: Callable[[], bool],
    conform: Callable[[], bool],
    vectors: Callable[[], bool],
) -> Kill:
    """What the three ways to look for a variant find, and how long each takes."""
    marks, seconds = [], []
    for look in (prove, conform, vectors):
        began = time.perf_counter()
        marks.append(look())
        seconds.append(round(time.perf_counter() - began, 3))
    return Kill(
        id=defect_id,
        title=title,
        prove=marks[0],
        conform=marks[1],
        vectors=marks[2],
        prove_seconds=seconds[0],
        conform_seconds=seconds[1],
        vectors_seconds=seconds[2],
    )
