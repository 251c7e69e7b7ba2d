"""Whether wrong steps of a device would be seen: what goes to it, or comes from it, is bent.

An adapter can hide what an implementation does: it may show what it was told instead of what is
there, or lead every code to the same answer. So for each rule that a device claims, a step on which
it agrees is done again with one thing changed on its way, and the difference must show. A change
that the rules themselves would not see, such as a bit of a state that the step overwrites, is not
tried.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from conformance.adapters.handoff import ForeignHandoff
from conformance.adapters.link import Link
from conformance.adapters.record import ForeignRecord
from conformance.adapters.wire import Message, Play, Played, Stage, Staged, State
from conformance.adapters.wire import Step as Said
from conformance.doors import Door, doors
from conformance.handoff.calls import Call, suits
from conformance.handoff.doors import vectors
from conformance.handoff.judge import judge as judge_call
from conformance.handoff.oracle import answer as call_answer
from conformance.trace import judge
from spec.catalogue import rules
from spec.rule import step
from spec.validation.bitmap import Bitmap

SEEN, HIDDEN, DIFFERS, NOT_TRIED = "seen", "HIDDEN", "differs as it is", "not tried"
MOST_DOORS = 40
"""How many steps of a rule are looked at in search of one on which the device agrees."""
Bend = Callable[[Message], Message]


@dataclass(frozen=True)
class Looked:
    """What became of one change of one rule's step: what was bent, and whether it was seen."""

    rule: str
    bent: str
    result: str


class Crooked:
    """The way to a device, on which what is said is bent."""

    def __init__(self, link: Link, there: Bend, back: Bend) -> None:
        self._link, self._there, self._back = link, there, back

    def ask(self, message: Message, kind: type[Message], more: Any = None) -> Message:
        """What the device is made to answer to what it is made to hear."""
        return self._back(self._link.ask(self._there(message), kind, more))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


def _as_it_is(message: Message) -> Message:
    return message


T = TypeVar("T")


