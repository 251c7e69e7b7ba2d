"""Both twins answer, and record, what the definition says."""

from __future__ import annotations

import random
from array import array
from types import ModuleType
from typing import Any

import pytest
from definition import KIB4, MIB2, TOP, Definition, call, walk

from impl.abi import Status

SIZES = [*range(1, 131), 511, 512, 513, 575, 576, 577]
PAYLOAD_WORDS = 24


def state(bitmap: Any) -> tuple[int, int, bytes]:
    return bitmap.base, bitmap.pages, bitmap.words()


def loaded(k: ModuleType, base: int, pages: int, bits: int) -> Any:
    bitmap = k.ValidationBitmap()
    bitmap.load_state(base, pages, bits.to_bytes(8 * -(-pages // 64), "little"))
    return bitmap


def bits_of(bitmap: Any) -> int:
    return int.from_bytes(bitmap.words(), "little")


def ones(n: int) -> int:
    return (1 << n) - 1


def run_both(bitmap: Any, obvious: Definition, seed: int, steps: int) -> set[int]:
    """Answers below 0 that the walk has met, each step compared with the definition."""
    rng = random.Random(seed)
    mine = array("Q", [rng.randrange(TOP) for _ in range(PAYLOAD_WORDS)])
    theirs = mine[:]
    refusals = set()
    for row in walk(seed, steps, PAYLOAD_WORDS):
        before = state(bitmap)
        want = call(obvious, row, memoryview(theirs))
        assert call(bitmap, row, memoryview(mine)) == want, row
        assert state(bitmap) == (obvious.base, obvious.pages, obvious.words()), row
        assert mine == theirs, row
        if want < 0:
            refusals.add(want)
            assert state(bitmap) == before, row
    return refusals


def test_walks_agree_with_the_definition_and_meet_every_refusal(k: ModuleType) -> None:
    met: set[int] = set()
    for seed in range(12):
        mixed = (Status.MIXED, Status.SIZE_MISMATCH)[seed % 2]
        cap = (2000, 600)[seed // 2 % 2]
        bitmap = k.ValidationBitmap(max_pages=cap, mixed_2m=mixed)
        met |= run_both(bitmap, Definition(cap, mixed), seed, 500)
    # A bitmap has no runs to be out of.
    assert met == {-status for status in Status if status} - {-Status.OUT_OF_RUNS}


@pytest.mark.parametrize(
    ("base", "pages", "want"),
    [
        (1, 0, -Status.MISALIGNED),
        (TOP - 1, TOP - 1, -Status.MISALIGNED),
        (TOP - KIB4, 0, -Status.EMPTY),
        (TOP - KIB4, 1, -Status.WRAPS),
        (0, 2**52, -Status.WRAPS),
        (KIB4, 2**52 - 1, -Status.WRAPS),
        (0, TOP - 1, -Status.WRAPS),
        (TOP - 2 * KIB4, 1, -Status.ABOVE_LIMIT),
        (0, 2**52 - 1, -Status.ABOVE_LIMIT),
        (KIB4, 2**40, -Status.ABOVE_LIMIT),
        (2**52, 1, -Status.ABOVE_LIMIT),
        (0, 2**40, -Status.OVER_CAP),
        (0, 101, -Status.OVER_CAP),
        (0, 100, 16),
        (2**52 - KIB4, 1, 8),
        (2**52 - 65 * KIB4, 65, 16),
    ],
)
def test_create_refuses_in_order_and_else_gives_the_size(
    k: ModuleType, base: int, pages: int, want: int
) -> None:
    bitmap = k.ValidationBitmap(max_pages=100)
    bitmap.create(8 * KIB4, 70, 1)
    before = state(bitmap)
    assert bitmap.create(base, pages, 0) == want
    assert state(bitmap) == (before if want < 0 else (base, pages, bytes(want)))


def test_create_starts_from_nothing_of_the_old_region(k: ModuleType) -> None:
    bitmap = k.ValidationBitmap()
    for pages in (70, 127, 65, 128, 1, 64, 63, 2):  # equal word counts follow one another too
        for claimed in (1, 0, 2**64 - 1, 0, True):
            assert bitmap.create(KIB4, pages, claimed) == 8 * -(-pages // 64)
            assert bits_of(bitmap) == (ones(pages) if claimed else 0)


def test_without_a_region_every_address_is_outside(k: ModuleType) -> None:
    bitmap = k.ValidationBitmap()
    for gpa in (0, KIB4, 2**52, TOP - 2 * MIB2):
        for name in ("query", "claim_4k", "release_4k"):
            assert getattr(bitmap, name)(gpa) == -Status.OUTSIDE
        assert bitmap.claim_range(gpa, gpa + KIB4) == -Status.OUTSIDE
    assert bitmap.test_range(0, 0) == -Status.EMPTY
    assert bitmap.claim_2m(0) == -Status.OUTSIDE
    assert (state(bitmap), bitmap.fill(1), bitmap.words()) == ((0, 0, b""), 0, b"")
    assert bitmap.export_words(array("Q")) == bitmap.import_words(array("Q")) == 0
    assert bitmap.export_words(array("Q", [7])) == -Status.WRONG_LENGTH


@pytest.mark.parametrize("pages", SIZES)
def test_every_page_of_every_size_is_claimed_and_released_alone(k: ModuleType, pages: int) -> None:
    base = 5 * KIB4
    bitmap = k.ValidationBitmap()
    bitmap.create(base, pages, 0)
    for page in {*range(min(pages, 70)), *range(max(0, pages - 70), pages)}:
        gpa = base + KIB4 * page
        assert (bitmap.query(gpa), bitmap.release_4k(gpa)) == (0, -Status.NOT_CLAIMED)
        assert (bitmap.claim_4k(gpa), bits_of(bitmap)) == (0, 1 << page)
        assert (bitmap.query(gpa), bitmap.claim_4k(gpa)) == (1, -Status.ALREADY_CLAIMED)
        assert (bitmap.release_4k(gpa), bits_of(bitmap)) == (0, 0)
        bitmap.fill(1)
        assert (bitmap.release_4k(gpa), bits_of(bitmap)) == (0, ones(pages) ^ 1 << page)
        assert (bitmap.claim_4k(gpa), bits_of(bitmap)) == (0, ones(pages))
        bitmap.fill(0)
    for gpa in (base - KIB4, base + KIB4 * pages):
        assert [bitmap.query(gpa), bitmap.claim_4k(gpa)] == [-Status.OUTSIDE] * 2
    assert bitmap.query(base + 1) == bitmap.release_4k(base + 2048) == -Status.MISALIGNED


@pytest.mark.parametrize("offset", range(64))
def test_2m_at_every_offset_sees_each_of_its_bits_and_no_other(k: ModuleType, offset: int) -> None:
    # The aligned address MIB2 is page `offset` of a region that starts that much below it.
    base = MIB2 - KIB4 * offset
    mine = ones(512) << offset
    for extra in (0, 1, 70):
        pages = offset + 512 + extra
        others = ones(pages) ^ mine
        for outside in (0, others):
            claimed, cleared = outside | mine, outside
            bitmap = loaded(k, base, pages, cleared)
            assert bitmap.release_2m(MIB2) == -Status.NOT_CLAIMED
            assert (bitmap.claim_2m(MIB2), bits_of(bitmap)) == (0, claimed)
            assert bitmap.claim_2m(MIB2) == -Status.ALREADY_CLAIMED
            assert (bitmap.release_2m(MIB2), bits_of(bitmap)) == (0, cleared)
    for page in range(offset, offset + 512):
        for bits in (others | 1 << page, ones(pages) ^ 1 << page):
            bitmap = loaded(k, base, pages, bits)
            assert bitmap.claim_2m(MIB2) == bitmap.release_2m(MIB2) == -Status.MIXED
            assert bits_of(bitmap) == bits
    for gpa, status in (
        (MIB2 + KIB4, Status.MISALIGNED),
        (2 * MIB2, Status.OUTSIDE),
        (0, Status.OUTSIDE),
        (TOP - MIB2, Status.WRAPS),
    ):
        assert bitmap.claim_2m(gpa) == bitmap.release_2m(gpa) == -status


def test_2m_needs_all_its_pages_inside(k: ModuleType) -> None:
    bitmap = k.ValidationBitmap()
    for pages, want in ((1, -Status.OUTSIDE), (511, -Status.OUTSIDE), (512, 0)):
        bitmap.create(MIB2, pages, 0)
        assert bitmap.claim_2m(MIB2) == want


@pytest.mark.parametrize("first", [*range(131), 190])
def test_ranges_at_every_alignment_match_the_bits(k: ModuleType, first: int) -> None:
    pages, base = 200, 3 * KIB4
    rng = random.Random(first)
    noise = rng.getrandbits(pages)
    for stop in range(first + 1, pages + 1):
        span = ones(stop - first) << first
        at, to = base + KIB4 * first, base + KIB4 * stop
        bitmap = loaded(k, base, pages, noise)
        inside = (noise & span) >> first
        clear = ~inside & ones(stop - first)
        lowest = (clear & -clear).bit_length() - 1
        assert bitmap.count(at, to) == inside.bit_count()
        assert bitmap.test_range(at, to) == (0 if not inside else 2 if clear else 1)
        assert bitmap.first_unclaimed(at, to) == (
            at + KIB4 * lowest if clear else -Status.NONE_UNCLAIMED
        )
        for outside in (noise & ~span, ~noise & ones(pages) & ~span):
            bitmap = loaded(k, base, pages, outside)
            assert (bitmap.test_range(at, to), bitmap.count(at, to)) == (0, 0)
            assert bitmap.release_range(at, to) == -Status.NOT_CLAIMED
            assert (bitmap.claim_range(at, to), bits_of(bitmap)) == (0, outside | span)
            assert (bitmap.test_range(at, to), bitmap.count(at, to)) == (1, stop - first)
            assert bitmap.first_unclaimed(at, to) == -Status.NONE_UNCLAIMED
            assert bitmap.claim_range(at, to) == -Status.ALREADY_CLAIMED
            assert (bitmap.release_range(at, to), bits_of(bitmap)) == (0, outside)


@pytest.mark.parametrize("value", [0, 1])
def test_one_odd_page_anywhere_in_a_long_range_is_seen(k: ModuleType, value: int) -> None:
    # Longer than two of the blocks in which a twin may read ahead, and not a multiple.
    pages, first, stop = 64 * 150 + 21, 37, 64 * 150 + 5
    bitmap = k.ValidationBitmap(mixed_2m=Status.SIZE_MISMATCH)
    at, to = KIB4 * first, KIB4 * stop
    near_end = range(stop - 130, stop)
    for page in (*range(first, first + 70), *range(110, stop, 61), *near_end):
        bitmap.create(0, pages, value)
        odd = bitmap.release_4k if value else bitmap.claim_4k
        assert odd(KIB4 * page) == 0
        before = bitmap.words()
        assert bitmap.test_range(at, to) == 2
        assert bitmap.claim_range(at, to) == bitmap.release_range(at, to) == -Status.MIXED
        assert bitmap.words() == before
        assert bitmap.count(at, to) == (stop - first - 1 if value else 1)
        want = page if value else first + (page == first)
        assert bitmap.first_unclaimed(at, to) == KIB4 * want
    bitmap.create(0, pages, value)
    if value:
        bitmap.release_4k(KIB4 * stop)
        assert bitmap.first_unclaimed(at, to) == -Status.NONE_UNCLAIMED


def test_a_region_of_gigabytes_behaves_as_a_small_one(k: ModuleType) -> None:
    # Above the length from which the compiled twin lets go of the GIL.
    pages, base = 600_001, 2**40 + KIB4
    end = base + KIB4 * pages
    bitmap = k.ValidationBitmap()
    assert bitmap.create(base, pages, 1) == len(bitmap.words()) == 75_008
    assert (bits_of(bitmap), bitmap.count(base, end)) == (ones(pages), pages)
    assert bitmap.first_unclaimed(base, end) == -Status.NONE_UNCLAIMED
    assert bitmap.release_range(base + KIB4, end) == 0
    assert (bits_of(bitmap), bitmap.test_range(base, end)) == (1, 2)
    assert bitmap.claim_range(base, end) == -Status.MIXED
    assert bitmap.first_unclaimed(base, end) == base + KIB4
    assert (bitmap.fill(1), bits_of(bitmap)) == (0, ones(pages))
    assert (bitmap.release_range(base, end), bits_of(bitmap)) == (0, 0)
    assert (bitmap.claim_range(base, end), bits_of(bitmap)) == (0, ones(pages))
    assert (bitmap.fill(0), bits_of(bitmap)) == (0, 0)


@pytest.mark.parametrize("pages", [1, 63, 64, 65, 127, 128, 130])
def test_words_go_out_and_in_exactly(k: ModuleType, pages: int) -> None:
    noise = random.Random(pages).getrandbits(pages)
    bitmap, n = loaded(k, KIB4, pages, noise), -(-pages // 64)
    out = array("Q", [TOP - 1] * n)
    assert bitmap.export_words(out) == n
    assert out.tobytes() == bitmap.words() == noise.to_bytes(8 * n, "little")
    fresh = loaded(k, KIB4, pages, ones(pages) ^ noise)
    assert (fresh.import_words(out), fresh.same(bitmap)) == (0, True)
    assert fresh.import_words(memoryview(out).toreadonly()) == 0
    for wrong in (n - 1, n + 1):
        buffer = array("Q", [3] * wrong)
        assert bitmap.export_words(buffer) == -Status.WRONG_LENGTH
        assert bitmap.import_words(buffer) == -Status.WRONG_LENGTH
        assert buffer == array("Q", [3] * wrong)
    for bit in range(pages, 64 * n):
        out = array("Q", [0] * n)
        out[-1] = 1 << bit % 64
        assert bitmap.import_words(out) == -Status.SLACK_SET
    assert bits_of(bitmap) == noise


def test_same_compares_region_and_bits(k: ModuleType) -> None:
    one = loaded(k, KIB4, 70, 5)
    assert one.same(one)
    assert one.same(loaded(k, KIB4, 70, 5))
    for base, pages, bits in ((0, 70, 5), (KIB4, 71, 5), (KIB4, 70, 4), (KIB4, 70, 5 | 1 << 69)):
        assert not one.same(loaded(k, base, pages, bits))
    assert k.ValidationBitmap().same(k.ValidationBitmap())
    assert not one.same(k.ValidationBitmap())
