"""What a record kept as runs is measured in: a guest that was booted, beside its bitmap."""

import random
from typing import Any

PAGE_2M = 512
HOLE_EVERY = 100
PLACES = 256


def names(twin: Any, pages: int) -> dict[str, Any]:
    """A guest claimed in order by 2 MiB pages, every hundredth left out: as runs, as a bitmap.

    places: byte addresses of claimed pages, all over the guest. pages: a multiple of 512.
    """
    tracker = twin.RunTracker()
    tracker.create(0, pages, 0)
    blocks = [block for block in range(pages // PAGE_2M) if block % HOLE_EVERY != HOLE_EVERY // 2]
    for block in blocks:
        tracker.claim_2m(4096 * PAGE_2M * block)
    rng = random.Random(0)
    inside = [rng.choice(blocks) * PAGE_2M + rng.randrange(1, PAGE_2M - 1) for _ in range(PLACES)]
    bitmap = tracker.to_bitmap()
    return {
        "tracker": tracker,
        "places": [4096 * page for page in inside],
        "plain_words": lambda: twin.PlainWords(pages // 64),
        "to_bitmap": tracker.to_bitmap,
        **{f"runs_{name}": getattr(tracker, name) for name in STEPS},
        **{f"dense_{name}": getattr(bitmap, name) for name in STEPS},
    }


STEPS = ("query", "claim_4k", "release_4k")
