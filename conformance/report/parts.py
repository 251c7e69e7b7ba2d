"""What pictures on a page are made of: plain values, which the template draws.

A strip shows pages as a bar, a timeline what went out in order, lanes who did what. None of them
has a size in pixels: shares of the width hold on a phone as on a wall.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.handoff.map_picture import Row, short, sort_at, stretches
from spec.handoff.words import PAGE_BYTES

COLUMNS = 120
MOST_TEXT = 1500


@dataclass(frozen=True)
class Cell:
    """A part of a bar: its share of the width, what it shows, and the addresses."""

    share: int
    sort: str
    tip: str


@dataclass(frozen=True)
class Bar:
    """One row of a strip."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Tick:
    """An address below a strip; `size` says whether there is room for it on a phone too."""

    share: int
    label: str
    size: str


@dataclass(frozen=True)
class Strip:
    """Bars above each other with the same columns, a stretch wide by the logarithm of its size."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    sorts: tuple[str, ...]

    @property
    def cells(self) -> int:
        """How much there is to draw."""
        return sum(len(bar.cells) for bar in self.bars) + len(self.ticks)


@dataclass(frozen=True)
class Sent:
    """One transaction: what it is in words, how many bits it has, whether it is as expected."""

    says: str
    bits: int
    differs: bool


@dataclass(frozen=True)
class Timeline:
    """What went out in order, a lane for each side."""

    lanes: tuple[tuple[str, tuple[Sent, ...]], ...]

    @property
    def cells(self) -> int:
        """How much there is to draw."""
        return sum(len(sent) for _, sent in self.lanes)


@dataclass(frozen=True)
class Lanes:
    """Who took each of some steps. at: the places of the steps of this frame; all come before."""

    actors: tuple[str, ...]
    moves: tuple[int, ...]
    at: range

    @property
    def cells(self) -> int:
        """How much there is to draw."""
        return len(self.moves)


Picture = Strip | Timeline | Lanes


@dataclass(frozen=True)
class Frame:
    """One step: what it is, what the rules say of it, and its picture."""

    title: str
    says: str
    picture: Picture | None = None


def cut(text: str, most: int = MOST_TEXT) -> str:
    """A text that is no longer than there is room for, and says so."""
    return text if len(text) <= most else f"{text[:most]} ... ({len(text):,} characters)"


def strip(rows: Sequence[Row], beside: Sequence[Row] = ()) -> Strip:
    """Rows drawn; `beside` are rows of other frames, so that columns are the same in all."""
    columns = stretches([*rows, *beside], COLUMNS)
    bars = []
    for row in rows:
        cells: list[tuple[int, str, int, int]] = []
        for one in columns:
            sort, share = sort_at(row, one.first), one.right - one.left
            if cells and cells[-1][1] == sort:
                before = cells.pop()
                cells.append((before[0] + share, sort, before[2], one.stop))
            else:
                cells.append((share, sort, one.first, one.stop))
        bars.append(Bar(row.label, tuple(Cell(n, s, _tip(a, b, s)) for n, s, a, b in cells)))
    used = dict.fromkeys(cell.sort for bar in bars for cell in bar.cells if cell.sort)
    return Strip(tuple(bars), _ticks(rows, beside), tuple(used))


def _tip(first: int, stop: int, sort: str) -> str:
    return f"{first * PAGE_BYTES:#x}-{stop * PAGE_BYTES - 1:#x} {sort or 'nothing'}"


def _ticks(rows: Sequence[Row], beside: Sequence[Row]) -> tuple[Tick, ...]:
    """Addresses at edges, each as wide as the way to the next; one without room is left out."""
    made: list[Tick] = []
    for one in stretches([*rows, *beside], COLUMNS):
        share, label = one.right - one.left, short(one.first)
        before = made[-1] if made else None
        if before is None or before.share > len(before.label):
            made.append(Tick(share, label, ""))
        else:
            made[-1] = Tick(before.share + share, before.label, "")
    return tuple(Tick(tick.share, *_shown(tick)) for tick in made)


def _shown(tick: Tick) -> tuple[str, str]:
    """What is written at a tick, and on what width: a phone has room for a third of it."""
    length = len(tick.label) + 1
    if tick.share < length:
        return "", "any"
    return tick.label, "any" if tick.share >= 3 * length else "wide"
