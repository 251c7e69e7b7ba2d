"""What an access becomes on its way out: an instruction, a GHCB exit, or a TDVMCALL.

Each back end lowers an access to five words. A host that is honest hears in them the transaction
that was meant: `heard` is written from the host's side, by the words alone.
"""

from dataclasses import dataclass
from enum import IntEnum

from spec.terms import (
    MASK,
    Bool,
    Count,
    Flag,
    Gpa,
    Word,
    all_of,
    any_of,
    bit,
    bits_and,
    bits_not,
    bits_or,
    minus,
    pick,
    plus,
    shift_left,
    shift_right,
)

WIDTHS = (1, 2, 4, 8)
"""The lengths in bytes that one transaction can have."""
IN_PAGE = 0xFFF
LOW_32 = 0xFFFF_FFFF


class Backend(IntEnum):
    """How an access leaves the SVSM."""

    NATIVE = 0
    SNP = 1
    TDX = 2


LOAD, STORE = 0, 1
MMIO_READ, MMIO_WRITE = 0x8000_0001, 0x8000_0002
"""SW_EXITCODE of the two GHCB exits."""
REQUEST_MMIO = 48
"""R11, the sub-function of TDG.VP.VMCALL; R13 says which way."""
TDX_READ, TDX_WRITE = 0, 1
EXCEPTION, MALFORMED = 1, 2
"""The low half of SW_EXITINFO1 where the host refuses."""
ERROR_BIT = 63
"""Of R10: set where the host refuses."""


@dataclass(frozen=True)
class Machine:
    """What is fixed: the back end, where addresses end, and where the shared buffer is (SNP).

    shared_bit: of an address, that it is shared with the host (TDX).
    """

    backend: Count
    limit: Gpa
    shared_bit: Gpa
    buffer: Gpa


@dataclass(frozen=True)
class Wire:
    """One access as it goes out.

    how: the kind of instruction, SW_EXITCODE, or R11. address: virtual, SW_EXITINFO1, or R14.
    width: the instruction's, SW_EXITINFO2, or R12. extra: none, SW_SCRATCH, or R13. value: what
    is stored, put into the shared buffer, or in R15; 0 for a read.
    """

    how: Count
    address: Gpa
    width: Count
    extra: Count
    value: Count


@dataclass(frozen=True)
class Transaction:
    """What reaches a device. value: what is written; 0 for a read."""

    write: Flag
    gpa: Gpa
    width: Count
    value: Count


@dataclass(frozen=True)
class Place:
    """Where a device begins: its physical address, and the virtual one in the slot's mapping."""

    gpa: Gpa
    virtual: Gpa


def ones(width: Word) -> Word:
    """The word in which the low `width` bytes, 1 to 8, have every bit set."""
    return shift_right(MASK, minus(64, shift_left(width, 3)))


def cut(value: Word, width: Word) -> Word:
    """`value` without what is past its width in bytes."""
    return bits_and(value, ones(width))


def lowered(machine: Machine, place: Place, meant: Transaction) -> Wire:
    """The words that a transaction becomes."""
    native = machine.backend == Backend.NATIVE
    snp = machine.backend == Backend.SNP
    how = pick(
        native,
        pick(meant.write, STORE, LOAD),
        pick(snp, pick(meant.write, MMIO_WRITE, MMIO_READ), REQUEST_MMIO),
    )
    virtual = plus(place.virtual, minus(meant.gpa, place.gpa))
    shared = bits_or(meant.gpa, machine.shared_bit)
    address = pick(native, virtual, pick(snp, meant.gpa, shared))
    direction = pick(meant.write, TDX_WRITE, TDX_READ)
    extra = pick(native, 0, pick(snp, machine.buffer, direction))
    value = pick(meant.write, cut(meant.value, meant.width), 0)
    return Wire(how, address, meant.width, extra, value)


def heard(machine: Machine, place: Place, wire: Wire) -> Transaction:
    """What an honest host, or the machine, makes of some words."""
    native = machine.backend == Backend.NATIVE
    snp = machine.backend == Backend.SNP
    write = pick(
        native, wire.how == STORE, pick(snp, wire.how == MMIO_WRITE, wire.extra == TDX_WRITE)
    )
    physical = plus(place.gpa, minus(wire.address, place.virtual))
    private = bits_and(wire.address, bits_not(machine.shared_bit))
    gpa = pick(native, physical, pick(snp, wire.address, private))
    return Transaction(write, gpa, wire.width, wire.value)


def is_understood(machine: Machine, wire: Wire) -> Bool:
    """A host, or the machine, does what some words ask; KVM and the TDX module refuse others."""
    width = any_of(*(wire.width == one for one in WIDTHS))
    native = any_of(wire.how == LOAD, wire.how == STORE)
    in_buffer = wire.extra == machine.buffer
    snp = all_of(any_of(wire.how == MMIO_READ, wire.how == MMIO_WRITE), in_buffer)
    shared = bits_and(wire.address, machine.shared_bit) == machine.shared_bit
    either = any_of(wire.extra == TDX_READ, wire.extra == TDX_WRITE)
    tdx = all_of(wire.how == REQUEST_MMIO, shared, either)
    is_native, is_snp = machine.backend == Backend.NATIVE, machine.backend == Backend.SNP
    return all_of(width, pick(is_native, native, pick(is_snp, snp, tdx)))


# The host's answer: `failed` (SNP: it is not marked as valid; TDX: RAX) and `status` (SW_EXITINFO1;
# R10), both words of the host's choice. The CPU's own loads and stores have neither.


def is_hosted(machine: Machine) -> Bool:
    """The host has to answer."""
    return machine.backend != Backend.NATIVE


def is_refusal(machine: Machine, status: Word) -> Bool:
    """The host says that it refuses."""
    low = bits_and(status, LOW_32)
    snp = any_of(low == EXCEPTION, low == MALFORMED)
    return pick(machine.backend == Backend.SNP, snp, bit(status, ERROR_BIT))


def is_sane(machine: Machine) -> Bool:
    """Addresses end at a power of two of at most 2**52, below the bit that shares them."""
    alone = bits_and(machine.shared_bit, minus(machine.shared_bit, 1)) == 0
    apart = bits_and(machine.shared_bit, minus(machine.limit, 1)) == 0
    ends = bits_and(machine.limit, minus(machine.limit, 1)) == 0
    small = shift_right(minus(machine.limit, 1), 52) == 0
    kinds = any_of(*(machine.backend == one for one in Backend))
    there = all_of(machine.shared_bit != 0, machine.limit != 0)
    return all_of(kinds, there, ends, small, alone, apart)
