"""Calls, and what the rules expect of each: what goes out, what is mapped, what is answered."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from spec.mmio import access, config, slots
from spec.mmio.access import LENGTH
from spec.mmio.state import Answer, Mmio
from spec.mmio.wire import Backend, Wire
from spec.rule import Rule, step

CONFIG = "read_config_u64"
ROUND = config.config_round


class Call(NamedTuple):
    """A call on the machine with a number: the rule, and its operands.

    ops: one record; of a field read in rounds, as many as there are rounds.
    """

    machine: int
    rule: Rule
    ops: tuple[Any, ...]

    @property
    def name(self) -> str:
        """What an implementation calls it."""
        return CONFIG if self.rule.id == ROUND.id else self.rule.name


class Told(NamedTuple):
    """What the host answers to one access; see `spec.mmio.access.Read`."""

    failed: int
    status: int
    data: int


HONEST = Told(0, 0, 0)


class Mapped(NamedTuple):
    """Pages that are mapped, at the virtual address `home`, or whose mapping is undone."""

    what: str
    first_page: int
    pages: int
    home: int


@dataclass(frozen=True)
class Expected:
    """What a call does. cases: by rule and name, those that were taken."""

    answer: int | bytes
    wires: tuple[Wire, ...]
    told: tuple[Told, ...]
    mapped: tuple[Mapped, ...]
    cases: tuple[tuple[str, str], ...]
    after: Mmio


def expected(state: Mmio, call: Call) -> Expected:
    """What the rules say of a call."""
    now, cases, told = state, [], []
    outcome, value = int(Answer.UNSTABLE), 0
    for op in call.ops:
        taken = step(call.rule, now, op)
        cases.append((call.rule.id, taken.case))
        sent = taken.state.log.count - now.log.count
        told += _told(call.rule, op)[:sent]
        now, outcome, value = taken.state, taken.outcome, int(taken.value)
        if outcome != Answer.AGAIN:
            break
    wires = tuple(now.log.at(n) for n in range(state.log.count, now.log.count))
    ok = outcome == Answer.OK
    unended = outcome == Answer.AGAIN
    answer = value if ok else -int(Answer.UNSTABLE if unended else outcome)
    shown: int | bytes = answer
    if call.rule.id == access.read.id and ok:
        shown = value.to_bytes(call.ops[0].length, "little")
    mapped = _mapped(state, call) if ok or call.rule.id == slots.open.id else ()
    return Expected(shown, wires, tuple(told), mapped, tuple(cases), now)


def _told(rule: Rule, op: Any) -> list[Told]:
    if rule.id == ROUND.id:
        return [Told(one.failed, one.status, one.data) for one in config.reads(op)]
    return [Told(op.failed, op.status, getattr(op, "data", 0))] if hasattr(op, "failed") else []


def _mapped(s: Mmio, call: Call) -> tuple[Mapped, ...]:
    """What a call has mapped, or undoes; a device that cannot be mapped was asked for, too."""
    op = call.ops[0]
    if s.machine.backend != Backend.NATIVE:
        return ()
    if call.rule.id == slots.open.id:
        case = step(call.rule, s, op).case
        if case in ("opened", "no_mapping"):
            pages = (slots.mapped(s, op) - slots.first_page(op.gpa)) >> 12
            return (Mapped("map", op.gpa >> 12, pages, op.home),)
    if call.rule.id == slots.close.id:
        first = slots.first_page(s.slots.gpa.at(op.slot))
        pages = (s.slots.mapped.at(op.slot) - first) >> 12
        return (Mapped("unmap", first >> 12, pages, s.slots.home.at(op.slot)),)
    return ()


def arguments(call: Call) -> tuple[Any, ...]:
    """What an implementation is called with."""
    op = call.ops[0]
    match call.name:
        case "open":
            return op.slot, op.gpa, op.size
        case "read":
            return op.slot, op.offset, op.length
        case "write":
            data = (op.value.to_bytes(8, "little") * (op.length // 8 + 1))[: op.length]
            return op.slot, op.offset, data
        case "read_config_u64":
            return op.slot, op.offset, op.left
        case "attach" | "detach" | "close":
            return (op.slot,)
    return (op.slot, op.offset) if call.name in READS else (op.slot, op.offset, op.value)


READS = {one.name for one in access.READS}


def filled(state: Mmio, call: Call, ask: Callable[[Wire], Told]) -> Call:
    """The call with what the host answers to each of its accesses, one after another."""
    ops: list[Any] = []
    now, asked = state, call.ops[0]
    while True:
        op = _answered(now, call.rule, asked, ask)
        taken = step(call.rule, now, op)
        ops.append(op)
        now = taken.state
        if taken.outcome != Answer.AGAIN or op.left == 1:
            return call._replace(ops=tuple(ops))
        asked = replace(asked, left=op.left - 1)


def _answered(now: Mmio, rule: Rule, op: Any, ask: Callable[[Wire], Told]) -> Any:
    """The operands with the host's answers, each of which is asked for as it goes out."""
    begun = now.log.count
    places = [""] if rule.id != ROUND.id else ["_0", "_1", "_2", "_3"]
    names = {f.name for f in fields(op)}
    for number, place in enumerate(places):
        log = step(rule, now, op).state.log
        if log.count <= begun + number:
            break
        told = ask(log.at(begun + number))._asdict()
        op = replace(op, **{k + place: v for k, v in told.items() if k + place in names})
    return op


def width_of(call: Call) -> int:
    """The width of a typed access in bytes; 0 of another call."""
    return LENGTH.get(call.name, 0)
