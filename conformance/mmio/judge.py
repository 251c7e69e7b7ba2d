"""Calls are made on a device, and all that it lets out is compared with what the rules expect."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Any

from conformance.mmio.buses import Bus
from conformance.mmio.calls import Call, Expected, Mapped, arguments, expected
from conformance.mmio.device import MmioDevice
from conformance.mmio.trapped import TrappedBus, can_trap
from conformance.mmio.world import SETTINGS, Setting, at_first
from spec.mmio.state import Mmio
from spec.mmio.wire import Wire

Reached = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Parting:
    """Where a device and the rules part: the last of some calls, what differs, and the timelines.

    wanted, made: what should have gone out in that call, and what did.
    """

    calls: tuple[Call, ...]
    case: str
    field: str
    expected: str
    got: str
    before: Mmio
    wanted: tuple[Wire, ...]
    made: tuple[Wire, ...]
    trapped: bool = False

    @property
    def rule(self) -> str:
        """The id of the rule of the call at which they part."""
        return self.calls[-1].rule.id


def settings_of(device: MmioDevice) -> list[Setting]:
    """The machines that a device has a back end for, and that this computer can be."""
    return [s for s in SETTINGS if s.backend in device.backends and (can_trap() or not s.trapped)]


def run(device: MmioDevice, calls: Sequence[Call], reached: Reached) -> Parting | None:
    """Where a device parts from the rules in some calls, if it does.

    Calls on a machine that the device has no back end for are left out.
    """
    with ExitStack() as held:
        return _run(device, calls, reached, held)


def _run(
    device: MmioDevice, calls: Sequence[Call], reached: Reached, held: ExitStack
) -> Parting | None:
    states, here, buses = {}, {}, {}
    there = settings_of(device)
    answers = _answers(calls)
    for number, setting in enumerate(SETTINGS):
        if setting not in there or number not in {call.machine for call in calls}:
            continue
        states[number] = at_first(setting.machine)
        bus: Bus = Bus(setting)
        if setting.trapped:
            bus = held.enter_context(TrappedBus(setting, answers.get(number, ())))
        buses[number] = bus
        here[number] = device.start(setting, bus)
    for place, call in enumerate(calls):
        if call.machine not in here:
            continue
        before = states[call.machine]
        meant = expected(before, call)
        reached.update(meant.cases)
        found = _one(here[call.machine], buses[call.machine], call, meant)
        if found is not None:
            made = tuple(buses[call.machine].wires)
            case = meant.cases[-1][1]
            trapped = SETTINGS[call.machine].trapped
            upto = tuple(calls[: place + 1])
            return Parting(upto, case, *found, before, meant.wires, made, trapped)
        states[call.machine] = meant.after
    return None


def _answers(calls: Sequence[Call]) -> dict[int, tuple[int, ...]]:
    """By machine, what its reads are answered, in order; a trapped page is told beforehand."""
    found: dict[int, list[int]] = {}
    states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
    for call in calls:
        meant = expected(states[call.machine], call)
        states[call.machine] = meant.after
        listed = zip(meant.wires, meant.told, strict=True)
        found.setdefault(call.machine, []).extend(t.data for w, t in listed if not w.how)
    return {number: tuple(listed) for number, listed in found.items()}


def _one(machine: Any, bus: Bus, call: Call, meant: Expected) -> tuple[str, str, str] | None:
    """What differs in one call: the field, what was expected, what was got."""
    bus.begins(meant)
    try:
        got = getattr(machine, call.name)(*arguments(call))
        bus.settle()
        kept = machine.slots()
    except Exception as error:
        return "fault", "an answer", " ".join(f"{type(error).__name__}: {error}".split())
    wires = tuple(bus.wires)
    if len(wires) != len(meant.wires):
        return "transactions", str(len(meant.wires)), str(len(wires))
    for one, other in zip(meant.wires, wires, strict=True):
        for f in fields(Wire):
            wanted, made = getattr(one, f.name), getattr(other, f.name)
            if wanted != made:
                return f.name, f"{wanted:#x}", f"{made:#x}"
    if bus.odd:
        return "data", "the value and nothing else", bus.odd[0]
    if _shown(meant.mapped) != _shown(bus.mapped):
        return "mapping", _said(meant.mapped), _said(bus.mapped)
    if _kind(got) is not _kind(meant.answer) or got != meant.answer:
        return "answer", _answer(meant.answer), _answer(got)
    open_ = _slots(meant.after)
    return None if kept == open_ else ("slots", str(open_), str(kept))


def visible(meant: Expected) -> tuple[Any, ...]:
    """All that is compared of a call: answer, accesses, what is mapped, and last the open slots."""
    return meant.answer, meant.wires, _shown(meant.mapped), _slots(meant.after)


def _shown(mapped: Sequence[Mapped]) -> list[tuple[Any, ...]]:
    """What can be compared: who undoes a mapping names it by its virtual address alone."""
    return [m if m.what == "map" else (m.what, m.pages, m.home) for m in mapped]


def _said(mapped: Sequence[Mapped]) -> str:
    return ", ".join(f"{m.what} {m.pages} page(s) at {m.home:#x}" for m in mapped) or "nothing"


def _kind(answer: Any) -> type:
    """A number, or bytes; a truth value is neither."""
    is_number = isinstance(answer, int) and not isinstance(answer, bool)
    return int if is_number else type(answer)


def _answer(answer: Any) -> str:
    return hex(answer) if _kind(answer) is int and answer >= 0 else repr(answer)


def _slots(s: Mmio) -> dict[int, tuple[int, int, bool]]:
    """The open slots, as an implementation tells of them."""
    there = (slot for first, stop in s.slots.open.runs() for slot in range(first, stop))  # type: ignore[attr-defined]
    return {i: (s.slots.gpa.at(i), s.slots.size(i), s.slots.attached.has(i)) for i in there}
