"""What is bent between the suite and a foreign implementation of the handoff's stages."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from conformance.adapters.crooked import (
    Bend,
    Looked,
    Tries,
    agreed,
    back,
    crooked,
    looked,
    some,
    there,
)
from conformance.adapters.handoff import ForeignHandoff
from conformance.adapters.wire import Stage, Staged
from conformance.handoff.calls import Call, suits
from conformance.handoff.doors import vectors
from conformance.handoff.judge import judge
from conformance.handoff.oracle import answer


def look(device: ForeignHandoff) -> Iterator[Looked]:
    """Bend what each stage is asked, and what it answers."""

    def agrees(call: Call, bend: Bend) -> bool:
        with crooked(device, bend):
            return judge(call, device, Counter()) is None  # type: ignore[arg-type]

    for rule in sorted(device.claims):
        asked: list[Call] = [door.call for door in vectors() if door.rule == rule]
        yield from looked(rule, agreed(some(asked), agrees), agrees, BENT, _case)


def _other_call(call: Call) -> Iterator[Bend]:
    """The device is asked with one number or flag changed that makes a difference."""
    right = _seen(call)
    for name in call.__struct_fields__:
        value = getattr(call, name)
        if not isinstance(value, int):
            continue
        other: Any = (not value) if isinstance(value, bool) else value ^ 1
        bent = msgspec.structs.replace(call, **{name: other})
        if suits(bent) and _seen(bent) != right:
            yield there(partial(_with, name, other))
            return


def _case(call: Call) -> str:
    return answer(call, Counter()).case


def _seen(call: Call) -> tuple[Any, Any]:
    """What is compared of a call; that two cases answer alike is not to be seen."""
    told = answer(call, Counter())
    return told.answer, told.value


def _with(name: str, value: Any, asked: Stage) -> Stage:
    return Stage(asked.call | {name: value})


def _other_word(_call: Call) -> Iterator[Bend]:
    """A refusal comes back as another, and a success as a refusal."""

    def bent(told: Staged) -> Staged:
        other = "NO_MEMORY" if told.outcome != "NO_MEMORY" else "TOO_MANY"
        return Staged(other, None, told.memory)

    yield back(bent)


BENT: Mapping[str, Tries[Call]] = {"call": _other_call, "answer": _other_word}
"""What is bent."""
