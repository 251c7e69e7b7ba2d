"""What became of single edits to the rules, as a table and an exit code."""

from rich.console import Console

from conformance.console import table
from spec.prove.edits import EditReport


def show(found: EditReport, console: Console) -> int:
    """Print how edits were noticed, each survivor with its reason, and each failure; 0 or 4."""
    total, noticed = found.total, found.noticed
    shown = table(
        f"edits: {noticed} of {total} single edits to the rules noticed ({found.percent:.1f} %)",
        "noticed as",
        "edits",
        right="edits",
    )
    for how, times in sorted(found.ways.items(), key=lambda item: -item[1]):
        shown.add_row(how, str(times))
    console.print(shown)
    if found.survivors:
        console.print(_survivors(found))
    for failure in found.failures:
        console.print(failure, markup=False, style="red")
    return 4 if found.failures or not total else 0


def _survivors(found: EditReport) -> object:
    shown = table("edits that no proof notices", "edit", "why it means the same")
    for fate in found.survivors:
        why = " ".join((fate.reason or "NO REASON IS LISTED").split())
        shown.add_row(fate.edit, why)
    return shown
