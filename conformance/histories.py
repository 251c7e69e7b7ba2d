"""Short histories that no single step from a door is: what is wrong only far out, or afterwards.

A region past 4 GiB shows what keeps an offset in 32 bits, or a page's number in 16. A record that
had no room for a step, and has become a bitmap, has room for it.
"""

from collections.abc import Iterator, Sequence

from conformance.doors import Door
from conformance.regions import region_trace
from conformance.trace import Steps
from spec.rule import Rule
from spec.validation import runs
from spec.validation.bitmap import Bitmap, Policy

LARGE = ((0, (1 << 20) + 70), (3 << 30, (1 << 20) + (1 << 18)), (1 << 44, (1 << 21) + 1))
"""Regions past 4 GiB, in bytes and pages: alone, across that address, and far above it."""
TRACES_EACH = 3
"""How many traces are drawn on each of them."""
MOST_SWITCHED = 200

History = tuple[str, Bitmap, Steps]


def histories(
    policy: Policy, rules: Sequence[Rule], opened: Sequence[Door], seed: int
) -> Iterator[History]:
    """Histories of some rules for devices that choose `policy`, each with its name.

    opened: the doors of these rules.
    """
    for base, pages in LARGE:
        if pages <= policy.cap_pages:
            for number in range(TRACES_EACH):
                start, steps = region_trace(base, pages, policy, rules, TRACES_EACH * seed + number)
                yield f"{pages:#x} pages from {base:#x}, {number}", start, steps
    if runs.switch in rules:
        yield from _with_room_after_all(opened)


def _with_room_after_all(opened: Sequence[Door]) -> Iterator[History]:
    full = [door for door in opened if door.case == "out_of_runs"]
    # Evenly among them, so that each rule has some.
    every = max(1, len(full) // MOST_SWITCHED)
    for door in full[::every]:
        steps = [(runs.switch, runs.Nothing()), (door.rule, door.op)]
        yield f"{door.id}, switched", door.start, steps
