"""The slow, obvious definition of the bitmap: a set of pages, and every rule spelled out.

It is written for these tests from the interface's description, and shares no code with a twin.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from impl.abi import Opcode, Status

KIB4 = 4096
MIB2 = 2 * 1024 * 1024
TOP = 2**64

Row = tuple[int, int, int, int]


@dataclass
class Definition:
    """One region and the set of its claimed pages, by index from the base."""

    max_pages: int = 2**28
    mixed_2m: Status = Status.MIXED
    base: int = 0
    pages: int = 0
    claimed: set[int] = field(default_factory=set)

    def words(self) -> bytes:
        size = 8 * -(-self.pages // 64)
        return sum(1 << page for page in self.claimed).to_bytes(size, "little")

    def create(self, base: int, pages: int, claimed: int) -> int:
        if base % KIB4 != 0:
            return -Status.MISALIGNED
        if pages == 0:
            return -Status.EMPTY
        if base + KIB4 * pages >= TOP:
            return -Status.WRAPS
        if base + KIB4 * pages > 2**52:
            return -Status.ABOVE_LIMIT
        if pages > self.max_pages:
            return -Status.OVER_CAP
        self.base, self.pages = base, pages
        self.fill(claimed)
        return len(self.words())

    def fill(self, claimed: int) -> int:
        self.claimed = set(range(self.pages)) if claimed else set()
        return 0

    def claim_4k(self, gpa: int) -> int:
        return self._page(gpa, KIB4) or self._claim(gpa, gpa + KIB4, self.mixed_2m)

    def claim_2m(self, gpa: int) -> int:
        return self._page(gpa, MIB2) or self._claim(gpa, gpa + MIB2, self.mixed_2m)

    def claim_range(self, first: int, stop: int) -> int:
        return self._range(first, stop) or self._claim(first, stop, Status.MIXED)

    def release_4k(self, gpa: int) -> int:
        return self._page(gpa, KIB4) or self._release(gpa, gpa + KIB4, self.mixed_2m)

    def release_2m(self, gpa: int) -> int:
        return self._page(gpa, MIB2) or self._release(gpa, gpa + MIB2, self.mixed_2m)

    def release_range(self, first: int, stop: int) -> int:
        return self._range(first, stop) or self._release(first, stop, Status.MIXED)

    def query(self, gpa: int) -> int:
        return self._page(gpa, KIB4) or len(self.claimed & self._span(gpa, gpa + KIB4))

    def test_range(self, first: int, stop: int) -> int:
        if refusal := self._range(first, stop):
            return refusal
        span = self._span(first, stop)
        if not span & self.claimed:
            return 0
        return 1 if span <= self.claimed else 2

    def count(self, first: int, stop: int) -> int:
        return self._range(first, stop) or len(self._span(first, stop) & self.claimed)

    def first_unclaimed(self, first: int, stop: int) -> int:
        if refusal := self._range(first, stop):
            return refusal
        clear = self._span(first, stop) - self.claimed
        return self.base + KIB4 * min(clear) if clear else -Status.NONE_UNCLAIMED

    def export_words(self, words: Any) -> int:
        if len(words) != len(self.words()) // 8:
            return -Status.WRONG_LENGTH
        for i in range(len(words)):
            words[i] = int.from_bytes(self.words()[8 * i : 8 * i + 8], "little")
        return len(words)

    def import_words(self, words: Any) -> int:
        if len(words) != len(self.words()) // 8:
            return -Status.WRONG_LENGTH
        fresh = {64 * i + j for i, word in enumerate(words) for j in range(64) if word >> j & 1}
        if any(page >= self.pages for page in fresh):
            return -Status.SLACK_SET
        self.claimed = fresh
        return 0

    def _page(self, gpa: int, size: int) -> int:
        if gpa % size != 0:
            return -Status.MISALIGNED
        if gpa + size >= TOP:
            return -Status.WRAPS
        return self._outside(gpa, gpa + size)

    def _range(self, first: int, stop: int) -> int:
        if first % KIB4 != 0 or stop % KIB4 != 0:
            return -Status.MISALIGNED
        if stop < first:
            return -Status.REVERSED
        if stop == first:
            return -Status.EMPTY
        return self._outside(first, stop)

    def _outside(self, first: int, stop: int) -> int:
        inside = self.base <= first and stop <= self.base + KIB4 * self.pages
        return 0 if inside else -Status.OUTSIDE

    def _span(self, first: int, stop: int) -> set[int]:
        return set(range((first - self.base) // KIB4, (stop - self.base) // KIB4))

    def _claim(self, first: int, stop: int, mixed: Status) -> int:
        span = self._span(first, stop)
        if span <= self.claimed:
            return -Status.ALREADY_CLAIMED
        if span & self.claimed:
            return -mixed
        self.claimed |= span
        return 0

    def _release(self, first: int, stop: int, mixed: Status) -> int:
        span = self._span(first, stop)
        if not span & self.claimed:
            return -Status.NOT_CLAIMED
        if not span <= self.claimed:
            return -mixed
        self.claimed -= span
        return 0


METHODS = {opcode: opcode.name.lower() for opcode in Opcode}
ARGUMENTS = {Opcode.CREATE: 3} | dict.fromkeys(
    (
        Opcode.CLAIM_RANGE,
        Opcode.RELEASE_RANGE,
        Opcode.TEST_RANGE,
        Opcode.COUNT,
        Opcode.FIRST_UNCLAIMED,
    ),
    2,
)


def call(bitmap: Any, row: Row, payload: Any) -> int:
    """What one row of a batch answers when it is called as a method."""
    method = getattr(bitmap, METHODS[Opcode(row[0])])
    if row[0] >= Opcode.EXPORT_WORDS:
        return int(method(payload[row[1] : row[1] + row[2]]))
    return int(method(*row[1 : 1 + ARGUMENTS.get(Opcode(row[0]), 1)]))


def walk(seed: int, steps: int, payload_words: int) -> Iterator[Row]:
    """A random program over small regions that comes near every edge, in and out."""
    rng = random.Random(seed)
    base, pages = 0, 0
    for step in range(steps):
        end = base + KIB4 * pages
        edges = (base, end, base + KIB4 * rng.randrange(pages + 1), base - base % MIB2, end - MIB2)
        far = (0, 1, 2**52, TOP - KIB4, TOP - MIB2, TOP - 1, rng.randrange(TOP))
        nudges = (-MIB2, -KIB4, -1, 0, 0, 0, 0, 1, KIB4, MIB2)

        def near(edges: Any = edges, far: Any = far, nudges: Any = nudges) -> int:
            some = rng.choice(far) if rng.random() < 0.04 else rng.choice(edges)
            return int(some + rng.choice(nudges)) % TOP

        opcode = Opcode.CREATE if step == 0 or rng.random() < 0.02 else Opcode(rng.randrange(1, 14))
        if opcode == Opcode.CREATE and rng.random() < 0.8:
            base = KIB4 * rng.choice((0, 1, 511, 512, 2**40 - 2000, rng.randrange(2**39)))
            pages = rng.choice((1, 63, 64, 65, 512, 575, 1024, rng.randrange(1, 1300)))
            yield opcode, base, pages, rng.randrange(2)
        elif opcode == Opcode.CREATE:
            odd = (0, 2001, 2**52, 2**52 - 1, 2**51, TOP - 1)
            yield opcode, near(), rng.choice(odd), rng.randrange(2)
        elif opcode == Opcode.FILL:
            yield opcode, rng.choice((0, 1, TOP - 1)), 0, 0
        elif opcode in (Opcode.CLAIM_2M, Opcode.RELEASE_2M) and rng.random() < 0.7:
            yield opcode, near() // MIB2 * MIB2, 0, 0
        elif opcode >= Opcode.EXPORT_WORDS:
            n = min(payload_words, -(-pages // 64) + rng.choice((0, 0, 0, 0, 1)))
            yield opcode, rng.randrange(payload_words - n + 1), n, 0
        else:
            yield opcode, near(), near(), 0
