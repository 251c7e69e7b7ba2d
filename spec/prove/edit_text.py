"""The text of a module of rules as a machine edits it: where each expression stands, in bytes."""

import ast
from collections.abc import Iterable
from typing import NamedTuple


class Change(NamedTuple):
    """What can be put at `[first, stop)`; `said` tells it shortly where the text is long."""

    kind: str
    first: int
    stop: int
    new: str
    said: str = ""


class Text:
    """The text of a module of rules, its syntax tree, and where each node of it stands."""

    def __init__(self, text: str) -> None:
        self.bytes = text.encode()
        self.tree = ast.parse(text)
        self._lines = [0]
        for line in self.bytes.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self.names = _top_names(self.tree.body)
        self.cases = [(title(n), self.span(n)) for n in ast.walk(self.tree) if called(n) == "Case"]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The bytes of the text that a node is written in."""
        begin = self._lines[getattr(node, "lineno", 1) - 1] + getattr(node, "col_offset", 0)
        end = self._lines[getattr(node, "end_lineno", 1) - 1] + getattr(node, "end_col_offset", 0)
        return begin, end

    def of(self, node: ast.AST) -> str:
        """The text of a node."""
        first, stop = self.span(node)
        return self.bytes[first:stop].decode()

    def names_before(self, node: ast.AST) -> set[str]:
        """The names that have a value where a node stands."""
        first, _ = self.span(node)
        outer = next(n for n in self.tree.body if self.span(n)[0] <= first < self.span(n)[1])
        if isinstance(outer, ast.Assign):
            return _top_names(n for n in self.tree.body if self.span(n)[1] <= first)
        names = set(self.names)
        for inner in ast.walk(outer):
            if isinstance(inner, ast.arg):
                names.add(inner.arg)
            elif isinstance(inner, ast.Assign) and self.span(inner)[1] <= first:
                names |= {n.id for n in ast.walk(inner.targets[0]) if isinstance(n, ast.Name)}
        return names

    def case_at(self, place: int) -> str:
        """The name of the case in whose text `place` is, or nothing."""
        return next((name for name, (first, stop) in self.cases if first <= place < stop), "")

    def around(self, node: ast.AST) -> str:
        """The text of the outermost statement or definition that a node is in."""
        first, stop = self.span(node)
        spans = map(self.span, self.tree.body)
        begin, end = next(span for span in spans if span[0] <= first and stop <= span[1])
        return self.bytes[begin:end].decode()

    def change(self, kind: str, node: ast.AST, new: str, said: str = "") -> Change:
        """That `new` is put in the place of `node`."""
        return Change(kind, *self.span(node), new, said)

    def swap(self, kind: str, left: ast.AST, right: ast.AST, said: str = "") -> Change:
        """That two nodes, one after the other, trade places."""
        (first, left_stop), (right_first, stop) = self.span(left), self.span(right)
        between = self.bytes[left_stop:right_first].decode()
        return Change(kind, first, stop, self.of(right) + between + self.of(left), said)


def _top_names(statements: Iterable[ast.AST]) -> set[str]:
    """The names that some statements of a module import and define."""
    found: set[str] = set()
    for node in statements:
        match node:
            case ast.ImportFrom(names=names) | ast.Import(names=names):
                found |= {alias.asname or alias.name for alias in names}
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
    return found


def called(node: ast.AST) -> str:
    """The name of the function or method that a node calls, or nothing."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
    return ""


def title(node: ast.AST) -> str:
    """What a case, or a spread of cases, is called."""
    match node:
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if called(node) == "Case":
            return name
        case ast.Starred(value=value):
            return called(value)
    return ""
