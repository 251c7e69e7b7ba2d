"""What is bent between a foreign implementation of MMIO and its bus, in the last call of a way."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from msgspec.structs import replace

from conformance.adapters.crooked import Bend, only
from conformance.adapters.wire import Ask
from conformance.adapters.wire import Told as Words
from conformance.mmio.calls import HONEST, Call, Expected, Told, expected, filled
from conformance.mmio.judge import visible
from conformance.mmio.world import SETTINGS, at_first
from spec.mmio.state import Mmio
from spec.mmio.wire import TDX_WRITE, Machine, Wire, heard


@dataclass(frozen=True)
class Way:
    """Calls on one machine, and what the rules say of each."""

    calls: tuple[Call, ...]
    meant: tuple[Expected, ...]

    @property
    def last(self) -> int:
        """The number of the message that asks the last call; that of the machine is 0."""
        return len(self.calls)

    @property
    def machine(self) -> Machine:
        """The machine."""
        return SETTINGS[self.calls[0].machine].machine

    @property
    def before(self) -> Mmio:
        """The state in which the last call is made."""
        return at_first(self.machine) if self.last == 1 else self.meant[-2].after


Answer = Callable[[Ask], Words]
"""What answers a call of the bus."""


def _with_bus(way: Way, answered: Callable[[Ask, Answer], Words]) -> Bend:
    """In the last call, the bus is bent.

    answered: what it answers, from what was asked and how that is answered rightly.
    """

    def bend(ask: Bend, message: Any, kind: Any, more: Any, answering: Answer) -> Any:
        return ask(message, kind, more, lambda asked: answered(asked, answering))

    return only(way.last, bend)


def answering(told: Sequence[Told]) -> Callable[[Wire], Told]:
    """What answers the accesses of a call, one after another, as the suite's bus does."""
    left = list(told)
    return lambda _wire: left.pop(0) if left else HONEST


# What the bus answers


def other_words(way: Way) -> Iterator[Bend]:
    """The bus answers an access otherwise, or has no mapping."""
    call, meant = way.calls[-1], way.meant[-1]
    if any(one.what == "map" and one.home for one in meant.mapped):
        yield _with_bus(way, _without_mapping)
    for place, told in enumerate(meant.told):
        for other in (told._replace(**{n: getattr(told, n) ^ 1}) for n in Told._fields):
            words = [*meant.told[:place], other, *meant.told[place + 1 :]]
            bent = filled(way.before, call, answering(words))
            if visible(expected(way.before, bent)) != visible(meant):
                yield _with_bus(way, _worded(place, other))


def _without_mapping(asked: Ask, answer: Answer) -> Words:
    right = answer(asked)
    return Words([0]) if asked.what == "map" else right


def _worded(place: int, other: Told) -> Callable[[Ask, Answer], Words]:
    """The access with a number is answered otherwise."""
    places = count()

    def answered(asked: Ask, answer: Answer) -> Words:
        right = answer(asked)
        return WORDS[asked.what](other) if next(places) == place else right

    return answered


WORDS: Mapping[str, Callable[[Told], Words]] = {
    "load": lambda told: Words([told.data]),
    "store": lambda _told: Words([]),
    "exit_to_host": lambda told: Words(
        [told.status, 0, told.data.to_bytes(8, "little"), int(told.failed == 0)]
    ),
    "tdvmcall": lambda told: Words([told.failed, told.status, told.data]),
    "unmap": lambda _told: Words([]),
}
"""How what the host says is answered to a call of the bus."""


# What the bus is asked

PLACES: Mapping[str, Mapping[str, int]] = {
    "load": {"address": 0, "width": 1},
    "store": {"address": 0, "width": 1, "value": 2},
    "exit_to_host": {"address": 1, "width": 2, "value": 4},
    "tdvmcall": {"address": 3, "width": 1, "value": 4},
    "map": {"address": 0, "width": 1},
    "unmap": {"address": 0, "width": 1},
}
"""Where the address, the width and the value stand among what a call of the bus is asked."""
DIRECTION = 2
"""Where a TDVMCALL is told whether it writes."""


def other_access(name: str) -> Callable[[Way], Iterator[Bend]]:
    """An access, or a mapping, goes out with one word changed: each is compared."""

    def asked_so(asked: Ask, answer: Answer) -> Words:
        place = PLACES.get(asked.what, {}).get(name)
        if place is None or (name == "value" and not _writes(asked)):
            return answer(asked)
        listed = list(asked.arguments)
        was = listed[place]
        listed[place] = was ^ 1 if isinstance(was, int) else bytes([was[0] ^ 1]) + was[1:]
        return answer(replace(asked, arguments=listed))

    def tries(way: Way) -> Iterator[Bend]:
        meant = way.meant[-1]
        if meant.wires or meant.mapped if name != "value" else _is_written(way):
            yield _with_bus(way, asked_so)

    return tries


def _writes(asked: Ask) -> bool:
    """Whether an access writes; a read has nothing in the buffer, nor a value."""
    if asked.what == "exit_to_host":
        return bool(asked.arguments[PLACES["exit_to_host"]["value"]])
    return asked.what == "store" or asked.arguments[DIRECTION] == TDX_WRITE


def _is_written(way: Way) -> bool:
    place = way.before.slots.place(way.calls[-1].ops[0].slot)
    return any(heard(way.machine, place, wire).write for wire in way.meant[-1].wires)


def one_less(way: Way) -> Iterator[Bend]:
    """The first access or mapping of the last call never goes out."""
    meant, places = way.meant[-1], count()
    homes = [one.home for one in meant.mapped if one.what == "map"]

    def answered(asked: Ask, answer: Answer) -> Words:
        if next(places):
            return answer(asked)
        if asked.what == "map":
            return Words(list(homes[:1]))
        return WORDS[asked.what](meant.told[0] if meant.told else HONEST)

    if meant.wires or meant.mapped:
        yield _with_bus(way, answered)


def one_more(way: Way) -> Iterator[Bend]:
    """The first access or mapping of the last call goes out twice."""
    places = count()

    def answered(asked: Ask, answer: Answer) -> Words:
        right = answer(asked)
        if next(places) == 0:
            answer(asked)
        return right

    if way.meant[-1].wires or way.meant[-1].mapped:
        yield _with_bus(way, answered)
