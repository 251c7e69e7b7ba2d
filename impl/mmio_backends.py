"""One transaction, on each machine: a load or store, a GHCB exit, a TDVMCALL.

A back end is asked for what has been found right already, and makes exactly one transaction. What
comes back from a host is held to the width, and a host is never asked twice: the first time may
have rung the doorbell.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

from impl import kernels
from impl.abi import PAGE_4K

WIDTHS: Final = (1, 2, 4, 8)


class Refusal(IntEnum):
    """Why a call was not done; OK is none."""

    OK = 0
    BAD_LENGTH = -1
    UNMAPPED = -2
    OUTSIDE = -3
    MISALIGNED = -4
    NO_ANSWER = -5
    HOST_REFUSED = -6
    GARBAGE = -7
    ALREADY_OPEN = -8
    EMPTY = -9
    ABOVE_LIMIT = -10
    OVERLAPS = -11
    NO_MAPPING = -12
    ATTACHED = -13
    NOT_ATTACHED = -14
    UNSTABLE = -15


# SEV-ES Guest-Hypervisor Communication Block Standardization (56421), 4.1.5 "MMIO Access".
SNP_READ: Final = 0x8000_0001
SNP_WRITE: Final = 0x8000_0002
# 56421, 2.6: SW_EXITINFO1[31:0] is 0 where the exit was taken, 1 where an exception is to be
# raised, 2 where the request was malformed.
SNP_REFUSALS: Final = (1, 2)
# TDX Guest-Hypervisor Communication Interface (344426), TDG.VP.VMCALL<#VE.RequestMMIO>.
TDX_MMIO: Final = 48
TDX_READ: Final = 0
TDX_WRITE: Final = 1

Bus = Any
"""What docs/mmio.md says that each back end uses; it is the caller's."""


class Mapping(NamedTuple):
    """How a slot is reached: `start` plus an offset is what the back end is asked for.

    start: a virtual address, or a guest-physical one where no page is mapped. pages: how many are
    mapped, from virtual address `first` on.
    """

    start: int
    first: int = 0
    pages: int = 0


class Backend(Protocol):
    """What `impl.mmio.Mmio` asks of each machine."""

    def map(self, gpa: int, size: int) -> Mapping | None:
        """How to reach `size` bytes at `gpa`; None where it cannot be."""
        ...

    def unmap(self, mapping: Mapping) -> None:
        """Undo a mapping, once."""
        ...

    def load(self, at: int, width: int) -> int:
        """The value read by one transaction, or a refusal."""
        ...

    def store(self, at: int, width: int, value: int) -> int:
        """0 where the value was written by one transaction, or a refusal."""
        ...

    def read(self, at: int, length: int) -> bytes | int:
        """As `load`, in bytes."""
        ...

    def write(self, at: int, data: bytes) -> int:
        """As `store`, of bytes."""
        ...


def _bytes_of(value: int, length: int) -> bytes | int:
    """What a slice access answers where a typed one answers `value`."""
    return value if value < 0 else value.to_bytes(length, "little")


def _cut(value: int, width: int) -> int:
    """The part of what came back that was asked for."""
    return value & ((1 << 8 * width) - 1)


