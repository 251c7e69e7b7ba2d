"""A function run on a processor (Unicorn's), and the accesses to places of interest that it makes.

Memory is put in page by page, as it is looked at. A read of the device is answered when it happens.
Functions with a contract are not run: a `hlt` stands where they begin, and whoever runs the machine
does what the contract says. An access of 128 bits, which the processor tells as two, is one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import unicorn
from unicorn import x86_const as uc

from conformance.audit.decode import REGISTERS, RSP, Instruction, Memory, decode
from conformance.audit.faults import NotModelled
from conformance.audit.image import Image
from conformance.audit.world import RETURN_TO

PAGE = 4096
MAX_PAGES = 4096
ADDRESS_BITS = 51
"""Of a longer address the processor here drops the rest, without a word."""
MICROSECONDS = 2_000_000
CIRCLE_STEPS = 4096
HALT = 0xF4
GENERAL = [getattr(uc, f"UC_X86_REG_{name.upper()}") for name in REGISTERS]
WIDE = [getattr(uc, f"UC_X86_REG_XMM{n}") for n in range(16)]
TRAPS = ("ud2", "int3", "hlt")


class NotPlaced(Exception):
    """What the processor here cannot be given: its addresses have 51 bits, its time is bounded."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An access that the processor made. width: in bits. at: the instruction."""

    kind: str
    width: int
    address: int
    value: int
    at: int
    locked: bool = False


