"""Names in place of numbers: what a rule does with them is kept, to be printed as a program.

A rule is run on a state whose words are solver terms and whose sets and tables note what they are
asked. No solver is called: terms are only how the words of `spec.terms` keep what was done.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import z3

from spec.rule import hints, kind
from spec.terms import WIDTH, Bits, KeySet, KeyTable


@dataclass(frozen=True, eq=False)
class Node:
    """Something that a program comes by: `does` with `parts`, which are nodes, terms or values.

    does: `root`, of which the one part is its name; `field` of a record; or what is called.
    """

    does: str
    parts: tuple[Any, ...]


@dataclass
class Trace:
    """What has been asked so far; the same question, asked twice, is one.

    asked: by the name of a term, how a program comes by its value.
    """

    asked: dict[str, Node] = field(default_factory=dict)
    known: dict[Any, Any] = field(default_factory=dict)

    def word(self, does: str, *parts: Any) -> Any:
        """The term for a word that something answers."""
        return self._once(does, parts, lambda node: z3.BitVec(self._named(node), WIDTH))

    def flag(self, does: str, *parts: Any) -> Any:
        """The term for a truth value that something answers."""
        return self._once(does, parts, lambda node: z3.Bool(self._named(node)))

    def pages(self, does: str, *parts: Any) -> "TracedPages":
        """The set that something answers."""
        return self._once(does, parts, lambda node: TracedPages(self, node))  # type: ignore[no-any-return]

    def table(self, does: str, *parts: Any) -> "TracedTable":
        """The table that something answers."""
        return self._once(does, parts, lambda node: TracedTable(self, node))  # type: ignore[no-any-return]

    def _once(self, does: str, parts: tuple[Any, ...], make: Callable[[Node], Any]) -> Any:
        key = does, *map(key_of, parts)
        if key not in self.known:
            node = Node(does, parts)
            # The node is kept with what is made of it: an id is its own only as long as it lives.
            self.known[key] = node, make(node)
        return self.known[key][1]

    def _named(self, node: Node) -> str:
        name = f"asked_{len(self.asked)}"
        self.asked[name] = node
        return name


def key_of(part: Any) -> Any:
    """What tells a part from others."""
    if isinstance(part, z3.AstRef):
        return "term", part.get_id()
    return part if isinstance(part, int | str) else id(part)


@dataclass(frozen=True, eq=False)
class TracedTable:
    """A table of which each question is noted."""

    trace: Trace
    node: Node

    def at(self, key: Any) -> Any:
        """The value at `key`."""
        return self.trace.word("at", self.node, key)

    def put(self, key: Any, value: Any) -> "TracedTable":
        """This table with another value at one key."""
        return self.trace.table("put", self.node, key, value)

    def with_block(
        self, first: Any, large: Any, value: Any, counting: bool = False
    ) -> "TracedTable":
        """This table with another value at each key of a block."""
        if large is False:
            return self.put(first, value)
        return self.trace.table("with_block", self.node, first, large, value, counting)

    def filled(self, value: Any) -> "TracedTable":
        """The table that has `value` at every key."""
        return self.trace.table("filled", self.node, value)


@dataclass(frozen=True, eq=False)
class TracedPages:
    """A set of which each question is noted."""

    trace: Trace
    node: Node

    def has(self, page: Any) -> Any:
        """Whether `page` is in the set."""
        return self.trace.flag("has", self.node, page)

    def with_block(self, first: Any, large: Any, value: Any) -> "TracedPages":
        """This set with membership of the pages of a block made `value`."""
        return self.trace.pages("with_block", self.node, first, large, value)

    def minus(self, other: "TracedPages") -> "TracedPages":
        """The pages of this set that are not in `other`."""
        return self.trace.pages("minus", self.node, other.node)

    def meet(self, other: "TracedPages") -> "TracedPages":
        """The pages of this set that are in `other` too."""
        return self.trace.pages("meet", self.node, other.node)

    def counting(self, table: TracedTable, key: Any, value: Any, large: Any) -> "TracedPages":
        """The pages of this set at which a table counts up so as to have `value` at `key`."""
        return self.trace.pages("counting", self.node, table.node, key, value, large)

    def is_empty(self) -> Any:
        """No page is in the set."""
        return self.trace.flag("is_empty", self.node)

    def emptied(self) -> "TracedPages":
        """The set without a page."""
        return self.trace.pages("emptied", self.node)

    def no_block(self, first: Any, large: Any) -> Any:
        """No page of a block is in the set."""
        if large is False:
            return z3.Not(self.has(first))
        return self.trace.flag("no_block", self.node, first, large)

    def whole_block(self, first: Any, large: Any) -> Any:
        """Every page of a block is in the set."""
        if large is False:
            return self.has(first)
        return self.trace.flag("whole_block", self.node, first, large)


def record(trace: Trace, shape: type, node: Node) -> Any:
    """An instance of the dataclass `shape` with a name in every field.

    Raises: TypeError where a field is of a kind that no protocol rule has.
    """
    values: dict[str, Any] = {}
    for name, annotation in hints(shape).items():
        match kind(annotation):
            case Bits(1):
                values[name] = trace.flag("field", node, name)
            case Bits():
                values[name] = trace.word("field", node, name)
            case KeySet():
                values[name] = trace.pages("field", node, name)
            case KeyTable():
                values[name] = trace.table("field", node, name)
            case None:
                values[name] = record(trace, annotation, Node("field", (node, name)))
            case other:
                raise TypeError(f"{shape.__name__}.{name}: {other} cannot be traced")
    return shape(**values)
