"""A witness of a FAIL, put to the test: the function is run on a processor, from these inputs.

A witness is more than arguments: what lies behind pointers, what a caller left in registers, what
the device answers, and what a called function leaves behind. All of it comes from the solver's
model of the path, and goes into the memory and the registers of a processor that knows nothing of
our rules of instructions. The accesses to the device that it makes are then judged as any are, and
have to break the expectation at the same instruction. Where they do not, the audit is wrong about
something, and says so.
"""

import re
from dataclasses import dataclass
from typing import Any

import z3

from conformance.audit import bits, externals
from conformance.audit.decode import RAX, RCX, RDI, RDX, RSI
from conformance.audit.emulate import ADDRESS_BITS, Machine, NotPlaced
from conformance.audit.execute import CIRCLES, RETURNS
from conformance.audit.faults import NotModelled
from conformance.audit.state import Access, State
from conformance.audit.verdict import DATA, Judge, Violation, told
from conformance.audit.world import (
    DEVICE,
    MAX_COPY,
    RETURN_TO,
    ROOM,
    STACK_ABOVE,
    STACK_LOW,
    World,
)

HELD = re.compile(r"(\w+)\[(-?0x[0-9a-f]+)\]")


class DoesNotReplay(Exception):
    """A processor does something else than the witness says: an error of the audit."""


@dataclass
class Witness:
    """Everything that decides what a function does on one path, as numbers."""

    world: World
    start: State
    found: Any
    """What was found, with its `path` and the `model` of it."""

    def value(self, term: Any, width: int = 64) -> int:
        """The value of a term."""
        told = self.found.model.eval(bits.term(term, width), model_completion=True)
        return int(told.as_long())

    def base(self, region: str) -> int:
        """Where a region begins; the stack and the object tell plain addresses."""
        pointer = self.world.regions.get(region)
        return 0 if pointer is None else self.value(pointer)

    def memory(self) -> dict[int, int]:
        """Bytes that lie in memory when the function is called."""
        found = {}
        for name, unknown in self.world.unknowns().items():
            match = HELD.fullmatch(name)
            if match:
                at = self.base(match[1]) + int(match[2], 16)
                found[at % (1 << 64)] = self.value(unknown, 8)
        for (region, offset), (value, size, index) in self.start.memory.items():
            at = (self.base(region) + offset) % (1 << 64)
            found[at] = self.value(bits.part(value, 8 * index, 8, 8 * size), 8)
        return found

    def answers(self) -> list[tuple[int, int]]:
        """What the device answers, read by read: width and value."""
        reads = [one for one in self.found.path.trace if one.kind == "R" and one.width]
        return [(one.width, self.value(one.value, one.width)) for one in reads]

    def pins(self) -> list[Any]:
        """That every unknown has its value."""
        unknowns = [*self.world.unknowns().values(), *self.world.regions.values()]
        unknowns += [one for one in self.start.regs if z3.is_bv(one)]
        return [one == self.value(one, one.size()) for one in unknowns]


def replay(found: Violation, start: State, judge: Judge, steps: int) -> tuple[str, ...]:
    """What a processor does to the device from the inputs of a witness, which breaks what is
    expected.

    Raises: DoesNotReplay where it does not break it there; NotPlaced where it cannot be tried.
    """
    witness = Witness(judge.world, start, found)
    machine = _machine(witness, steps)
    ended = run(witness, machine)
    return _judged(witness, judge, machine, ended)


def _placed(witness: Witness) -> None:
    """Raises: NotPlaced where the witness lies where the processor would take it to be elsewhere"""
    device = witness.base(DEVICE)
    wanted = [(name, witness.base(name)) for name in witness.world.regions]
    for one in witness.found.path.trace:
        wanted.append(("an access", (device + witness.value(one.offset)) % (1 << 64)))
    for name, address in wanted:
        if address >> ADDRESS_BITS:
            raise NotPlaced(f"{name} is at {address:#x}; no page can be there")