class _Mapped:
    """The pages of a device are mapped, all of them by one `map`."""

    def __init__(self, bus: Bus) -> None:
        self._bus: Final = bus

    def map(self, gpa: int, size: int) -> Mapping | None:
        """How to reach the device; None where it cannot be."""
        within = gpa % PAGE_4K
        pages = -(-(within + size) // PAGE_4K)
        first = self._bus.map(gpa // PAGE_4K, pages)
        return Mapping(first + within, first, pages) if first else None

    def unmap(self, mapping: Mapping) -> None:
        """Undo the mapping."""
        self._bus.unmap(mapping.first, mapping.pages)


class Native(_Mapped):
    """Loads and stores of the compiled twin: one instruction at the mapped address."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        fast = kernels.load("auto")
        if fast.__name__ != "impl._fast":
            # ctypes is no way out: it reads before it writes, and copies as memcpy pleases.
            raise ValueError(
                "backend is 'native', which needs the compiled twin, and it is not built"
            )
        self.read: Final = fast.mmio_read
        self.write: Final = fast.mmio_write
        self._loads: Final = dict(zip(WIDTHS, fast.MMIO_LOADS, strict=True))
        self._stores: Final = dict(zip(WIDTHS, fast.MMIO_STORES, strict=True))

    def load(self, at: int, width: int) -> int:
        """The value read, or a refusal."""
        return int(self._loads[width](at))

    def store(self, at: int, width: int, value: int) -> int:
        """0, or a refusal."""
        return int(self._stores[width](at, value))


class Told(_Mapped):
    """Native, with a bus that is told of each load and store."""

    def load(self, at: int, width: int) -> int:
        """The value read, or a refusal."""
        return _cut(self._bus.load(at, width), width)

    def store(self, at: int, width: int, value: int) -> int:
        """0, or a refusal."""
        self._bus.store(at, width, value)
        return Refusal.OK

    def read(self, at: int, length: int) -> bytes | int:
        """The bytes read, or a refusal."""
        return _bytes_of(self.load(at, length), length)

    def write(self, at: int, data: bytes) -> int:
        """0, or a refusal."""
        return self.store(at, len(data), int.from_bytes(data, "little"))


class _Unmapped:
    """No page is mapped: a load or store would not reach the device, so the host is asked."""

    def __init__(self, bus: Bus) -> None:
        self._bus: Final = bus

    def map(self, gpa: int, size: int) -> Mapping | None:
        """How to reach the device; None where it cannot be."""
        return Mapping(gpa)

    def unmap(self, mapping: Mapping) -> None:
        """Nothing was mapped."""


class Snp(_Unmapped):
    """One GHCB exit; data go by way of a buffer that the host sees."""

    def load(self, at: int, width: int) -> int:
        """The value read, or a refusal."""
        told = self.read(at, width)
        return told if isinstance(told, int) else int.from_bytes(told, "little")

    def store(self, at: int, width: int, value: int) -> int:
        """0, or a refusal."""
        return self.write(at, value.to_bytes(width, "little"))

    def read(self, at: int, length: int) -> bytes | int:
        """The bytes read, or a refusal."""
        refusal, buffer = self._exit(SNP_READ, at, length, b"")
        return refusal if refusal else bytes(buffer[:length])

    def write(self, at: int, data: bytes) -> int:
        """0, or a refusal."""
        return self._exit(SNP_WRITE, at, len(data), data)[0]

    def _exit(self, code: int, at: int, length: int, data: bytes) -> tuple[int, bytes]:
        info1, _, buffer, valid = self._bus.exit_to_host(
            code, at, length, self._bus.buffer_gpa, data
        )
        if not valid:
            return Refusal.NO_ANSWER, b""
        if info1 & 0xFFFF_FFFF in SNP_REFUSALS:
            return Refusal.HOST_REFUSED, b""
        return (Refusal.GARBAGE, b"") if info1 else (Refusal.OK, buffer)


class Tdx(_Unmapped):
    """One TDG.VP.VMCALL<RequestMMIO>; data go by way of registers."""

    def load(self, at: int, width: int) -> int:
        """The value read, or a refusal."""
        refusal, data = self._call(TDX_READ, at, width, 0)
        return refusal if refusal else _cut(data, width)

    def store(self, at: int, width: int, value: int) -> int:
        """0, or a refusal."""
        return self._call(TDX_WRITE, at, width, value)[0]

    def read(self, at: int, length: int) -> bytes | int:
        """The bytes read, or a refusal."""
        return _bytes_of(self.load(at, length), length)

    def write(self, at: int, data: bytes) -> int:
        """0, or a refusal."""
        return self.store(at, len(data), int.from_bytes(data, "little"))

    def _call(self, direction: int, at: int, width: int, value: int) -> tuple[int, int]:
        rax, r10, r11 = self._bus.tdvmcall(
            TDX_MMIO, width, direction, at | self._bus.shared_bit, value
        )
        if rax:
            return Refusal.NO_ANSWER, 0
        if r10 >> 63:
            return Refusal.HOST_REFUSED, 0
        return (Refusal.GARBAGE, 0) if r10 else (Refusal.OK, r11)


BACKENDS: Final[dict[str, Callable[[Bus], Backend]]] = {
    "native": Native,
    "bus": Told,
    "snp": Snp,
    "tdx": Tdx,
}
