"""Where the values of an obligation come from: fresh constants, or a solver's counterexample.

An obligation is written once as a function of a world. In the `Symbolic` world it becomes a
formula; in a `Concrete` world, made from a solver's model, the very same text is executed on
plain numbers. A refutation counts only if it replays there.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import z3

from spec.invariant import StateSentence
from spec.pages import (
    Book,
    ListedPages,
    ListedWords,
    Pages,
    SymbolicNumbers,
    SymbolicPages,
    SymbolicWords,
    Words,
)
from spec.rule import hints, kind
from spec.tables import ListedTable, SymbolicTable, Table
from spec.terms import (
    WIDTH,
    Bits,
    Bool,
    KeySet,
    KeyTable,
    Natural,
    NumberSet,
    NumberTable,
    PageSet,
    Word,
    WordTable,
)
from spec.word_pages import WordPages


class World(Protocol):
    """A source of arbitrary values, each by name."""

    def word(self, name: str) -> Word:
        """An arbitrary 64-bit word."""

    def number(self, name: str) -> Word:
        """An arbitrary natural number; that it is one is among the `facts`."""

    def numbers(self, name: str) -> Words:
        """An arbitrary table from numbers to numbers."""

    def marks(self, name: str) -> Pages:
        """An arbitrary set of numbers."""

    def flag(self, name: str) -> Bool:
        """An arbitrary truth value."""

    def pages(self, name: str, span: tuple[Word, Word]) -> Pages:
        """An arbitrary set; a concrete one has no page outside `span` but where one was seen."""

    def words(self, name: str) -> Words:
        """An arbitrary table of words."""

    def keys(self, name: str, packed: bool) -> Pages:
        """An arbitrary set of words; `packed`: kept as a bitmap."""

    def table(self, name: str) -> Table:
        """An arbitrary table from words to words."""

    def everywhere(self, sentence: Callable[[Word], Bool], points: Sequence[Word]) -> list[Bool]:
        """What a sentence that is taken to hold of every page says, where it is looked at."""

    def facts(self, points: Sequence[Word]) -> list[Bool]:
        """What was asked of many pages at once says, where it is looked at."""

    def alike(self) -> list[Bool]:
        """What is known of how many runs a set has."""

    def near(self, points: Sequence[Word]) -> list[Bool]:
        """As `facts`, without what one fact says at the witness of another."""

    def seen(self) -> list[Word]:
        """The pages that have been asked of any set so far."""


def record(world: World, shape: type, prefix: str) -> Any:
    """An instance of the dataclass `shape` with an arbitrary value in every field."""
    values: dict[str, Any] = {}
    for name, annotation in hints(shape).items():
        called, mark = f"{prefix}_{name}", kind(annotation)
        match mark:
            case Bits(width):
                values[name] = world.flag(called) if width == 1 else world.word(called)
            case PageSet():
                values[name] = world.pages(called, shape(**values, **{name: None}).span())
            case WordTable():
                values[name] = world.words(called)
            case KeySet(packed):
                values[name] = world.keys(called, packed)
            case KeyTable():
                values[name] = world.table(called)
            case Natural():
                values[name] = world.number(called)
            case NumberTable():
                values[name] = world.numbers(called)
            case NumberSet():
                values[name] = world.marks(called)
            case None:
                values[name] = record(world, annotation, called)
    return shape(**values)


def everywhere(
    sentences: Sequence[StateSentence], state: Any, world: World, points: Sequence[Word]
) -> list[Bool]:
    """Each of `sentences`, looked at at `points`."""

    def about(sentence: StateSentence) -> list[Bool]:
        return world.everywhere(lambda q: sentence(state, q), points)

    return [said for sentence in sentences for said in about(sentence)]


@dataclass
class Symbolic:
    """Every value is a fresh constant; remembers what was asked of it, for `Concrete`."""

    book: Book = field(default_factory=Book)
    places: dict[str, list[Word]] = field(default_factory=dict)
    looked_at: list[Word] = field(default_factory=list)
    sets: dict[str, SymbolicPages] = field(default_factory=dict)
    naturals: dict[str, Any] = field(default_factory=dict)

    def word(self, name: str) -> Word:
        """A 64-bit constant."""
        return z3.BitVec(name, WIDTH)

    def number(self, name: str) -> Word:
        """An integer constant, not below zero."""
        self.naturals[name] = z3.Int(name)
        return self.naturals[name]

    def numbers(self, name: str) -> Words:
        """A table by an uninterpreted function on integers."""
        return SymbolicNumbers(self._function(name, z3.IntSort(), z3.IntSort()))

    def marks(self, name: str) -> SymbolicPages:
        """A set of integers by an uninterpreted predicate."""
        return SymbolicPages(self._function(name, z3.BoolSort(), z3.IntSort()), self.book)

    def flag(self, name: str) -> Bool:
        """A Boolean constant."""
        return z3.Bool(name)

    def pages(self, name: str, span: tuple[Word, Word]) -> SymbolicPages:
        """A set by an uninterpreted predicate."""
        return SymbolicPages(self._function(name, z3.BoolSort()), self.book)

    def words(self, name: str) -> SymbolicWords:
        """A table by an uninterpreted function."""
        return SymbolicWords(self._function(name, z3.BitVecSort(WIDTH)))

    def keys(self, name: str, packed: bool) -> SymbolicPages:
        """A set by an uninterpreted predicate, or over an uninterpreted table of words."""
        if packed:
            made: SymbolicPages = WordPages.over(self.table(name), self.book)
        else:
            made = SymbolicPages(self._function(name, z3.BoolSort()), self.book)
        self.sets[name] = made
        return made

    def table(self, name: str) -> SymbolicTable:
        """A table by an uninterpreted function."""
        return SymbolicTable(self._function(name, z3.BitVecSort(WIDTH)))

    def _function(self, name: str, answers: Any, domain: Any = None) -> Callable[[Word], Any]:
        domain = z3.BitVecSort(WIDTH) if domain is None else domain
        function: Any = z3.Function(name, domain, answers)
        asked = self.places.setdefault(name, [])

        def of(place: Word) -> Any:
            asked.append(place)
            return function(place)

        return of

    def everywhere(self, sentence: Callable[[Word], Bool], points: Sequence[Word]) -> list[Bool]:
        """The sentence at `points` and where the facts in the book look."""
        return [sentence(q) for q in (*points, *self.book.places())]

    def facts(self, points: Sequence[Word]) -> list[Bool]:
        """The instances of the book's facts, and that numbers are natural."""
        return [*self.book.instances(points), *(n >= 0 for n in self.naturals.values())]

    def alike(self) -> list[Bool]:
        """That pages which are all alike make two runs at most, for each set so asked."""
        return list(self.book.alike())

    def near(self, points: Sequence[Word]) -> list[Bool]:
        """The instances of the book's facts at `points` alone."""
        seen = list({place.get_id(): place for place in (*points, *self.seen())}.values())
        self.looked_at.extend((*seen, *self.book.places()))
        return self.book.near(points, seen)

    def seen(self) -> list[Word]:
        """The pages that have been asked of any set so far."""
        return [place for asked in self.places.values() for place in asked]


