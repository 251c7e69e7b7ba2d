"""Expressions on unsigned 64-bit words, as `--expect` and `--assume` have them.

`length in 1,2,4,8`, `mmio % 4 == 0 and value < 256`, `old | value`, `(read >> 4) & 1`. They bind
as in Python, order is unsigned, and arithmetic wraps.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import z3

from conformance.audit.faults import UnreadableObject

TOKEN = re.compile(
    r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|<<|>>|<=|>=|==|!=|[-+*/%&|^~<>(){},;@])"
)
WIDTH = 64
RESERVED = frozenset(
    ["if", "else", "in", "and", "or", "not", "none", "only", "then", "returning", "any"]
)

Term = Any
Names = Mapping[str, Term]
Expression = Callable[[Names], Term]

COMPARISONS: dict[str, Callable[[Term, Term], Term]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": z3.ULT,
    "<=": z3.ULE,
    ">": z3.UGT,
    ">=": z3.UGE,
}
LEVELS: tuple[dict[str, Callable[[Term, Term], Term]], ...] = (
    {"|": lambda a, b: a | b},
    {"^": lambda a, b: a ^ b},
    {"&": lambda a, b: a & b},
    {"<<": lambda a, b: a << b, ">>": z3.LShR},
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b, "/": z3.UDiv, "%": z3.URem},
)
MAX_DEPTH = 64


@dataclass
class Words:
    """The words of a text, taken one after another; `names` may stand in expressions."""

    text: str
    names: frozenset[str]
    words: list[str]
    spans: list[tuple[int, int]]
    at: int = 0
    depth: int = 0

    def peek(self) -> str:
        """The next word, or nothing."""
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self, wanted: str) -> bool:
        """Step over the word if it is the next one."""
        if self.peek() != wanted:
            return False
        self.at += 1
        return True

    def need(self, wanted: str) -> None:
        """Step over a word that has to be there."""
        if not self.take(wanted):
            raise self.fault(f"expected `{wanted}`")

    def next(self) -> str:
        """Take the next word."""
        self.at += 1
        return self.words[self.at - 1] if self.at <= len(self.words) else ""

    def since(self, began: int) -> str:
        """The text from one word up to the next one."""
        return self.text[self.spans[began][0] : self.spans[self.at - 1][1]]

    def fault(self, what: str) -> UnreadableObject:
        """What is wrong, and where."""
        found = f"before `{self.peek()}`" if self.peek() else "at the end"
        return UnreadableObject(f"{self.text!r}: {what} {found}")


def words_of(text: str, names: frozenset[str]) -> Words:
    """The words of a text.

    Raises: UnreadableObject
    """
    found, spans, at = [], [], 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if match is None:
            raise UnreadableObject(f"{text!r}: nothing starts with {text[at:].strip()[0]!r}")
        found.append(match[1])
        spans.append(match.span(1))
        at = match.end()
    return Words(text, names, found, spans)


def whole_truth(text: str, names: frozenset[str]) -> Expression:
    """The condition that a text states.

    Raises: UnreadableObject
    """
    words = words_of(text, names)
    found = truth(words)
    if words.peek():
        raise words.fault("nothing more was expected")
    return found


def whole_number(text: str, names: frozenset[str]) -> Expression:
    """The word that a text states.

    Raises: UnreadableObject
    """
    words = words_of(text, names)
    found = number(words)
    if words.peek():
        raise words.fault("nothing more was expected")
    return found


def truth(words: Words) -> Expression:
    """Conditions joined by `or`."""
    found = [_all(words)]
    while words.take("or"):
        found.append(_all(words))
    return found[0] if len(found) == 1 else lambda env: z3.Or(*(one(env) for one in found))


def _all(words: Words) -> Expression:
    found = [_not(words)]
    while words.take("and"):
        found.append(_not(words))
    return found[0] if len(found) == 1 else lambda env: z3.And(*(one(env) for one in found))


def _not(words: Words) -> Expression:
    if words.take("not"):
        inner = _not(words)
        return lambda env: z3.Not(inner(env))
    return _comparison(words)


def _comparison(words: Words) -> Expression:
    left = number(words)
    if words.take("in"):
        options = [number(words)]
        while words.take(","):
            options.append(number(words))
        return lambda env: z3.Or(*(left(env) == one(env) for one in options))
    compare = COMPARISONS.get(words.peek())
    if compare is None:
        raise words.fault("expected a comparison or `in`")
    words.next()
    right = number(words)
    return lambda env: compare(left(env), right(env))


def number(words: Words, level: int = 0) -> Expression:
    """An expression that is a word of 64 bits."""
    if level == len(LEVELS):
        return _unary(words)
    found = number(words, level + 1)
    while words.peek() in LEVELS[level]:
        change = LEVELS[level][words.next()]
        found = _joined(change, found, number(words, level + 1))
    return found


def _joined(
    change: Callable[[Term, Term], Term], left: Expression, right: Expression
) -> Expression:
    return lambda env: change(left(env), right(env))


def _unary(words: Words) -> Expression:
    words.depth += 1
    if words.depth > MAX_DEPTH:
        raise words.fault("nested too deep")
    try:
        if words.take("~"):
            inner = _unary(words)
            return lambda env: ~inner(env)
        if words.take("-"):
            inner = _unary(words)
            return lambda env: -inner(env)
        if words.take("("):
            inner = number(words)
            words.need(")")
            return inner
        return _atom(words)
    finally:
        words.depth -= 1


def _atom(words: Words) -> Expression:
    word = words.peek()
    if word[:1].isdigit():
        words.next()
        value = int(word, 0) if word[:2].lower() == "0x" else int(word)
        return lambda env: z3.BitVecVal(value, WIDTH)
    if word in words.names and word not in RESERVED:
        words.next()
        return lambda env: env[word]
    known = ", ".join(sorted(words.names))
    raise words.fault(f"expected a number or one of {known}")
