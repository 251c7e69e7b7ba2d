"""The handoff's last two stages, and all stages in one call."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import handoff_definition as obvious
import numpy as np
import pytest
from handoff_definition import area_of, slot_bytes

from impl import handoff, kernels
from impl.handoff import Area, Config, Done, Kernel, Refusal, Reserved, Stages, Written

PAGE = 4096


@pytest.mark.parametrize(
    ("entries", "kernel", "region", "guest"),
    [
        ([(0, 10, 0)], (0, 10), (0, 0), []),
        ([(0, 10, 0)], (0, 4), (0, 0), [(4, 10)]),
        ([(0, 10, 0)], (4, 10), (0, 0), [(0, 4)]),
        ([(0, 10, 0)], (4, 5), (0, 0), [(0, 4), (5, 10)]),
        ([(0, 10, 0)], (2, 4), (6, 8), [(0, 2), (4, 6), (8, 10)]),
        ([(0, 10, 0)], (6, 8), (2, 4), [(0, 2), (4, 6), (8, 10)]),
        ([(0, 10, 0)], (2, 4), (4, 8), [(0, 2), (8, 10)]),
        ([(0, 10, 0)], (0, 5), (5, 10), []),
        ([(0, 5, 0), (5, 10, 0)], (4, 6), (0, 0), [(0, 4), (6, 10)]),
        ([(0, 5, 0), (5, 10, 0)], (10, 20), (0, 0), [(0, 10)]),
        ([(0, 5, 0), (5, 10, 5), (10, 12, 0)], (5, 8), (0, 0), [(0, 5), (10, 12)]),
        ([(0, 5, 0), (6, 10, 0), (10, 12, 1)], (0, 5), (6, 10), []),
        ([(0, 1, 1), (1, 9, 0), (9, 10, 2), (10, 11, 3), (11, 12, 4)], (1, 2), (0, 0), [(2, 9)]),
        ([(0, 10, 0)], (5, 5), (7, 3), [(0, 10)]),
        ([(2**52 - 4, 2**52, 0)], (2**52 - 1, 2**52), (0, 0), [(2**52 - 4, 2**52 - 1)]),
    ],
)
def test_the_guest_gets_what_is_left(
    stages: Stages, entries: Any, kernel: Any, region: Any, guest: Any
) -> None:
    assert stages.carve(entries, Reserved(kernel, region), 0) == guest
    assert stages.carve(entries, Reserved(region, kernel), 0) == guest
    low = guest[0][1] if guest and guest[0][0] == 0 else 0
    for needed in {1, low, low + 1} - {0}:
        want = guest if needed <= low else Refusal.NO_LOW_MEMORY
        assert stages.carve(entries, Reserved(kernel, region), needed) == want


def test_a_full_map_of_170_entries_leaves_172(stages: Stages) -> None:
    entries = [(10 * i, 10 * i + 5, 0) for i in range(170)]
    guest = stages.carve(entries, Reserved((11, 12), (21, 22)), 5)
    assert isinstance(guest, list)
    assert len(guest) == 172


# Writing: refusals in their order, capacity, place, and every byte that changes.

GUEST = [(0, 2), (8, 12)]


def test_write_looks_in_the_stated_order(stages: Stages) -> None:
    ladder = [
        (Area(3 * PAGE + 1, 0, False), True, Refusal.ALREADY_WRITTEN),
        (Area(3 * PAGE + 1, 0, False), False, Refusal.MISALIGNED),
        (Area(3 * PAGE + 4, 24, False), False, Refusal.MISALIGNED),
        (Area(9 * PAGE, 0, False), False, Refusal.AREA_OUTSIDE),
        (Area(2 * PAGE, 8, False), False, Refusal.AREA_OUTSIDE),
        (Area(7 * PAGE, PAGE + 8, False), False, Refusal.AREA_OUTSIDE),
        (Area(8 * PAGE - 8, 72, False), False, Refusal.AREA_OUTSIDE),
        (Area(12 * PAGE - 64, 72, False), False, Refusal.AREA_OUTSIDE),
        (Area(PAGE, 8 * PAGE, False), False, Refusal.AREA_OUTSIDE),
        (Area(8 * PAGE, 2**64 - 1, False), False, Refusal.AREA_OUTSIDE),
        (Area(2**64 - 8, 72, False), False, Refusal.AREA_OUTSIDE),
        (Area(2**64 - 8, 8, False), False, Refusal.AREA_OUTSIDE),
        (Area(2**64 - PAGE, 2**64 - 1, False), False, Refusal.AREA_OUTSIDE),
        (Area(8 * PAGE, 71, False), False, Refusal.TOO_MANY),
        (Area(8 * PAGE, 1, False), False, Refusal.TOO_MANY),
    ]
    for area, written, refusal in ladder:
        memory = bytearray(b"\xa5" * 2 * PAGE)
        assert stages.write(memory, area, GUEST, True, written) == refusal, area
        assert memory == b"\xa5" * 2 * PAGE
    assert stages.write(bytearray(PAGE), Area(8 * PAGE, 8, True), [], False, False) == (
        Refusal.AREA_OUTSIDE
    )


@pytest.mark.parametrize("n", [7, 8, 9])
@pytest.mark.parametrize("slots", [7, 8, 9, 10])
@pytest.mark.parametrize("terminator", [False, True])
@pytest.mark.parametrize("spare", [0, 1, 23])
def test_capacity_counts_whole_entries(
    stages: Stages, n: int, slots: int, terminator: bool, spare: int
) -> None:
    guest = [(4 * i, 4 * i + 2) for i in range(n)]
    memory = bytearray(b"\xa5" * PAGE)
    size = 24 * slots + spare
    answer = stages.write(memory, Area(0, size, True), guest, terminator, False)
    if n + terminator > slots:
        assert answer == Refusal.TOO_MANY
        assert memory == b"\xa5" * PAGE
        return
    entries = b"".join(slot_bytes(first, 2) for first, _ in guest)
    after = entries.ljust(size, b"\0").ljust(PAGE, b"\xa5")
    assert answer == Written((0, 0), after)
    assert memory == after


@pytest.mark.parametrize("prevalidated", [False, True])
@pytest.mark.parametrize("offset", [0, 8, 192, 2048, PAGE - 48, PAGE - 24, PAGE - 16, PAGE - 8])
@pytest.mark.parametrize("size", [48, 72, 192, PAGE - 8, PAGE, PAGE + 8, 2 * PAGE - 8, 2 * PAGE])
def test_no_byte_outside_the_area_changes(
    stages: Stages, prevalidated: bool, offset: int, size: int
) -> None:
    guest = [(16, 32), (40, 41)]
    area = Area(20 * PAGE + offset, size, prevalidated)
    pages = len({byte // PAGE for byte in range(offset, offset + size)})
    before = bytes(i * 7 % 251 + 1 for i in range(pages * PAGE))
    memory = bytearray(before)
    want = obvious.write(before, (area.address, size, prevalidated), guest, False, False)
    answer = stages.write(memory, area, guest, False, False)
    assert isinstance(answer, Written)
    assert (answer.validated, answer.memory) == want
    assert answer.validated == ((0, 0) if prevalidated else (20, 20 + pages))
    kept = before if prevalidated else bytes(len(before))
    assert memory[:offset] == kept[:offset]
    assert memory[offset + size :] == kept[offset + size :]
    assert memory[offset : offset + size] == area_of([(16, 16, 0, 0, 0), (40, 1, 0, 0, 0)], size)
    # Read as the host's map is, it is the guest's part again.
    assert stages.read(memory[offset : offset + size], 2**52) == [(16, 32, 0), (40, 41, 0)]


def test_an_area_may_span_entries_that_touch_and_none_that_do_not(stages: Stages) -> None:
    area = Area(PAGE, 3 * PAGE, True)
    together = stages.write(bytearray(3 * PAGE), area, [(0, 2), (2, 9)], True, False)
    assert isinstance(together, Written)
    apart = stages.write(bytearray(3 * PAGE), area, [(0, 2), (3, 9)], True, False)
    assert apart == Refusal.AREA_OUTSIDE


# All in one call.

CONFIG = Config(
    limit_page=2**40,
    kernel=Kernel(0x8000, 0x1000, 0x2000),
    area=Area(0x812000, 192, True),
    excluded=((0, 0x100), (0x812, 0x813)),
    low_pages=0x800,
)
HOST = [(0, 0x80000, 0, 0, 0), (0x100000, 0x100000, 0, 0, 0)]


def test_run_is_a_guest_of_6_gib(stages: Stages) -> None:
    done = stages.run(area_of(HOST, PAGE), CONFIG)
    assert isinstance(done, Done)
    assert done.entries == [(0, 0x80000, 0), (0x100000, 0x200000, 0)]
    assert done.sizes == handoff.Sizes(0x180000, 48)
    assert done.reserved == Reserved((0x8000, 0x9000), (0x1FFE00, 0x200000))
    assert done.guest == [(0, 0x8000), (0x9000, 0x80000), (0x100000, 0x1FFE00)]
    slots = [(first, stop - first, 0, 0, 0) for first, stop in done.guest]
    assert done.written == Written((0, 0), area_of(slots, PAGE))
    fresh = replace(CONFIG, area=Area(0x812000, 192, False), memory=b"\xa5" * PAGE)
    again = stages.run(area_of(HOST, PAGE), fresh)
    assert isinstance(again, Done)
    assert again.written == Written((0x812, 0x813), area_of(slots, PAGE))
    kept = stages.run(area_of(HOST, PAGE), replace(CONFIG, memory=b"\xa5" * PAGE))
    assert isinstance(kept, Done)
    assert kept.written.memory == area_of(slots, 192).ljust(PAGE, b"\xa5")
    assert done == replace(done)


def test_the_first_stage_that_refuses_answers(stages: Stages) -> None:
    worst = replace(
        CONFIG, cap_pages=0, kernel=Kernel(0, 0, 0), low_pages=2**40, already_written=True
    )
    bad, good = area_of([*HOST, (0, 1, 0, 0, 0)]), area_of(HOST)
    assert stages.run(bad, worst) == Refusal.UNSORTED
    assert stages.run(good, worst) == Refusal.OVER_CAP
    worst = replace(worst, cap_pages=2**28)
    assert stages.run(good, worst) == Refusal.BAD_KERNEL_BOUNDS
    worst = replace(worst, kernel=CONFIG.kernel)
    assert stages.run(good, worst) == Refusal.NO_LOW_MEMORY
    worst = replace(worst, low_pages=0)
    assert stages.run(good, worst) == Refusal.ALREADY_WRITTEN
    assert isinstance(stages.run(good, replace(worst, already_written=False)), Done)


def test_any_contiguous_bytes_are_an_area(stages: Stages) -> None:
    area = area_of(HOST, PAGE)
    want = stages.read(area, 2**40)
    for data in (
        bytearray(area),
        memoryview(area),
        array("b", area),
        np.frombuffer(area, np.uint8),
    ):
        assert stages.read(data, 2**40) == want
        assert stages.run(data, CONFIG) == stages.run(area, CONFIG)


def test_the_module_has_the_stages_of_the_best_twin() -> None:
    assert handoff.run(area_of(HOST, PAGE), CONFIG) == Stages(kernels.load()).run(
        area_of(HOST, PAGE), CONFIG
    )
    for name in ("read", "size", "reserve", "carve", "write", "run"):
        assert getattr(handoff, name).__doc__ == getattr(Stages, name).__doc__
