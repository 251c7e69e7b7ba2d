"""What a caller of the handoff may do wrong, and that no stage leaves its buffers."""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handoff_definition import area_of

import impl
from impl import kernels
from impl.handoff import Area, Config, Kernel, Reserved, Stages

BUILT = pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
PAGE = 4096
GUEST = [(0, 2), (8, 12)]
HOST = [(0, 0x80000, 0, 0, 0), (0x100000, 0x100000, 0, 0, 0)]
CONFIG = Config(2**40, Kernel(0x8000, 0x1000, 0x2000), Area(0x812000, 192, True))


ENTRIES = [(0, 10, 0)]


@pytest.mark.parametrize("value", [-1, 2**64, -(2**70), 2**200])
def test_integers_beyond_64_bits_raise(stages: Stages, value: int) -> None:
    kernel, area = Kernel(0, 1, 1), Area(0, 24, True)
    nothing = Reserved((0, 0), (0, 0))
    for name, call in {
        "limit_page": lambda: stages.read(b"", value),
        "cap_pages": lambda: stages.size(ENTRIES, value, True),
        "entries": lambda: stages.size([(value, 10, 0)], 1, True),
        "kernel.base": lambda: stages.reserve(ENTRIES, replace(kernel, base=value), [], 0, 1),
        "kernel.least": lambda: stages.reserve(ENTRIES, replace(kernel, least=value), [], 0, 1),
        "kernel.greatest": lambda: stages.reserve(
            ENTRIES, replace(kernel, greatest=value), [], 0, 1
        ),
        "excluded": lambda: stages.reserve(ENTRIES, kernel, [(0, 1), (0, value)], 0, 1),
        "bitmap_pages": lambda: stages.reserve(ENTRIES, kernel, [], value, 1),
        "limit_page ": lambda: stages.reserve(ENTRIES, kernel, [], 0, value),
        "low_pages": lambda: stages.carve(ENTRIES, nothing, value),
        "reserved": lambda: stages.carve(ENTRIES, Reserved((0, value), (0, 0)), 0),
        "area.address": lambda: stages.write(
            bytearray(), replace(area, address=value), [], True, False
        ),
        "area.size": lambda: stages.write(bytearray(), replace(area, size=value), [], True, False),
        "guest": lambda: stages.write(bytearray(), area, [(0, value)], True, False),
    }.items():
        with pytest.raises(OverflowError, match=name.strip().replace(".", r"\.")):
            call()
    for field in ("limit_page", "cap_pages", "low_pages"):
        with pytest.raises(OverflowError, match=field):
            stages.run(b"", replace(CONFIG, **{field: value}))


@pytest.mark.parametrize("value", [1.5, "1", None, b"\0"])
def test_what_is_no_integer_raises(stages: Stages, value: Any) -> None:
    with pytest.raises(TypeError, match="limit_page"):
        stages.read(b"", value)
    with pytest.raises(TypeError, match=r"entries\[1\]"):
        stages.size([(0, 1, 0), (2, value, 0)], 1, True)
    with pytest.raises(TypeError, match=r"excluded\[0\]"):
        stages.run(b"", replace(CONFIG, excluded=((0, value),)))


def test_buffers_of_another_kind_raise(stages: Stages) -> None:
    area = Area(0, 24, True)
    for wrong in ([0], None, 5, "map"):
        with pytest.raises(TypeError, match="area"):
            stages.read(wrong, 1)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="area"):
            stages.run(wrong, CONFIG)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="memory"):
            stages.write(wrong, area, [], True, False)  # type: ignore[arg-type]
    for bad in (array("Q", [0, 0, 0]), np.zeros(48, np.uint8)[::2], np.zeros((2, 24), np.uint8)):
        with pytest.raises(ValueError, match="area"):
            stages.read(bad, 1)
        with pytest.raises(ValueError, match="memory"):
            stages.write(bad, area, [], True, False)
    with pytest.raises(ValueError, match="memory is read-only"):
        stages.write(bytes(PAGE), area, [], True, False)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [0, 1, PAGE - 1, PAGE + 1, 2 * PAGE])
def test_memory_is_the_pages_of_the_area(stages: Stages, length: int) -> None:
    memory = bytearray(b"\xa5" * length)
    with pytest.raises(ValueError, match=f"memory has {length} bytes, must have the 4096"):
        stages.write(memory, Area(8 * PAGE, 72, False), GUEST, True, False)
    assert memory == b"\xa5" * length
    if length:
        with pytest.raises(ValueError, match=f"memory has {length} bytes"):
            stages.run(area_of(HOST), replace(CONFIG, memory=bytes(length)))


@pytest.mark.parametrize(
    "entries",
    [
        [(5, 5, 0)],
        [(5, 4, 0)],
        [(0, 10, 0), (9, 12, 0)],
        [(10, 20, 0), (0, 5, 0)],
        [(0, 2**52 + 1, 0)],
        [(0, 10, 6)],
        [(0, 10)],
        [(0, 10, 0, 0)],
        [()],
    ],
)
def test_entries_that_no_map_has_raise(stages: Stages, entries: Any) -> None:
    for call in (
        lambda: stages.size(entries, 1, True),
        lambda: stages.reserve(entries, Kernel(0, 1, 1), [], 0, 1),
        lambda: stages.carve(entries, Reserved((0, 0), (0, 0)), 0),
    ):
        with pytest.raises(ValueError, match=r"entries\["):
            call()
    ranges = [entry[:2] for entry in entries]
    if ranges != [(0, 10)]:
        with pytest.raises(ValueError, match=r"guest\["):
            stages.write(bytearray(PAGE), Area(0, 24, True), ranges, True, False)


# The twins below the stages take buffers that may be too short, and words that no stage left.


def test_too_little_room_raises(stages: Stages) -> None:
    twin = stages._twin
    area, plan, none = area_of(HOST), array("Q", bytes(88)), array("Q")
    entries, guest, found = (array("Q", bytes(8 * n)) for n in (6, 12, 7))
    for name, call in {
        "entries": lambda: twin.handoff_read(area, 2**40, entries[:5]),
        "sizes": lambda: twin.handoff_size(entries, 1, True, found[:1]),
        "kernel": lambda: twin.handoff_reserve(entries, found[:2], none, 1, 1, found[:4]),
        "reserved": lambda: twin.handoff_reserve(entries, found[:3], none, 1, 1, found[:3]),
        "reserved ": lambda: twin.handoff_carve(entries, found[:3], 0, guest),
        "guest": lambda: twin.handoff_carve(entries, found[:4], 0, guest[:11]),
        "plan": lambda: twin.handoff_run(area, plan[:10], none, entries, guest, found),
        "entries ": lambda: twin.handoff_run(area, plan, none, entries[:5], guest, found),
        "guest ": lambda: twin.handoff_run(area, plan, none, entries, guest[:11], found),
        "found": lambda: twin.handoff_run(area, plan, none, entries, guest, found[:6]),
    }.items():
        with pytest.raises(ValueError, match=f"{name.strip()} has"):
            call()
    for offset, size, spans in ((0, 49, [0, 1]), (1, 48, [0, 1]), (2**63, 24, []), (0, 23, [0, 1])):
        memory = bytearray(b"\xa5" * 48)
        with pytest.raises(ValueError, match="memory has 48 bytes"):
            twin.handoff_put(memory, offset, size, array("Q", spans), False)
        assert memory == b"\xa5" * 48


FENCED = """
import ctypes, mmap, random
from impl.kernels import load
libc, k, rng = ctypes.CDLL(None, use_errno=True), load("fast"), random.Random(0)
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
kept = []
def fenced(data):
    # The bytes end where the next page may not be touched.
    pages = -(-max(len(data), 1) // 4096)
    m = mmap.mmap(-1, 4096 * (pages + 1))
    at = ctypes.addressof(ctypes.c_char.from_buffer(m))
    assert libc.mprotect(at + 4096 * pages, 4096, 0) == 0
    kept.append(m)
    view = memoryview(m)[4096 * pages - len(data) : 4096 * pages]
    view[:] = data
    return view
def words(values):
    return fenced(b"".join(v.to_bytes(8, "little") for v in values)).cast("Q")
def wild():
    return rng.choice((0, 1, 2, 511, 512, 2**52, 2**63, 2**64 - 1, rng.randrange(2**64)))
for slots in (0, 1, 2, 3, 170):
    for m in (0, 1, 3):
        for spare in (0, 1, 23):
            for kind in range(12):
                rows, at = [], 0
                for i in range(slots):
                    pages = rng.choice((1, 600, 5000))
                    rows.append((at, pages)); at += pages + 1
                slot = lambda f, p: f.to_bytes(8, "little") + p.to_bytes(8, "little") + bytes(8)
                area = fenced(b"".join(slot(*row) for row in rows) + b"\\xff" * spare)
                plan = words([2**52, 2**52, 1, 0, 1, 1, 0, 0, 192, 1, 0])
                excluded = words([rng.randrange(at + 1) for _ in range(2 * m)])
                entries, guest = words([0] * 3 * slots), words([0] * 6 * slots)
                found = words([0] * 7)
                k.handoff_run(area, plan, excluded, entries, guest, found)
                k.handoff_read(area, 2**52, entries)
                # Words that no stage left: the answer is of no use, and nothing else is touched.
                wilder = words([wild() if i % 3 < 2 else 0 for i in range(3 * slots)])
                spans = words([wild() for _ in range(2 * m)])
                k.handoff_size(wilder, 2**52, True, words([0, 0]))
                k.handoff_reserve(wilder, words([wild() for _ in range(3)]), spans, 5, 2**52,
                                  words([0] * 4))
                k.handoff_carve(wilder, words([wild() for _ in range(4)]), 0, guest)
                k.handoff_fit(spans, 8 * (wild() // 8), wild(), True, False)
                for size in (24 * m, 24 * m + 23, 4096):
                    k.handoff_put(fenced(bytes(size)), 0, size, spans, bool(kind % 2))
print("inside")
"""


@BUILT
@pytest.mark.skipif(sys.platform != "linux", reason="fences memory with mprotect")
def test_no_stage_touches_a_byte_beyond_its_buffers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FENCED], env=dict(os.environ),
        cwd=Path(impl.__file__).parents[1], capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "inside"), done.stderr
