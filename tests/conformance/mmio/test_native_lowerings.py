"""Wrong accessors, compiled, behind the native back end: what is counted on a page that traps is
what the processor did, so a run finds each of them, and not the right one."""

import ctypes
from collections import Counter
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from trapped import compiled, needs_trap

from conformance.mmio.device import Builtin
from conformance.mmio.walk import walk

SOURCE = Path(__file__).parent / "native_lowerings.c"
WAYS = ("once", "twice", "halves", "bytes", "widened", "narrowed", "read_first", "library")
WALKS = 60
WIDTHS = (1, 2, 4, 8)


class Lowered(Builtin):
    """The built-in implementation, whose native back end loads and stores by compiled code."""

    def __init__(self, library):
        super().__init__(import_module("impl.mmio"), "lowered", ("native",))
        self.load, self.store = library.load, library.store
        self.load.argtypes, self.load.restype = [ctypes.c_uint64, ctypes.c_size_t], ctypes.c_uint64
        self.store.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_uint64]
        self.store.restype = None

    def start(self, setting, bus):
        made = super().start(setting, bus)
        native = made._back
        native._loads = {width: partial(self._load, width) for width in WIDTHS}
        native._stores = {width: partial(self._store, width) for width in WIDTHS}
        native.read = lambda at, length: self._load(length, at).to_bytes(length, "little")
        native.write = lambda at, data: self._store(len(data), at, int.from_bytes(data, "little"))
        return made

    def _load(self, width, at):
        return self.load(at, width)

    def _store(self, width, at, value):
        self.store(at, width, value)
        return 0


def found_in(library):
    """The first difference that walks find, each of them on pages that trap."""
    reached = Counter()
    for seed in range(WALKS):
        found = walk(Lowered(library), seed, reached)
        if found:
            return found
    # Accesses were made: that nothing was found is not for want of them.
    assert reached["mmio.read_u32", "done"] > 0
    return None


@needs_trap
@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_lowering_is_found_by_what_the_processor_did(way, level, tmp_path):
    # Without builtins a copy is the library's, whatever its length.
    flags = (level, f"-DWAY={way.upper()}", "-fno-builtin")
    found = found_in(compiled(SOURCE, tmp_path, *flags))
    if way == "once":
        assert found is None, found
    else:
        assert found is not None and found.trapped
        assert found.made != found.wanted
