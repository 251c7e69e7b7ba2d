"""Benches as plots: a line for each step, its times on one logarithmic scale for each guest."""

import math
from dataclasses import dataclass

from conformance.bench import BenchReport, Row

SHAPES = {"ours": "●", "limit": "┃", "bitarray": "▲", "pyroaring": "■", "numpy": "◆", "int": "✚"}
"""A shape for each contestant, so that no colour has to be told apart."""
OTHERS = "○"
LEFT, WIDE = 1.5, 97.0


@dataclass(frozen=True)
class Dot:
    """One contestant's time: where on the scale, in per cent of the width."""

    who: str
    shape: str
    at: float
    says: str


@dataclass(frozen=True)
class Line:
    """One step of one guest. verdict: how it stands to its target, if it has one."""

    name: str
    dots: tuple[Dot, ...]
    ratio: str
    verdict: str


@dataclass(frozen=True)
class Plot:
    """The steps of one guest, and the powers of ten on their scale."""

    guest: str
    lines: tuple[Line, ...]
    decades: tuple[tuple[float, str], ...]
    used: tuple[tuple[str, str], ...]


def plots(report: BenchReport) -> tuple[Plot, ...]:
    """A plot for each guest."""
    guests = dict.fromkeys(row.guest for row in report.rows)
    return tuple(_plot(g, [row for row in report.rows if row.guest == g]) for g in guests)


def _times(row: Row) -> list[tuple[str, float]]:
    limit = [("limit", row.limit_seconds)] if row.limit_seconds else []
    listed = [("ours", row.ours), *limit, *row.peers.items()]
    return [(who, seconds) for who, seconds in listed if 0 < seconds < math.inf]


def _plot(guest: str, rows: list[Row]) -> Plot:
    times = [seconds for row in rows for _, seconds in _times(row)] or [1e-9]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    high = max(high, low + 1)

    def place(seconds: float) -> float:
        return round(LEFT + WIDE * (math.log10(seconds) - low) / (high - low), 2)

    lines = []
    for row in rows:
        named = {"limit": row.limit or "limit"}
        dots = [
            Dot(who, SHAPES.get(who, OTHERS), place(s), f"{named.get(who, who)}: {spell(s)}")
            for who, s in _times(row)
        ]
        # What is ours is drawn last, above the others.
        ordered = sorted(dots, key=lambda dot: dot.who == "ours")
        lines.append(Line(row.name, tuple(ordered), *_against(row)))
    decades = tuple((place(10.0**n), spell(10.0**n)) for n in range(low, high + 1))
    used = dict.fromkeys((d.who, d.shape) for line in lines for d in line.dots)
    ordered_used = sorted(used, key=lambda one: [*SHAPES, one[0]].index(one[0]))
    return Plot(guest, tuple(lines), decades, tuple(ordered_used))


def _against(row: Row) -> tuple[str, str]:
    if not row.limit_seconds:
        return "", ""
    ratio = row.ours / row.limit_seconds
    said = f"{ratio:.3g} × {row.limit or 'limit'}"
    if row.target is None:
        return said, ""
    within = "within" if ratio <= row.target else "beyond"
    return said, f"{within} the target of {row.target:g}"


def spell(seconds: float) -> str:
    """A time in words."""
    for scale, unit in ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms")):
        if seconds < 999.5 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"
