"""Proving many obligations at once, in processes of their own, in a fixed order."""

import fnmatch
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
)
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import msgspec

from spec.catalogue import SUBJECTS, obligations, parts
from spec.prove.group import prove_group
from spec.prove.kept import kept_premises, kept_values
from spec.prove.obligation import Cache, Obligation, prove, texts
from spec.prove.solvers import NAMES, Budget, require
from spec.prove.translate import Unreadable
from spec.prove.verdict import Result, Verdict

CHUNK = 8
GROUP = 1000
"""As many obligations as one session is asked at most."""
SHARES = 16
"""How many processes a part without sessions can keep at work."""


class NoSuchObligation(ValueError):
    """No obligation has an id that matches."""


@dataclass(frozen=True)
class Effort:
    """How much a profile proves: which solvers, and over how many seeds of z3.

    first: each obligation is asked of one of them alone: of the best for its group, or of the first
    that knows its logic; and of none where kept values show what it asks for.
    """

    solvers: tuple[str, ...]
    seeds: int = 1
    first: bool = False


PROFILES = {
    # bitwuzla is the quickest on words and knows no numbers, which z3 is then asked about.
    "quick": Effort(("bitwuzla", "z3"), first=True),
    "ci": Effort(NAMES),
    "nightly": Effort(NAMES, seeds=10),
}
TOLD_TERMS = frozenset({"bitwuzla", "z3"})
WORST = (Verdict.PROVED, Verdict.UNKNOWN, Verdict.VACUOUS, Verdict.REFUTED)


@cache
def catalogue() -> dict[str, Obligation]:
    """Every obligation by id, in its fixed order.

    Raises: ValueError where two obligations bear one id.
    """
    found: dict[str, Obligation] = {}
    for obligation in obligations():
        if obligation.id in found:
            raise ValueError(f"two obligations are called {obligation.id}")
        found[obligation.id] = obligation
    return found


@cache
def _part(name: str) -> dict[str, Obligation]:
    return {obligation.id: obligation for obligation in parts()[name]()}


def find(obligation_id: str) -> Obligation:
    """One obligation; only what stands beside it is made, which saves a process much.

    Raises: KeyError where there is none.
    """
    words = obligation_id.partition("/")[0].split(".")
    stems = (".".join(words[:n]) for n in range(len(words), 0, -1))
    home = next(stem for stem in stems if stem in parts())
    return _part(home)[obligation_id]


def matching(globs: Sequence[str]) -> list[str]:
    """The ids that match one of `globs`, or all ids where there is none.

    Raises: NoSuchObligation, naming the glob that matches nothing.
    """
    homes = [name for name in parts() if not globs or any(_may_hold(name, g) for g in globs)]
    ids = [i for name in homes for i in _part(name)] if globs else list(catalogue())
    for glob in globs:
        if not fnmatch.filter(ids, glob):
            raise NoSuchObligation(
                f"{glob}: no obligation matches; for example try 'validation.bitmap.claim_*'"
            )
    return [i for i in ids if not globs or any(fnmatch.fnmatchcase(i, glob) for glob in globs)]


def _may_hold(part: str, glob: str) -> bool:
    """Whether a part can have an id that matches: their beginnings agree."""
    plain = re.split(r"[*?[]", glob)[0]
    return part.startswith(plain) or plain.startswith(part)


def prove_ids(ids: Sequence[str], effort: Effort, budget: Budget) -> list[Result]:
    """The results for some obligations, in this process."""
    shared = Cache({})
    found = [find(i) for i in ids]
    results: list[Result] = []
    for group, members in groupby(found, key=lambda obligation: obligation.shares):
        if group:
            results += _group_over_seeds(list(members), effort, budget)
        else:
            results += [_over_seeds(one, effort, budget, shared) for one in members]
    return results


def _group_over_seeds(
    obligations: Sequence[Obligation], effort: Effort, budget: Budget
) -> list[Result]:
    solvers = (obligations[0].best,) if effort.first else effort.solvers
    kept, needed = kept_values() if effort.first else {}, kept_premises()
    results = prove_group(obligations, solvers, budget, kept, needed)
    for seed in range(1, effort.seeds):
        others = prove_group(obligations, ("z3",), replace(budget, seed=seed), needed=needed)
        results = [_worst_of(pair) for pair in zip(results, others, strict=True)]
    return results


def _over_seeds(obligation: Obligation, effort: Effort, budget: Budget, shared: Cache) -> Result:
    result = _once(obligation, effort, budget, shared)
    for seed in range(1, effort.seeds):
        other = prove(obligation, ("z3",), replace(budget, seed=seed), shared)
        result = _worst_of((result, other))
    return result


def _once(obligation: Obligation, effort: Effort, budget: Budget, shared: Cache) -> Result:
    solvers = sorted(effort.solvers, key=lambda name: effort.first and name != obligation.best)
    # A session is told terms; what is told as text has to be written and read.
    if TOLD_TERMS.issuperset(solvers) and (effort.first or len(solvers) == 1):
        with suppress(Unreadable):
            return prove_group([obligation], solvers, budget, first=True)[0]
    return prove(obligation, solvers, budget, shared, effort.first)


def _worst_of(pair: tuple[Result, Result]) -> Result:
    """The worse verdict of two seeds, and the longer time."""
    result, other = pair
    worse = other if _rank(other) > _rank(result) else result
    slowest = max(result.seconds, other.seconds)
    spent = max(result.solver_seconds, other.solver_seconds)
    return msgspec.structs.replace(
        worse, solvers=result.solvers, seconds=slowest, solver_seconds=spent
    )


