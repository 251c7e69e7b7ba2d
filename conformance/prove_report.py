"""What `prove` found, as a table, as JSON and as an exit code."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from conformance.console import table
from spec.prove.kept import NAME
from spec.prove.solvers import versions
from spec.prove.verdict import Result, Verdict

SCHEMA = "svsm-conformance/prove/1"

# Worst first: the exit code of a run is that of the worst verdict in it.
EXITS = (
    (Verdict.DISAGREE, 6),
    (Verdict.ERROR, 6),
    (Verdict.REFUTED, 1),
    (Verdict.VACUOUS, 4),
    (Verdict.UNKNOWN, 3),
    (Verdict.BOUNDED, 3),
)


class ProveReport(msgspec.Struct, kw_only=True):
    """The results of a run. `partial`: it was interrupted, and obligations are missing."""

    schema: str = SCHEMA
    profile: str
    solvers: dict[str, str]
    seconds: float
    partial: bool
    obligations: list[Result]

    def to_json(self) -> bytes:
        """The report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @property
    def exit_code(self) -> int:
        """0 only if something was to be proved and all of it was."""
        words = {result.verdict for result in self.obligations}
        found = next((code for verdict, code in EXITS if str(verdict) in words), 0)
        return found if self.obligations else 3

    @property
    def proved(self) -> int:
        """How many obligations are PROVED."""
        return sum(result.verdict == str(Verdict.PROVED) for result in self.obligations)


def report(
    results: Sequence[Result],
    profile: str,
    solvers: Iterable[str],
    seconds: float,
    partial: bool = False,
) -> ProveReport:
    """A report of `results`, with the versions of the solvers asked."""
    known = versions()
    asked = {name: known.get(name, "missing") for name in solvers}
    if any(NAME in result.solvers for result in results):
        asked[NAME] = "values, replayed"
    return ProveReport(
        profile=profile,
        solvers=asked,
        seconds=round(seconds, 3),
        partial=partial,
        obligations=list(results),
    )


DEPTH = {"validation": 3, "handoff": 2, "mmio": 2}
"""How many words of an id name the subject of a row, by the first of them."""


def _subject(result: Result) -> str:
    stem, _, _name = result.id.partition("/")
    words = stem.split(".")
    depth = DEPTH[words[0]]
    return ".".join(words[:depth]) if len(words) > 2 else f"{stem} (lemmas)"


def show(found: ProveReport, console: Console) -> None:
    """Print one row for each rule and each group of lemmas, and what is not proved in full."""
    groups: dict[str, list[Result]] = {}
    for result in found.obligations:
        groups.setdefault(_subject(result), []).append(result)
    solvers = list(found.solvers)
    shown = table(
        f"prove: {found.proved} of {len(found.obligations)} obligations PROVED",
        "rule",
        "cases",
        "asked",
        "PROVED",
        *solvers,
        "slowest",
        right="|".join(["cases", "asked", "PROVED", "slowest", *solvers]),
    )
    shown.columns[0].no_wrap = True
    for subject, results in groups.items():
        shown.add_row(*_row(subject, results, solvers))
    total = list(found.obligations)
    shown.add_section()
    shown.add_row(*_row("all", total, solvers), style="bold")
    console.print(shown)
    for result in found.obligations:
        if result.verdict != str(Verdict.PROVED):
            console.print(details(result))
    words = [f"{name} {version}" for name, version in found.solvers.items()]
    console.print(
        f"{', '.join(words)}; every number of pages; assumptions: "
        f"{', '.join(sorted({a for r in found.obligations for a in r.assumptions}))}"
        f"; {found.seconds:.1f} s",
        style="dim",
    )


def _row(subject: str, results: Sequence[Result], solvers: Sequence[str]) -> list[str]:
    proved = sum(r.verdict == str(Verdict.PROVED) for r in results)
    reached = sum(
        r.method in ("witness", "example") and r.verdict == str(Verdict.PROVED) for r in results
    )
    by = (sum(r.solvers.get(name) == str(Verdict.PROVED) for r in results) for name in solvers)
    slowest = max((r.solver_seconds for r in results), default=0.0)
    return [
        subject,
        str(reached or "-"),
        str(len(results)),
        str(proved),
        *map(str, by),
        f"{slowest * 1000:.0f} ms",
    ]


def details(result: Result) -> Group:
    """All that is known of one obligation that is not proved."""
    lines: list[Any] = [
        Text(f"{result.verdict} {result.id}", style="bold red"),
        Text(f"  claim:      {result.claim}"),
        Text(f"  why:        {result.reason}"),
        Text(f"  solvers:    {', '.join(f'{n} {w}' for n, w in result.solvers.items())}"),
        Text(f"  source:     {result.citation}"),
    ]
    if result.witness is not None:
        replays = "replays in the oracle" if result.witness.replays else "does NOT replay"
        lines.append(Text(f"  witness ({replays}):"))
        values = Table.grid(padding=(0, 2))
        for name, value in result.witness.values.items():
            values.add_row(f"    {name}", value)
        lines.append(values)
    return Group(*lines)
