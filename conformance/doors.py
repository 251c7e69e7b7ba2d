"""Doors: for each case of each rule, starts and steps that a solver opens it with.

For every (rule, case) the solver is asked for a step that takes the case and, one at a time, for
one that also meets an aim (`conformance.aims`): a comparison at equality, one below and one above;
a fact about many pages broken at its first page, at its last or beside a word's edge; a corner of
the layout. A model becomes a door only if the oracle, on plain numbers, takes that case.

The solver's sets hold the few pages that the conditions look at, so a door is also dressed: pages
on which its case does not depend are claimed, and a device that reaches too far shows it.

Those for the built-in devices are kept (`conformance.door_file`), for as long as nothing changes
that they follow from.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import z3

from conformance.aims import Aim, aims, asked, bounds, facts
from conformance.door_file import kept
from spec.catalogue import subject_of
from spec.pages import ListedWords
from spec.prove.matrix import Subject, situation, well_formed
from spec.prove.world import Concrete, Symbolic, record
from spec.rule import Case, Rule, step, taken
from spec.terms import MASK, forget_constants, truth
from spec.validation import runs
from spec.validation.bitmap import ANY_RUNS, Bitmap, Import, Policy, gfn, word_count

EVERY = 16
"""Of so many starts one is gone on from as a bitmap."""
RLIMIT = 2_000_000
"""z3's budget for one aim, in its own units; counted, not timed, so that doors do not move."""
WORDS_OF_A_PATTERN = (0xF0F0_F0F0_F0F0_F0F0, 0x8000_0000_0000_0001, MASK, 0, 0x5555_5555_5555_5555)


@dataclass(frozen=True)
class Door:
    """A start and a step from it that takes `case` of `rule`; `aim` says what it is for."""

    id: str
    rule: Rule
    case: str
    start: Bitmap
    op: Any
    aim: str


def doors(policy: Policy, rules: frozenset[str] | None = None) -> tuple[Door, ...]:
    """The doors of every rule, or of some, for devices that choose `policy`, in a fixed order."""
    subject = subject_of(policy)
    if subject.id == runs.AREA:
        return tuple(door for door in _of_runs(policy) if rules is None or door.rule.id in rules)
    wanted = [rule for rule in subject.rules if rules is None or rule.id in rules]
    return tuple(door for rule in wanted for door in _made(rule, policy))


@cache
def _of_runs(policy: Policy) -> tuple[Door, ...]:
    return tuple(_kept_as_runs(policy))


def _kept_as_runs(policy: Policy) -> Iterator[Door]:
    """The bitmap's doors for a record kept as runs, each also where there is little room."""
    by_name = {rule.name: rule for rule in runs.RULES}
    fitting = 0
    for door in doors(replace(policy, most_runs=ANY_RUNS)):
        rule, start = by_name[door.rule.name], replace(door.start, policy=policy)
        if runs.runs_of(start) <= policy.most_runs:
            name = f"{rule.id}.{door.id.rpartition('.')[2]}"
            yield Door(name, rule, step(rule, start, door.op).case, start, door.op, door.aim)
            yield from _cramped(rule, start, door.op, name)
            if fitting % EVERY == 0:
                switched = f"{runs.switch.id}.switched#{fitting // EVERY}"
                yield Door(switched, runs.switch, "switched", start, runs.Nothing(), door.aim)
            fitting += 1


@cache
def _made(rule: Rule, policy: Policy) -> tuple[Door, ...]:
    """The doors of one rule: those that are kept, or found now where none are."""
    there = tuple(
        Door(door.id, rule, door.case, start, op, door.aim)
        for door, start, op in kept(rule, policy)
    )
    return there or found(rule, policy)


def found(rule: Rule, policy: Policy) -> tuple[Door, ...]:
    """The doors of one rule of the bitmap, by the solver."""
    with _fresh_terms():
        return tuple(_of(subject_of(policy), rule, policy))


def _of(subject: Subject, rule: Rule, policy: Policy) -> Iterator[Door]:
    world = Symbolic()
    state, op, cases = situation(subject, rule, world)
    wanted = list(aims(rule, cases, state, op))
    points = [world.word("p"), *subject.touched(state, op)]
    common = [
        state.policy.cap_pages == policy.cap_pages,
        state.policy.mixed_2m == policy.mixed_2m,
        state.policy.most_runs == policy.most_runs,
        *well_formed(subject, state, world, points),
        *world.facts(points),
    ]
    for case in cases:
        base = [truth(taken(cases, case.name)), *bounds(rule, case, state, op), *common]
        seen: set[Any] = set()
        for aim, model in _models(base, [*wanted, *facts(world.book, base[0])]):
            for start, asked_for in _dressed(subject, rule, case, world, model, aim, len(seen)):
                key = (start, asked_for)
                if key not in seen:
                    name = f"{rule.id}.{case.name}#{len(seen)}"
                    seen.add(key)
                    yield Door(name, rule, case.name, start, asked_for, aim.name)


