"""Whether wrong steps of a device would be seen: what goes to it, or comes from it, is bent.

An adapter can hide what an implementation does: it may show what it was told instead of what is
there, or lead every code to the same answer. So for each rule that a device claims, a step on which
it agrees is done again with one thing changed on its way, and the difference must show. A change
that the rules themselves would not see, such as a bit of a state that the step overwrites, is not
tried.

What can be bent of each group stands in a file of its own beside this one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from conformance.adapters.wire import Message

SEEN, HIDDEN, DIFFERS, NOT_TRIED = "seen", "HIDDEN", "differs as it is", "not tried"
MOST_DOORS = 40
"""How many steps of a rule are looked at in search of one on which the device agrees."""
Bend = Callable[..., Any]
"""What becomes of a question: from how it is asked, the message, and whatever is given with it."""


@dataclass(frozen=True)
class Looked:
    """What became of one change of one rule's step: what was bent, and whether it was seen.

    case: that in which it was hidden, if it was.
    """

    rule: str
    bent: str
    result: str
    case: str = ""


class Crooked:
    """The way to a device, on which what is said is bent."""

    def __init__(self, link: Any, bend: Bend) -> None:
        self._link, self._bend = link, bend

    def ask(self, message: Message, *more: Any) -> Any:
        """What the device is made to answer to what it is made to hear."""
        return self._bend(self._link.ask, message, *more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


@contextmanager
def crooked(device: Any, bend: Bend) -> Iterator[None]:
    """A device whose link bends meanwhile what is said on it."""
    straight = device.link
    device.link = Crooked(straight, bend)
    try:
        yield
    finally:
        device.link = straight


def as_it_is(ask: Bend, message: Message, *more: Any) -> Any:
    """Nothing is bent."""
    return ask(message, *more)


def there(change: Callable[[Any], Message]) -> Bend:
    """What the device hears is bent."""
    return lambda ask, message, *more: ask(change(message), *more)


def back(change: Callable[[Any], Any]) -> Bend:
    """What the device answers is bent."""
    return lambda ask, message, *more: change(ask(message, *more))


def only(number: int, bend: Bend) -> Bend:
    """One message alone is bent, the first being 0; it is good for one run."""
    places = count()

    def bent(ask: Bend, message: Message, *more: Any) -> Any:
        return (bend if next(places) == number else as_it_is)(ask, message, *more)

    return bent


D = TypeVar("D")
Tries = Callable[[D], Iterable[Bend]]
"""The ways to bend one thing of a step that the rules would see; none where there is none."""


def agreed(opened: Iterable[D], agrees: Callable[[D, Bend], bool]) -> list[D] | None:
    """Steps, if a device agrees with the rules on all of them as it is."""
    listed = list(opened)
    return listed if all(agrees(door, as_it_is) for door in listed) else None


def looked(
    rule: str,
    opened: Sequence[D] | None,
    agrees: Callable[[D, Bend], bool],
    bent: Mapping[str, Tries[D]],
    case_of: Callable[[D], str],
) -> Iterator[Looked]:
    """Whether each thing that is bent is seen, on all steps on which the rules would see it.

    opened: the steps; None where the device differs on one of them as it is. agrees: whether it
    agrees with the rules on a step while something is bent.
    """
    for name, tries in bent.items():
        if opened is None:
            yield Looked(rule, name, DIFFERS)
            continue
        found = [(door, bend) for door in opened for bend in tries(door)]
        hiding = next((door for door, bend in found if agrees(door, bend)), None)
        if hiding is not None:
            yield Looked(rule, name, HIDDEN, case_of(hiding))
        else:
            yield Looked(rule, name, SEEN if found else NOT_TRIED)


def some(listed: Sequence[D]) -> Sequence[D]:
    """Some of many, evenly among them, since those of one case stand together."""
    return listed[:: max(1, len(listed) // MOST_DOORS)]
