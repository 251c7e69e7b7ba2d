"""What is true of devices with side effects, whatever transactions reach them.

Proves: each does what its kind does, and so tells one transaction from two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from spec.invariant import Moment
from spec.mmio.devices import (
    CONFIG,
    PART,
    RULES,
    Devices,
    Heard,
    bell,
    clears,
    counter,
    fifo,
    one_clears,
    reconfigure,
    virtio_block,
    wide,
)
from spec.mmio.wire import cut
from spec.prove.inductive import Model, Points, sentence
from spec.rule import Case, Rule
from spec.sources import definition, virtio
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    below,
    bits_and,
    bits_not,
    implies,
    minus,
    pick,
    plus,
)

CITE = definition("what a kind of register is")


def _of(rule_: Rule, *names: str) -> Callable[[Rule, Case], bool]:
    def speaks(rule: Rule, case: Case) -> bool:
        return rule.id == rule_.id and (not names or case.name in names)

    return speaks


def _alike(left: Any, right: Any, key: Word) -> Bool:
    """Two parts hold the same, their tables at an arbitrary key."""
    there = getattr(left, "__dict__", None)
    names: Sequence[str] = [f.name for f in fields(left)] if there else []
    pairs = [(getattr(left, n), getattr(right, n)) for n in names] or [(left, right)]
    return all_of(*(_same(a, b, key) for a, b in pairs))


def _same(left: Any, right: Any, key: Word) -> Bool:
    match (hasattr(left, "at"), hasattr(left, "__dataclass_fields__")):
        case (True, _):
            return left.at(key) == right.at(key)
        case (_, True):
            return _alike(left, right, key)
    return left == right


@sentence(CITE)
def only_its_own_part_changes(m: Moment, n: Word) -> Bool:
    """A transaction changes nothing of a device that it does not reach."""
    others = [f.name for f in fields(Devices) if f.name != PART[m.rule.name]]
    return all_of(*(_same(getattr(m.before, o), getattr(m.after, o), n) for o in others))


@sentence(CITE, on=lambda _rule, case: int(case.outcome) == Heard.IGNORED)
def what_is_ignored_changes_nothing(m: Moment, n: Word) -> Bool:
    """What means nothing to a device reads 0 and leaves it as it is."""
    return all_of(_alike(m.before, m.after, n), m.value == 0)


@sentence(CITE, on=_of(fifo))
def a_fifo_moves_by_one(m: Moment) -> Bool:
    """A read takes one item, a write puts one, whatever the width; items keep their order."""
    was, is_ = m.before.fifo, m.after.fifo
    empty = was.head == was.tail
    taken = is_.head == plus(was.head, pick(empty, 0, 1))
    read = all_of(taken, is_.tail == was.tail)
    first = implies(was.head != was.tail, m.value == cut(was.item.at(was.head), m.op.width))
    put = all_of(is_.tail == plus(was.tail, 1), is_.item.at(was.tail) == m.op.value)
    return pick(m.op.write, put, all_of(read, any_of(empty, first)))


@sentence(CITE, on=_of(clears, "read"))
def what_was_read_is_gone(m: Moment) -> Bool:
    """Reading a status twice answers 0 the second time."""
    return all_of(cut(m.after.clears, m.op.width) == 0, m.value == cut(m.before.clears, m.op.width))


@sentence(CITE, on=_of(one_clears, "cleared"))
def only_ones_clear(m: Moment) -> Bool:
    """Writing clears the bits that are written as 1 and no other."""
    return m.after.one_clears == bits_and(m.before.one_clears, bits_not(m.op.value))


@sentence(CITE, on=_of(bell))
def each_write_rings_once(m: Moment) -> Bool:
    """A doorbell counts its writes."""
    return m.after.bell.rings == plus(m.before.bell.rings, pick(m.op.write, 1, 0))


@sentence(CITE, on=_of(wide))
def a_width_is_kept_to(m: Moment) -> Bool:
    """A register of 32 bits answers and takes 32 bits, and nothing of any other width."""
    other = all_of(m.after.wide == m.before.wide, m.value == 0)
    takes = m.after.wide == pick(m.op.write, m.op.value, m.before.wide)
    return pick(m.op.width == 4, takes, other)


@sentence(CITE, on=_of(counter))
def a_counter_goes_on(m: Moment) -> Bool:
    """Each read of a counter moves it on by one, so two halves are of two moments."""
    answered = int(m.outcome) == Heard.DONE
    return m.after.counter == plus(m.before.counter, pick(answered, 1, 0))


@sentence(virtio("4.2.2.2"), on=_of(virtio_block))
def control_registers_are_of_32_bits(m: Moment, n: Word) -> Bool:
    """A control register takes 32 bits; of any other width it reads 0 and is not written."""
    odd = all_of(below(m.op.offset, CONFIG), m.op.width != 4)
    return implies(odd, all_of(_alike(m.before.virtio, m.after.virtio, n), m.value == 0))


@sentence(virtio("4.2.2.1"), on=_of(virtio_block, "reset"))
def a_reset_clears(m: Moment) -> Bool:
    """Writing 0 to Status leaves neither status nor interrupt, and rings nothing."""
    v = m.after.virtio
    quiet = v.notified.rings == m.before.virtio.notified.rings
    return all_of(v.status == 0, v.interrupts == 0, quiet)


@sentence(virtio("4.2.2.1"), on=_of(virtio_block, "notified"))
def a_queue_is_notified_once(m: Moment) -> Bool:
    """One write to QueueNotify is one notification."""
    was, is_ = m.before.virtio.notified, m.after.virtio.notified
    return all_of(is_.rings == plus(was.rings, 1), is_.last == m.op.value)


@sentence(virtio("4.2.2.1"), on=_of(reconfigure))
def a_change_is_told_by_the_generation(m: Moment) -> Bool:
    """A field does not change without the generation, which other values follow before it wraps."""
    was, is_ = m.before.virtio.generation, m.after.virtio.generation
    return cut(minus(is_, was), 4) == 1


def named(_state: Any, _op: Any, things: Mapping[str, Word]) -> Points:
    """What a step names, for a proof to look at."""
    return {"place": [things["n"]]}


def plain(_state: Any, _op: Any) -> Bool:
    """Any transaction will do to show that a case is reached."""
    return True


STEPS = (
    only_its_own_part_changes,
    what_is_ignored_changes_nothing,
    a_fifo_moves_by_one,
    what_was_read_is_gone,
    only_ones_clear,
    each_write_rings_once,
    a_width_is_kept_to,
    a_counter_goes_on,
    control_registers_are_of_32_bits,
    a_reset_clears,
    a_queue_is_notified_once,
    a_change_is_told_by_the_generation,
)
MODEL = Model(
    "mmio.devices",
    Devices,
    RULES,
    (),
    (),
    STEPS,
    (),
    (),
    named,
    plain,
    (),
    answers=Heard,
)
