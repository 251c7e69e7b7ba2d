"""What is bent between the suite and a foreign implementation of MMIO.

A way to a case is gone again, and at its last call one thing is wrong: what the calls before it
left behind, what is called, what the bus is asked and what it answers, or what the device tells.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import count
from typing import Any

from msgspec import structs

from conformance.adapters import crooked_bus
from conformance.adapters.crooked import (
    Bend,
    Looked,
    agreed,
    back,
    crooked,
    looked,
    only,
    some,
    there,
)
from conformance.adapters.crooked_bus import Way, answering
from conformance.adapters.mmio import ForeignMmio
from conformance.adapters.wire import Called
from conformance.mmio.calls import Call, Expected, arguments, expected, filled
from conformance.mmio.judge import run, settings_of, visible
from conformance.mmio.vectors import ways
from conformance.mmio.world import SETTINGS, at_first
from spec.catalogue import mmio_rules
from spec.mmio import slots
from spec.mmio.wire import Machine

BITS = (1, 1 << 4, 1 << 12)
"""The bits of a number that are changed, one after another, until that makes a difference."""


def look(device: ForeignMmio) -> Iterator[Looked]:
    """Bend what a call finds, what it is asked, does to the outside and tells, for each rule."""
    machines = settings_of(device)

    def agrees(way: Way, bend: Bend) -> bool:
        with crooked(device, bend):
            return run(device, way.calls, Counter()) is None

    for rule in (i for i in mmio_rules() if i in device.claims):
        led = [one.calls for one in ways() if one.calls[-1].rule.id == rule]
        here = [calls for calls in led if SETTINGS[calls[-1].machine] in machines]
        gone = some([_way(calls) for calls in here])
        yield from looked(rule, agreed(gone, agrees), agrees, BENT, _case)


def _case(way: Way) -> str:
    return f"{way.meant[-1].cases[-1][1]}, {SETTINGS[way.calls[0].machine].backend}"


def _way(calls: Sequence[Call]) -> Way:
    return Way(tuple(calls), _meant(SETTINGS[calls[0].machine].machine, calls))


Past = Sequence[Call | None]
"""Calls, of which one may not be made."""


def _meant(machine: Machine, calls: Past) -> tuple[Expected, ...]:
    """What the rules say of calls on a machine; one that is not made changes nothing."""
    state, made = at_first(machine), []
    for call in calls:
        told = Expected(0, (), (), (), (), state) if call is None else expected(state, call)
        made.append(told)
        state = told.after
    return tuple(made)


# What came before


def _another_start(way: Way) -> Iterator[Bend]:
    """The machine is another, or a call before was: of which only the last call tells."""
    for machine, calls in _pasts(way):
        meant = _meant(machine, calls)
        listed = zip(meant[:-1], way.meant[:-1], strict=True)
        same = all(visible(one)[:-1] == visible(other)[:-1] for one, other in listed)
        if same and visible(meant[-1]) != visible(way.meant[-1]):
            yield _with_past(way, machine, calls)
            return


def _pasts(way: Way) -> Iterator[tuple[Machine, Past]]:
    """Other machines, and other calls before the last one."""
    machine, calls = way.machine, way.calls
    yield replace(machine, limit=machine.limit << 1), calls
    yield replace(machine, limit=machine.limit >> 1), calls
    yield replace(machine, buffer=machine.buffer + 0x800), calls
    yield replace(machine, shared_bit=machine.shared_bit << 1), calls
    for place, call in reversed(tuple(enumerate(calls[:-1]))):
        opens = call.rule.id == slots.open.id
        names = ("gpa", "size") if opens else ()
        others = [None, *(_with(call, name, bit) for name in names for bit in BITS)]
        for other in others:
            yield machine, (*calls[:place], other, *calls[place + 1 :])


def _with_past(way: Way, machine: Machine, calls: Past) -> Bend:
    """What is told before the last call is told so; what is shown of it is as it should be."""
    told = {"limit": machine.limit, "buffer_gpa": machine.buffer, "shared_bit": machine.shared_bit}
    places = count()

    def bend(ask: Bend, message: Any, *more: Any) -> Any:
        place = next(places)
        if place == 0:
            return ask(structs.replace(message, **told), *more)
        if place == way.last:
            return ask(message, *more)
        call, shown = calls[place - 1], _shown(way.meant[place - 1])
        if call is None:
            return Called("OK", shown)
        heard = ask(structs.replace(message, arguments=list(arguments(call))), *more)
        return structs.replace(heard, slots=shown)

    return bend


def _shown(meant: Expected) -> list[tuple[int, int, int, bool]]:
    kept: Mapping[int, tuple[int, int, bool]] = visible(meant)[-1]
    return [(slot, *told) for slot, told in kept.items()]


# What is called, and what is told of it


def _other_arguments(way: Way) -> Iterator[Bend]:
    """The last call is made with another argument."""
    call, meant = way.calls[-1], way.meant[-1]
    for name in (f.name for f in fields(call.ops[0]) if not f.name.startswith(TOLD)):
        for bit in BITS:
            bent = filled(way.before, _with(call, name, bit), answering(meant.told))
            if visible(expected(way.before, bent)) != visible(meant):
                asking = partial(structs.replace, arguments=list(arguments(bent)))
                yield only(way.last, there(asking))
                break


TOLD = ("failed", "status", "data", "home")
"""The operands that the outside tells; a field that is read in rounds has some of each."""


def _with(call: Call, name: str, bit: int) -> Call:
    ops = (replace(op, **{name: getattr(op, name) ^ bit}) for op in call.ops)
    return call._replace(ops=tuple(ops))


def _other_answer(way: Way) -> Iterator[Bend]:
    """A refusal comes back as a success, and a success as a refusal or with another value."""
    answer = way.meant[-1].answer

    def bent(told: Called) -> Called:
        if isinstance(answer, int) and answer < 0:
            return structs.replace(told, outcome="OK")
        value = told.value
        if isinstance(value, bytes):
            return structs.replace(told, value=bytes([value[0] ^ 1]) + value[1:])
        return structs.replace(told, value=value ^ 1)

    yield only(way.last, back(bent))
    if not isinstance(answer, int) or answer >= 0:
        refused = partial(structs.replace, outcome="GARBAGE")
        yield only(way.last, back(refused))


def _other_slots(way: Way) -> Iterator[Bend]:
    """A slot is shown at another address, as one that no transport uses, or not at all."""
    shown = _shown(way.meant[-1])
    others = [[(0, 1 << 12, 1 << 12, False)]]
    if shown:
        (slot, gpa, size, attached), rest = shown[0], shown[1:]
        bent = ((gpa ^ 1, size, attached), (gpa, size ^ 1, attached), (gpa, size, not attached))
        others = [rest, *([(slot, *one), *rest] for one in bent)]
    for other in others:
        yield only(way.last, back(partial(structs.replace, slots=other)))


BENT = {
    "start": _another_start,
    "arguments": _other_arguments,
    "bus": crooked_bus.other_words,
    "address": crooked_bus.other_access("address"),
    "width": crooked_bus.other_access("width"),
    "value": crooked_bus.other_access("value"),
    "one less": crooked_bus.one_less,
    "one more": crooked_bus.one_more,
    "answer": _other_answer,
    "slots": _other_slots,
}
"""What is bent."""
