"""`svsm-conformance report`: one page of what was found."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from conformance.console import stderr, stdout
from conformance.files import write_atomically
from conformance.report.given import Given, read
from conformance.report.page import page
from conformance.report.tiles import WORST, Tile, exit_code, tiles
from conformance.report.words import line

RESULTS = Path(".svsm-conformance/results")


def report(
    out: Path,
    *,
    from_: Annotated[list[Path] | None, Parameter(name="--from", consume_multiple=True)] = None,
    results: Path = RESULTS,
    jobs: int = 0,
) -> int:
    """Write one HTML file that shows all results; it needs no network and no server.

    The exit code is the worst that the results stand for; what was not run is told as not run.

    Parameters
    ----------
    out
        The file to write.
    from_
        Results that prove, conform, bench and handoff wrote with --json. Without any, these four
        are run first, quickly, on the built-in implementation and this machine's memory map.
    results
        Where the results of such runs are kept.
    jobs
        Processes of such runs; 0 is one for each core.
    """
    given, codes = (read(from_), []) if from_ else _run(results, jobs)
    beside = from_[0].parent if from_ else results
    made = page(given, beside)
    write_atomically(out, made)
    shown = tiles(given)
    for tile in shown:
        stdout().print(_line(tile), markup=False)
    stdout().print(f"{out}: {len(made):,} bytes", markup=False)
    return min((exit_code(shown), *codes), key=WORST.index)


def _line(tile: Tile) -> str:
    return line(f"{tile.word}: {tile.of}: {tile.says}")


def _run(results: Path, jobs: int) -> tuple[Given, list[int]]:
    """The results and exit codes of a quick run of everything; what cannot be run is told."""
    cli = import_module("conformance.cli")
    handoff = import_module("conformance.handoff.command").handoff
    runs: dict[str, Callable[[Path], int]] = {
        "prove": lambda path: cli.prove(profile="quick", jobs=jobs, json=path),
        "conform": lambda path: cli.conform(
            profile="quick", jobs=jobs, json=path, traces=results / "traces"
        ),
        "handoff": lambda path: handoff(json=path),
        "bench": lambda path: cli.bench(json=path),
    }
    written, codes = list[Path](), list[int]()
    for name, run in runs.items():
        path = results / f"{name}.json"
        path.unlink(missing_ok=True)
        try:
            codes.append(run(path))
        except ValueError as error:
            # A machine may show no memory map: the page says NOT RUN, and here is why.
            said = " ".join(str(error).split())
            stderr().print(f"{name}: not run: {said}", markup=False)
        if path.is_file():
            written.append(path)
    return read(written), codes
