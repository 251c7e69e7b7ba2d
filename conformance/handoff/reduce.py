"""Making a call plainer: fewer ranges, smaller numbers, as long as it still shows the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from conformance.handoff import calls
from conformance.handoff.calls import Call, suits
from spec.handoff.words import ENTRY_BYTES

Shows = Callable[[Call], bool]
MOST_TRIES = 600
FILL = b"\xa5"
"""What pages hold that held nothing in the call before."""


@dataclass(frozen=True)
class Plain:
    """A call as nested lists of numbers, by field: what can be made plainer, and the way back."""

    kind: type[Call]
    fields: dict[str, Any]

    def call(self) -> Call | None:
        """The call, or None where there is none such that a stage is asked."""
        fields = dict(self.fields)
        if self.kind is calls.Read:
            fields["area"] = _area(fields.pop("listed"), fields.pop("tail"))
        if self.kind is calls.Write:
            first, stop = calls.pages_of(max(0, fields["address"]), max(0, fields["size"]))
            length = min(stop - first, 16) * 4096
            fields["memory"] = fields["memory"] * length
        try:
            made = msgspec.convert(fields, self.kind)
        except msgspec.ValidationError:
            return None
        return made if suits(made) else None


def plain(call: Call) -> Plain:
    """A call as numbers."""
    fields = {name: _lists(getattr(call, name)) for name in call.__struct_fields__}
    if isinstance(call, calls.Read):
        whole = len(call.area) // ENTRY_BYTES * ENTRY_BYTES
        listed = [list(one) for one in calls.LAYOUT.iter_unpack(call.area[:whole])]
        fields = {"listed": listed, "tail": len(call.area) - whole, "limit": call.limit}
    if isinstance(call, calls.Write):
        fields["memory"] = call.memory[:1] or FILL
    return Plain(type(call), fields)


def _area(listed: list[list[int]], tail: int) -> bytes:
    widths = (64, 64, 16, 16, 32)
    kept = [[n & ((1 << w) - 1) for n, w in zip(one, widths, strict=True)] for one in listed]
    return calls.packed(kept) + bytes(max(0, tail))


def _lists(value: Any) -> Any:
    return [_lists(one) for one in value] if isinstance(value, tuple | list) else value


Path = tuple[Any, ...]


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every number and every list of lists in nested lists, each with the way to it."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*path, name))
    elif isinstance(value, list):
        yield path, value
        for index, part in enumerate(value):
            yield from places(part, (*path, index))
    elif not isinstance(value, bytes):
        yield path, value


def put(value: Any, path: Path, new: Any) -> Any:
    """Nested lists with another value at one place."""
    if not path:
        return new
    key, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, key: put(value[key], rest, new)}
    return [*value[:key], put(value[key], rest, new), *value[key + 1 :]]


def plainer(call: Call) -> Iterator[Call]:
    """Calls that are plainer than a call in one place."""
    now = plain(call)
    for path, value in places(now.fields):
        for other in _smaller(value):
            made = Plain(now.kind, put(now.fields, path, other)).call()
            if made is not None:
                yield made


def _smaller(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield from ([False] if value else [])
    elif isinstance(value, list):
        if value and isinstance(value[0], list):
            yield from (value[:i] + value[i + 1 :] for i in range(len(value)))
    elif value:
        fewer = dict.fromkeys((0, 1, value // 2, value & (value - 1), value - 1))
        yield from (number for number in fewer if number < value)


def weight(call: Call) -> tuple[int, int]:
    """How far a call is from plain: how much of it there is, then how large its numbers are."""
    found = [int(value) for _, value in places(plain(call).fields) if not isinstance(value, list)]
    return len(found), sum(found)


def reduced(call: Call, shows: Shows) -> Call:
    """The plainest call found from a call that shows something, which still shows it."""
    tries = 0
    best = call
    while tries < MOST_TRIES:
        for other in plainer(best):
            tries += 1
            if weight(other) < weight(best) and shows(other):
                best = other
                break
            if tries >= MOST_TRIES:
                return best
        else:
            return best
    return best


def neighbours(call: Call) -> Iterator[Call]:
    """Calls that differ from a call by one in one number: on the other side of an edge."""
    now = plain(call)
    for path, value in places(now.fields):
        for other in _beside(value):
            made = Plain(now.kind, put(now.fields, path, other)).call()
            if made is not None:
                yield made


def _beside(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    return [] if isinstance(value, list) else [value + 1, value - 1]


SAID = frozenset(("kernel", "bitmaps", "cap", "low_pages", "limit", "address"))
"""The numbers that somebody says, and no earlier stage has looked at."""


def wrapping(call: Call) -> Iterator[Call]:
    """Calls in which a number that somebody says, and another of the call's, make 2**64."""
    now = plain(call)
    held = [(path, value) for path, value in places(now.fields) if not isinstance(value, list)]
    numbers = sorted({int(value) for _, value in held if value} | {1})
    for path, value in held:
        if path[0] in SAID and not isinstance(value, bool):
            for number in numbers:
                made = Plain(now.kind, put(now.fields, path, 2**64 - number)).call()
                if made is not None:
                    yield made


def byte_by_byte(call: Call) -> Iterator[Call]:
    """Areas in which one byte is another: whoever reads part of a field sees no difference."""
    if isinstance(call, calls.Read):
        for place, byte in enumerate(call.area):
            other = bytes([(byte + 1) % 256])
            yield calls.Read(call.area[:place] + other + call.area[place + 1 :], call.limit)


def in_the_way(call: Call, region: calls.Range) -> Iterator[Call]:
    """Maps in which one more excluded range meets the place that was found, first told or last."""
    first, stop = region
    if isinstance(call, calls.Reserve) and first < stop:
        for page in (first, stop - 1):
            here = (page, page + 1)
            for excluded in ((here, *call.excluded), (*call.excluded, here)):
                yield msgspec.structs.replace(call, excluded=excluded)
