"""The built-in handoff as a device: reached by name, like anybody else's."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from conformance.device import DeviceError
from conformance.handoff.calls import RULES, Entry, Range
from conformance.handoff.device import Answered

SPEC = "impl:handoff"
TWINS = {SPEC: "auto", "impl:handoff+pure": "pure"}
"""The kernels that serve each built-in device: those that are built, and the plain ones."""
HOME = "impl.handoff"


class Builtin:
    """The built-in stages on one of their twins, or a changed copy of them."""

    def __init__(self, module: Any, twin: Any, name: str) -> None:
        self.name, self._module, self._stages = name, module, module.Stages(twin)
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

    def write(
        self,
        memory: bytearray,
        area: tuple[int, int, bool],
        guest: Sequence[Range],
        with_terminator: bool,
        published: bool,
    ) -> Answered:
        """Stage 5."""
        where = self._module.Area(*area)
        made = self._stages.write(memory, where, guest, with_terminator, published)
        return self._told(made, lambda written: (written.validated, written.memory))


def device(spec: str = SPEC) -> Builtin:
    """The built-in handoff with a name of `TWINS`.

    Raises: DeviceError where it is not there.
    """
    try:
        twin = import_module("impl.kernels").load(TWINS[spec])
        return Builtin(import_module(HOME), twin, spec)
    except ImportError as error:
        raise DeviceError(f"device {spec!r}: {error}") from error
