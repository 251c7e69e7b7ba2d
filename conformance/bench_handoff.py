"""What the handoff is measured with: a page of 170 entries, through all stages in one call."""

import importlib
import struct
from typing import Any

SLOTS = 170
KERNEL = (0x8000, 4096, 4096)
FIRMWARE = tuple((0x800 + 16 * i, 0x801 + 16 * i) for i in range(12))


def host_map() -> bytes:
    """A page full of entries of MEMORY, two of which touch: carved, they fill a page again."""
    rows = [(0, 0x10000), *((0x20000 + 1024 * i, 1000 + 24 * (i == 0)) for i in range(SLOTS - 1))]
    return b"".join(struct.pack("<QQQ", first, pages, 0) for first, pages in rows).ljust(
        4096, b"\0"
    )


def names(twin: Any) -> dict[str, Any]:
    """The stages on `twin` and on the plain one, as functions that take the map and no more."""
    # By name: to this package the implementation is one more device.
    handoff = importlib.import_module("impl.handoff")
    kernels = importlib.import_module("impl.kernels")
    config = handoff.Config(
        limit_page=2**40,
        kernel=handoff.Kernel(*KERNEL),
        area=handoff.Area(0x812000, 4096, prevalidated=True),
        excluded=((0, 256), *FIRMWARE),
        with_terminator=False,
    )
    stages, plain = handoff.Stages(twin), handoff.Stages(kernels.load("pure"))
    return {
        "host_map": host_map(),
        "handoff": lambda area: stages.run(area, config),
        "plain_handoff": lambda area: plain.run(area, config),
    }
