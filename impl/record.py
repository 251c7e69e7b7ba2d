"""What an SVSM remembers of frames: ranges, which of them are claimed, and which are locked."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from impl.abi import PAGE_4K, RANGE_ALL, RANGE_NONE, Status
from impl.bitmap import ValidationBitmap
from impl.runs import RunTracker

LARGE = 512


class Frames:
    """An unchanging set of frames, as ranges in order."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """ranges: half-open, in order, not touching."""
        self.ranges = tuple(ranges)
        self._firsts = [first for first, _ in self.ranges]

    def __contains__(self, frame: int) -> bool:
        """Whether a frame is one of them."""
        return self.covers(frame, 1)

    def covers(self, first: int, count: int) -> bool:
        """Whether `count` frames from `first` on are all of them in one range."""
        place = bisect_right(self._firsts, first) - 1
        return place >= 0 and first + count <= self.ranges[place][1]


class Record:
    """Which frames are claimed: runs or a bitmap for each range that there is memory in.

    Where the runs of a range become too many, its record becomes a bitmap, for which there must be
    memory: a page that has been rescinded has to be released, so it is too late to refuse.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]], most_runs: int = 0) -> None:
        """ranges: half-open, in order, not touching; nothing is claimed at first.

        most_runs: runs of one range before it becomes a bitmap; 0 is a bitmap from the start.
        """
        self._ranges = Frames(ranges)
        self._maps: list[ValidationBitmap | RunTracker] = []
        for first, stop in self._ranges.ranges:
            pages = max(1, stop - first)
            runs = RunTracker(max_pages=pages, max_runs=most_runs) if most_runs else None
            made = runs or ValidationBitmap(max_pages=pages)
            made.create(first * PAGE_4K, stop - first, False)
            self._maps.append(made)
        self._firsts = [first for first, _ in self._ranges.ranges]

    def _map(self, frame: int) -> ValidationBitmap | RunTracker:
        return self._maps[bisect_right(self._firsts, frame) - 1]

    def _change(self, first: int, step: str) -> int:
        """What a step on a frame answers, with room made for it."""
        place = bisect_right(self._firsts, first) - 1
        answer: int = getattr(self._maps[place], step)(first * PAGE_4K)
        record = self._maps[place]
        if answer == -Status.OUT_OF_RUNS and isinstance(record, RunTracker):
            self._maps[place] = record.to_bitmap()
            answer = getattr(self._maps[place], step)(first * PAGE_4K)
        return answer

    def has(self, frame: int) -> bool:
        """Whether a frame is claimed; one that there is no memory for is not."""
        place = bisect_right(self._firsts, frame) - 1
        return place >= 0 and self._maps[place].query(frame * PAGE_4K) > 0

    def extent(self, first: int, large: bool) -> int:
        """RANGE_NONE, RANGE_ALL or RANGE_MIXED of a frame or of 512."""
        if not large:
            return RANGE_ALL if self.has(first) else RANGE_NONE
        return self._map(first).test_range(first * PAGE_4K, (first + LARGE) * PAGE_4K)

    def claim(self, first: int, large: bool) -> int:
        """Claim a frame or 512 of which none is claimed; else a refusal, as a `Status`."""
        return -self._change(first, "claim_2m" if large else "claim_4k")

    def release(self, first: int, large: bool) -> None:
        """Release a frame or 512 that are claimed."""
        if self._change(first, "release_2m" if large else "release_4k") != Status.OK:
            raise ValueError(f"frame {first:#x}: not claimed, so it cannot be released")

    def mark(self, first: int, count: int) -> None:
        """Have `count` frames claimed, whatever they were."""
        for frame in range(first, first + count):
            self._change(frame, "claim_4k")

    def runs(self, within: Frames | None = None) -> Iterator[tuple[int, int]]:
        """The runs of claimed frames, in order, of all ranges or of those in `within`."""
        for first, stop in (within or self._ranges).ranges:
            yield from self._runs_of(first, stop)

    def _runs_of(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        bitmap, at = self._map(first), self.next_claimed(first, stop)
        while at < stop:
            end = bitmap.first_unclaimed(at * PAGE_4K, stop * PAGE_4K)
            past = stop if end < 0 else end // PAGE_4K
            yield at, past
            at = self.next_claimed(past, stop)

    def next_claimed(self, first: int, stop: int) -> int:
        """The first claimed frame of `[first, stop)`, which lies in one range; or `stop`."""
        while first < stop:
            # Halve what may hold it: a count is quick, and a reboot finds most of memory claimed.
            if self.has(first):
                return first
            low, high = first + 1, stop
            if low >= high or self._map(first).count(low * PAGE_4K, high * PAGE_4K) == 0:
                return stop
            while high - low > 1:
                middle = (low + high) // 2
                if self._map(first).count(low * PAGE_4K, middle * PAGE_4K):
                    high = middle
                else:
                    low = middle
            first = low
        return stop


class Locks:
    """Which blocks of frames are being worked on."""

    def __init__(self, one_for_all: bool) -> None:
        """one_for_all: whoever holds any block, holds up everybody."""
        self.one_for_all = one_for_all
        self._held: dict[int, int] = {}

    def __bool__(self) -> bool:
        """Whether any block is held."""
        return bool(self._held)

    def covers(self, frame: int) -> bool:
        """Whether a frame is in a block that is held."""
        return any(first <= frame < first + count for first, count in self._held.items())

    def take(self, first: int, count: int) -> bool:
        """Hold a block, unless it meets one that is held."""
        if self._held and (self.one_for_all or self._meets(first, count)):
            return False
        self._held[first] = count
        return True

    def _meets(self, first: int, count: int) -> bool:
        return any(f < first + count and first < f + n for f, n in self._held.items())

    def drop(self, first: int) -> None:
        """Let go of the block that begins at a frame, if it is held."""
        self._held.pop(first, None)
