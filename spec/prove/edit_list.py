"""Every single edit of the rules that a machine can think of, in the order of their text.

Only what rules are computed from is edited: their bodies, and the functions and constants that
they use.
"""

import ast
from collections import Counter
from typing import NamedTuple

from spec.prove.edit_kinds import changes
from spec.prove.edit_text import Change, Text, called


class Edit(NamedTuple):
    """In `function`, the bytes `[first, stop)` of the text read `new` instead of `old`.

    id: stays the same while the edited words do, wherever they move. case: the case that is
    edited, if one is. rules: the names of the rules that come to use the function.
    """

    id: str
    function: str
    case: str
    kind: str
    line: int
    first: int
    stop: int
    old: str
    new: str
    rules: frozenset[str]

    def made(self, text: str) -> str:
        """`text` with this edit made.

        Raises: ValueError where the place does not read `old`.
        """
        data = text.encode()
        if data[self.first : self.stop] != self.old.encode():
            raise ValueError(f"line {self.line} does not read {self.old!r}")
        return (data[: self.first] + self.new.encode() + data[self.stop :]).decode()


def parts(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """What each function, method and constant of a module is computed by, by its name."""
    found: dict[str, list[ast.AST]] = {}
    for node in [
        *tree.body,
        *(n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body),
    ]:
        match node:
            case ast.FunctionDef(name=name, body=body):
                found[name] = [line for line in body if not _is_docstring(line)]
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.isupper():
                found[name] = [value]
    return found


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def rules_by_use(tree: ast.Module) -> dict[str, frozenset[str]]:
    """For each part of a module, the rules that come to use it."""
    made_of = parts(tree)
    names = {
        part: {getattr(n, "id", getattr(n, "attr", "")) for b in body for n in ast.walk(b)}
        for part, body in made_of.items()
    }
    users: dict[str, set[str]] = {part: set() for part in made_of}
    rules = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any(map(_makes_a_rule, node.decorator_list))
    ]
    for rule in rules:
        waiting = [rule]
        while waiting:
            part = waiting.pop()
            if rule not in users[part]:
                users[part].add(rule)
                waiting += [name for name in names[part] if name in made_of]
    return {part: frozenset(found) for part, found in users.items()}


def _makes_a_rule(decorator: ast.AST) -> bool:
    return called(decorator) == "rule"


def all_edits(source: str) -> list[Edit]:
    """Every single edit of the rules in `source`, in the order of the text."""
    text, found, ids = Text(source), [], Counter[str]()
    users = rules_by_use(text.tree)
    for part, body in parts(text.tree).items():
        nodes = (node for line in body for node in ast.walk(line) if users[part])
        for change in sorted({c for node in nodes for c in changes(text, node)}, key=_place):
            old = text.bytes[change.first : change.stop].decode()
            said = change.said or f"{_short(old)} -> {_short(change.new)}"
            name = f"{part}: {change.kind}: {said}"
            ids[name] += 1
            line = text.bytes[: change.first].count(b"\n") + 1
            found.append(
                Edit(
                    name if ids[name] == 1 else f"{name} ({ids[name]})",
                    part,
                    text.case_at(change.first),
                    change.kind,
                    line,
                    change.first,
                    change.stop,
                    old,
                    change.new,
                    users[part],
                )
            )
    return _distinct(found)


def _place(change: Change) -> tuple[int, int, str, str]:
    return change.first, change.stop, change.kind, change.new


def _short(text: str) -> str:
    return " ".join(text.split())


def _distinct(edits: list[Edit]) -> list[Edit]:
    """`edits` without those that make the same text as one before them."""
    seen: set[tuple[int, int, str]] = set()
    kept = []
    for edit in edits:
        key = (edit.first, edit.stop, edit.new)
        if edit.old != edit.new and key not in seen:
            seen.add(key)
            kept.append(edit)
    return kept