@dataclass
class Machine:
    """One function, ready to run.

    memory: bytes that lie there at the start, over the image's. stops: addresses at which a
    contract begins. answer: what a read of the device gives, of an address and a size. steps: how
    many instructions a path takes; behind them a circle is looked for. most: after so many
    accesses it may stop.
    """

    image: Image
    memory: dict[int, int]
    stops: frozenset[int]
    is_device: Callable[[int], bool]
    answer: Callable[[int, int], int]
    steps: int
    seen: list[Seen] = field(default_factory=list)
    written: set[int] = field(default_factory=set)
    ran: set[int] = field(default_factory=set)
    at: int = 0
    circles: bool = False
    most: int | None = None
    _count: int = 0
    _events: int = 0
    _pages: set[int] = field(default_factory=set)
    _snapshot: tuple[int, int, list[int]] | None = None
    _decoded: dict[int, Instruction] = field(default_factory=dict)
    _fault: Exception | None = None

    def __post_init__(self) -> None:
        """Make the processor."""
        self._by_page: dict[int, dict[int, int]] = {}
        for at, value in (*self.memory.items(), *((at, HALT) for at in self.stops)):
            self._by_page.setdefault(at // PAGE, {})[at] = value
        self.cpu = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.cpu.ctl_set_cpu_model(uc.UC_CPU_X86_HASWELL)
        self.cpu.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, self._on_missing)
        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        self.cpu.hook_add(kinds, self._on_access)
        self.cpu.hook_add(unicorn.UC_HOOK_CODE, self._on_code)

    def put(self, regs: list[int], wide: list[int], segments: dict[str, int]) -> None:
        """Fill the registers."""
        for register, value in zip(GENERAL + WIDE, [*regs, *wide], strict=True):
            self.cpu.reg_write(register, value)
        self.cpu.reg_write(uc.UC_X86_REG_FS_BASE, segments["fs"])
        self.cpu.reg_write(uc.UC_X86_REG_GS_BASE, segments["gs"])
        self.cpu.reg_write(uc.UC_X86_REG_EFLAGS, 2)

    def get(self, register: int) -> int:
        """What an integer register holds."""
        return int(self.cpu.reg_read(GENERAL[register]))

    def set(self, register: int, value: int) -> None:
        """Let an integer register hold a value."""
        self.cpu.reg_write(GENERAL[register], value)

    def set_wide(self, register: int, value: int) -> None:
        """Let a wide register hold a value."""
        self.cpu.reg_write(WIDE[register], value)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory as they are now."""
        self._hold(address, size)
        return bytes(self.cpu.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Change memory, as code that is not run would."""
        self._hold(address, len(data))
        self.cpu.mem_write(address, data)
        self.written.update(range(address, address + len(data)))

    def returns(self) -> int:
        """Take the address to return to off the stack."""
        top = self.get(RSP)
        self.set(RSP, top + 8)
        return int.from_bytes(self.read(top, 8), "little")

    def run(self, address: int) -> int:
        """Run from an address; where it stopped: RETURN_TO, the start of a contract, or elsewhere.

        Raises: NotPlaced
        """
        # Code has to be there before it is run: of code put in on the way no access is told.
        self._hold(address, 1)
        try:
            self.cpu.emu_start(address, RETURN_TO, timeout=MICROSECONDS)
        except unicorn.UcError as error:
            if self._fault is None and self.trap:
                return self.at
            raise NotPlaced(f"{self._fault or error}, at {self.image.where(self.at)}") from error
        if self._fault is not None:
            raise NotPlaced(str(self._fault))
        stopped = int(self.cpu.reg_read(uc.UC_X86_REG_RIP))
        return stopped - 1 if stopped - 1 in self.stops else stopped

    @property
    def trap(self) -> str:
        """The instruction that stopped the processor, if it was one that does."""
        found = self._instruction(self.at)
        return found.op if found is not None and found.op in TRAPS else ""

    def _instruction(self, at: int) -> Instruction | None:
        if at not in self._decoded:
            try:
                found = decode(self.image.code(at), at)
            except NotModelled:
                found = None
            if found is None:
                return None
            self._decoded[at] = found
        return self._decoded[at]

    def _hold(self, address: int, size: int) -> None:
        for page in range(address // PAGE, (address + max(size, 1) - 1) // PAGE + 1):
            if page in self._pages:
                continue
            if len(self._pages) >= MAX_PAGES:
                raise NotPlaced(f"more than {MAX_PAGES} pages of memory")
            try:
                self.cpu.mem_map(page * PAGE, PAGE)
                self.cpu.mem_write(page * PAGE, self._content(page))
            except (unicorn.UcError, OverflowError) as error:
                raise NotPlaced(f"no page can be at {page * PAGE:#x}: {error}") from error
            self._pages.add(page)

    def _content(self, page: int) -> bytes:
        start, held = page * PAGE, bytearray(PAGE)
        for chunk in self.image.chunks:
            low, high = max(chunk.start, start), min(chunk.stop, start + PAGE)
            if low < high:
                part = chunk.data[low - chunk.start : high - chunk.start]
                held[low - start : low - start + len(part)] = part
        for at, value in self._by_page.get(page, {}).items():
            held[at - start] = value
        return bytes(held)

    # What the processor calls back; an exception must not cross it.

    def _stop(self, fault: Exception | None = None) -> None:
        self._fault = fault
        self.cpu.emu_stop()

    def _on_missing(self, _cpu: Any, _kind: int, at: int, size: int, _v: int, _d: Any) -> bool:
        try:
            self._hold(at, size)
        except NotPlaced as fault:
            self._stop(fault)
            return False
        return True

    def _on_code(self, _cpu: Any, at: int, _size: int, _data: Any) -> None:
        if at in self.stops:
            return
        self.at, self._count = at, self._count + 1
        self.ran.add(at)
        if self._count <= self.steps:
            return
        # It may be in a circle: then the same registers come again, and nothing happened.
        if self._snapshot is None or self._snapshot[1] != self._events:
            self._snapshot = (at, self._events, [self.get(n) for n in range(16)])
            self.ran = {at}
        elif at == self._snapshot[0] and self._snapshot[2] == [self.get(n) for n in range(16)]:
            self.circles = True
            self._stop()
        if self._count > self.steps + CIRCLE_STEPS:
            self._stop(NotPlaced(f"more than {self._count} instructions"))

    def _on_access(self, cpu: Any, kind: int, at: int, size: int, value: int, _data: Any) -> None:
        try:
            self._hold(at, size)
            is_read = kind == unicorn.UC_MEM_READ
            if not is_read:
                self._events += 1
                self.written.update(range(at, at + size))
            if self.is_device(at):
                self._events += 1
                if is_read:
                    value = self.answer(at, size)
                    cpu.mem_write(at, value.to_bytes(size, "little"))
                self.note("R" if is_read else "W", at, size, value % (1 << 8 * size))
        except NotPlaced as fault:
            self._stop(fault)

    def note(self, kind: str, at: int, size: int, value: int) -> None:
        """Take down an access; the second half of one of 128 bits goes with the first."""
        found = self._instruction(self.at)
        operands = found.operands if found else ()
        is_wide = any(isinstance(one, Memory) and one.bits == 128 for one in operands)
        last = self.seen[-1] if self.seen else None
        if is_wide and last and last.at == self.at and last.kind == kind and last.width == 64:
            if last.address + 8 == at:
                self.seen[-1] = Seen(kind, 128, last.address, last.value | value << 64, self.at)
        else:
            locked = found is not None and (found.locked or found.op == "xchg")
            self.seen.append(Seen(kind, 8 * size, at, value, self.at, locked))
        if self.most is not None and len(self.seen) >= self.most and not is_wide:
            self.cpu.emu_stop()
