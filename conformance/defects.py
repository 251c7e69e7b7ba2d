"""Known-bad variants of the bitmap: what the suite finds, shown by what it must find.

Each defect is written twice, as small edits of two texts that know nothing of each other: of the
rules, where the sentence that it breaks must be refuted, and of the plain twin, where conformance
must find it. The changed copies live beside the real modules; nothing is written, and no imported
module is touched. The catalogue is `data/defects.toml`.
"""

import os
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache, partial
from importlib.resources import files
from multiprocessing import get_context
from types import ModuleType

import msgspec

from conformance import vectors
from conformance.batch import run_batches
from conformance.builtin import BUILTIN_POLICY, RUNS_POLICY, Builtin, device_of
from conformance.device import DeviceError
from conformance.doors import doors
from conformance.known_bad import Kill, any_refuted, killed
from conformance.walk import walk
from spec.catalogue import subject_of
from spec.prove.matrix import Subject, matrix
from spec.prove.obligation import Obligation
from spec.prove.variant import (
    BITMAP,
    RUNS,
    RUNS_LEMMAS,
    TextEdit,
    changed_text,
    edited_sources,
    executed,
    only_rules,
    source_of,
    variant,
)
from spec.validation import runs
from spec.validation.bitmap import AREA, Policy

TWIN = "impl._pure"
TWINS = ("impl._checks", "impl._pure_runs", TWIN)
"""The modules of the plain twin, each after those it imports."""
WHERE = (TWIN, "impl._checks", "impl._pure_runs")
"""Where an edit is looked for first."""
CATALOGUE = "defects.toml"
SEED = 0
MOST_BATCHES = 40
EXAMPLES = 100
SOME = 16
BUDGET_SECONDS = 3.0
SMALL_CAP = 1000
"""A cap that a batch can stand on; the usual one is 32 MiB of bitmap away."""


POLICIES = {AREA: BUILTIN_POLICY, runs.AREA: RUNS_POLICY}
SPEC = {AREA: (BITMAP,), runs.AREA: (RUNS, RUNS_LEMMAS)}
"""Where an edit of the rules of an area is looked for."""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one place that reads `old` reads `new` instead."""

    old: str
    new: str


class Defect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known-bad variant.

    breaks: the name of the sentence that it no longer keeps. rules: the names of the rules in
    which it shows. rule: edits of the rules' text. code: edits of the plain twin's text. origin:
    where it was seen; empty where it was only thought of. area: whose rules they are.
    """

    id: str
    title: str
    breaks: str
    rules: tuple[str, ...]
    rule: tuple[Change, ...]
    code: tuple[Change, ...]
    origin: str = "no report is known"
    area: str = AREA

    @property
    def policy(self) -> Policy:
        """The choices of the devices that have it."""
        return POLICIES[self.area]


def _read() -> tuple[Defect, ...]:
    rows = tomllib.loads((files("conformance") / "data" / CATALOGUE).read_text("utf-8"))["defect"]
    return msgspec.convert(rows, tuple[Defect, ...])


def __getattr__(name: str) -> tuple[Defect, ...]:
    if name == "DEFECTS":
        return all_defects()
    raise AttributeError(f"module {__name__} has no attribute {name}")


@cache
def all_defects() -> tuple[Defect, ...]:
    """Every defect, in the order of the catalogue; also under the name `DEFECTS`."""
    return _read()


def defect(defect_id: str) -> Defect:
    """The defect with an id.

    Raises: KeyError, naming some that there are.
    """
    for found in all_defects():
        if found.id == defect_id:
            return found
    some = ", ".join(d.id for d in all_defects()[:3])
    raise KeyError(f"no defect is called {defect_id!r}; there are {some}, ...")


def changed_rules(found: Defect) -> Subject:
    """The subject of the defect's area with the defect in its rules.

    Raises: EditError where an edit does not fit.
    """
    return variant(_edits(found), found.area)


def _edits(found: Defect) -> list[TextEdit]:
    modules = SPEC[found.area]

    def home(text: str) -> str:
        return next((name for name in modules if text in source_of(name)), modules[0])

    return [TextEdit(home(change.old), change.old, change.new) for change in found.rule]


def obligations(found: Defect) -> tuple[Obligation, ...]:
    """The obligations of the changed rules that the defect says it breaks."""
    edits = _edits(found)
    if {edit.module for edit in edits} == {RUNS_LEMMAS}:
        text = edited_sources(edits)[RUNS_LEMMAS]
        made = executed(RUNS_LEMMAS, compile(text, RUNS_LEMMAS, "exec"), {})
        asked: Sequence[Obligation] = made.LEMMAS.found
    else:
        subject = changed_rules(found)
        named = [rule.id for rule in subject.rules if rule.name in found.rules]
        asked = tuple(matrix(only_rules(subject, named)))
    return tuple(o for o in asked if o.id.partition("/")[2] == found.breaks)