def _cramped(rule: Rule, start: Bitmap, op: Any, name: str) -> Iterator[Door]:
    """The same step where there is no room for more runs, or for one or two."""
    first, stop = start.span()
    span = asked(rule, op) or start.span()
    low, high = (min(max(gfn(edge), first), stop) for edge in span)
    far = 4 * start.policy.most_runs
    after = range(stop - 2, max(high + 1, stop - far), -2)
    pages = [*after, *range(first + 1, min(low - 2, first + far), 2)]
    for spare in range(3):
        target, claimed = start.policy.most_runs - spare, start.claimed
        for page in pages:
            if claimed.runs_in(first, stop) + 2 <= target:
                claimed = claimed.with_range(page, page + 1, not claimed.has(page))
        if claimed != start.claimed and target - claimed.runs_in(first, stop) in (0, 1):
            cramped = replace(start, claimed=claimed)
            case = step(rule, cramped, op).case
            yield Door(f"{name}-{spare}", rule, case, cramped, op, f"{spare} runs to spare")


def _models(base: list[Any], wanted: list[Aim]) -> Iterator[tuple[Aim, Any]]:
    solver = z3.SimpleSolver()
    solver.set("random_seed", 0)
    solver.set("rlimit", RLIMIT)
    solver.add(*map(truth, base))
    for aim in wanted:
        solver.push()
        solver.add(truth(aim.holds))
        if solver.check() == z3.sat:
            yield aim, solver.model()
        solver.pop()


@contextmanager
def _fresh_terms() -> Iterator[None]:
    """A main context of z3 in which nothing was said before, so that models do not depend on it.

    z3 orders terms by when they were made. It has no public way to change its main context, and
    terms that are translated or printed bring that order along; a test keeps this honest.
    """
    kept = z3.z3._main_ctx
    z3.z3._main_ctx = z3.Context()
    forget_constants()
    try:
        yield
    finally:
        z3.z3._main_ctx = kept
        forget_constants()


# From a model to plain numbers


def _dressed(
    subject: Subject, rule: Rule, case: Case, world: Symbolic, model: Any, aim: Aim, turn: int
) -> Iterator[tuple[Bitmap, Any]]:
    """The model's step that takes `case`: bare and dressed, or one of these by turns."""
    for otherwise in ("clear", "claimed"):
        concrete = Concrete(model, world, otherwise)
        start = record(concrete, subject.state, "s")
        op = _handed_over(record(concrete, rule.operands, "op"))
        if _takes(subject, rule, case.name, start, op):
            break
    else:
        return
    outfits = list(_outfits(rule, start, op))
    turned = outfits[turn % len(outfits) :] + outfits[: turn % len(outfits)]
    fitting = (fit for fit in turned if _takes(subject, rule, case.name, *fit))
    yield from fitting if aim.name == "any" else (fit for fit, _ in zip(fitting, "x", strict=False))


def _handed_over(op: Any) -> Any:
    """`op` without words past its length, which nothing can hand over."""
    if not isinstance(op, Import):
        return op
    words: Any = op.words
    return replace(op, words=ListedWords(tuple(w for w in words.listed if w[0] < op.length)))


def _takes(subject: Subject, rule: Rule, case: str, start: Bitmap, op: Any) -> bool:
    # Where anything is claimed outside the region, the first or the last claimed page is.
    claimed: Any = start.claimed
    edges = claimed.bounds
    near = (edges[0], edges[-1] - 1) if edges else (0,)
    legal = all(said(start, page) for said in subject.well_formed for page in near)
    return legal and step(rule, start, op).case == case


def _outfits(rule: Rule, start: Bitmap, op: Any) -> Iterator[tuple[Bitmap, Any]]:
    """The step as the solver made it, and with pages claimed that it did not speak of."""
    yield start, op
    first, stop = start.span()
    span = asked(rule, op)
    low, high = (gfn(edge) for edge in span) if span else (stop, stop)
    low, high = sorted((min(max(low, first), stop), min(max(high, first), stop)))
    claimed = start.claimed
    beside = claimed.with_range(max(low - 1, first), low, True)
    beside = beside.with_range(high, min(high + 1, stop), True)
    others = claimed.with_range(first, low, True).with_range(high, stop, True)
    striped = claimed
    for page in range(first + 1, stop, 61):
        striped = striped.with_range(page, min(page + 17, stop), True)
    filled = _filled(op, start)
    for dressed in (beside, others, striped):
        yield replace(start, claimed=dressed), filled
    if span is not None:
        # The far ends of the region rather than its neighbours: a device that wraps or rounds.
        ends = claimed.with_range(first, min(first + 1, low), True)
        yield replace(start, claimed=ends.with_range(max(stop - 1, high), stop, True)), op


def _filled(op: Any, start: Bitmap) -> Any:
    """`op` with a pattern in the words that the solver left open: all but the last."""
    if not isinstance(op, Import) or op.length != word_count(start.pages):
        return op
    pattern = WORDS_OF_A_PATTERN
    words = [pattern[i % len(pattern)] for i in range(max(op.length - 1, 0))]
    return replace(op, words=ListedWords.of([*words, op.words.at(op.length - 1)]))
