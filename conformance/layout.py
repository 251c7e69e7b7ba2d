"""The bitmaps that a machine's memory map asks for: one for each RAM region, one after another.

The size of each is what the rule `validation.bitmap.create` answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from conformance.console import table
from conformance.memmap import RamRegion
from spec.pages import ListedPages
from spec.rule import step
from spec.validation.bitmap import PAGE_4K, Bitmap, Create, Policy, create
from spec.validation.outcomes import Outcome


@dataclass(frozen=True)
class Placed:
    """A region's bitmap: `size` bytes at `offset` from the first bitmap; or why there is none."""

    region: RamRegion
    offset: int
    size: int
    refused: str = ""


def lay_out(regions: Sequence[RamRegion], policy: Policy) -> tuple[Placed, ...]:
    """The bitmaps of `regions` in order, each starting on a page of its own."""
    placed, offset = [], 0
    blank = Bitmap(policy, 0, 0, ListedPages())
    for region in regions:
        made = step(create, blank, Create(region.base, region.pages, False))
        if made.outcome != Outcome.OK:
            placed.append(Placed(region, offset, 0, made.case))
            continue
        placed.append(Placed(region, offset, made.value))
        offset += -(-made.value // PAGE_4K) * PAGE_4K
    return tuple(placed)


def layout_table(placed: Sequence[Placed]) -> Table:
    """The layout, a row for each region."""
    shown = table(
        "validation bitmaps, one for each RAM region",
        "RAM region",
        "4 KiB pages",
        "words",
        "bitmap bytes",
        "at offset",
        right="4 KiB pages|words|bitmap bytes|at offset",
    )
    for one in placed:
        end = one.region.base + one.region.pages * PAGE_4K
        span = f"{one.region.base:#x} - {end:#x}"
        if one.refused:
            shown.add_row(span, f"{one.region.pages:,}", "-", f"refused: {one.refused}", "-")
            continue
        size = f"{one.size:,}"
        shown.add_row(span, f"{one.region.pages:,}", f"{one.size // 8:,}", size, hex(one.offset))
    return shown
