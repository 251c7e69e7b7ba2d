"""`docs/samples.md`: what the samples are, and how soon each mutated twin of them is found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import __version__
from conformance.files import write_atomically

if TYPE_CHECKING:
    from conformance.samples.twins import Hunt

PAGE = Path("docs/samples.md")
HEAD = "| twin | mistake | build | found by | steps | seconds | shows in | trace |"
COLUMNS = HEAD.count("|") - 1


def line(one: "Hunt") -> str:
    """One twin in a line, for whoever waits."""
    seen = f"{one.by}, {one.steps} steps, {one.seconds:.2f} s" if one.by else "SURVIVED"
    return f"{one.twin.sample} {one.twin.id} ({one.profile}): {seen}"


def table(done: Sequence["Hunt"]) -> str:
    """All twins, a table for each sample."""
    samples = dict.fromkeys(one.twin.sample for one in done)
    parts = [_of_sample(name, [one for one in done if one.twin.sample == name]) for name in samples]
    found = sum(bool(one.by) for one in done)
    twins = len({one.twin.id for one in done})
    said = f"{twins} twins, {len(done)} builds of them: {found} found, {len(done) - found} not."
    return "\n\n".join((f"Of version {__version__}. {said}", *parts))


def _of_sample(name: str, done: Sequence["Hunt"]) -> str:
    rows = (_row(one) for one in done)
    return "\n".join((f"### `{name}`", "", HEAD, "|" + " --- |" * COLUMNS, *rows))


def _row(one: "Hunt") -> str:
    shown = one.finding
    place = f"`{shown.rule}.{shown.case}`: {shown.field}" if shown else ""
    cells = (
        f"`{one.twin.id}`: {one.twin.title}",
        one.twin.kind,
        one.profile,
        one.by or "**nothing**",
        f"{one.steps:,}",
        f"{one.seconds:.2f}",
        place,
        str(one.trace_steps) if one.by else "",
    )
    return f"| {' | '.join(cells)} |"


def write(name: str, text: str) -> None:
    """Put something generated into the page, between the two marks with its name."""
    begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
    before, _, rest = PAGE.read_text("utf-8").partition(begin)
    _, _, after = rest.partition(end)
    write_atomically(PAGE, f"{before}{begin}\n\n{text}\n\n{end}{after}".encode())
