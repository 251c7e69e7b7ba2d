"""Terms and nodes as the text of Python expressions on plain numbers.

What is used more than once gets a name, in front of the statement that needs it first.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import z3

from conformance.protocol.traced import Node, Trace, TracedPages, TracedTable
from spec.terms import MASK

Says = Callable[..., str]


def joined(operator: str) -> Says:
    """The operator between any number of things."""
    return lambda *parts: f" {operator} ".join(parts)


def wrapped(operator: str) -> Says:
    """The operator, modulo 2**64."""
    return lambda *parts: f"({f' {operator} '.join(parts)}) & {MASK:#x}"


def all_of(*parts: str) -> str:
    """Every one holds; what is known to is left out."""
    if "False" in parts:
        return "False"
    return " and ".join(p for p in parts if p != "True") or "True"


def any_of(*parts: str) -> str:
    """One of them holds; what is known not to is left out."""
    if "True" in parts:
        return "True"
    return " or ".join(p for p in parts if p != "False") or "False"


def negated(part: str) -> str:
    """It does not hold."""
    return {"True": "False", "False": "True"}.get(part, f"not {part}")


def chosen(condition: str, yes: str, no: str) -> str:
    """One of two."""
    return f"{yes} if {condition} else {no}"


def shifted_left(term: str, amount: str) -> str:
    """A shift by any amount."""
    if amount.isdigit():
        return f"({term} << {amount}) & {MASK:#x}"
    return f"({term} << {amount}) & {MASK:#x} if {amount} < 64 else 0"


PLAIN = ("True", "False")
SAYS: Mapping[int, Says] = {
    z3.Z3_OP_TRUE: lambda: "True",
    z3.Z3_OP_FALSE: lambda: "False",
    z3.Z3_OP_AND: all_of,
    z3.Z3_OP_OR: any_of,
    z3.Z3_OP_NOT: negated,
    z3.Z3_OP_ITE: chosen,
    z3.Z3_OP_EQ: joined("=="),
    z3.Z3_OP_DISTINCT: joined("!="),
    z3.Z3_OP_ULT: joined("<"),
    z3.Z3_OP_ULEQ: joined("<="),
    z3.Z3_OP_BADD: wrapped("+"),
    z3.Z3_OP_BSUB: wrapped("-"),
    z3.Z3_OP_BAND: joined("&"),
    z3.Z3_OP_BOR: joined("|"),
    z3.Z3_OP_BNOT: lambda part: f"{part} ^ {MASK:#x}",
    z3.Z3_OP_BSHL: shifted_left,
    z3.Z3_OP_BLSHR: joined(">>"),
}
"""By the kind of a term, what it is in Python; each part is a name, a number or in brackets."""
CALLED: Mapping[str, Says] = {
    "root": lambda name: name,
    "field": lambda record, name: f"{record}.{name}",
    "at": lambda table, key: (
        f"({table}.singles[{key}] if {key} in {table}.singles else {table}.at({key}))"
    ),
    "has": lambda pages, page: f"(bisect({pages}.bounds, {page}) & 1 == 1)",
}
"""By what a node does, what it is in Python; what is not here is a method.

What is looked up most often is looked up where it lies, as `ListedTable.at` and `ListedPages.has`
do it.
"""
NAMED = ("at",)
"""Of these each part is said more than once, so it has a name."""


def method(does: str) -> Says:
    """A call of a method of the first part."""
    return lambda of, *rest: f"{of}.{does}({', '.join(rest)})"


@dataclass
class Printer:
    """The statements of one program, so far, and the names that they give.

    uses: how often each thing is used in the whole program.
    """

    trace: Trace
    uses: Counter[Any] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    names: dict[Any, str] = field(default_factory=dict)
    numbered: int = 0

    def count(self, part: Any) -> None:
        """Take note of one more use of something, and of all that it is made of."""
        part = self._found(part)
        key = _key(part)
        if key is None:
            return
        self.uses[key] += 1
        if self.uses[key] == 1:
            for piece in _pieces(part):
                self.count(piece)

    def text(self, part: Any) -> str:
        """An expression that can stand anywhere."""
        part = self._found(part)
        key = _key(part)
        if key is None:
            return _plain(part)
        if key in self.names:
            return self.names[key]
        said = self._said(part)
        if self.uses[key] > 1 and said not in ("True", "False"):
            said = self.names[key] = self.assigned(said)
        return said

    def settled(self, part: Any) -> str:
        """A name or a number that stays what something is now, whatever is changed meanwhile."""
        said = self.text(part)
        return (
            said
            if said in self.names.values() or said in PLAIN or said.isdigit()
            else self.assigned(said)
        )

    def assigned(self, said: str) -> str:
        """A new name for what an expression says."""
        self.numbered += 1
        self.lines.append(f"v{self.numbered} = {said}")
        return f"v{self.numbered}"

    @contextmanager
    def inside(self, condition: str) -> Iterator[None]:
        """What is printed meanwhile is done where a condition holds, and its names end with it."""
        outer, names = self.lines, dict(self.names)
        self.lines = []
        yield
        inner, self.lines, self.names = self.lines, outer, names
        if condition == "True":
            self.lines += inner
        else:
            self.lines += [f"if {condition}:", *(f"    {line}" for line in inner)]

    def _found(self, part: Any) -> Any:
        """What a name of the trace stands for; a set or table is the node that it is made by."""
        if isinstance(part, TracedTable | TracedPages):
            return part.node
        if isinstance(part, z3.ExprRef) and part.num_args() == 0:
            return self.trace.asked.get(part.decl().name(), part)
        return part

    def _said(self, part: Any) -> str:
        if isinstance(part, Node):
            if part.does in CALLED:
                say = self.settled if part.does in NAMED else self.text
                raw = (p if isinstance(p, str) else say(p) for p in part.parts)
                return CALLED[part.does](*raw)
            return method(part.does)(*map(self.text, part.parts))
        texts = [self.text(piece) for piece in _pieces(part)]
        if part.decl().kind() == z3.Z3_OP_EXTRACT:
            high, low = part.params()
            return f"({texts[0]} >> {low} & {(1 << (high - low + 1)) - 1:#x})"
        said = SAYS.get(part.decl().kind())
        if said is None:
            raise TypeError(f"{part.decl().name()} cannot be printed")
        made = said(*texts)
        return f"({made})" if " " in made else made


def _pieces(part: Any) -> Iterable[Any]:
    if isinstance(part, Node):
        return [p for p in part.parts if not isinstance(p, str)]
    return part.children()  # type: ignore[no-any-return]


def _key(part: Any) -> Any:
    """What tells something from others; None of what is plain."""
    if isinstance(part, Node):
        return id(part)
    if isinstance(part, z3.BitVecNumRef) or not isinstance(part, z3.ExprRef):
        return None
    return "term", part.get_id()


def _plain(part: Any) -> str:
    if isinstance(part, z3.BitVecNumRef):
        return str(part.as_long())
    return str(part) if isinstance(part, bool) else str(int(part))
