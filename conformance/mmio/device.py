"""An implementation under test: it is started on each machine, called, and asked for its slots."""

from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from conformance.mmio.world import Setting
from spec.catalogue import mmio_rules


class MmioDevice(Protocol):
    """One implementation under test; see docs/mmio.md for the calls and what a bus offers."""

    name: str
    claims: frozenset[str]
    """The ids of the rules it says it implements."""
    backends: frozenset[str]
    """The names of the back ends it has."""

    def start(self, setting: Setting, bus: Any) -> Any:
        """A machine with no slot open, on which the calls are made."""


BACKENDS = ("bus", "snp", "tdx", "native")
TOLD = BACKENDS[:-1]
"""Those that make no access of their own, which in a changed copy may go anywhere."""


class Builtin:
    """The built-in implementation, or a changed copy of it."""

    def __init__(
        self, module: ModuleType, name: str = "impl:mmio", backends: Sequence[str] = BACKENDS
    ) -> None:
        self.name = name
        self.claims = frozenset(mmio_rules())
        self.backends = frozenset(backends)
        self._module = module

    def start(self, setting: Setting, bus: Any) -> Any:
        """A machine of the implementation's."""
        return self._module.Mmio(setting.backend, bus, setting.machine.limit)


Make = Callable[[], MmioDevice]


def builtin() -> MmioDevice:
    """The built-in implementation, reached by name like anybody else's."""
    return Builtin(import_module("impl.mmio"))