def _rank(result: Result) -> int:
    words = [str(word) for word in WORST]
    return words.index(result.verdict) if result.verdict in words else len(words)


def prove_many(
    ids: Sequence[str],
    effort: Effort,
    budget: Budget,
    jobs: int = 0,
    on_result: Callable[[Result], None] = lambda _result: None,
    pool: Executor | None = None,
) -> list[Result]:
    """The results for many obligations, in the order of `ids`.

    jobs: processes; 0 is one for each core. pool: what does the work in place of such processes.
    on_result: told each result as it comes. If it is interrupted, the results told so far are all
    that is lost sight of.

    Raises: MissingSolver before anything is proved.
    """
    require(effort.solvers)
    found: dict[str, Result] = {}
    for chunk, results in _each(prove_ids, _chunks(ids), effort, budget, jobs, pool):
        for result in results or [_lost(i) for i in chunk]:
            found[result.id] = result
            on_result(result)
    return [found[i] for i in ids]


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    """What one process is given at a time: a few, or those that one session is asked."""
    chunks: list[Sequence[str]] = []
    for group, members in groupby(ids, key=lambda i: find(i).shares):
        listed, size = list(members), GROUP if group else CHUNK
        chunks += [listed[at : at + size] for at in range(0, len(listed), size)]
    return chunks


Share = tuple[str, int]
"""A part, and which of its shares: all its chunks, or each `SHARES`th from one on."""


def prove_all(
    effort: Effort,
    budget: Budget,
    jobs: int = 0,
    on_result: Callable[[Result], None] = lambda _result: None,
    pool: Executor | None = None,
) -> list[Result]:
    """As `prove_many` for every obligation; each process makes those that it is to prove.

    To make them all beforehand would take longer than to prove a third of them.
    """
    require(effort.solvers)
    whole = {subject.id for subject in SUBJECTS}
    shares: list[Share] = [
        (name, place) for name in parts() for place in range(SHARES if name in whole else 1)
    ]
    found: dict[str, list[tuple[int, int, list[Result]]]] = {}
    for (name, place), results in _each(prove_share, shares, effort, budget, jobs, pool):
        told = results or [_lost(i) for i in _share(name, place)]
        parts_of = [told[at : at + CHUNK] for at in range(0, len(told), CHUNK)]
        found.setdefault(name, []).extend((n, place, one) for n, one in enumerate(parts_of))
        for result in told:
            on_result(result)
    # Shares take turns at the chunks of a part; here they are put back in its order.
    listed = (chunk for name in parts() for *_, chunk in sorted(found[name], key=_turn))
    return [result for chunk in listed for result in chunk]


def _turn(chunk: tuple[int, int, list[Result]]) -> tuple[int, int]:
    return chunk[:2]


def prove_share(share: Share, effort: Effort, budget: Budget) -> list[Result]:
    """The results for one share of a part, in this process."""
    return prove_ids(_share(*share), effort, budget)


def _share(name: str, place: int) -> list[str]:
    chunks = _chunks(list(_part(name)))
    is_shared = any(subject.id == name for subject in SUBJECTS)
    return [i for chunk in (chunks[place::SHARES] if is_shared else chunks) for i in chunk]


T = TypeVar("T")


def _each(
    prover: Callable[[T, Effort, Budget], list[Result]],
    tasks: Sequence[T],
    effort: Effort,
    budget: Budget,
    jobs: int,
    pool: Executor | None,
) -> Iterator[tuple[T, list[Result]]]:
    """The results of each task as they come; nothing where its process died."""
    jobs = jobs or len(os.sched_getaffinity(0))
    if pool is None and (jobs == 1 or len(tasks) < 2):
        yield from ((task, prover(task, effort, budget)) for task in tasks)
        return
    # Fresh processes: forking one that holds solver threads or a progress display is not safe.
    context = multiprocessing.get_context("spawn")
    pool = pool or ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context)
    try:
        asked: dict[Future[list[Result]], T] = {
            pool.submit(prover, task, effort, budget): task for task in tasks
        }
        for future in as_completed(asked):
            try:
                yield asked[future], future.result()
            except BrokenExecutor:
                yield asked[future], []
    except BaseException:
        # Interrupted: nothing is left running.
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _lost(obligation_id: str) -> Result:
    obligation = find(obligation_id)
    return Result(
        id=obligation_id,
        verdict=str(Verdict.UNKNOWN),
        method=obligation.method,
        solvers={},
        rlimit=0,
        seconds=0.0,
        solver_seconds=0.0,
        citation=str(obligation.source),
        assumptions=[a.name for a in obligation.assumptions],
        claim=obligation.claim,
        reason="the process that was proving it died (out of memory?)",
    )


def export(ids: Sequence[str], folder: Path) -> int:
    """Write the SMT-LIB texts of some obligations into `folder`; the number of files.

    A file named `possible` is to be satisfiable, one named `goal-N` unsatisfiable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for i in ids:
        for label, text in texts(find(i)).items():
            name = f"{i}.{label}".replace("/", "--").replace("[", "-").replace("]", "")
            status = "sat" if label == "possible" else "unsat"
            head = f"; {i}\n; {find(i).claim}\n; expected: {status}\n"
            (folder / f"{name.replace(',', '-')}.smt2").write_text(head + text, encoding="utf-8")
            written += 1
    return written
