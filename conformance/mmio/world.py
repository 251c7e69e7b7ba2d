"""Machines to run on, and devices behind them that an honest host speaks for."""

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from spec.mmio import devices
from spec.mmio.devices import Access, Bell, Devices, Fifo, Virtio
from spec.mmio.state import Log, Mmio, Slots
from spec.mmio.wire import Backend, Machine, Transaction
from spec.pages import ListedPages
from spec.rule import Rule, step
from spec.tables import ListedTable

LIMIT = 1 << 46
SHARED_BIT = 1 << 47
BUFFER = 0x7_F800


class Setting(NamedTuple):
    """A machine, and what an implementation calls its back end.

    trapped: loads and stores are the processor's own, on pages that trap.
    """

    backend: str
    machine: Machine
    trapped: bool = False


def _machine(backend: Backend) -> Machine:
    return Machine(int(backend), LIMIT, SHARED_BIT, BUFFER)


SETTINGS = (
    Setting("bus", _machine(Backend.NATIVE)),
    Setting("snp", _machine(Backend.SNP)),
    Setting("tdx", _machine(Backend.TDX)),
    Setting("native", _machine(Backend.NATIVE), trapped=True),
)


@cache
def at_first(machine: Machine) -> Mmio:
    """The state in which no slot is open."""
    none, nothing = ListedTable(), ListedPages()
    slots = Slots(nothing, nothing, none, none, none, none)
    return Mmio(machine, slots, Log(0, *[none] * 5), nothing)


class Home(NamedTuple):
    """Where a device is, and the rule of what it does."""

    gpa: int
    size: int
    rule: Rule


PAGE = 0x1000_0000
HOMES = MappingProxyType(
    {
        # Five in one page, some of them at places that suit no alignment but their own.
        "fifo": Home(PAGE + 0x010, 0x10, devices.fifo),
        "clears": Home(PAGE + 0x204, 0x08, devices.clears),
        "one_clears": Home(PAGE + 0x302, 0x12, devices.one_clears),
        "bell": Home(PAGE + 0x401, 0x03, devices.bell),
        "wide": Home(PAGE + 0x500, 0x04, devices.wide),
        "counter": Home(PAGE + 0x608, 0x08, devices.counter),
        # Shorter than a page, and in two of them.
        "virtio": Home(PAGE + 0xE80, 0x200, devices.virtio_block),
        "whole": Home(PAGE + 0x3000, 0x1000, devices.virtio_block),
        "high": Home(LIMIT - 0x10, 0x10, devices.fifo),
    }
)


def devices_at_first() -> Devices:
    """A device of each kind with something in it."""
    none = ListedTable()
    items = ListedTable.of({n: 0x0101_0101_0101_0101 * (n + 1) for n in range(64)})
    return Devices(
        fifo=Fifo(items, 0, 64),
        clears=0xFFFF_0FF0,
        one_clears=0xFF00_FFFF,
        bell=Bell(0, 0),
        wide=0xAABB_CCDD,
        counter=0xFFFF_FFFE,
        virtio=Virtio(0xF, 1, 7, Bell(0, 0), none),
    )


@dataclass
class Host:
    """A host's devices; `hears` is what an honest one does with a transaction."""

    devices: Devices

    def hears(self, meant: Transaction) -> int:
        """The value that a transaction reads; where no device is, all ones."""
        for home in HOMES.values():
            offset = meant.gpa - home.gpa
            if 0 <= offset < home.size:
                asked = Access(meant.write, offset, meant.width, meant.value)
                done = step(home.rule, self.devices, asked)
                self.devices = done.state
                return int(done.value)
        return int((1 << 8 * meant.width) - 1)

    def changes(self, low: int, high: int) -> None:
        """The device changes the first field of its configuration."""
        change = devices.Change(0, low, high)
        self.devices = step(devices.reconfigure, self.devices, change).state