def _machine(witness: Witness, steps: int) -> Machine:
    world, start = witness.world, witness.start
    _placed(witness)
    others = [witness.base(name) for name in world.regions if name != DEVICE]
    answers = witness.answers()

    def is_device(at: int) -> bool:
        if STACK_LOW <= at < STACK_ABOVE or world.image.find(at) is not None:
            return False
        return not any((at - base + ROOM // 2) % (1 << 64) < ROOM for base in others)

    def answer(at: int, size: int) -> int:
        asked = sum(one.kind == "R" for one in machine.seen)
        if asked >= len(answers):
            return 0
        return answers[asked][1] % (1 << 8 * size)

    stops = frozenset(externals.contracts_of(world.image, start.rip))
    machine = Machine(world.image, witness.memory(), stops, is_device, answer, steps)
    machine.put(
        [witness.value(one) for one in start.regs],
        [witness.value(one, 128) for one in start.wide],
        {name: witness.base(name) for name in ("fs", "gs")},
    )
    if not witness.found.path.ended:
        machine.most = len(witness.found.path.trace)
    return machine


def run(witness: Witness, machine: Machine) -> str:
    """Run it to its end, with what is called done by contract; how it ended."""
    names = externals.contracts_of(witness.world.image, witness.start.rip)
    at, calls = witness.start.rip, 0
    while True:
        at = machine.run(at)
        if at == RETURN_TO:
            return RETURNS
        if machine.circles:
            return CIRCLES
        if at not in names:
            return f"trap: {machine.trap}" if machine.trap else ""
        if externals.never_returns(names[at]):
            return f"stops in {names[at]}"
        if not _contract(witness, machine, names[at], calls):
            return ""
        at, calls = machine.returns(), calls + 1


def _contract(witness: Witness, machine: Machine, name: str, call: int) -> bool:
    """Do what a function that is not run is said to do; no where it goes to the device."""
    target, source, count = machine.get(RDI), machine.get(RSI), machine.get(RDX)
    answer = target
    if name == externals.COUNT_ONES:
        answer = target.bit_count()
    elif name in (*externals.COPIES, *externals.FILLS) and count:
        touched = [("W", target)] if name in externals.FILLS else [("R", source), ("W", target)]
        for kind, place in touched:
            if machine.is_device(place):
                machine.note(kind, place, 0, 0)
                return False
        if count > MAX_COPY:
            raise NotPlaced(f"a {name} of {count} bytes")
        is_fill = name in externals.FILLS
        data = bytes([source & 255]) * count if is_fill else machine.read(source, count)
        machine.write(target, data)
    elif count == 0:
        pass
    else:
        raise NotPlaced(f"a call of {name}")
    left = witness.found.path.left
    if call < len(left):
        regs, wide = left[call]
        for number in (RCX, RDX, RSI, RDI, 8, 9, 10, 11):
            machine.set(number, witness.value(regs[number]))
        for number, value in enumerate(wide):
            machine.set_wide(number, witness.value(value, 128))
    machine.set(RAX, answer)
    return True


def _judged(witness: Witness, judge: Judge, machine: Machine, ended: str) -> tuple[str, ...]:
    """The accesses that were seen, after it is shown that they break what is expected."""
    s, wanted = witness.start.fork(True), witness.found.address
    s.suppose = (*witness.start.suppose, *witness.pins())
    if not judge.world.check(s.suppose):
        raise DoesNotReplay("its values contradict one another")
    base, seen = witness.base(DEVICE), list[str]()
    try:
        for one in machine.seen:
            offset = bits.signed((one.address - base) % (1 << 64), 64)
            value: Any = one.value
            access = Access(one.kind, one.width, offset, value, one.at, one.locked)
            s.trace = (*s.trace, access)
            seen.append(told(access))
            judge.access(s, access)
        s.ended, s.at = ended, machine.at
        if ended == CIRCLES and wanted in machine.ran:
            s.at = wanted
        s.regs[RAX] = machine.get(RAX)
        _put_data(witness, machine, s)
        if ended:
            judge.end(s)
    except Violation as again:
        if again.address == wanted:
            return tuple(seen)
        where = judge.world.image.where(again.address)
        raise DoesNotReplay(f"the processor breaks it elsewhere, at {where}: {again.why}") from None
    except NotModelled as reason:
        raise NotPlaced(str(reason)) from None
    done = "; ".join(seen) or "no access"
    raise DoesNotReplay(f"the processor {ended or 'stops'} after {done}, which is as expected")


def _put_data(witness: Witness, machine: Machine, s: State) -> None:
    if DATA not in witness.world.regions:
        return
    base = witness.base(DATA)
    for at in machine.written:
        offset = bits.signed((at - base) % (1 << 64), 64)
        if -ROOM // 2 <= offset < ROOM // 2:
            s.memory[DATA, offset] = (machine.read(at, 1)[0], 1, 0)
