"""What is called next, and what the host says to it: honest, or whatever it likes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from conformance.mmio.calls import HONEST, ROUND, Call, Told, expected, filled
from conformance.mmio.world import HOMES, LIMIT, PAGE, SETTINGS, Host, at_first, devices_at_first
from spec.mmio import access, slots
from spec.mmio.access import LENGTH, Read, ReadTyped, Write, WriteTyped
from spec.mmio.config import Round
from spec.mmio.slots import Detach, Open, Slot
from spec.mmio.state import Mmio
from spec.mmio.wire import Backend, Wire, heard
from spec.rule import Rule
from spec.terms import MASK

T = TypeVar("T")
LENGTH_OF_WALK = 60
SLOTS = (0, 1, 2, 3, 7, MASK)
LENGTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 32, 64)
MOST_PAGES = 4
HOSTILITIES = (0.0, 0.1, 0.5)
STATUSES = (0, 1, 2, 3, 1 << 63, (1 << 63) + 1, MASK, 1 << 32, (1 << 32) + 1, (1 << 40) + 2)
FAILED = (1, 1 << 63, MASK)
VALUES = (0, 1, 0xFF, 0x8000, 0xFFFF_FFFF, 1 << 32, 1 << 63, MASK, 0x0123_4567_89AB_CDEF)
ODD_GPAS = (0, 1, PAGE + 0x210, PAGE + 0xFFF, LIMIT - 1, LIMIT, LIMIT + 1, 1 << 52, MASK)
ODD_SIZES = (0, 1, 4, 0xFF, 0x100, 0x1000, 0x1001, LIMIT, MASK)
FIELD_OFFSETS = (1 << 32) - 1
ODD_OFFSETS = (0x0FFC, 0x1000, 1 << 32, 1 << 63, MASK - 7, MASK)


def one_of(random: Random, things: Sequence[T]) -> T:
    """One of some things."""
    return things[int(random.random() * len(things))]


@dataclass
class Scene:
    """The rules' states of all machines, and the devices behind each."""

    random: Random
    hostility: float
    states: dict[int, Mmio] = field(default_factory=dict)
    hosts: dict[int, Host] = field(default_factory=dict)
    homes: int = 0

    def tells(self, machine: int, slot: int, wire: Wire) -> Told:
        """What the host says to an access; the device has done what an honest host has it do."""
        random, state = self.random, self.states[machine]
        meant = heard(state.machine, state.slots.place(slot), wire)
        value = self.hosts[machine].hears(meant)
        # Past the width there is whatever was there before.
        above = one_of(random, VALUES) << 8 * wire.width & MASK
        data = (value | above) if random.random() < 0.5 else value
        if random.random() < 0.03:
            self.hosts[machine].changes(one_of(random, VALUES), one_of(random, VALUES))
        if random.random() >= self.hostility:
            return HONEST._replace(data=data)
        failed = one_of(random, FAILED) if random.random() < 0.3 else 0
        status = one_of(random, STATUSES) if random.random() < 0.7 else 0
        data = one_of(random, VALUES) if random.random() < 0.5 else random.getrandbits(64)
        return Told(failed, status, data)

    def called(self, call: Call) -> Call:
        """The call with what the host says, after which the scene is."""
        slot = call.ops[0].slot
        done = filled(self.states[call.machine], call, lambda w: self.tells(call.machine, slot, w))
        self.states[call.machine] = expected(self.states[call.machine], done).after
        return done


def calls(seed: int) -> Iterator[Call]:
    """The calls of one walk; the same seed draws the same, whatever the device."""
    random = Random(seed)
    scene = Scene(random, one_of(random, HOSTILITIES))
    scene.states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
    scene.hosts = {n: Host(devices_at_first()) for n in scene.states}
    machines = [seed % len(SETTINGS)] if random.random() < 0.5 else list(scene.states)
    for _ in range(LENGTH_OF_WALK):
        machine = one_of(random, machines)
        rule, op = _next(scene, scene.states[machine])
        yield scene.called(Call(machine, rule, (op,)))


