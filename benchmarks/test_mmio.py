"""An access to a register: on memory, through a back end, and on a page that traps.

`pytest benchmarks/test_mmio.py --benchmark-enable`; a time includes one Python function call. The
aim is 200,000 trapped accesses a second: 5 microseconds each.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from conformance import trap
from impl import kernels
from impl.mmio import Mmio

GPA = 0x1000_0000


@pytest.fixture(scope="module")
def fast() -> ModuleType:
    if kernels.built() != "fast":
        pytest.skip("impl._fast is not built, and has no twin here")
    return kernels.load("fast")


@pytest.fixture(params=["fast", "step"])
def page(request: pytest.FixtureRequest) -> Iterator[trap.TrapPage]:
    reason = trap.absent()
    if reason:
        pytest.skip(reason)
    # The log keeps one access, and counts the rest.
    registers = [trap.Register(0, 8, value=5)]
    with trap.TrapPage(registers, capacity=1, step_always=request.param == "step") as page:
        yield page


class Bus:
    """One page of memory for native; elsewhere a host that answers 0 at once."""

    buffer_gpa, shared_bit = 0, 1 << 51

    def __init__(self) -> None:
        self.memory = ctypes.create_string_buffer(2 * 4096)

    def map(self, first_page: int, pages: int) -> int:
        return -(-ctypes.addressof(self.memory) // 4096) * 4096

    def load(self, at: int, width: int) -> int:
        return 0

    def exit_to_host(self, *what: Any) -> tuple[int, int, bytes, bool]:
        return 0, 0, bytes(8), True

    def tdvmcall(self, *what: Any) -> tuple[int, int, int]:
        return 0, 0, 0


@pytest.mark.parametrize("width", [8, 32, 64])
def test_accessor_on_memory(benchmark: Any, fast: ModuleType, width: int) -> None:
    memory = ctypes.create_string_buffer(16)
    benchmark.group = f"read of {width} bits of memory"
    benchmark(getattr(fast, f"mmio_read_u{width}"), -(-ctypes.addressof(memory) // 8) * 8)


def test_slice_accessor_on_memory(benchmark: Any, fast: ModuleType) -> None:
    memory = ctypes.create_string_buffer(16)
    benchmark.group = "read of 32 bits of memory"
    benchmark(fast.mmio_read, -(-ctypes.addressof(memory) // 8) * 8, 4)


def test_ctypes_on_memory(benchmark: Any) -> None:
    memory = ctypes.create_string_buffer(16)
    address = ctypes.addressof(memory)
    benchmark.group = "read of 32 bits of memory"
    benchmark(lambda: ctypes.c_uint32.from_address(address).value)


@pytest.mark.parametrize("backend", ["native", "bus", "snp", "tdx"])
@pytest.mark.parametrize("how", ["typed", "slice"])
def test_back_end(benchmark: Any, fast: ModuleType, backend: str, how: str) -> None:
    mmio = Mmio(backend, Bus(), 1 << 52)
    mmio.open(1, GPA, 0x100)
    benchmark.group = f"{how} read of 32 bits through a back end"
    if how == "typed":
        benchmark(mmio.read_u32, 1, 8)
    else:
        benchmark(mmio.read, 1, 8, 4)


def test_trapped_read(benchmark: Any, fast: ModuleType, page: trap.TrapPage) -> None:
    benchmark.group = "trapped accesses"
    benchmark(fast.mmio_read_u32, page.address)


def test_trapped_write(benchmark: Any, fast: ModuleType, page: trap.TrapPage) -> None:
    benchmark.group = "trapped accesses"
    benchmark(fast.mmio_write_u32, page.address, 7)
