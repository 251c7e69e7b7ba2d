"""Random and mutated maps through every stage of the handoff: none may crash, raise or hang.

    python tests/impl/fuzz_handoff.py [MAPS] [--seed N] [--compare N]

Maps are made by numpy, thousands at a time: entries in order and near each other, most of them with
something written over, some of plain noise, in areas of 0 to 170 entries. Each goes through `run`
of the compiled twin under one of a few configurations; the outcomes are counted. Every Nth, with
--compare, goes through the plain twin too, which must answer the same. What was written must be
read as the guest's part again. Exit status 1 if a map is answered wrongly or raises.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from impl import kernels
from impl.handoff import Area, Config, Done, Kernel, Refusal, Stages

CHUNK = 1024
# Slots of an area, and how often.
SLOTS = (0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 12, 16, 40, 170)
SLOT = np.dtype(
    [("first", "<u8"), ("pages", "<u8"), ("kind", "<u2"), ("flags", "<u2"), ("reserved", "<u4")]
)
EDGES = np.array(
    [0, 1, 2, 511, 512, 513, 1024, 32768, 2**20, 2**39, 2**40, 2**52 - 1, 2**52, 2**63, 2**64 - 1],
    np.uint64,
)


def configs(rng: random.Random, n: int) -> list[Config]:
    """`n` configurations, most of them such that maps like those of `maps` can be taken."""
    made = []
    for _ in range(n):
        least = rng.choice((1, 1, 5, 16, 511) * 5 + (0,))
        made.append(
            Config(
                limit_page=rng.choice((2**52, 2**52, 2**40, 2**39, 2**20, 5000)),
                kernel=Kernel(
                    rng.choice((0, 0, 1, 2, 512, 513, 700, 2048, 2**20)),
                    least,
                    least + rng.choice((0, 1, 64, 2000)),
                ),
                area=Area(
                    4096 * rng.choice((0, 0, 1, 2, 300, 600, 2048))
                    + rng.choice((0, 8, 2048, 4072, 4088) * 5 + (4,)),
                    rng.choice((0, 24, 48, 72, 192, 240, 4095, 4096, 4096, 8192)),
                    rng.random() < 0.5,
                ),
                excluded=[
                    (at, at + rng.choice((0, 1, 3, 512)))
                    for at in rng.sample((0, 1, 3, 300, 511, 512, 600, 2047, 5000, 2**20), 4)
                ][: rng.choice((0, 0, 1, 4))],
                low_pages=rng.choice((0, 0, 0, 1, 511)),
                cap_pages=rng.choice((2**52, 2**52, 2**28, 2**20)),
                track=rng.random() < 0.8,
                with_terminator=rng.random() < 0.7,
                already_written=rng.random() < 0.02,
            )
        )
    return made


def maps(rng: np.random.Generator, slots: int, n: int) -> np.ndarray[Any, Any]:
    """`n` areas of `slots` entries each, shape (n, slots)."""
    areas = np.zeros((n, slots), SLOT)
    gaps = rng.choice([0, 0, 0, 0, 0, 1, 512], (n, slots)).astype(np.uint64)
    pages = rng.choice([1, 2, 511, 512, 700, 2048, 5000, 2**20], (n, slots)).astype(np.uint64)
    stops = np.cumsum(gaps + pages, axis=1, dtype=np.uint64)
    areas["first"], areas["pages"] = stops - pages, pages
    areas["kind"] = rng.choice([0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5], (n, slots))
    if slots == 0:
        return areas
    # Maps are cut short by an entry without pages, as most are, and written over in one field.
    rows = np.arange(n)
    cut = rows[rng.random(n) < 0.3]
    areas["pages"][cut, rng.integers(slots, size=len(cut))] = 0
    for field in SLOT.names or ():
        hit = rows[rng.random(n) < 0.08]
        at = rng.integers(slots, size=len(hit))
        wild = rng.choice(EDGES, len(hit))
        near = areas[field][hit, at].astype(np.uint64) + rng.integers(-2, 3, len(hit)).astype(
            np.uint64
        )
        value = np.where(rng.random(len(hit)) < 0.5, wild, near)
        areas[field][hit, at] = value.astype(SLOT[field])
    noise = rows[rng.random(n) < 0.02]
    areas.view(np.uint8).reshape(n, -1)[noise] = rng.integers(
        256, size=(len(noise), SLOT.itemsize * slots), dtype=np.uint8
    )
    return areas


def areas_of(seed: int) -> Iterator[bytes]:
    """Areas without end."""
    rng = np.random.default_rng(seed)
    while True:
        slots = int(rng.choice(SLOTS))
        data = maps(rng, slots, CHUNK).tobytes() + bytes(23)
        size = SLOT.itemsize * slots
        spare = int(rng.integers(24))
        for i in range(CHUNK):
            yield data[i * size : i * size + size + spare]


def wrong(done: Done, config: Config, stages: Stages) -> bool:
    """If what stands in the area is not the guest's part."""
    offset = config.area.address % 4096
    area = done.written.memory[offset : offset + config.area.size]
    return stages.read(area, 2**52) != [(first, stop, 0) for first, stop in done.guest]


def fuzz(count: int, seed: int, every: int) -> Counter[str]:
    """How often each outcome was met.

    Raises: RuntimeError for a map that is answered wrongly, with its bytes.
    """
    fast, pure = Stages(kernels.load("fast")), Stages(kernels.load("pure"))
    outcomes: Counter[str] = Counter()
    known = configs(random.Random(seed), 199)
    for i, area in zip(range(count), areas_of(seed), strict=False):
        config = known[i % len(known)]
        answer = fast.run(area, config)
        outcomes[answer.name if isinstance(answer, Refusal) else "OK"] += 1
        if every and i % every == 0:
            if answer != pure.run(area, config):
                raise RuntimeError(f"the twins differ under {config}: {area.hex()}")
            if isinstance(answer, Done) and answer.guest and wrong(answer, config, fast):
                raise RuntimeError(f"written wrongly under {config}: {area.hex()}")
    return outcomes


def main() -> int:
    """Exit status 0 if every map was answered, as both twins answer it where they are compared."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("maps", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compare", type=int, default=100, metavar="N")
    given = parser.parse_args()
    began = time.perf_counter()
    try:
        outcomes = fuzz(given.maps, given.seed, given.compare)
    except RuntimeError as error:
        print(error)
        return 1
    seconds = time.perf_counter() - began
    print(f"{given.maps} maps in {seconds:.0f} s, {given.maps / seconds:.0f} a second")
    for name, times in outcomes.most_common():
        print(f"  {name:22} {times}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
