"""What was found out in earlier proofs and shortens later ones: values, and what was needed.

What is kept is no verdict. Values that show something to be possible are put to the oracle as a
solver's are: where all that is supposed holds of them on plain numbers, they show it, whoever found
them. And what follows of a part of what is supposed follows of all of it, whoever chose the part.
Where rules have changed so that either is of no use, a solver is asked as if nothing were kept,
which takes longer and no more.

`spec.prove.kept_file` finds them anew.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from spec.pages import ListedPages, ListedWords
from spec.prove.obligation import Heard, Obligation, is_shown, turned
from spec.prove.solvers import Answer
from spec.prove.verdict import Witness
from spec.prove.world import Concrete, Symbolic
from spec.tables import ListedTable
from spec.terms import Word

NAME = "kept"
"""What is said in a solver's place of what kept values have shown."""
VALUES, PREMISES = "kept_values.json", "kept_premises.json"
Plain = int | list[int] | dict[str, int]
"""A number or truth value, the bounds of a set's runs, or a table from keys to values."""
Values = Mapping[str, Plain]
"""By name, those that are not zero, false or empty."""


@cache
def kept_values() -> dict[str, dict[str, Plain]]:
    """What is kept, by the id of the obligation that it shows."""
    text = files(__package__).joinpath(VALUES).read_bytes()
    return msgspec.json.decode(text, type=dict[str, dict[str, Plain]])


@cache
def kept_premises() -> dict[str, dict[str, list[int]]]:
    """What was enough to suppose when that was last looked at, by the group that supposes it."""
    text = files(__package__).joinpath(PREMISES).read_bytes()
    return msgspec.json.decode(text, type=dict[str, dict[str, list[int]]])


@dataclass
class Kept(Concrete):
    """A world of kept values; what has none is zero, false or empty."""

    model: Any = None
    symbolic: Symbolic = field(default_factory=Symbolic)
    values: Values = field(default_factory=dict)

    def word(self, name: str) -> int:
        """The number kept for a constant."""
        told = self.values.get(name, 0)
        return told if isinstance(told, int) else 0

    number = word

    def flag(self, name: str) -> bool:
        """The truth value kept for a constant."""
        return bool(self.word(name))

    def _entries(self, name: str) -> dict[int, int]:
        told = self.values.get(name)
        return {int(key): value for key, value in told.items()} if isinstance(told, dict) else {}

    def _set(self, name: str) -> ListedPages:
        told = self.values.get(name)
        return ListedPages(tuple(told) if isinstance(told, list) else ())

    def numbers(self, name: str) -> ListedTable:
        """The table kept for a name."""
        return ListedTable.of(self._entries(name))

    def table(self, name: str) -> ListedTable:
        """The table kept for a name."""
        return ListedTable.of(self._entries(name))

    def words(self, name: str) -> ListedWords:
        """The words kept for a name."""
        return ListedWords(tuple(sorted(self._entries(name).items())))

    def marks(self, name: str) -> ListedPages:
        """The set kept for a name."""
        return self._set(name)

    def pages(self, name: str, span: tuple[Word, Word]) -> ListedPages:
        """The set kept for a name."""
        made = self._set(name)
        self.edges.update(made.bounds)
        return made

    def keys(self, name: str, packed: bool) -> ListedPages:
        """The set kept for a name."""
        return self._set(name)


def shows(obligation: Obligation, values: Values) -> bool:
    """Whether all that an obligation supposes holds of some values."""
    return is_shown(obligation.ask(Kept(values=values)))


def seen(obligation: Obligation, kept: Mapping[str, Values]) -> Heard | None:
    """What is known of an obligation by the values kept for it; nothing where they show nothing."""
    began = time.perf_counter()
    values = kept.get(obligation.id)
    if values is None or not shows(obligation, values):
        return None
    numbers = {name: hex(told) for name, told in values.items() if isinstance(told, int)}
    answers = {NAME: turned("sat")}
    heard = Heard(Answer("sat"), answers, witness=Witness(numbers, replays=True))
    heard.seconds = time.perf_counter() - began
    return heard
