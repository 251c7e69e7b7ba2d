"""What a person sees: results on stdout, progress on stderr, nothing wider than 100 columns.

On a terminal progress is a live line; elsewhere it is a plain line every few seconds, so that a
log shows that something is going on. NO_COLOR is honoured.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

WIDTH = 100
HEARTBEAT_SECONDS = 5.0


def stdout() -> Console:
    """Where results go; 100 columns where nobody says otherwise."""
    console = Console(highlight=False, emoji=False)
    return Console(
        highlight=False,
        emoji=False,
        width=min(console.width, WIDTH) if console.is_terminal else WIDTH,
    )


def stderr() -> Console:
    """Where progress and errors go."""
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def table(title: str, *columns: str, right: str = "") -> Table:
    """An empty table; the columns named in `right` (by their first letters) are numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", expand=False)
    for column in columns:
        is_number = column in right.split("|")
        made.add_column(column, justify="right" if is_number else "left", overflow="fold")
    return made


class Meter:
    """How far a task has come: `step` for each thing done, `say` for what it is at."""

    def __init__(self, title: str, total: int | None) -> None:
        self.title, self.total, self.done, self.said = title, total, 0, ""
        self._began = self._told = time.monotonic()
        self._live: Progress | None = None
        if sys.stderr.isatty():
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[said]}"),
                console=stderr(),
                transient=True,
            )
            self._task = self._live.add_task(title, total=total, said="")

    def step(self, said: str = "", steps: int = 1) -> None:
        """Note that `steps` more things are done."""
        self.done += steps
        self.say(said or self.said)

    def say(self, said: str) -> None:
        """Note what is going on."""
        self.said = said
        if self._live is not None:
            self._live.update(self._task, completed=self.done, said=said[-48:])
        elif time.monotonic() - self._told > HEARTBEAT_SECONDS:
            self._told = time.monotonic()
            of = f"/{self.total}" if self.total is not None else ""
            spent = self._told - self._began
            stderr().print(f"{self.title}: {self.done}{of} {said} ({spent:.0f} s)", markup=False)


@contextmanager
def meter(title: str, total: int | None = None) -> Iterator[Meter]:
    """Show the progress of what is done inside."""
    shown = Meter(title, total)
    if shown._live is None:
        yield shown
        return
    with shown._live:
        yield shown