def _some(listed: Sequence[T]) -> Sequence[T]:
    """Some of many, evenly among them, since those of one case stand together."""
    return listed[:: max(1, len(listed) // MOST_DOORS)]


# A record of pages


def look(device: ForeignRecord) -> Iterator[Looked]:
    """Bend the start, the operands, the answer and the state that is shown, for each rule."""
    for rule in (one for i, one in rules().items() if i in device.claims):
        opened = _some(doors(device.policy, frozenset((rule.id,))))
        agreed = [door for door in opened if _judged(device, door, _as_it_is, _as_it_is) is None]
        for bent, tried in BENT.items():
            pairs = next(filter(None, (tried(door) for door in agreed)), None)
            if len(agreed) < len(opened):
                result = DIFFERS
            elif pairs is None:
                result = NOT_TRIED
            else:
                result = SEEN if _judged(device, *pairs) is not None else HIDDEN
            yield Looked(rule.id, bent, result)


def _judged(device: ForeignRecord, door: Door, there: Bend, back: Bend) -> Any:
    straight = device.link
    device.link = Crooked(straight, there, back)  # type: ignore[assignment]
    try:
        return judge(door.start, [(door.rule, door.op)], device)
    finally:
        device.link = straight


Bent = tuple[Door, Bend, Bend] | None


def _another_start(door: Door) -> Bent:
    """The device takes on a state in which one page more, or less, is claimed."""
    for page in _pages(door.start):
        bent = _flipped(door.start, page)
        if _told(bent, door.op, door) != _told(door.start, door.op, door):

            def there(message: Message, bent: Bitmap = bent) -> Message:
                asked: Any = message
                kept = State(bent.base, bent.pages, _runs(bent), bent.policy.most_runs)
                return Play(asked.group, asked.steps, kept)

            return door, there, _as_it_is
    return None


def _other_operands(door: Door) -> Bent:
    """The device is asked the same of the pages behind, or with another flag or length."""
    plain = {name: value for name, value in vars(door.op).items() if isinstance(value, int | bool)}
    for name, value in plain.items():
        other = (not value) if isinstance(value, bool) else (value ^ OF_OPERANDS.get(name, 1))
        bent = replace(door.op, **{name: other})
        if _told(door.start, bent, door) != _told(door.start, door.op, door):

            def there(message: Message, name: str = name, other: Any = other) -> Message:
                asked: Any = message
                (said,) = asked.steps
                return Play(asked.group, [Said(said.rule, said.op | {name: other})], asked.start)

            return door, there, _as_it_is
    return None


OF_OPERANDS = {"gpa": 1 << 12, "first": 1 << 12, "stop": 1 << 12, "base": 1 << 12}
"""The bit of an operand that is changed, where it is not the lowest."""


def _other_answer(door: Door) -> Bent:
    """A refusal comes back as a success, and a success as a refusal or with another value."""
    right = step(door.rule, door.start, door.op)

    def back(message: Message) -> Message:
        played: Any = message
        (told,) = played.answers
        if right.outcome:
            return _played(msgspec.structs.replace(told, outcome="OK"))
        value = told.value
        if isinstance(value, int) and value:
            return _played(msgspec.structs.replace(told, value=value ^ 1))
        return _played(msgspec.structs.replace(told, outcome="EMPTY"))

    return door, _as_it_is, back


def _other_state(door: Door) -> Bent:
    """What the device shows has one page more, or less."""
    after = step(door.rule, door.start, door.op).state
    if not after.pages:
        return None

    def back(message: Message) -> Message:
        played: Any = message
        (told,) = played.answers
        bent = _runs(_flipped(after, after.base >> 12))
        return _played(msgspec.structs.replace(told, state=_of_state(told.state, bent)))

    return door, _as_it_is, back


def _of_state(state: State, claimed: list[tuple[int, int]]) -> State:
    return msgspec.structs.replace(state, claimed=claimed)


def _played(answer: Any) -> Played:
    return Played([answer])


BENT: dict[str, Callable[[Door], Bent]] = {
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


# The handoff


def look_at_stages(device: ForeignHandoff) -> Iterator[Looked]:
    """Bend what each stage is asked, and what it answers."""
    for rule in sorted(device.claims):
        asked = _some([door.call for door in vectors() if door.rule == rule])
        agreed = [call for call in asked if _judged_call(device, call, _as_it_is, _as_it_is)]
        for bent, tried in (("call", _other_call), ("answer", _other_word)):
            pairs = next(filter(None, (tried(call) for call in agreed)), None)
            if len(agreed) < len(asked):
                result = DIFFERS
            elif pairs is None:
                result = NOT_TRIED
            else:
                result = HIDDEN if _judged_call(device, *pairs) else SEEN
            yield Looked(rule, bent, result)


def _judged_call(device: ForeignHandoff, call: Call, there: Bend, back: Bend) -> bool:
    """Whether a device agrees."""
    straight = device.link
    device.link = Crooked(straight, there, back)  # type: ignore[assignment]
    try:
        return judge_call(call, device, Counter()) is None  # type: ignore[arg-type]
    finally:
        device.link = straight


BentCall = tuple[Call, Bend, Bend] | None


def _other_call(call: Call) -> BentCall:
    """The device is asked with one number or flag changed that makes a difference."""
    right = call_answer(call, Counter())
    for name in call.__struct_fields__:
        value = getattr(call, name)
        if not isinstance(value, int):
            continue
        other: Any = (not value) if isinstance(value, bool) else value ^ 1
        bent = msgspec.structs.replace(call, **{name: other})
        if suits(bent) and call_answer(bent, Counter()) != right:

            def there(message: Message, name: str = name, other: Any = other) -> Message:
                asked: Any = message
                return Stage(asked.call | {name: other})

            return call, there, _as_it_is
    return None


def _other_word(call: Call) -> BentCall:
    """A refusal comes back as another, and a success as a refusal."""

    def back(message: Message) -> Message:
        told: Any = message
        other = "NO_MEMORY" if told.outcome != "NO_MEMORY" else "TOO_MANY"
        return Staged(other, None, told.memory)

    return call, _as_it_is, back
