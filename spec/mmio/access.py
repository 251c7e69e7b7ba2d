"""Reads and writes: the slice interface, and the typed one of the same width.

All that can be refused before the access is looked at first and leaves nothing behind. Then exactly
one access goes out, and whatever the host answers, no second one does.
"""

from dataclasses import dataclass
from typing import Any

from spec.mmio.state import Answer, Mmio, is_past
from spec.mmio.wire import (
    WIDTHS,
    Transaction,
    cut,
    is_hosted,
    is_refusal,
    lowered,
)
from spec.rule import Case, Cases, rule
from spec.sources import Source, coconut, ghcb, ghci
from spec.terms import (
    Bool,
    Count,
    Gpa,
    Word,
    all_of,
    any_of,
    bits_and,
    minus,
    negate,
    plus,
)

AREA = "mmio"
CITE: Source = ghcb("MMIO Access (0x80000001, 0x80000002)")
TYPED: Source = coconut("kernel/src/virtio/hal.rs")


@dataclass(frozen=True)
class Read:
    """A read of `length` bytes, and what comes back: the host's two words, and the data.

    failed: SNP: 0 if the host marked its answer as valid; TDX: RAX. status: SW_EXITINFO1; R10.
    data: eight bytes of the shared buffer; R11; what was loaded.
    """

    slot: Count
    offset: Gpa
    length: Count
    failed: Count
    status: Count
    data: Count


@dataclass(frozen=True)
class Write:
    """A write of `length` bytes, the first eight of which are `value`, and the host's two words."""

    slot: Count
    offset: Gpa
    length: Count
    value: Count
    failed: Count
    status: Count


@dataclass(frozen=True)
class ReadTyped:
    """A read of a primitive integer; see `Read`."""

    slot: Count
    offset: Gpa
    failed: Count
    status: Count
    data: Count


@dataclass(frozen=True)
class WriteTyped:
    """A write of a primitive integer, which `value` fits; see `Write`."""

    slot: Count
    offset: Gpa
    value: Count
    failed: Count
    status: Count


def address(s: Mmio, op: Any) -> Word:
    """The physical address that an access is to."""
    return plus(s.slots.gpa.at(op.slot), op.offset)


def no(name: str, when: Bool, answer: Answer, state: Any) -> Case:
    """A refusal."""
    return Case(name, when, answer, state)


def is_width(length: Word) -> Bool:
    """One transaction can have this length."""
    return any_of(*(length == one for one in WIDTHS))


def unmet(s: Mmio, op: Any, length: Word, of_byte: bool = False) -> Cases:
    """What refuses an access before it is made; nothing goes out.

    of_byte: the length is known to be 1, and every address a multiple of it.
    """
    size = s.slots.size(op.slot)
    odd = bits_and(address(s, op), minus(length, 1)) != 0
    return (
        no("unmapped", negate(s.slots.open.has(op.slot)), Answer.UNMAPPED, s),
        no("outside", is_past(op.offset, length, size), Answer.OUTSIDE, s),
        Case("misaligned", odd, Answer.MISALIGNED, s, never=of_byte),
    )


def met(s: Mmio, op: Any, meant: Transaction, answer: Word, also: Any) -> Cases:
    """One access goes out; what the host then says refuses it or not.

    answer: what is answered where it is not refused. also: what else the call changes, either way.
    """
    place = s.slots.place(op.slot)

    def after() -> Any:
        return also(s.sending(lowered(s.machine, place, meant)))

    hosted = is_hosted(s.machine)
    failed = all_of(hosted, op.failed != 0)
    refuses = all_of(hosted, is_refusal(s.machine, op.status))
    return (
        no("no_answer", failed, Answer.NO_ANSWER, after),
        no("host_refused", refuses, Answer.HOST_REFUSED, after),
        no("garbage", all_of(hosted, op.status != 0), Answer.GARBAGE, after),
        Case("done", True, Answer.OK, after, answer),
    )


def _as_it_is(state: Any) -> Any:
    return state


def reading(s: Mmio, op: Any, length: Word, of_byte: bool = False) -> Cases:
    """The cases of a read of a length that one transaction can have."""
    meant = Transaction(False, address(s, op), length, 0)
    return (*unmet(s, op, length, of_byte), *met(s, op, meant, cut(op.data, length), _as_it_is))


def writing(s: Mmio, op: Any, length: Word, of_byte: bool = False) -> Cases:
    """The cases of a write of a length that one transaction can have."""
    meant = Transaction(True, address(s, op), length, op.value)
    return (*unmet(s, op, length, of_byte), *met(s, op, meant, 0, _as_it_is))


@rule(AREA, Read, cite=CITE)
def read(s: Mmio, op: Read) -> Cases:
    """Read some bytes: one transaction of that width, or a refusal."""
    odd = no("bad_length", negate(is_width(op.length)), Answer.BAD_LENGTH, s)
    return (odd, *reading(s, op, op.length))


@rule(AREA, Write, cite=CITE)
def write(s: Mmio, op: Write) -> Cases:
    """Write some bytes: one transaction of that width, or a refusal."""
    odd = no("bad_length", negate(is_width(op.length)), Answer.BAD_LENGTH, s)
    return (odd, *writing(s, op, op.length))


@rule(AREA, ReadTyped, cite=TYPED)
def read_u8(s: Mmio, op: ReadTyped) -> Cases:
    """Read a byte."""
    return reading(s, op, 1, of_byte=True)


@rule(AREA, ReadTyped, cite=TYPED)
def read_u16(s: Mmio, op: ReadTyped) -> Cases:
    """Read 16 bits."""
    return reading(s, op, 2)


@rule(AREA, ReadTyped, cite=TYPED)
def read_u32(s: Mmio, op: ReadTyped) -> Cases:
    """Read 32 bits."""
    return reading(s, op, 4)


@rule(AREA, ReadTyped, cite=ghci("TDG.VP.VMCALL<#VE.RequestMMIO>"))
def read_u64(s: Mmio, op: ReadTyped) -> Cases:
    """Read 64 bits, in one transaction."""
    return reading(s, op, 8)


@rule(AREA, WriteTyped, cite=TYPED)
def write_u8(s: Mmio, op: WriteTyped) -> Cases:
    """Write a byte."""
    return writing(s, op, 1, of_byte=True)


@rule(AREA, WriteTyped, cite=TYPED)
def write_u16(s: Mmio, op: WriteTyped) -> Cases:
    """Write 16 bits."""
    return writing(s, op, 2)


@rule(AREA, WriteTyped, cite=TYPED)
def write_u32(s: Mmio, op: WriteTyped) -> Cases:
    """Write 32 bits."""
    return writing(s, op, 4)


@rule(AREA, WriteTyped, cite=ghci("TDG.VP.VMCALL<#VE.RequestMMIO>"))
def write_u64(s: Mmio, op: WriteTyped) -> Cases:
    """Write 64 bits, in one transaction."""
    return writing(s, op, 8)


READS = (read_u8, read_u16, read_u32, read_u64)
WRITES = (write_u8, write_u16, write_u32, write_u64)
LENGTH = {
    **{one.name: width for one, width in zip(READS, WIDTHS, strict=True)},
    **{one.name: width for one, width in zip(WRITES, WIDTHS, strict=True)},
}
"""The width in bytes of each typed access."""
RULES = (read, write, *READS, *WRITES)