@dataclass
class Concrete:
    """Every value is a number read from a model; sets are built around the pages it speaks of."""

    model: Any
    symbolic: Symbolic
    otherwise: str = "clear"
    edges: set[int] = field(default_factory=set)

    def word(self, name: str) -> int:
        """The model's number for a constant."""
        return self._number(z3.BitVec(name, WIDTH))

    def number(self, name: str) -> int:
        """The model's number for a constant."""
        return self._number(z3.Int(name))

    def numbers(self, name: str) -> Words:
        """The model's numbers where the proof looked, zero elsewhere."""
        spoken = self._spoken_of(name, z3.IntSort(), z3.IntSort())
        return ListedTable({place: int(value.as_long()) for place, value in spoken})

    def marks(self, name: str) -> ListedPages:
        """The model's set where the proof looked, nothing elsewhere."""
        made = ListedPages()
        for place, value in self._spoken_of(name, z3.BoolSort(), z3.IntSort()):
            made = made.with_range(place, place + 1, z3.is_true(value))
        return made

    def flag(self, name: str) -> bool:
        """The model's truth value for a constant."""
        return bool(z3.is_true(self.model.eval(z3.Bool(name), model_completion=True)))

    def _number(self, term: Any) -> int:
        return int(self.model.eval(term, model_completion=True).as_long())

    def _spoken_of(self, name: str, answers: Any, domain: Any = None) -> Iterable[tuple[int, Any]]:
        domain = z3.BitVecSort(WIDTH) if domain is None else domain
        function: Any = z3.Function(name, domain, answers)
        places = {self._number(place) for place in self.symbolic.places.get(name, [])}
        for place in sorted(places):
            at = function(domain.cast(place))
            yield place, self.model.eval(at, model_completion=True)

    def pages(self, name: str, span: tuple[Word, Word]) -> ListedPages:
        """The model's set where the proof looked, and `otherwise` elsewhere in asked ranges."""
        made = ListedPages()
        for fact in self.symbolic.book.facts.values():
            first, stop = self._number(fact.first), self._number(fact.stop)
            holds = z3.is_true(self.model.eval(fact.flag, model_completion=True))
            if fact.value:
                reached = stop if holds else self._number(fact.witness)
                made = made.with_range(first, min(reached, stop), True)
        spoken = list(self._spoken_of(name, z3.BoolSort()))
        if self.otherwise == "claimed" and spoken:
            places = [place for place, _ in spoken]
            made = made.with_range(min(places), max(places) + 1, True)
        made = made.with_range(0, span[0], False).with_range(span[1], 1 << WIDTH, False)
        for place, value in spoken:
            # Where a proof looks past the span without a word on it, the model may say anything.
            if self.otherwise != "inside" or span[0] <= place < span[1]:
                made = made.with_range(place, place + 1, z3.is_true(value))
        self.edges.update(made.bounds[:4096])
        return made

    def words(self, name: str) -> ListedWords:
        """The model's words where the proof looked, zero elsewhere."""
        spoken = list(self._spoken_of(name, z3.BitVecSort(WIDTH)))
        table = ((place, int(value.as_long())) for place, value in spoken)
        return ListedWords(tuple((place, value) for place, value in table if value))

    def keys(self, name: str, packed: bool) -> ListedPages:
        """The model's set: the bits of its words, or a set like any other."""
        spoken: Iterable[int] = ()
        values: list[tuple[int, Any]] = []
        if packed:
            function: Any = z3.Function(name, *[z3.BitVecSort(WIDTH)] * 2)
            there = {self._number(place) for place in self.symbolic.looked_at}
            at = {p: self._number(function(z3.BitVecVal(p >> 6, WIDTH))) for p in there}
            spoken = (p for p, bits in at.items() if bits >> (p & 63) & 1)
        else:
            values = list(self._spoken_of(name, z3.BoolSort()))
            spoken = (p for p, value in values if z3.is_true(value))
        made = self._filled(name)
        said = dict.fromkeys(spoken, True)
        if not packed:
            said |= {p: z3.is_true(value) for p, value in values}
        for page in sorted(said):
            made = made.with_range(page, page + 1, said[page])
        return made

    def _filled(self, name: str) -> ListedPages:
        """The blocks of which it was said that a set has every page."""
        made = ListedPages()
        for fact in self.symbolic.book.facts.values():
            if fact.value and fact.pages is self.symbolic.sets[name]:
                first, stop = self._number(fact.first), self._number(fact.stop)
                if z3.is_true(self.model.eval(fact.flag, model_completion=True)):
                    made = made.with_range(first, stop, True)
        return made

    def table(self, name: str) -> ListedTable:
        """The model's values where the proof looked, zero elsewhere."""
        spoken = self._spoken_of(name, z3.BitVecSort(WIDTH))
        return ListedTable.of({place: int(value.as_long()) for place, value in spoken})

    def everywhere(self, sentence: Callable[[Word], Bool], points: Sequence[Word]) -> list[Bool]:
        """The sentence at `points` and at each page next to an edge of a set."""
        near = {max(0, edge + d) for edge in self.edges for d in (-1, 0)}
        return [sentence(q) for q in sorted({*points, *near})]

    def facts(self, points: Sequence[Word]) -> list[Bool]:
        """Nothing: a plain set answers for itself."""
        return []

    def alike(self) -> list[Bool]:
        """Nothing: a plain set answers for itself."""
        return []

    def near(self, points: Sequence[Word]) -> list[Bool]:
        """Nothing: a plain set answers for itself."""
        return []

    def seen(self) -> list[Word]:
        """Nothing: `everywhere` looks at the edges of each set."""
        return []
