"""The SVSM's record: runs that become a bitmap lose nothing, whenever it is."""

import random

import pytest

from impl.bitmap import ValidationBitmap
from impl.record import LARGE, Record
from impl.runs import RunTracker

RANGES = ((0, 3 * LARGE), (5 * LARGE, 7 * LARGE + 40))


@pytest.mark.parametrize("most_runs", [2, 3, 5, 40])
def test_a_record_of_runs_says_what_a_bitmap_says(most_runs: int) -> None:
    rng = random.Random(most_runs)
    runs, dense = Record(RANGES, most_runs), Record(RANGES)
    frames = [frame for first, stop in RANGES for frame in range(first, stop)]
    blocks = [frame for frame in frames if frame % LARGE == 0 and frame + LARGE - 1 in set(frames)]
    for _ in range(800):
        large = rng.random() < 0.1
        first = rng.choice(blocks) if large else rng.choice(frames)
        assert runs.extent(first, large) == dense.extent(first, large)
        if dense.claim(first, large) == 0:
            assert runs.claim(first, large) == 0
        elif dense.extent(first, large) == 1:
            runs.release(first, large)
            dense.release(first, large)
        assert list(runs.runs()) == list(dense.runs())
    kinds = {type(one) for one in runs._maps}
    assert kinds == {ValidationBitmap}


def test_a_record_with_room_stays_runs() -> None:
    record = Record(RANGES, 4)
    record.mark(10, 30)
    assert [type(one) for one in record._maps] == [RunTracker, RunTracker]
    record.mark(100, 1)
    record.mark(200, 1)
    assert [type(one) for one in record._maps] == [ValidationBitmap, RunTracker]
    assert list(record.runs()) == [(10, 40), (100, 101), (200, 201)]
