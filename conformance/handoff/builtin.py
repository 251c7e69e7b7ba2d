"""The built-in handoff as a device: reached by name, like anybody else's."""

import struct
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from conformance.device import DeviceError, DeviceFault
from conformance.handoff.calls import RULES, Entry, Range
from conformance.handoff.device import Answered
from conformance.handoff.machine import Machine

SPEC = "impl:handoff"
TWINS = {SPEC: "auto", "impl:handoff+pure": "pure"}
"""The kernels that serve each built-in device: those that are built, and the plain ones."""
GHCB_HEADER = struct.Struct("<HHI")
"""What begins the answer to a page-state change: the entry it is at, the last one, reserved."""
MODULES = ("impl.handoff", "impl.region", "impl.snp", "impl.ovmf")
HOME, REGION, SNP, OVMF = MODULES


class Builtin:
    """The built-in stages on one of their twins, or a changed copy of them."""

    def __init__(self, modules: Mapping[str, Any], twin: Any, name: str) -> None:
        self.name, self._modules, self._module = name, modules, modules[HOME]
        self._stages = self._module.Stages(twin)
        self.claims = frozenset(rule for rules in RULES.values() for rule in rules)

    def _told(self, made: Any, form: Any) -> Answered:
        """The name of a refusal, or what was made in the form that the suite has."""
        if isinstance(made, self._module.Refusal):
            return made.name, None
        return "OK", form(made)

    def read(self, area: bytes, limit: int) -> Answered:
        """Stage 1."""
        return self._told(self._stages.read(area, limit), list)

    def size(self, entries: Sequence[Entry], cap: int, tracks: bool) -> Answered:
        """Stage 2."""
        made = self._stages.size(entries, cap, tracks)
        return self._told(made, lambda sizes: (sizes.tracked_pages, sizes.bitmap_pages))

    def reserve(
        self,
        entries: Sequence[Entry],
        kernel: tuple[int, int, int],
        excluded: Sequence[Range],
        bitmaps: int,
        limit: int,
    ) -> Answered:
        """Stage 3."""
        where = self._module.Kernel(*kernel)
        made = self._stages.reserve(entries, where, excluded, bitmaps, limit)
        return self._told(made, lambda reserved: (reserved.kernel, reserved.region))

    def carve(
        self, entries: Sequence[Entry], kernel: Range, region: Range, low_pages: int
    ) -> Answered:
        """Stage 4."""
        reserved = self._module.Reserved(kernel, region)
        return self._told(self._stages.carve(entries, reserved, low_pages), list)

    def validate(self, region: Range, shared: bool, machine: Machine) -> Answered:
        """Stage 5, on SEV-SNP."""
        ready, platform = self._modules[REGION], self._modules[SNP].platform()
        work = ready.make_ready(region, platform, shared)
        told = import_module("impl.platform").drive(work, partial(_done, machine))
        return (ready.Unready(told).name if told else "OK"), None

    def write(
        self,
        memory: bytearray,
        area: tuple[int, int, bool],
        guest: Sequence[Range],
        with_terminator: bool,
        published: bool,
    ) -> Answered:
        """Stage 6."""
        where = self._module.Area(*area)
        made = self._stages.write(memory, where, guest, with_terminator, published)
        return self._told(made, lambda written: (written.validated, written.memory))

    def view(self, page: bytes, version: tuple[bool, bool, bool], told: int) -> Answered:
        """Stage 7, as OVMF reads."""
        ovmf = self._modules[OVMF]
        seen = ovmf.view(page, ovmf.Image(*version), told)
        return ("NOT_TAKEN", None) if seen is None else ("OK", (seen.ram, seen.reserved))


def _done(machine: Machine, operation: Any) -> Any:
    """What the machine answers to an operation of SEV-SNP's, in the form that has."""
    match type(operation).__name__:
        case "PageState":
            done = machine.make_private(operation.frame)
            return 0, GHCB_HEADER.pack(int(done), 0 if done else 1, 0)
        case "Pvalidate":
            return machine.pvalidate(operation.frame, operation.large)
        case "Fill":
            return machine.zero(operation.frame, operation.large)
        case other:
            raise DeviceFault(f"validate asks the machine for {other}")


def device(spec: str = SPEC) -> Builtin:
    """The built-in handoff with a name of `TWINS`.

    Raises: DeviceError where it is not there.
    """
    try:
        twin = import_module("impl.kernels").load(TWINS[spec])
        return Builtin({name: import_module(name) for name in MODULES}, twin, spec)
    except ImportError as error:
        raise DeviceError(f"device {spec!r}: {error}") from error
