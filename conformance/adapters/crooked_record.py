"""What is bent between the suite and a foreign record of pages: a bitmap, or a run tracker."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import structs

from conformance.adapters.crooked import Bend, Looked, agreed, back, crooked, looked, some, there
from conformance.adapters.record import ForeignRecord
from conformance.adapters.wire import Play, Played, State, Step
from conformance.doors import Door, doors
from conformance.trace import judge
from spec.catalogue import rules
from spec.rule import step
from spec.validation.bitmap import Bitmap


def look(device: ForeignRecord) -> Iterator[Looked]:
    """Bend the start, the operands, the answer and the state that is shown, for each rule."""

    def agrees(door: Door, bend: Bend) -> bool:
        with crooked(device, bend):
            return judge(door.start, [(door.rule, door.op)], device) is None

    for rule in (one for i, one in rules().items() if i in device.claims):
        opened = some(doors(device.policy, frozenset((rule.id,))))
        yield from looked(rule.id, agreed(opened, agrees), agrees, BENT, lambda door: door.case)


def _another_start(door: Door) -> Iterator[Bend]:
    """The device takes on a state in which one page more, or less, is claimed."""
    for page in _pages(door.start):
        bent = _flipped(door.start, page)
        if _told(bent, door.op, door) != _told(door.start, door.op, door):
            kept = State(bent.base, bent.pages, _runs(bent), bent.policy.most_runs)
            yield there(partial(structs.replace, start=kept))
            return


def _other_operands(door: Door) -> Iterator[Bend]:
    """The device is asked the same of the pages behind, or with another flag or length."""
    plain = {name: value for name, value in vars(door.op).items() if isinstance(value, int | bool)}
    for name, value in plain.items():
        other = (not value) if isinstance(value, bool) else (value ^ OF_OPERANDS.get(name, 1))
        bent = replace(door.op, **{name: other})
        if _told(door.start, bent, door) != _told(door.start, door.op, door):

            def asking(asked: Play, name: str = name, other: Any = other) -> Play:
                (said,) = asked.steps
                return Play(asked.group, [Step(said.rule, said.op | {name: other})], asked.start)

            yield there(asking)
            return


OF_OPERANDS = {"gpa": 1 << 12, "first": 1 << 12, "stop": 1 << 12, "base": 1 << 12}
"""The bit of an operand that is changed, where it is not the lowest."""


def _other_answer(door: Door) -> Iterator[Bend]:
    """A refusal comes back as a success, and a success as a refusal or with another value."""
    right = step(door.rule, door.start, door.op)

    def bent(played: Played) -> Played:
        (told,) = played.answers
        if right.outcome:
            return Played([structs.replace(told, outcome="OK")])
        value = told.value
        if isinstance(value, int) and value:
            return Played([structs.replace(told, value=value ^ 1)])
        return Played([structs.replace(told, outcome="EMPTY")])

    yield back(bent)


def _other_state(door: Door) -> Iterator[Bend]:
    """What the device shows has one page more, or less."""
    after = step(door.rule, door.start, door.op).state

    def bent(played: Played) -> Played:
        (told,) = played.answers
        claimed = _runs(_flipped(after, after.base >> 12))
        shown = structs.replace(told.state, claimed=claimed)
        return Played([structs.replace(told, state=shown)])

    if after.pages:
        yield back(bent)


BENT = {
    "start": _another_start,
    "operands": _other_operands,
    "answer": _other_answer,
    "state": _other_state,
}
"""What is bent."""


def _told(start: Bitmap, op: Any, door: Door) -> Any:
    done = step(door.rule, start, op)
    return done.outcome, done.value, done.state.base, done.state.pages, done.state.claimed


def _pages(start: Bitmap) -> Sequence[int]:
    """The pages of a region at which a change is tried: its ends, and where it changes."""
    first, stop = start.base >> 12, (start.base >> 12) + start.pages
    edges = {first, stop - 1, *(e - k for run in _runs(start) for e in run for k in (0, 1))}
    return sorted(page for page in edges if first <= page < stop)


def _flipped(state: Bitmap, page: int) -> Bitmap:
    has = state.claimed.has(page)
    return replace(state, claimed=state.claimed.with_range(page, page + 1, not has))


def _runs(state: Bitmap) -> list[tuple[int, int]]:
    claimed: Any = state.claimed
    return list(claimed.runs())
