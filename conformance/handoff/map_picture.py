"""A memory map's way as a picture: the host's, what is reserved of it, what OVMF takes.

Rows stand above each other with the same columns: a stretch between two edges has a share of the
width by the logarithm of its size, so that a page can be seen beside a terabyte. Not to scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from spec.handoff.words import PAGE_BYTES

LABEL_COLUMNS = 10
Marks = dict[str, tuple[str, str, str]]
# Of each sort: in ASCII, in blocks, and its colour in an SVG.
MARKS: Marks = {
    "memory": ("#", "█", "#4878a8"),
    "reserved": ("=", "▒", "#b8b8b8"),
    "hidden": ("h", "▞", "#8c6bb1"),
    "kernel": ("K", "▓", "#d1495b"),
    "bitmaps": ("B", "▚", "#edae49"),
    "excluded": ("x", "×", "#66666a"),
    "not meant": ("!", "!", "#ff0033"),
}
HOLE = (".", "·", "#f4f4f0")


@dataclass(frozen=True, slots=True)
class Span:
    """The pages `[first, stop)`, drawn as a sort of `MARKS`."""

    first: int
    stop: int
    sort: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the picture; where spans meet, the later one is seen."""

    label: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The pages between two edges that stand beside each other, and the columns they have."""

    first: int
    stop: int
    left: int
    right: int


def stretches(rows: Sequence[Row], width: int) -> list[Stretch]:
    """The columns of the picture: every edge has one, while there are enough."""
    edges = sorted({0, *(e for row in rows for s in row.spans for e in (s.first, s.stop))})
    pieces = list(pairwise(edges))
    if len(pieces) > width:
        cuts = [column * len(pieces) // width for column in range(width + 1)]
        shown = [
            max(pieces[low:high], key=lambda piece: piece[1] - piece[0])
            for low, high in pairwise(cuts)
        ]
        return [Stretch(*piece, column, column + 1) for column, piece in enumerate(shown)]
    weights = [1 + (stop - first).bit_length() for first, stop in pieces]
    spare, total, made, left = width - len(pieces), max(1, sum(weights)), list[Stretch](), 0
    for number, piece in enumerate(pieces, 1):
        right = number + spare * sum(weights[:number]) // total
        made.append(Stretch(*piece, left, right))
        left = right
    return made


def sort_at(row: Row, page: int) -> str:
    """What a row shows at a page; empty for a hole."""
    found = [span.sort for span in row.spans if span.first <= page < span.stop]
    return found[-1] if found else ""


def short(page: int) -> str:
    """The address of a page in a few digits where that is exact, else in hex."""
    size = page * PAGE_BYTES
    for unit, scale in (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if size >= scale and size % scale == 0 and size // scale < 10_000:
            return f"{size // scale}{unit}"
    return f"{size:#x}" if size else "0"


def strip(rows: Sequence[Row], width: int = 100, *, ascii: bool = False) -> str:
    """The picture in text, no line longer than `width`."""
    columns = stretches(rows, width - LABEL_COLUMNS)
    look = 0 if ascii else 1
    lines = []
    for row in rows:
        sorts = [(one, sort_at(row, one.first)) for one in columns]
        drawn = "".join(
            (MARKS[sort][look] if sort else HOLE[look]) * (one.right - one.left)
            for one, sort in sorts
        )
        lines.append(f"{row.label:<{LABEL_COLUMNS}}{drawn}")
    scale = ""
    for one in columns:
        at = LABEL_COLUMNS + one.left
        if len(scale) <= at and at + len(short(one.first)) <= width:
            scale = scale.ljust(at) + short(one.first) + " "
    used = {span.sort for row in rows for span in row.spans}
    key = "  ".join(f"{MARKS[sort][look]} {sort}" for sort in MARKS if sort in used)
    return "\n".join((*lines, scale.rstrip(), f"{key}  {HOLE[look]} nothing; not to scale"))


LEFT, WIDE, HIGH, GAP, TOP, DIGIT = 110, 960, 30, 12, 56, 7.5
LABEL_LINES = 4


def svg(rows: Sequence[Row], title: str, words: Sequence[str]) -> str:
    """The picture as an SVG file, with the words below it."""
    columns = stretches(rows, WIDE)
    bottom = TOP + len(rows) * (HIGH + GAP)
    key_at = bottom + 16 * LABEL_LINES + 30
    wrapped = [line for text in words for line in _wrapped(text, 130)]
    height = key_at + 40 + 18 * len(wrapped)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDE + 30}" height="{height}" '
        'font-family="DejaVu Sans, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="16" y="28" font-size="16" font-weight="bold">{escape(title)}</text>',
    ]
    for number, row in enumerate(rows):
        y = TOP + number * (HIGH + GAP)
        parts.append(f'<text x="16" y="{y + HIGH - 10}">{escape(row.label)}</text>')
        for one in columns:
            sort = sort_at(row, one.first)
            colour = MARKS[sort][2] if sort else HOLE[2]
            parts.append(
                f'<rect x="{LEFT + one.left}" y="{y}" width="{one.right - one.left}" '
                f'height="{HIGH}" fill="{colour}" stroke="white" stroke-width="0.5">'
                f"<title>{one.first * PAGE_BYTES:#x}-{one.stop * PAGE_BYTES - 1:#x} "
                f"{sort or 'nothing'}</title></rect>"
            )
    parts += _ticks(columns, bottom)
    used = {span.sort for row in rows for span in row.spans}
    x = float(LEFT)
    for sort in (sort for sort in MARKS if sort in used):
        parts.append(
            f'<rect x="{x}" y="{key_at - 11}" width="14" height="14" fill="{MARKS[sort][2]}"/>'
            f'<text x="{x + 20}" y="{key_at}">{sort}</text>'
        )
        x += 40 + DIGIT * len(sort)
    parts.append(f'<text x="{x}" y="{key_at}" fill="#666">not to scale</text>')
    parts += [
        f'<text x="16" y="{key_at + 30 + 18 * n}">{escape(line)}</text>'
        for n, line in enumerate(wrapped)
    ]
    return "\n".join((*parts, "</svg>", ""))


def _ticks(columns: Sequence[Stretch], y: int) -> list[str]:
    """The addresses below the edges, on several lines where they would run into each other."""
    free = [0.0] * LABEL_LINES
    parts = []
    edges = [(one.first, one.left) for one in columns]
    edges += [(one.stop, one.right) for one in columns[-1:]]
    for page, left in edges:
        text = short(page)
        x = min(float(LEFT + left), LEFT + WIDE + 24 - DIGIT * len(text))
        line = next((n for n in range(LABEL_LINES) if free[n] <= x), None)
        if line is None:
            continue
        free[line] = x + DIGIT * len(text) + 8
        at = y + 16 * (line + 1)
        parts.append(
            f'<line x1="{LEFT + left}" y1="{y - GAP}" x2="{LEFT + left}" y2="{at - 10}" '
            'stroke="#999" stroke-width="0.5"/>'
            f'<text x="{x + 2}" y="{at}" font-size="11">{text}</text>'
        )
    return parts


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("   ")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines
