"""Machines for MMIO in the process that runs somebody's code: a bus that asks, and calls made.

Whatever an implementation does to the outside is a call of its bus, which is asked over the pipe
and answered by the suite, in the middle of the call that is being made.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from conformance.adapters.host import Pipe
from conformance.adapters.library import FFI, Library
from conformance.adapters.wire import Ask, Call, Called, Told
from conformance.adapters.wire import Machine as Begun

MOST_SLOTS = 256
LOST = 70
"""The exit code of a process that the suite cannot be reached from."""
BACKENDS = {"bus": "SVSM_BUS", "snp": "SVSM_SNP", "tdx": "SVSM_TDX"}
Asking = Callable[..., list[Any]]
"""Asks a call of the bus; what it answers."""


class NoMachine(Exception):
    """There is no machine to be had, or none with that number."""


def asking(pipe: Pipe) -> Asking:
    """How the bus is asked."""

    def ask(what: str, *arguments: Any) -> list[Any]:
        told = pipe.ask(Ask(what, list(arguments)))
        if not isinstance(told, Told):
            raise NoMachine(f"{what} of the bus was answered with {type(told).__name__}")
        return list(told.answer)

    return ask


class Bus:
    """The bus as a class of Python is given it; see docs/mmio.md."""

    def __init__(self, ask: Asking, begun: Begun) -> None:
        self.buffer_gpa, self.shared_bit = begun.buffer_gpa, begun.shared_bit
        self._ask = ask

    def map(self, first_page: int, pages: int) -> int:
        """Where pages are mapped; 0 where they cannot be."""
        return int(self._ask("map", first_page, pages)[0])

    def unmap(self, address: int, pages: int) -> None:
        """Undo a mapping."""
        self._ask("unmap", address, pages)

    def load(self, address: int, width: int) -> int:
        """A load."""
        return int(self._ask("load", address, width)[0])

    def store(self, address: int, width: int, value: int) -> None:
        """A store."""
        self._ask("store", address, width, value)

    def exit_to_host(
        self, code: int, info1: int, info2: int, scratch: int, buffer: Any
    ) -> tuple[int, int, bytes, bool]:
        """A GHCB exit."""
        told = self._ask("exit_to_host", code, info1, info2, scratch, bytes(buffer))
        return int(told[0]), int(told[1]), _bytes(told[2]), bool(told[3])

    def tdvmcall(self, r11: int, r12: int, r13: int, r14: int, r15: int) -> tuple[int, int, int]:
        """A TDVMCALL."""
        rax, r10, r11 = (int(n) for n in self._ask("tdvmcall", r11, r12, r13, r14, r15))
        return rax, r10, r11


def _bytes(told: Any) -> bytes:
    """Bytes, of which a line of JSON makes a text in base 64; here all is binary."""
    return bytes(told)


class Machines:
    """Machines of somebody's library."""

    def __init__(self, library: Library, ask: Asking) -> None:
        self.library, self.table, self._ask = library, library.tables.mmio, ask
        self._made: dict[int, Any] = {}
        self._kept: dict[int, Any] = {}
        self._callbacks = self._functions()

    def begin(self, begun: Begun) -> None:
        """A machine with no slot open, in place of any of the same number.

        Raises: NoMachine.
        """
        if begun.number in self._made:
            self.table.drop(self._made.pop(begun.number))
        bus = FFI.new("struct svsm_bus *")
        bus.buffer_gpa, bus.shared_bit = begun.buffer_gpa, begun.shared_bit
        for name, function in self._callbacks.items():
            setattr(bus, name, function)
        backend = FFI.typeof("enum svsm_backend").relements[BACKENDS[begun.backend]]
        made = self.table.make(backend, bus, begun.limit)
        if made == FFI.NULL:
            raise NoMachine(f"mmio.make answered NULL for {begun.backend}")
        self._made[begun.number], self._kept[begun.number] = made, bus

    def call(self, asked: Call) -> Called:
        """Make a call.

        Raises: NoMachine.
        """
        if asked.number not in self._made:
            raise NoMachine(f"there is no machine {asked.number}")
        machine = self._made[asked.number]
        status, value = self._done(machine, asked.name, asked.arguments)
        room = FFI.new("struct svsm_slot[]", MOST_SLOTS)
        count = min(int(self.table.slots(machine, room, MOST_SLOTS)), MOST_SLOTS)
        open_ = [(int(s.slot), int(s.gpa), int(s.size), s.attached != 0) for s in room[0:count]]
        return Called(self.library.outcome("mmio", status), open_, value if status == 0 else 0)

    def _done(self, machine: Any, name: str, told: list[Any]) -> tuple[int, int | bytes]:
        function = getattr(self.table, name)
        if name == "read":
            data = FFI.new("uint8_t[8]")
            status = int(function(machine, *told, data))
            return status, bytes(data)[: min(told[2], 8)]
        if name == "write":
            slot, offset, data = told
            held = FFI.new("uint8_t[]", data or 1)
            return int(function(machine, slot, offset, held, len(data))), 0
        if name == "open" or name.startswith("read_"):
            shape = (
                f"uint{name.removeprefix('read_u')}_t" if name.startswith("read_u") else "uint64_t"
            )
            value = FFI.new(f"{shape} *")
            status = int(function(machine, *told, value))
            return status, int(value[0])
        return int(function(machine, *told)), 0

    def _functions(self) -> Mapping[str, Any]:
        """The bus's functions, each of which asks. What cannot be asked ends this process."""
        ask = self._ask

        def exit_to_host(
            _host: Any,
            code: int,
            info1: int,
            info2: int,
            scratch: int,
            buffer: Any,
            size: int,
            to: Any,
        ) -> bool:
            sent = bytes(FFI.buffer(buffer, size)) if size else b""
            told = ask("exit_to_host", code, info1, info2, scratch, sent)
            to.info1, to.info2 = told[0], told[1]
            FFI.buffer(to.buffer, 8)[:] = _bytes(told[2])[:8].ljust(8, b"\0")
            return bool(told[3])

        def tdvmcall(
            _host: Any, r11: int, r12: int, r13: int, r14: int, r15: int, r10_to: Any, r11_to: Any
        ) -> int:
            told = ask("tdvmcall", r11, r12, r13, r14, r15)
            r10_to[0], r11_to[0] = told[1], told[2]
            return int(told[0])

        made = {
            "map": lambda _host, *told: int(ask("map", *told)[0]),
            "unmap": lambda _host, *told: _nothing(ask("unmap", *told)),
            "load": lambda _host, *told: int(ask("load", *told)[0]),
            "store": lambda _host, *told: _nothing(ask("store", *told)),
            "exit_to_host": exit_to_host,
            "tdvmcall": tdvmcall,
        }
        fields = dict(FFI.typeof("struct svsm_bus").fields)
        return {
            name: FFI.callback(fields[name].type, function, onerror=lost)
            for name, function in made.items()
        }


def _nothing(_told: list[Any]) -> None:
    """What a function without an answer answers."""


def lost(_kind: Any, error: BaseException, _trace: Any) -> None:
    """The suite could not be asked: nothing that the library went on to do would mean anything."""
    print(
        f"the suite could not be asked: {type(error).__name__}: {error}",
        file=sys.stderr,
        flush=True,
    )
    os._exit(LOST)
