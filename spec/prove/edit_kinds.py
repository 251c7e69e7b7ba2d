"""Every single edit of the rules that a machine can think of, as places in their text.

An edit is one small change of one expression: another operator, another constant, a case or an
update left out. It is made in the text, so that it can be shown and reread as it stands. Only what
rules are computed from is edited: their bodies, and the functions and constants that they use.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from spec.validation.outcomes import Extent, Outcome


class Edit(NamedTuple):
    """In `function`, the bytes `[first, stop)` of the text read `new` instead of `old`.

    id: stays the same while the edited words do, wherever they move. rules: the names of the
    rules that come to use the function.
    """

    id: str
    function: str
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


CALLED_INSTEAD = {
    "all_of": "any_of",
    "any_of": "all_of",
    "below": "at_most",
    "at_most": "below",
    "plus": "minus",
    "minus": "plus",
    "shift_left": "shift_right",
    "shift_right": "shift_left",
    "bits_and": "bits_or",
    "bits_or": "bits_and",
    "all": "none",
    "none": "all",
}
FORGOTTEN = ("negate", "bits_not", "gfn", "word_count", "marked", "with_range")
"""Calls that an edit leaves out, keeping the argument, or for a method the set or state."""
CUT_SHORT = ("all_of", "any_of", "plus", "minus", "bits_and", "shift_left", "shift_right")
"""Calls of which one argument may be all that is left."""
MISTAKABLE = {
    **dict.fromkeys(("below", "at_most", "minus", "shift_left", "shift_right"), 0),
    **dict.fromkeys(("marked", "with_range", "all", "none", "count", "lowest_missing"), 0),
    **dict.fromkeys(("outside", "pick", "unpacked"), 1),
}
"""Calls in which the argument at this place can be mistaken for the next one."""
NAMED_INSTEAD = {
    "first_gfn": "stop_gfn",
    "stop_gfn": "first_gfn",
    "first": "stop",
    "stop": "first",
    "PAGE_4K": "PAGE_2M",
    "PAGE_2M": "PAGE_4K",
    "PAGE_SHIFT": "WORD_SHIFT",
    "WORD_SHIFT": "PAGE_SHIFT",
    "WORD_BYTES_SHIFT": "WORD_SHIFT",
    "LIMIT_GFN": "GFNS_IN_64_BITS",
    "GFNS_IN_64_BITS": "LIMIT_GFN",
    "fresh": "s",
}
FIELD_INSTEAD = {
    "s.base": ("s.end", "op.base"),
    "s.end": ("s.base",),
    "s.pages": ("op.pages",),
    "op.base": ("s.base",),
    "op.pages": ("s.pages",),
    "op.first": ("op.stop",),
    "op.stop": ("op.first",),
    "fresh.base": ("fresh.end", "s.base"),
    "fresh.end": ("fresh.base", "s.end"),
}
"""Fields that can be mistaken for others; those of `op` only where the same function reads them."""
OTHER_OPERATOR = {ast.Eq: "!=", ast.NotEq: "==", ast.Add: "-", ast.Sub: "+", ast.LShift: ">>"}


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

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The bytes of the text that a node is written in."""
        begin = self._lines[getattr(node, "lineno", 1) - 1] + getattr(node, "col_offset", 0)
        end = self._lines[getattr(node, "end_lineno", 1) - 1] + getattr(node, "end_col_offset", 0)
        return begin, end

    def of(self, node: ast.AST) -> str:
        """The text of a node."""
        first, stop = self.span(node)
        return self.bytes[first:stop].decode()

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


# The kinds of edits


def of_call(text: Text, node: ast.Call) -> Iterator[Change]:
    """Another function, one call less, an argument less, or two arguments in each other's place."""
    name, args = called(node), node.args
    if name in CALLED_INSTEAD:
        at = node.func.value if isinstance(node.func, ast.Attribute) else None
        prefix = f"{text.of(at)}." if at else ""
        yield text.change("operator", node.func, prefix + CALLED_INSTEAD[name])
    if name in FORGOTTEN:
        kept = node.func.value if isinstance(node.func, ast.Attribute) else args[0]
        yield text.change("call left out", node, text.of(kept))
    if name in CUT_SHORT:
        for arg in args if name in ("all_of", "any_of") else args[:1]:
            yield text.change("operand left out", node, text.of(arg))
    if name in MISTAKABLE:
        at_place = MISTAKABLE[name]
        yield text.swap("arguments swapped", args[at_place], args[at_place + 1])
    if name == "marked" and isinstance(args[2], ast.Attribute):
        yield text.change("value negated", args[2], f"negate({text.of(args[2])})")
    if name == "pick":
        for arg in args[1:]:
            yield text.change("one branch", node, text.of(arg))
    for keyword in node.keywords if name == "replace" else ():
        kept_text = [text.of(part) for part in (*args, *node.keywords) if part is not keyword]
        yield text.change("update left out", node, f"replace({', '.join(kept_text)})")