def changed_module(found: Defect) -> ModuleType:
    """The plain twin with the defect in it, as a module of its own.

    Raises: EditError where an edit does not fit.
    """
    texts = {name: source_of(name) for name in TWINS}
    for change in found.code:
        order = WHERE if found.area == AREA else reversed(WHERE)
        name = next((name for name in order if change.old in texts[name]), TWIN)
        texts[name] = changed_text(texts[name], change.old, change.new, name)
    made: dict[str, ModuleType] = {}
    for name, text in texts.items():
        made[name] = executed(name, compile(text, f"<{name} with {found.id}>", "exec"), made)
    return made[TWIN]


def device(defect_id: str, policy: Policy | None = None) -> Builtin:
    """The known-bad device with an id.

    policy: in place of what devices of its area choose.

    Raises: DeviceError where there is no such defect; EditError where an edit does not fit.
    """
    try:
        found = defect(defect_id)
    except KeyError as error:
        raise DeviceError(str(error.args[0])) from error
    return device_of(changed_module(found), f"defect:{defect_id}", policy or found.policy)


def is_refuted(found: Defect) -> bool:
    """Whether the proofs refute what the defect says it breaks, by values that replay."""
    return any_refuted(obligations(found))


def is_found_in_bulk(
    make: Callable[[Policy], Builtin], budget: float, policy: Policy = BUILTIN_POLICY
) -> bool:
    """Whether random traces find a device wrong: batches first, and walks where those do not.

    budget: seconds for the batches of one policy.
    """
    rules = subject_of(policy).rules
    for tried in (replace(policy, cap_pages=SMALL_CAP), policy):
        if run_batches(partial(make, tried), rules, SEED, budget, MOST_BATCHES).failures:
            return True
    opened = doors(policy, frozenset(rule.id for rule in rules))
    return bool(walk(partial(make, policy), rules, SEED, EXAMPLES, opened).findings)


def is_found_by_vectors(found: Defect, made: Sequence[vectors.Vector]) -> bool:
    """Whether one of the vectors finds the defect, those of the rules that it names first."""
    first = [v for v in made if v.rule.rpartition(".")[2] in found.rules]
    bad = device(found.id)
    return any(vectors.check(first[at : at + SOME], bad) for at in range(0, len(first), SOME))


def kill(defect_id: str, budget: float = BUDGET_SECONDS) -> Kill:
    """What finds one defect.

    Raises: KeyError where there is no such defect.
    """
    found = defect(defect_id)
    return killed(
        found.id,
        found.title,
        lambda: is_refuted(found),
        lambda: is_found_in_bulk(partial(device, defect_id), budget, found.policy),
        lambda: is_found_by_vectors(found, _vectors(found.policy)),
    )


@cache
def _vectors(policy: Policy) -> list[vectors.Vector]:
    return vectors.make(policy)


def kill_matrix(
    progress: Callable[[str], None] = lambda _said: None,
    jobs: int = 0,
    budget: float = BUDGET_SECONDS,
    pool: Executor | None = None,
) -> list[Kill]:
    """What finds each defect, in the order of the catalogue.

    progress: told the id of each defect that is done. jobs: processes; 0 is one for each core.
    budget: seconds that the batches of one defect may take. pool: in place of processes here.
    """
    ids = [found.id for found in all_defects()]
    return list(in_pool(partial(kill, budget=budget), ids, jobs, progress, pool))


def in_pool(
    kill_one: Callable[[str], Kill],
    ids: Sequence[str],
    jobs: int = 0,
    progress: Callable[[str], None] = lambda _said: None,
    workers: Executor | None = None,
) -> list[Kill]:
    """What finds each defect of `ids`, in their order; see `kill_matrix`."""
    killed: dict[str, Kill] = {}
    if workers is None and jobs == 1:
        for defect_id in ids:
            killed[defect_id] = kill_one(defect_id)
            progress(defect_id)
        return list(killed.values())
    # A fresh interpreter for each worker: z3's contexts do not survive a fork in every state.
    context = get_context("spawn")
    processes = jobs or len(os.sched_getaffinity(0))
    own: AbstractContextManager[Executor] = ProcessPoolExecutor(processes, mp_context=context)
    with nullcontext(workers) if workers else own as pool:
        for done in as_completed([pool.submit(kill_one, defect_id) for defect_id in ids]):
            killed[done.result().id] = done.result()
            progress(done.result().id)
    return [killed[defect_id] for defect_id in ids]
