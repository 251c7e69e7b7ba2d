"""The C accessors, by the names that they are exported under: what the processor made of them."""

from __future__ import annotations

import ctypes

import pytest
from machines import NOT_HERE, WIDTHS

from conformance import trap
from impl import kernels

native = pytest.mark.skipif(NOT_HERE is not None, reason=str(NOT_HERE))


@native
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_an_exported_accessor_is_one_access(bits: int) -> None:
    library = ctypes.CDLL(str(kernels.load("fast").__file__))
    read, write = (getattr(library, f"svsm_mmio_{way}_u{bits}") for way in ("read", "write"))
    read.restype, write.restype = getattr(ctypes, f"c_uint{bits}"), None
    value = 0x8182_8384_8586_8788 % (1 << bits)
    with trap.TrapPage(trap.Script((2**64 - 2,))) as page:
        at = ctypes.c_void_p(page.address + 24)
        assert read(at) == (1 << bits) - 2
        write(at, read.restype(value))
        assert [(a.write, a.offset, 8 * a.width, a.value) for a in page.transactions()] == [
            (False, 24, bits, (1 << bits) - 2),
            (True, 24, bits, value),
        ]


@native
@pytest.mark.parametrize("length", [*range(20), 2**31, 2**32 + 4, 2**64 - 1])
def test_an_exported_slice_accessor_is_one_access_or_none(length: int) -> None:
    library = ctypes.CDLL(str(kernels.load("fast").__file__))
    memory = (ctypes.c_uint8 * 32)(*range(32))
    # The data need not be aligned; the register is.
    at, size = ctypes.addressof(memory) + 3, ctypes.c_size_t(length)
    with trap.TrapPage(trap.Script((0xF8F7_F6F5_F4F3_F2F1,))) as page:
        register = ctypes.c_void_p(page.address + 24)
        wrote = library.svsm_mmio_write(register, ctypes.c_void_p(at), size)
        read = library.svsm_mmio_read(register, ctypes.c_void_p(at), size)
        told = [(a.write, a.offset, a.width, a.value) for a in page.transactions()]
    if length not in WIDTHS:
        assert (wrote, read, told, list(memory)) == (-1, -1, [], list(range(32)))
        return
    out = int.from_bytes(range(3, 3 + length), "little")
    back = bytes(range(0xF1, 0xF1 + length))
    right = [(True, 24, length, out), (False, 24, length, int.from_bytes(back, "little"))]
    assert (wrote, read, told) == (0, 0, right)
    assert bytes(memory) == bytes([0, 1, 2]) + back + bytes(range(3 + length, 32))