def _next(scene: Scene, s: Mmio) -> tuple[Rule, Any]:
    random = scene.random
    there = [i for i in SLOTS if s.slots.open.has(i)]
    what = random.random()
    if what < 0.15 or not there:
        return slots.open, _opened(scene, s)
    slot = one_of(random, there) if random.random() < 0.93 else one_of(random, SLOTS)
    if what < 0.20:
        return slots.close, Slot(slot)
    if what < 0.26:
        big = [i for i in there if s.slots.size(i) >= slots.CONTROL_BYTES] or there
        return slots.attach, Slot(one_of(random, big) if random.random() < 0.7 else slot)
    if what < 0.30:
        used = [i for i in there if s.slots.attached.has(i)] or [slot]
        return slots.detach, Detach(one_of(random, used), 0, 0)
    if what < 0.36:
        big = [i for i in there if s.slots.size(i) > slots.CONTROL_BYTES] or [slot]
        room = max(s.slots.size(slot) - slots.CONTROL_BYTES, 8)
        # A device may be larger than an offset into its configuration space can say.
        offset = one_of(random, (0, 0, 8, 4, 2, room - 4, room, 1 << 20)) & FIELD_OFFSETS
        tries = one_of(random, (0, 1, 1, 2, 3, 3))
        chosen = one_of(random, big) if random.random() < 0.8 else slot
        return ROUND, Round(chosen, offset, tries, *[0] * 12)
    return _accessed(random, s, slot)


def _opened(scene: Scene, s: Mmio) -> Open:
    """A device that is there, one of no kind, or one beside one that is there."""
    random = scene.random
    home = one_of(random, list(HOMES.values()))
    gpa, size = home.gpa, home.size
    if random.random() < 0.2:
        gpa = one_of(random, (*ODD_GPAS, gpa + 1, gpa - 1, gpa + size, gpa - size))
        size = one_of(random, (*ODD_SIZES, size, size - 1)) if random.random() < 0.5 else size
    asked = Open(one_of(random, SLOTS), gpa & MASK, size & MASK, 0)
    if s.machine.backend != Backend.NATIVE:
        return asked
    scene.homes += 1
    few = 0 < size <= (MOST_PAGES - 1) * 4096
    # A slot of virtual addresses that no other mapping has had.
    at = 0x7000_0000_0000 + 0x10_0000 * scene.homes if few and random.random() < 0.95 else 0
    return Open(asked.slot, asked.gpa, asked.size, at)


def _accessed(random: Random, s: Mmio, slot: int) -> tuple[Rule, Any]:
    size = s.slots.size(slot) if s.slots.open.has(slot) else 16
    typed = random.random() < 0.6
    rule = one_of(random, (*access.READS, *access.WRITES) if typed else (access.read, access.write))
    length = LENGTH.get(rule.name) or _length(random)
    offset = _offset(random, s.slots.gpa.at(slot), size, max(1, length))
    value = one_of(random, VALUES) if random.random() < 0.5 else random.getrandbits(64)
    # A slice of less than eight bytes has no more of them; a typed value fits.
    value &= (1 << 8 * min(length, 8)) - 1
    if rule.name == "read":
        return rule, Read(slot, offset, length, 0, 0, 0)
    if rule.name == "write":
        return rule, Write(slot, offset, length, value, 0, 0)
    if rule.name.startswith("read"):
        return rule, ReadTyped(slot, offset, 0, 0, 0)
    return rule, WriteTyped(slot, offset, value, 0, 0)


def _length(random: Random) -> int:
    return one_of(random, (1, 2, 4, 8)) if random.random() < 0.7 else one_of(random, LENGTHS)


def _offset(random: Random, gpa: int, size: int, length: int) -> int:
    """Mostly one at which the address is aligned; at the ends, past them, or anywhere."""
    what = random.random()
    if what < 0.55:
        first = -gpa % length
        steps = max(1, (size - first) // length)
        return first + length * int(random.random() * min(steps, 1 << 16))
    if what < 0.75:
        return (size - length + one_of(random, (-1, 0, 1, length))) & MASK
    if what < 0.8:
        return one_of(random, ODD_OFFSETS)
    return int(random.random() * min(size, 1 << 16))
