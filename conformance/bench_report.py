"""How the ratios of one bench run compare with those of an earlier one."""

from collections.abc import Sequence

from rich.table import Table

from conformance.bench import Change
from conformance.console import table


def comparison(changes: Sequence[Change]) -> Table:
    """A row for each ratio; above 1 the bitmap has become slower beside what it is held against."""
    shown = table(
        "bench, compared with the earlier run: ratios of ratios",
        "step",
        "guest",
        "against",
        "then",
        "now",
        "now/then",
        right="then|now|now/then",
    )
    for change in changes:
        then, now, ratio = map(_number, (change.old, change.new, change.change))
        shown.add_row(change.name, change.guest, change.against, then, now, ratio)
    return shown


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
