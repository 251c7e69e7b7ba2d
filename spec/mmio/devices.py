"""Devices with side effects: what they do when a transaction reaches them, as rules.

To them it matters how many transactions there are, how wide each is, and in which order they come.
Each is at an offset of its own in no device; the virtio block is the layout of the specification.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

from spec.mmio.wire import cut, ones
from spec.rule import Case, Cases, changed, rule
from spec.sources import definition, virtio
from spec.tables import Table
from spec.terms import (
    Bool,
    Count,
    Flag,
    KeyTable,
    Word,
    all_of,
    any_of,
    below,
    bits_and,
    bits_not,
    bits_or,
    minus,
    negate,
    pick,
    plus,
    shift_left,
    shift_right,
)

AREA = "mmio.devices"
HALF = 4
RAISED = 8
"""Offset at which the test raises bits of a status register."""


class Heard(IntEnum):
    """What became of a transaction: the device did something, or it means nothing to it."""

    DONE = 0
    IGNORED = 1


@dataclass(frozen=True)
class Access:
    """A transaction as it reaches a device; `offset` counts from the device's first byte."""

    write: Flag
    offset: Count
    width: Count
    value: Count


@dataclass(frozen=True)
class Fifo:
    """Items `[head, tail)` of a table."""

    item: Annotated[Table, KeyTable()]
    head: Count
    tail: Count


@dataclass(frozen=True)
class Bell:
    """How often it was rung, and with what the last time."""

    rings: Count
    last: Count


@dataclass(frozen=True)
class Virtio:
    """The registers of a virtio device: control, and a configuration space of 32-bit words."""

    status: Count
    interrupts: Count
    generation: Count
    notified: Bell
    words: Annotated[Table, KeyTable()]


@dataclass(frozen=True)
class Devices:
    """One of each kind."""

    fifo: Fifo
    clears: Count
    one_clears: Count
    bell: Bell
    wide: Count
    counter: Count
    virtio: Virtio


def does(name: str, when: Bool, state: Any, value: Word = 0) -> Case:
    """The device does something."""
    return Case(name, when, Heard.DONE, state, value)


def ignores(name: str, when: Bool, d: Devices) -> Case:
    """It means nothing to the device: a read is 0, a write changes nothing."""
    return Case(name, when, Heard.IGNORED, d, 0)


@rule(AREA, Access, cite=definition("a FIFO register"))
def fifo(d: Devices, op: Access) -> Cases:
    """A read takes an item out, a write puts one in, however wide they are."""
    head, tail = d.fifo.head, d.fifo.tail
    item = cut(d.fifo.item.at(head), op.width)

    def put() -> Any:
        made = changed(d.fifo, item=d.fifo.item.put(tail, op.value), tail=plus(tail, 1))
        return changed(d, fifo=made)

    def taken() -> Any:
        return changed(d, fifo=changed(d.fifo, head=plus(head, 1)))

    return (
        does("put", op.write, put),
        ignores("nothing_there", head == tail, d),
        does("taken", True, taken, item),
    )


@rule(AREA, Access, cite=definition("a status register that is cleared by reading it"))
def clears(d: Devices, op: Access) -> Cases:
    """A read answers the bits and clears those that it read; nothing else clears them."""
    left = bits_and(d.clears, bits_not(ones(op.width)))
    return (
        does("raised", op.write, lambda: changed(d, clears=bits_or(d.clears, op.value))),
        does("read", True, lambda: changed(d, clears=left), cut(d.clears, op.width)),
    )


@rule(AREA, Access, cite=definition("a status register in which writing 1 clears"))
def one_clears(d: Devices, op: Access) -> Cases:
    """A bit that is written as 1 is cleared, one that is written as 0 stays."""
    left = bits_and(d.one_clears, bits_not(op.value))
    raises = all_of(op.write, op.offset == RAISED)
    return (
        does("raised", raises, lambda: changed(d, one_clears=bits_or(d.one_clears, op.value))),
        does("cleared", op.write, lambda: changed(d, one_clears=left)),
        does("read", True, d, cut(d.one_clears, op.width)),
    )


@rule(AREA, Access, cite=definition("a doorbell"))
def bell(d: Devices, op: Access) -> Cases:
    """Each write rings it once, whatever is written; there is nothing to read."""
    rung = changed(d.bell, rings=plus(d.bell.rings, 1), last=op.value)
    return (
        does("rung", op.write, lambda: changed(d, bell=rung)),
        ignores("read", True, d),
    )


@rule(AREA, Access, cite=definition("a register of one width"))
def wide(d: Devices, op: Access) -> Cases:
    """It is 32 bits wide and takes nothing else."""
    return (
        ignores("other_width", op.width != HALF, d),
        does("written", op.write, lambda: changed(d, wide=op.value)),
        does("read", True, d, d.wide),
    )


@rule(AREA, Access, cite=definition("a counter of 64 bits in two halves"))
def counter(d: Devices, op: Access) -> Cases:
    """It counts on with each read of it, so halves that are read one by one may not fit."""
    shifted = shift_right(d.counter, shift_left(op.offset, 3))
    inside = all_of(below(op.offset, 8), any_of(op.width == HALF, op.width == 8))
    return (
        ignores("written", op.write, d),
        ignores("elsewhere", negate(inside), d),
        does(
            "read",
            True,
            lambda: changed(d, counter=plus(d.counter, 1)),
            cut(shifted, op.width),
        ),
    )


# virtio over MMIO: offsets of registers, and what they hold at first.

MAGIC, VERSION, DEVICE_ID = 0x000, 0x004, 0x008
NOTIFY, INTERRUPTS, ACK, STATUS, GENERATION, CONFIG = 0x050, 0x060, 0x064, 0x070, 0x0FC, 0x100
MAGIC_VALUE, VERSION_VALUE, DEVICE_VALUE = 0x7472_6976, 2, 4
CONFIG_CHANGED = 2
"""The bit of InterruptStatus that tells of a change of the configuration."""


@rule(AREA, Access, cite=virtio("4.2.2"))
def virtio_block(d: Devices, op: Access) -> Cases:
    """Control registers take aligned accesses of 32 bits, the configuration those of a field."""
    v = d.virtio
    reads = negate(op.write)

    def now(**values: Any) -> Any:
        return lambda: changed(d, virtio=changed(v, **values))

    place = shift_right(minus(op.offset, CONFIG), 2)
    there = v.words.at(place)
    amount = shift_left(bits_and(op.offset, 3), 3)
    field = shift_left(ones(op.width), amount)
    written = bits_or(bits_and(there, bits_not(field)), shift_left(op.value, amount))
    control = below(op.offset, CONFIG)
    rung = changed(v.notified, rings=plus(v.notified.rings, 1), last=op.value)
    acked = bits_and(v.interrupts, bits_not(op.value))
    named = {MAGIC: MAGIC_VALUE, VERSION: VERSION_VALUE, DEVICE_ID: DEVICE_VALUE}
    fixed = any_of(*(op.offset == one for one in named))
    first = pick(op.offset == VERSION, VERSION_VALUE, DEVICE_VALUE)
    return (
        ignores("control_width", all_of(control, op.width != HALF), d),
        does("fixed", all_of(reads, fixed), d, pick(op.offset == MAGIC, MAGIC_VALUE, first)),
        does("status", all_of(reads, op.offset == STATUS), d, v.status),
        does("interrupts", all_of(reads, op.offset == INTERRUPTS), d, v.interrupts),
        does("generation", all_of(reads, op.offset == GENERATION), d, v.generation),
        ignores("not_to_be_read", all_of(reads, control), d),
        does(
            "reset",
            all_of(op.offset == STATUS, op.value == 0),
            now(status=0, interrupts=0),
        ),
        does("status_set", op.offset == STATUS, now(status=op.value)),
        does("notified", op.offset == NOTIFY, now(notified=rung)),
        does("acked", op.offset == ACK, now(interrupts=acked)),
        ignores("not_to_be_written", control, d),
        ignores("config_width", below(HALF, op.width), d),
        does("config", reads, d, cut(shift_right(there, amount), op.width)),
        does("config_set", True, now(words=v.words.put(place, written))),
    )


@dataclass(frozen=True)
class Change:
    """A field of 64 bits in the configuration, by the place of its first word, and its halves."""

    place: Count
    low: Count
    high: Count


@rule(AREA, Change, cite=virtio("4.2.2.1"))
def reconfigure(d: Devices, op: Change) -> Cases:
    """The device changes a field; the generation counts up, and an interrupt tells of it."""
    v = d.virtio

    def told() -> Any:
        words = v.words.put(op.place, cut(op.low, HALF))
        words = words.put(plus(op.place, 1), cut(op.high, HALF))
        generation = cut(plus(v.generation, 1), HALF)
        raised = bits_or(v.interrupts, CONFIG_CHANGED)
        made = changed(v, words=words, generation=generation, interrupts=raised)
        return changed(d, virtio=made)

    return (does("told", True, told),)


RULES = (fifo, clears, one_clears, bell, wide, counter, virtio_block, reconfigure)
PART = {
    "fifo": "fifo",
    "clears": "clears",
    "one_clears": "one_clears",
    "bell": "bell",
    "wide": "wide",
    "counter": "counter",
    "virtio_block": "virtio",
    "reconfigure": "virtio",
}
"""Which part of the state each rule is about."""
