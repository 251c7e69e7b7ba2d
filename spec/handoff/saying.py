"""The words in which sentences about the stages of the handoff are said."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from spec.assumptions import INDUCTION
from spec.handoff.words import Answer, Spans
from spec.invariant import Moment
from spec.pages import ListedPages, SymbolicPages
from spec.prove.world import World
from spec.rule import Case, Rule
from spec.terms import Bool, Word, all_of, pick, same

BY_INDUCTION = (INDUCTION,)


def a_number(world: World, name: str) -> Word:
    """An arbitrary page, or index: whatever a sentence speaks of."""
    return world.number(name)


def cases(*names: str) -> Callable[[Rule, Case], bool]:
    """The cases with some names."""
    return lambda _rule, case: case.name in names


def first_reason(outcome: Word, *reasons: tuple[Answer, Bool]) -> Bool:
    """What is answered is the first reason that holds, or OK where none does."""
    told: Word = int(Answer.OK)
    for answer, holds in reversed(reasons):
        told = pick(holds, int(answer), told)
    return int(outcome) == told


def alike(left: Any, right: Any, q: Word) -> Bool:
    """Two states, or parts of them, say the same: of themselves, at index `q`, of page `q`."""
    if left is right:
        return True
    if isinstance(left, SymbolicPages | ListedPages):
        return same(left.has(q), right.has(q))
    if hasattr(left, "at"):
        return bool(left is right) or left.at(q) == right.at(q)
    if hasattr(left, "__dataclass_fields__"):
        names = [f.name for f in fields(left)]
        return all_of(True, *(alike(getattr(left, n), getattr(right, n), q) for n in names))
    return left == right


def unchanged(m: Moment, q: Word) -> Bool:
    """The state is what it was."""
    return alike(m.before, m.after, q)


def but(m: Moment, q: Word, *changed: str) -> Bool:
    """The state is what it was, but for the fields that are named."""
    names = [f.name for f in fields(m.before) if f.name not in changed]
    return all_of(True, *(alike(getattr(m.before, n), getattr(m.after, n), q) for n in names))


def put_behind(before: Spans, after: Spans, q: Word, first: Word, stop: Word) -> Bool:
    """One range came behind the others, which are what they were at index `q`."""
    index = before.count
    old = pick(before.has(q), alike(before.firsts, after.firsts, q), True)
    old_stop = pick(before.has(q), alike(before.stops, after.stops, q), True)
    return all_of(
        after.count == index + 1,
        after.firsts.at(index) == first,
        after.stops.at(index) == stop,
        old,
        old_stop,
    )