def of_case(text: Text, node: ast.Call) -> Iterator[Change]:
    """A condition negated or fixed, a state kept, an answer without its value."""
    if called(node) != "Case":
        return
    name, when, state = title(node), node.args[1], node.args[3]
    if not isinstance(when, ast.Constant):
        negated = f"negate({text.of(when)})"
        yield text.change("condition negated", when, negated, f"{name}: the contrary")
        yield text.change("condition fixed", when, "True", f"{name}: always")
    if text.of(state) != "s":
        yield text.change("update left out", state, "s", f"{name}: nothing is written")
    for value in node.args[4:]:
        yield text.change("value left out", value, "0", f"{name}: answers 0")


def of_cases(text: Text, node: ast.Tuple) -> Iterator[Change]:
    """A case left out, two neighbours swapped, a refusal that writes all the same."""
    cases = [item for item in node.elts if title(item)]
    if not cases or cases != node.elts:
        return
    for item in cases:
        yield text.change("case left out", item, "*()", f"without {title(item)}")
    for left, right in zip(cases, cases[1:], strict=False):
        if not isinstance(right, ast.Call) or text.of(right.args[1]) != "True":
            said = f"{title(right)} before {title(left)}"
            yield text.swap("neighbours swapped", left, right, said)
    last = cases[-1]
    written = last.args[3] if isinstance(last, ast.Call) else None
    for item in cases[:-1]:
        if isinstance(item, ast.Call) and written is not None and text.of(written) != "s":
            said = f"{title(item)}: writes all the same"
            yield text.change("refusal that writes", item.args[3], text.of(written), said)


def of_name(text: Text, node: ast.Name) -> Iterator[Change]:
    """Another name, or a constant that is one off."""
    if node.id in NAMED_INSTEAD:
        yield text.change("name", node, NAMED_INSTEAD[node.id])
    if node.id.isupper():
        for off in ("+ 1", "- 1"):
            yield text.change("constant", node, f"({node.id} {off})")


def of_field(text: Text, node: ast.Attribute) -> Iterator[Change]:
    """Another field, or another answer: the next, the one before, or acceptance."""
    for other in FIELD_INSTEAD.get(text.of(node), ()):
        if other in text.around(node) or not other.startswith("op."):
            yield text.change("field", node, other)
    for answers in (Outcome, Extent):
        if isinstance(node.value, ast.Name) and node.value.id == answers.__name__:
            names = [answer.name for answer in answers]
            place = names.index(node.attr)
            others = {names[place - 1], names[(place + 1) % len(names)], names[0]} - {node.attr}
            for other in sorted(others):
                yield text.change("answer", node, f"{answers.__name__}.{other}")


def of_constant(text: Text, node: ast.Constant) -> Iterator[Change]:
    """The other truth value, a number one off, 0 or 1."""
    if isinstance(node.value, bool):
        yield text.change("constant", node, str(not node.value))
    elif isinstance(node.value, int):
        for other in sorted({node.value + 1, abs(node.value - 1), 0, 1} - {node.value}):
            yield text.change("constant", node, str(other))


def of_operator(text: Text, node: ast.Compare | ast.BinOp) -> Iterator[Change]:
    """The contrary comparison, or the other operator."""
    if isinstance(node, ast.BinOp):
        operator, right = type(node.op), node.right
        yield text.change("operand left out", node, text.of(node.left))
    else:
        operator, right = type(node.ops[0]), node.comparators[0]
    if operator in OTHER_OPERATOR:
        # The operands as they stand, brackets included.
        (first, _), (_, stop) = text.span(node.left), text.span(right)
        between = text.bytes[text.span(node.left)[1] : text.span(right)[0]].decode()
        sign = SIGN[operator]
        yield text.change("operator", node, "")


def changes(text: Text, node: ast.AST) -> Iterator[Change]:
    """Every change of one node."""
    match node:
        case ast.Call():
            yield from of_call(text, node)
            yield from of_case(text, node)
        case ast.Tuple():
            yield from of_cases(text, node)
        case ast.Name():
            yield from of_name(text, node)
        case ast.Attribute():
            yield from of_field(text, node)
        case ast.Constant():
            yield from of_constant(text, node)
        case ast.Compare() | ast.BinOp():
            yield from of_operator(text, node)


# What is edited


def parts(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """What each function, method and constant of a module is computed by, by its name."""
    found: dict[str, list[ast.AST]] = {}
    for node in [*tree.body, *(n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body)]:
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
