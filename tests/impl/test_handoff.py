"""Both twins of the handoff answer what the slow, obvious definition says."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import handoff_definition as obvious
import pytest
from fuzz_handoff import fuzz
from handoff_definition import area_of, slot_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from impl import kernels
from impl.handoff import (
    Area,
    Config,
    Done,
    EntryType,
    Kernel,
    Refusal,
    Reserved,
    Sizes,
    Stages,
    Written,
)

BUILT = pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
TWINS = pytest.mark.parametrize("twin", ["pure", pytest.param("fast", marks=BUILT)])
MEMORY, RESERVED, HIDDEN = EntryType.MEMORY, EntryType.PLATFORM_RESERVED, EntryType.HIDDEN
LIMIT = 2**40


def plain(answer: Any) -> Any:
    """An answer as the definition gives it."""
    match answer:
        case Refusal():
            return answer.name
        case Sizes(tracked, bitmap):
            return tracked, bitmap
        case Reserved(kernel, region):
            return kernel, region
        case Written(validated, memory):
            return validated, memory
    return answer


def compare(stages: Stages, area: bytes, given_: dict[str, Any], filler: bytes) -> str:
    """The refusal, or OK, when each stage and `run` answer what the definition says."""
    base, least, greatest = given_["kernel"]
    kernel, where = Kernel(base, least, greatest), Area(*given_["area"])
    pages = -(-(where.address % 4096 + where.size) // 4096)
    before = (filler * (4096 * pages))[: 4096 * pages]
    config = Config(**given_ | {"kernel": kernel, "area": where, "memory": before})
    whole = stages.run(area, config)

    entries = obvious.read(area, config.limit_page)
    assert plain(stages.read(area, config.limit_page)) == entries
    if isinstance(entries, str):
        assert plain(whole) == entries
        return entries
    sizes = obvious.size(entries, config.cap_pages, config.track)
    assert plain(stages.size(entries, config.cap_pages, config.track)) == sizes
    if isinstance(sizes, str):
        assert plain(whole) == sizes
        return sizes
    asked = (list(config.excluded), sizes[1], config.limit_page)
    kept = obvious.reserve(entries, given_["kernel"], *asked)
    assert plain(stages.reserve(entries, kernel, *asked)) == kept
    if isinstance(kept, str):
        assert plain(whole) == kept
        return kept
    guest = obvious.carve(entries, kept, config.low_pages)
    assert plain(stages.carve(entries, Reserved(*kept), config.low_pages)) == guest
    if isinstance(guest, str):
        assert plain(whole) == guest
        return guest
    policy = (config.with_terminator, config.already_written)
    written = obvious.write(before, given_["area"], guest, *policy)
    memory = bytearray(before)
    assert plain(stages.write(memory, where, guest, *policy)) == written
    if isinstance(written, str):
        assert plain(whole) == written
        assert memory == before
        return written
    assert memory == written[1]
    assert isinstance(whole, Done)
    assert whole.entries == entries
    assert whole.guest == guest
    assert plain(whole.sizes) == sizes
    assert plain(whole.reserved) == kept
    assert plain(whole.written) == written
    return "OK"


@TWINS
@given(seed=st.integers(0, 2**64 - 1))
@settings(max_examples=150, deadline=None)
def test_each_stage_is_as_defined(twin: str, seed: int) -> None:
    rng = random.Random(seed)
    slots, limit = obvious.random_map(rng)
    terminator = rng.choice(([], [(0, 0, 0, 0, 0)], [(7, 0, 9, 9, 9), (1, 2, 3, 4, 5)]))
    area = area_of([*slots, *terminator]) + bytes(rng.randrange(24))
    filler = bytes([rng.randrange(256), 0xA5])
    compare(Stages(kernels.load(twin)), area, obvious.random_config(rng, slots, limit), filler)


def test_every_refusal_is_met_and_most_stages_pass(stages: Stages) -> None:
    met: Counter[str] = Counter()
    for seed in range(1500):
        rng = random.Random(seed)
        slots, limit = obvious.random_map(rng)
        config = obvious.random_config(rng, slots, limit)
        met[compare(stages, area_of(slots, 4096), config, b"\xa5")] += 1
    assert met.keys() == {"OK", *(refusal.name for refusal in Refusal)}, met
    assert met["OK"] > 50


@BUILT
def test_random_and_mutated_maps_end_in_an_answer() -> None:
    # The short version of `python tests/impl/fuzz_handoff.py`.
    met = fuzz(12_000, 7, 12)
    assert met.total() == 12_000
    assert met.keys() == {"OK", *(refusal.name for refusal in Refusal)}, met


# Each refusal in its order: all wrong at once, then one after the other put right.


def test_read_looks_in_the_stated_order(stages: Stages) -> None:
    first = (50, 10, MEMORY, 0, 0)
    ladder = [
        ((40, 2**52, 6, 1, 0), Refusal.NONZERO_RESERVED),
        ((40, 2**52, 6, 0, 1), Refusal.NONZERO_RESERVED),
        ((40, 2**52, 6, 0, 0), Refusal.UNKNOWN_TYPE),
        ((40, 2**52, 5, 0, 0), Refusal.WRAPS),
        ((2**64 - 1, 2**64 - 1, 5, 0, 0), Refusal.WRAPS),
        ((2**64 - 1, 1, 5, 0, 0), Refusal.WRAPS),
        ((1, 2**64 - 1, 5, 0, 0), Refusal.WRAPS),
        ((40, 2**52 - 40, 5, 0, 0), Refusal.ABOVE_LIMIT),
        ((40, 61, 5, 0, 0), Refusal.ABOVE_LIMIT),
        ((40, 60, 5, 0, 0), Refusal.UNSORTED),
        ((49, 1, 5, 0, 0), Refusal.UNSORTED),
        ((50, 10, 5, 0, 0), Refusal.OVERLAPS),
        ((59, 1, 5, 0, 0), Refusal.OVERLAPS),
    ]
    for slot, refusal in ladder:
        # The first entry that is wrong is what counts, whatever is wrong with the next.
        for rest in ([], [(0, 1, 9, 9, 9)], [(0, 0, 0, 0, 0)]):
            assert stages.read(area_of([first, slot, *rest]), 100) == refusal, slot
    for kind in EntryType:
        assert stages.read(area_of([first, (60, 40, kind, 0, 0)]), 100) == [
            (50, 60, 0), (60, 100, kind),
        ]  # fmt: skip
        alone = stages.read(area_of([(0, 1, kind, 0, 0)]), 100)
        assert alone == ([(0, 1, 0)] if kind == MEMORY else Refusal.NO_MEMORY)


def test_the_map_ends_where_it_says(stages: Stages) -> None:
    one, two, wrong = (0, 1, 0, 0, 0), (1, 1, 0, 0, 0), (0, 9, 9, 9, 9)
    end = (2**64 - 1, 0, 9, 9, 9)
    assert stages.read(area_of([one, end, wrong]), LIMIT) == [(0, 1, 0)]
    assert stages.read(area_of([end, one]), LIMIT) == Refusal.NO_MEMORY
    assert stages.read(area_of([one, two]), LIMIT) == [(0, 1, 0), (1, 2, 0)]
    assert stages.read(area_of([one, two]) + slot_bytes(0, 9, 9)[:23], LIMIT) == [
        (0, 1, 0), (1, 2, 0),
    ]  # fmt: skip
    for size in range(24):
        assert stages.read(bytes(size), LIMIT) == Refusal.NO_MEMORY
    full = [(2 * i, 1, 0, 0, 0) for i in range(170)]
    area = area_of(full) + b"\xff" * 16
    assert len(area) == 4096
    assert stages.read(area, LIMIT) == [(2 * i, 2 * i + 1, 0) for i in range(170)]
    # The last of 170 is looked at as the first is.
    assert stages.read(area_of([*full[:-1], (1, 1, 0, 0, 0)]), LIMIT) == Refusal.UNSORTED


@pytest.mark.parametrize("limit", [1, 5, 2**40, 2**52 - 1, 2**52, 2**52 + 1, 2**64 - 1])
def test_entries_end_at_the_limit(stages: Stages, limit: int) -> None:
    top = min(limit, 2**52)
    above = Refusal.WRAPS if top == 2**52 else Refusal.ABOVE_LIMIT
    for first in {0, top // 2, top - 1}:
        assert stages.read(area_of([(first, top - first, 0, 0, 0)]), limit) == [(first, top, 0)]
        assert stages.read(area_of([(first, top - first + 1, 0, 0, 0)]), limit) == above


@pytest.mark.parametrize(
    ("lengths", "tracked", "bitmap"),
    [
        ([1], 1, 1),
        ([32767], 32767, 1),
        ([32768], 32768, 1),
        ([32769], 32769, 2),
        ([1, 1, 1], 3, 3),
        ([32768, 32769, 1], 65538, 4),
        ([2**28], 2**28, 2**13),
        ([2**40], 2**40, 2**25),
        ([2**52 - 1], 2**52 - 1, 2**37),
        ([2**52], 2**52, 2**37),
    ],
)
def test_each_run_has_a_bitmap_of_its_own(
    stages: Stages, lengths: list[int], tracked: int, bitmap: int
) -> None:
    entries, at = [], 0
    for length in lengths:
        entries.append((at, at + length, MEMORY))
        at += length + 1
    assert stages.size(entries, tracked, True) == Sizes(tracked, bitmap)
    assert stages.size(entries, tracked - 1, True) == Refusal.OVER_CAP
    assert stages.size(entries, 0, False) == Sizes(0, 0)
    # Cut in two, every run is what it was; with an entry of another type in a gap it is too.
    halves = [
        half
        for first, stop, _ in entries
        for half in ((first, (first + stop) // 2, MEMORY), ((first + stop) // 2, stop, MEMORY))
        if half[0] < half[1]
    ]
    assert stages.size(halves, tracked, True) == Sizes(tracked, bitmap)
    if len(entries) > 1:
        gap = [entries[0], (entries[0][1], entries[1][0], RESERVED), *entries[1:]]
        assert stages.size(gap, tracked, True) == Sizes(tracked, bitmap)


def test_runs_are_kept_apart_by_what_is_between(stages: Stages) -> None:
    for kind in EntryType:
        entries = [(0, 5, MEMORY), (5, 6, kind), (6, 11, MEMORY)]
        want = Sizes(11, 1) if kind == MEMORY else Sizes(10, 2)
        assert stages.size(entries, 11, True) == want


# The kernel, and the region of the bitmaps.


def test_reserve_looks_in_the_stated_order(stages: Stages) -> None:
    entries = [(0, 1024, MEMORY), (1024, 2048, RESERVED), (2048, 2560, HIDDEN)]
    everything = [(0, 2**64 - 1)]
    ladder = [
        (Kernel(0, 0, 4096), everything, Refusal.BAD_KERNEL_BOUNDS),
        (Kernel(0, 2, 1), everything, Refusal.BAD_KERNEL_BOUNDS),
        (Kernel(0, 1, 4097), everything, Refusal.BAD_KERNEL_BOUNDS),
        (Kernel(4096, 1, 1), everything, Refusal.BAD_KERNEL_BOUNDS),
        (Kernel(2**64 - 1, 1, 2), everything, Refusal.BAD_KERNEL_BOUNDS),
        (Kernel(2, 1, 2**64 - 1), everything, Refusal.BAD_KERNEL_BOUNDS),
        (Kernel(1000, 25, 4096 - 1000), everything, Refusal.KERNEL_OUTSIDE),
        (Kernel(1024, 1, 1), everything, Refusal.KERNEL_OUTSIDE),
        (Kernel(2559, 2, 2), everything, Refusal.KERNEL_OUTSIDE),
        (Kernel(4095, 1, 1), everything, Refusal.KERNEL_OUTSIDE),
        (Kernel(1000, 24, 24), everything, Refusal.KERNEL_MEETS_EXCLUDED),
        (Kernel(2048, 1, 2048), everything, Refusal.KERNEL_MEETS_EXCLUDED),
        (Kernel(1000, 24, 24), [(0, 1)], Reserved((1000, 1024), (0, 0))),
    ]
    for kernel, excluded, want in ladder:
        assert stages.reserve(entries, kernel, excluded, 2**64 - 1, 4096) == (
            want if isinstance(want, Refusal) else Refusal.NO_ROOM
        )
        if isinstance(want, Reserved):
            assert stages.reserve(entries, kernel, excluded, 0, 4096) == want


@pytest.mark.parametrize(
    ("hidden", "length"),
    [(1, 16), (15, 16), (16, 16), (17, 17), (63, 63), (64, 64), (65, 64), (2**40, 64)],
)
def test_a_hidden_entry_sizes_the_kernel_within_its_bounds(
    stages: Stages, hidden: int, length: int
) -> None:
    kernel = Kernel(1024, 16, 64)
    entries = [(0, 1024, MEMORY), (1024, 1024 + hidden, HIDDEN)]
    want = Reserved((1024, 1024 + length), (0, 0)) if length <= hidden else Refusal.KERNEL_OUTSIDE
    assert stages.reserve(entries, kernel, [], 0, 2**41) == want
    # Neither another type, nor one that starts beside the base, has a say.
    entries = [(0, 1023, MEMORY), (1023, 2048, HIDDEN)]
    assert stages.reserve(entries, kernel, [], 0, 2**41) == Reserved((1024, 1040), (0, 0))
    for kind in EntryType:
        if kind not in (HIDDEN, MEMORY):
            entries = [(0, 1024, MEMORY), (1024, 2048, kind)]
            assert stages.reserve(entries, kernel, [], 0, 2**41) == Refusal.KERNEL_OUTSIDE
    entries = [(0, 1024, MEMORY), (1024, 2048, MEMORY)]
    assert stages.reserve(entries, kernel, [], 0, 2**41) == Reserved((1024, 1040), (0, 0))


@pytest.mark.parametrize(
    ("entries", "bitmap", "excluded", "region"),
    [
        # Of all places the highest, at a multiple of 512, up to the last page of the run.
        ([(0, 4096, 0)], 1, [], (3584, 4096)),
        ([(0, 4095, 0)], 1, [], (3072, 3584)),
        ([(0, 4096, 0)], 512, [], (3584, 4096)),
        ([(0, 4096, 0)], 513, [], (3072, 4096)),
        ([(0, 4096, 0), (4096, 4608, 0)], 1, [], (4096, 4608)),
        ([(0, 4096, 0), (4097, 4608, 0)], 1, [], (3584, 4096)),
        ([(0, 4096, 0), (4097, 5120, 0)], 1, [], (4608, 5120)),
        ([(0, 4096, 0), (4096, 4608, 1)], 1, [], (3584, 4096)),
        ([(0, 4096, 0), (4096, 4608, 5)], 1, [], (3584, 4096)),
        ([(0, 1024, 0), (1024, 1536, 0)], 1024, [], (512, 1536)),
        ([(0, 1024, 0), (1025, 1536, 0)], 1024, [], Refusal.NO_ROOM),
        ([(0, 1024, 0), (1024, 1100, 0)], 1024, [], Refusal.NO_ROOM),
        # An excluded range at each edge, and next to it.
        ([(0, 4096, 0)], 1, [(4095, 4096)], (3072, 3584)),
        ([(0, 4096, 0)], 1, [(4096, 4097)], (3584, 4096)),
        ([(0, 4096, 0)], 1, [(3584, 3585)], (3072, 3584)),
        ([(0, 4096, 0)], 1, [(3583, 3584)], (3584, 4096)),
        ([(0, 4096, 0)], 1, [(3800, 3800)], (3584, 4096)),
        ([(0, 4096, 0)], 1, [(3900, 3800)], (3584, 4096)),
        ([(0, 4096, 0)], 1, [(1024, 2**64 - 1)], (512, 1024)),
        ([(0, 4096, 0)], 1, [(3584, 3585), (2000, 3584), (1535, 1999)], (512, 1024)),
        ([(0, 4096, 0)], 1, [(1023, 4096)], Refusal.NO_ROOM),
        ([(0, 4096, 0), (8192, 8704, 0)], 1, [(8703, 8704)], (3584, 4096)),
        ([(0, 4096, 0)], 2**52, [], Refusal.NO_ROOM),
        ([(0, 4096, 0)], 2**52 + 1, [], Refusal.NO_ROOM),
        ([(0, 4096, 0)], 2**64 - 1, [], Refusal.NO_ROOM),
        ([(0, 2**52, 0)], 2**37, [], (2**52 - 2**37, 2**52)),
        ([(0, 2**52, 0)], 1, [(2**52 - 1, 2**64 - 1)], (2**52 - 1024, 2**52 - 512)),
    ],
)
def test_the_region_is_the_highest_that_is_free(
    stages: Stages, entries: Any, bitmap: int, excluded: Any, region: Any
) -> None:
    # The kernel has the first 16 pages of the first run, so no region begins at page 0.
    got = stages.reserve(entries, Kernel(0, 16, 16), excluded, bitmap, 2**52)
    assert got == (region if isinstance(region, Refusal) else Reserved((0, 16), region))


@pytest.mark.parametrize(
    ("kernel", "region"),
    [
        ((4095, 1), (3072, 3584)),
        ((3584, 1), (3072, 3584)),
        ((3583, 1), (3584, 4096)),
        ((513, 3583), (0, 512)),
        ((512, 3584), (0, 512)),
        ((511, 3585), Refusal.NO_ROOM),
        ((0, 3584), (3584, 4096)),
        ((0, 3585), Refusal.NO_ROOM),
        ((0, 4096), Refusal.NO_ROOM),
    ],
)
def test_the_region_makes_way_for_the_kernel(stages: Stages, kernel: Any, region: Any) -> None:
    base, length = kernel
    got = stages.reserve([(0, 4096, 0)], Kernel(base, length, length), [], 1, 4096)
    want = region if isinstance(region, Refusal) else Reserved((base, base + length), region)
    assert got == want
