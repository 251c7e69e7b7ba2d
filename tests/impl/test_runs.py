"""Both trackers answer what the definition says, with one refusal more: too many runs."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from array import array
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from definition import KIB4, MIB2, TOP, Definition, call, walk

import impl
from impl import kernels
from impl.abi import DEFAULT_MAX_RUNS, MAX_RUNS, Opcode, Status

PAYLOAD_WORDS = 24
Bits = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass
class RunDefinition(Definition):
    """The definition of the bitmap, and a step that leaves too many runs is undone."""

    max_runs: int = DEFAULT_MAX_RUNS

    def runs(self) -> int:
        if not self.pages:
            return 0
        pages = [False, *(page in self.claimed for page in range(self.pages))]
        return 1 + sum(one != other for one, other in pairwise(pages))

    def _kept(self, before: set[int], answer: int) -> int:
        if answer == 0 and self.runs() > self.max_runs:
            self.claimed = before
            return -Status.OUT_OF_RUNS
        return answer

    def _claim(self, first: int, stop: int, mixed: Status) -> int:
        return self._kept(set(self.claimed), super()._claim(first, stop, mixed))

    def _release(self, first: int, stop: int, mixed: Status) -> int:
        return self._kept(set(self.claimed), super()._release(first, stop, mixed))

    def import_words(self, words: Any) -> int:
        return self._kept(set(self.claimed), super().import_words(words))


def state(tracker: Any) -> tuple[int, int, bytes, int]:
    return tracker.base, tracker.pages, tracker.words(), tracker.runs


def bits_of(tracker: Any) -> Bits:
    """One item per page, 1 if it is claimed."""
    words = np.frombuffer(tracker.words(), np.uint8)
    return np.unpackbits(words, bitorder="little")[: tracker.pages]


def runs_of(bits: Bits) -> int:
    return 1 + int(np.count_nonzero(np.diff(bits, prepend=np.uint8(0))))


def packed(bits: Bits) -> bytes:
    return np.packbits(bits, bitorder="little").tobytes().ljust(8 * -(-len(bits) // 64), b"\0")


def run_both(tracker: Any, obvious: RunDefinition, seed: int, steps: int) -> set[int]:
    """Answers below 0 that the walk has met, each step compared with the definition."""
    rng = random.Random(seed)
    mine = array("Q", [rng.choice((0, 255, TOP - 1, rng.randrange(TOP))) for _ in range(24)])
    theirs = mine[:]
    refusals = set()
    for row in walk(seed, steps, PAYLOAD_WORDS):
        before = state(tracker)
        want = call(obvious, row, memoryview(theirs))
        assert call(tracker, row, memoryview(mine)) == want, row
        after = (obvious.base, obvious.pages, obvious.words(), obvious.runs())
        assert state(tracker) == after, row
        assert mine == theirs, row
        assert tracker.to_bitmap().words() == obvious.words()
        if want < 0:
            refusals.add(want)
            assert state(tracker) == before, row
    return refusals


@pytest.mark.parametrize("max_runs", [2, 3, 4, 8, DEFAULT_MAX_RUNS])
def test_walks_agree_with_the_definition_and_meet_every_refusal(
    k: ModuleType, max_runs: int
) -> None:
    met: set[int] = set()
    for seed in range(8):
        mixed = (Status.MIXED, Status.SIZE_MISMATCH)[seed % 2]
        cap = (2000, 600)[seed // 2 % 2]
        tracker = k.RunTracker(cap, mixed, max_runs)
        met |= run_both(tracker, RunDefinition(cap, mixed, max_runs=max_runs), seed, 400)
    never = set() if max_runs < DEFAULT_MAX_RUNS else {-Status.OUT_OF_RUNS}
    assert met == {-status for status in Status if status} - never


@pytest.mark.parametrize("pages", [1, 2, 3, 63, 64, 65, 127, 128, 129, 600])
@pytest.mark.parametrize("max_runs", [2, 3, 4, 5, 1000])
def test_dense_walks_over_one_region(k: ModuleType, pages: int, max_runs: int) -> None:
    rng = random.Random(pages * max_runs)
    base = 7 * KIB4
    tracker, obvious = k.RunTracker(max_runs=max_runs), RunDefinition(max_runs=max_runs)
    for each in (tracker, obvious):
        each.create(base, pages, pages % 2)
    for _ in range(300):
        first = rng.randrange(pages)
        stop = min(pages, first + rng.choice((1, 1, 2, 3, 64, pages)))
        at, to = base + KIB4 * first, base + KIB4 * stop
        for name in rng.choices(("claim_range", "release_range", "count", "test_range",
                                 "first_unclaimed"), k=3):  # fmt: skip
            assert getattr(tracker, name)(at, to) == getattr(obvious, name)(at, to), name
        assert tracker.query(at) == obvious.query(at)
        assert (tracker.words(), tracker.runs) == (obvious.words(), obvious.runs())


@pytest.mark.parametrize("width", [0, 1, 8, 32])
@pytest.mark.parametrize("seed", range(3))
def test_run_is_the_methods_one_at_a_time(k: ModuleType, seed: int, width: int) -> None:
    rows = list(walk(seed, 400, PAYLOAD_WORDS))
    ops = np.array(rows, np.uint64)
    payload = np.arange(PAYLOAD_WORDS, dtype=np.uint64)
    mine = payload.copy()
    results, snapshots = np.full(400, 77, np.int64), np.full((400, 2 + width), 77, np.uint64)
    batch, single = (k.RunTracker(2000, max_runs=5 + 200 * (seed % 2)) for _ in range(2))
    assert batch.run(ops, payload, results, snapshots) == 400
    for row, result, snapshot in zip(rows, results, snapshots, strict=True):
        assert call(single, row, mine) == result, row
        kept = np.frombuffer(single.words(), np.uint64)[:width]
        assert list(snapshot[:2]) == [single.base, single.pages]
        assert list(snapshot[2:]) == [*kept, *[0] * (width - len(kept))]
    assert batch.same(single)
    assert np.array_equal(payload, mine)
    with pytest.raises(ValueError, match=r"ops\[0\]"):
        batch.run(np.array([[14, 0, 0, 0]], np.uint64), payload, results[:1], snapshots[:1])
    with pytest.raises(ValueError, match="must be"):
        batch.run(ops, payload, results[:1], snapshots)


def test_runs_are_counted_from_an_unclaimed_one(k: ModuleType) -> None:
    tracker = k.RunTracker()
    assert (tracker.runs, tracker.fill(1), tracker.runs) == (0, 0, 0)
    tracker.create(0, 10, 0)
    assert tracker.runs == 1
    assert (tracker.claim_4k(0), tracker.runs) == (0, 3)
    assert (tracker.claim_4k(9 * KIB4), tracker.runs) == (0, 4)
    assert (tracker.claim_range(KIB4, 9 * KIB4), tracker.runs) == (0, 2)
    assert (tracker.release_4k(0), tracker.runs) == (0, 2)
    assert (tracker.release_range(KIB4, 10 * KIB4), tracker.runs) == (0, 1)


def test_too_many_runs_are_the_last_of_the_refusals(k: ModuleType) -> None:
    tracker = k.RunTracker(max_runs=3)
    tracker.create(0, 1024 + 64, 0)
    assert tracker.claim_4k(KIB4) == 0
    before = state(tracker)
    for call_, want in (
        (lambda: tracker.claim_4k(KIB4), Status.ALREADY_CLAIMED),
        (lambda: tracker.claim_range(0, 3 * KIB4), Status.MIXED),
        (lambda: tracker.claim_2m(0), Status.MIXED),
        (lambda: tracker.claim_4k(5 * KIB4), Status.OUT_OF_RUNS),
        (lambda: tracker.claim_2m(MIB2), Status.OUT_OF_RUNS),
        (lambda: tracker.claim_range(5 * KIB4, 1088 * KIB4), Status.OUT_OF_RUNS),
        (lambda: tracker.import_words(array("Q", [5] * 17)), Status.OUT_OF_RUNS),
        (lambda: tracker.import_words(array("Q", [5] * 16)), Status.WRONG_LENGTH),
    ):
        assert call_() == -want
        assert state(tracker) == before
    with pytest.raises(ValueError, match="max_runs, 3"):
        tracker.load_state(0, 64, array("Q", [5]))
    assert state(tracker) == before
    tracker.load_state(0, 63, array("Q", [2]))
    assert tracker.import_words(array("Q", [2**63 | 5])) == -Status.SLACK_SET
    # As long as the runs do not grow beyond the cap, every change is taken.
    assert (tracker.claim_4k(2 * KIB4), tracker.release_4k(KIB4), tracker.runs) == (0, 0, 3)
    assert tracker.import_words(array("Q", [3 << 60])) == 0
    assert (tracker.claim_4k(62 * KIB4), tracker.runs) == (0, 2)


@pytest.mark.parametrize("pages", [64, 65, 70, 127, 128, 129])
def test_a_claimed_last_page_is_no_flip(k: ModuleType, pages: int) -> None:
    end = KIB4 * pages
    words = packed(np.eye(1, pages, pages - 1, dtype=np.uint8)[0])
    tracker, loaded = k.RunTracker(max_runs=2), k.RunTracker(max_runs=2)
    tracker.create(0, pages, 0)
    assert (tracker.claim_4k(end - KIB4), tracker.runs, tracker.words()) == (0, 2, words)
    loaded.load_state(0, pages, words)
    assert loaded.same(tracker)
    assert loaded.import_words(array("Q", words)) == 0
    assert (loaded.runs, loaded.same(tracker)) == (2, True)
    assert (tracker.release_4k(end - KIB4), tracker.runs) == (0, 1)
    assert tracker.first_unclaimed(0, end) == 0


def step_to(tracker: Any, bits: Bits, page: int, n: int, value: int) -> None:
    """Pages from `page` that are alike become `value`, in the tracker and in `bits`."""
    name = "claim_range" if value else "release_range"
    assert getattr(tracker, name)(KIB4 * page, KIB4 * (page + n)) == 0
    bits[page : page + n] = value


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("order", ["up", "down", "shuffled", "inward"])
def test_thousands_of_runs_come_and_go(k: ModuleType, order: str, value: int) -> None:
    pages, rng = 20_011, random.Random(order)
    tracker = k.RunTracker()
    tracker.create(0, pages, value)
    bits = np.full(pages, value, np.uint8)
    places = list(range(1, pages, 4))
    if order == "down":
        places.reverse()
    elif order == "inward":
        places = [places[i // 2] if i % 2 else places[-1 - i // 2] for i in range(len(places))]
    elif order == "shuffled":
        rng.shuffle(places)

    def check() -> None:
        assert tracker.runs == runs_of(bits)
        assert tracker.words() == packed(bits)
        assert tracker.count(0, KIB4 * pages) == int(bits.sum())
        loaded = k.RunTracker()
        loaded.load_state(0, pages, tracker.words())
        assert loaded.same(tracker)
        assert tracker.same(loaded)

    for i, page in enumerate(places):
        step_to(tracker, bits, page, 1, 1 - value)
        if i % 613 == 0:
            check()
    check()
    for page in rng.sample(range(pages - 1), 800):
        stop = min(pages, page + rng.randrange(1, 400))
        at, to = KIB4 * page, KIB4 * stop
        assert tracker.count(at, to) == int(bits[page:stop].sum())
        assert tracker.query(at) == bits[page]
        clear = np.flatnonzero(bits[page:stop] == 0)
        want = at + KIB4 * int(clear[0]) if len(clear) else -Status.NONE_UNCLAIMED
        assert tracker.first_unclaimed(at, to) == want
    if order != "inward":
        rng.shuffle(places)
    for i, page in enumerate(places):
        step_to(tracker, bits, page, 1, value)
        if i % 613 == 0:
            check()
    check()
    assert tracker.runs == 1 + value


def test_a_run_is_closed_and_opened_at_every_block_border(k: ModuleType) -> None:
    # Each run in turn goes and comes back, so that both its flips, one, or none are at an end.
    pages = 4 * 300
    bits = np.tile(np.array([0, 0, 1, 1], np.uint8), 300)
    tracker = k.RunTracker()
    tracker.load_state(0, pages, packed(bits))
    words = tracker.words()
    for page in range(0, pages, 2):
        value = 1 - int(bits[page])
        step_to(tracker, bits, page, 2, value)
        assert tracker.words() == packed(bits)
        assert tracker.runs == runs_of(bits)
        step_to(tracker, bits, page, 2, 1 - value)
        for odd in (page, page + 1):
            step_to(tracker, bits, odd, 1, value)
            assert tracker.words() == packed(bits)
            step_to(tracker, bits, odd, 1, 1 - value)
    assert (tracker.words(), tracker.runs) == (words, 600)
    # Filling forgets them all at once.
    assert (tracker.fill(1), tracker.runs, tracker.count(0, KIB4 * pages)) == (0, 2, pages)
    assert (tracker.fill(0), tracker.runs, tracker.count(0, KIB4 * pages)) == (0, 1, 0)


@pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
@pytest.mark.parametrize("seed", range(4))
def test_twins_agree_on_big_walks(seed: int) -> None:
    rng = random.Random(seed)
    pages, n = 30_000 + seed, 6_000
    limit = (DEFAULT_MAX_RUNS, 1500)[seed % 2]
    twins = [kernels.load(name).RunTracker(max_runs=limit) for name in ("fast", "pure")]
    # Half of the walks start among many runs; the others make them.
    start = packed(np.random.default_rng(seed).integers(0, 2, pages, np.uint8))
    answers = []
    for twin in twins:
        rng = random.Random(seed)
        twin.create(0, pages, 0)
        given = [twin.import_words(array("Q", start)) if seed < 2 else 0]
        for i in range(n):
            first = rng.randrange(pages)
            stop = min(pages, first + rng.choice((1, 1, 1, 2, 3, 9, 500, pages)))
            name = rng.choice(("claim_range", "claim_range", "release_range", "release_range",
                               "test_range", "count", "first_unclaimed"))  # fmt: skip
            given.append(getattr(twin, name)(KIB4 * first, KIB4 * stop))
            given.append(twin.runs)
            if i % 1500 == 0:
                given.append(twin.words())
        given += [twin.words(), twin.to_bitmap().words()]
        answers.append(given)
    assert answers[0] == answers[1]
    assert (-Status.OUT_OF_RUNS in answers[0]) == (limit == 1500)


def test_to_bitmap_keeps_region_and_settings(k: ModuleType) -> None:
    tracker = k.RunTracker(5000, Status.SIZE_MISMATCH)
    empty = tracker.to_bitmap()
    assert (type(empty), empty.pages, empty.words()) == (k.ValidationBitmap, 0, b"")
    tracker.load_state(KIB4, 0, b"")
    empty = tracker.to_bitmap()
    assert (empty.base, empty.pages, empty.fill(1), empty.words()) == (KIB4, 0, 0, b"")
    for pages in (1, 63, 64, 65, 130, 5000):
        bits = np.random.default_rng(pages).integers(0, 2, pages, np.uint8)
        tracker.load_state(3 * KIB4, pages, packed(bits))
        bitmap = tracker.to_bitmap()
        assert (bitmap.base, bitmap.pages) == (3 * KIB4, pages)
        assert (bitmap.max_pages, bitmap.mixed_2m) == (5000, Status.SIZE_MISMATCH)
        assert bitmap.words() == tracker.words() == packed(bits)
        # Two records from now on.
        bitmap.fill(0)
        assert tracker.words() == packed(bits)
        assert bitmap.claim_4k(2 * KIB4 + KIB4 * pages) == 0


def test_cap_of_runs_is_kept_and_checked(k: ModuleType) -> None:
    assert k.RunTracker().max_runs == DEFAULT_MAX_RUNS
    assert [k.RunTracker(max_runs=n).max_runs for n in (2, MAX_RUNS)] == [2, MAX_RUNS]
    for wrong in (-1, 0, 1, MAX_RUNS + 1, 2**200):
        with pytest.raises(ValueError, match=f"max_runs is {wrong}, must be 2 to {MAX_RUNS}"):
            k.RunTracker(max_runs=wrong)
    for wrong in (None, 2.0, "3"):
        with pytest.raises(TypeError):
            k.RunTracker(max_runs=wrong)
    with pytest.raises(ValueError, match="max_pages is 0"):
        k.RunTracker(0)
    with pytest.raises(ValueError, match="mixed_2m is 7"):
        k.RunTracker(1, 7)
    for name in ("runs", "max_runs", "max_pages", "mixed_2m", "base", "pages"):
        with pytest.raises(AttributeError):
            setattr(k.RunTracker(), name, 1)


def test_a_tebibyte_claimed_by_2m_pages_takes_less_than_a_mebibyte(k: ModuleType) -> None:
    rng = random.Random(1)
    tracker = k.RunTracker()
    assert tracker.create(0, 2**28, 0) == 2**25
    at = [i for i in range(2**19) if rng.random() >= 0.01]
    if k.__name__.endswith("fast"):
        ops = np.zeros((len(at), 4), np.uint64)
        ops[:, 0], ops[:, 1] = Opcode.CLAIM_2M, np.array(at, np.uint64) * MIB2
        results = np.ones(len(at), np.int64)
        tracker.run(ops, np.zeros(0, np.uint64), results, np.zeros((len(at), 2), np.uint64))
        assert not results.any()
    else:
        assert not any(tracker.claim_2m(MIB2 * page) for page in at)
    assert tracker.count(0, 2**40) == 512 * len(at)
    assert 10_000 < tracker.runs < 11_000
    assert sys.getsizeof(tracker) < 2**20


def test_memory_is_bounded_by_the_cap(k: ModuleType) -> None:
    pages = 2 * DEFAULT_MAX_RUNS
    tracker = k.RunTracker()
    words = packed(np.tile(np.array([0, 1], np.uint8), DEFAULT_MAX_RUNS // 2))
    tracker.load_state(0, pages, words.ljust(pages // 8, b"\xff"))
    assert tracker.runs == DEFAULT_MAX_RUNS
    assert tracker.release_4k(KIB4 * (pages - 2)) == -Status.OUT_OF_RUNS
    assert (tracker.claim_4k(0), tracker.runs) == (0, DEFAULT_MAX_RUNS)
    assert sys.getsizeof(tracker) < 2.2 * 2**20


def test_memory_is_bounded_in_whatever_order_the_runs_come(k: ModuleType) -> None:
    most = 2**14
    tracker = k.RunTracker(max_runs=most)
    tracker.create(0, 4 * most, 0)
    places = list(range(1, 4 * most, 4))
    random.Random(5).shuffle(places)
    answers = [tracker.claim_4k(KIB4 * page) for page in places]
    # Each claim makes two runs more, from one on.
    assert answers.count(0) == (most - 1) // 2
    assert set(answers[(most - 1) // 2 :]) == {-Status.OUT_OF_RUNS}
    assert sys.getsizeof(tracker) < 22.1 * most + 2000


NO_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from impl.kernels import load
tracker = load("fast").RunTracker(max_runs=2**40)
pages = 2**26
tracker.create(0, pages, 0)
words = np.full(pages // 64, 0x5555555555555555, np.uint64)
n = 2**14
ops = np.zeros((n, 4), np.uint64)
snapshots, results = np.zeros((n, 2), np.uint64), np.zeros(n, np.int64)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = used + 2**27
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
def tried(call):
    try:
        call()
    except MemoryError:
        return True
    return False
assert tracker.claim_4k(4096) == 0
assert tried(lambda: tracker.import_words(words))
assert tried(lambda: tracker.load_state(0, pages, words))
assert (tracker.pages, tracker.runs, tracker.count(0, 4096 * pages)) == (pages, 3, 1)
done = 1
for start in range(0, pages // 2, n):
    ops[:, 0] = 2
    ops[:, 1] = 4096 * (2 * np.arange(start + 1, start + 1 + n) + 1)
    results[:] = 7
    failed = tried(lambda: tracker.run(ops, words[:0], results, snapshots))
    done += int((results == 0).sum())
    if failed:
        break
else:
    sys.exit("no MemoryError")
gpa = 4096 * (2 * done + 1)
assert tried(lambda: tracker.claim_4k(gpa)) and tried(lambda: tracker.claim_range(gpa, gpa + 4096))
assert (tracker.runs, tracker.count(0, 4096 * pages)) == (1 + 2 * done, done)
assert (tracker.query(gpa), tracker.query(gpa - 8192)) == (0, 1)
assert tracker.release_4k(gpa - 8192) == 0 == tracker.claim_4k(gpa - 8192)
print("kept")
"""


@pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_without_memory_the_old_runs_stay() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_MEMORY], cwd=Path(impl.__file__).parents[1],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == ("kept", 0), done.stderr


@pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
def test_threads_wait_for_one_another() -> None:
    # Imports, counts and batches let go of the GIL; meanwhile another thread changes the runs.
    tracker = kernels.load("fast").RunTracker()
    pages = 2**17
    tracker.create(0, pages, 0)
    alternating = np.full(pages // 64, 0x3333333333333333, np.uint64)
    wrong: list[Any] = []
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            if tracker.import_words(alternating) or tracker.fill(0):
                wrong.append("replace")

    def read() -> None:
        while not stop.is_set():
            count, bitmap = tracker.count(0, KIB4 * pages), tracker.to_bitmap()
            if count not in (0, pages // 2) or bitmap.count(0, KIB4 * pages) not in (0, pages // 2):
                wrong.append(count)

    workers = [threading.Thread(target=work) for work in (replace, replace, read, read)]
    for worker in workers:
        worker.start()
    for i in range(2000):
        if tracker.query(KIB4 * (i % 4)) not in ((0, 1) if i % 4 < 2 else (0,)):
            wrong.append(i)
    stop.set()
    for worker in workers:
        worker.join()
    assert not wrong


def test_same_takes_only_its_twin(k: ModuleType) -> None:
    tracker = k.RunTracker()
    assert tracker.same(k.RunTracker())
    for other in (5, k.ValidationBitmap()):
        with pytest.raises(TypeError, match="must be RunTracker"):
            tracker.same(other)
    tracker.create(KIB4, 70, 0)
    for base, pages, bits in ((0, 70, 0), (KIB4, 71, 0), (KIB4, 70, 4), (KIB4, 70, 1)):
        other = k.RunTracker()
        other.load_state(base, pages, bits.to_bytes(16, "little"))
        assert not tracker.same(other)
