"""The fourth interpretation of the rules: each written out as a function in C.

A rule is called with terms; what it asks of sets of frames becomes calls of functions that stand
in `oracle.c`, and each of its cases an `if`. So the text that is compiled is the one text there is.
Nothing is left out: a term that has no translation is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import z3

from conformance.batch import OPCODES
from spec.rule import Rule, hints, kind
from spec.terms import WIDTH, Bits, Bool, Word, truth, word
from spec.validation.bitmap import At, Between, Bitmap, Create, Export, Fill, Import, Policy

KINDS = {Create: 0, Fill: 1, At: 2, Between: 3, Export: 4, Import: 5}
NAMES = ("OF_CREATE", "OF_FILL", "OF_AT", "OF_BETWEEN", "OF_EXPORT", "OF_IMPORT")
ACCEPTED = 0


@dataclass
class Book:
    """What has been asked of sets and tables: the name of each answer, and the C that finds it.

    lines: by name, what has to be said before the name can be used.
    """

    lines: dict[str, tuple[tuple[Any, ...], str]] = field(default_factory=dict)

    def bool(self, text: str, *terms: Any) -> Bool:
        """The name of a truth value."""
        return z3.Bool(self._named("int", text, terms))

    def word(self, text: str, *terms: Any) -> Word:
        """The name of a word."""
        return z3.BitVec(self._named("u64", text, terms), WIDTH)

    def _named(self, kind_: str, text: str, terms: tuple[Any, ...]) -> str:
        name = f"asked_{len(self.lines)}"
        self.lines[name] = terms, f"{kind_} {name} = {text};"
        return name


@dataclass(frozen=True, eq=False)
class Frames:
    """A set of frames: the state's, or what it becomes by changes, one after another."""

    book: Book
    changes: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def _asked(self, kind_: str, function: str, *terms: Any) -> Any:
        places = ", ".join("@" for _ in terms)
        ask = self.book.bool if kind_ == "int" else self.book.word
        if not self.changes:
            return ask(f"{function}(&s->claimed, {places})", *map(word, terms))
        # Asked of what is only a step's outcome: on a copy.
        made = "".join(f"{text}; " for text, _ in self.changes)
        before = [term for _, told in self.changes for term in told]
        text = (
            "({ u64 held[MOST_WIDTH]; set copied, *t = &copied; copy(t, &s->claimed, held); "
            f"{made}{function}(t, {places}); " + "})"
        )
        return ask(text, *before, *map(word, terms))

    def has(self, page: Word) -> Bool:
        """Whether `page` is in the set."""
        return self._asked("int", "has", page)

    def none(self, first: Word, stop: Word) -> Bool:
        """No page of `[first, stop)` is in the set."""
        return self._asked("int", "none", first, stop)

    def all(self, first: Word, stop: Word) -> Bool:
        """Every page of `[first, stop)` is in the set."""
        return self._asked("int", "all", first, stop)

    def count(self, first: Word, stop: Word) -> Word:
        """How many pages of `[first, stop)` are in the set."""
        return self._asked("u64", "count", first, stop)

    def lowest_missing(self, first: Word, stop: Word) -> Word:
        """The lowest page of `[first, stop)` not in the set, where there is one."""
        return self._asked("u64", "lowest_missing", first, stop)

    def runs_in(self, first: Word, stop: Word) -> Word:
        """How many runs of alike pages `[first, stop)` has."""
        return self._asked("u64", "runs_in", first, stop)

    def with_range(self, first: Word, stop: Word, value: Bool) -> "Frames":
        """This set with membership of `[first, stop)` made `value`."""
        told = word(first), word(stop), truth(value)
        return Frames(self.book, (*self.changes, ("put(t, @, @, @)", told)))

    def packed(self, _origin: Word) -> "Packed":
        """The set as words."""
        return Packed()

    def unpacked(self, _words: Any, _origin: Word, pages: Word) -> "Frames":
        """The pages whose bits are set in the words of an import."""
        return Frames(self.book, (*self.changes, ("unpack(t, words, @)", (word(pages),))))


class Packed:
    """The set as words: what an export writes."""


@dataclass(frozen=True, eq=False)
class Table:
    """The words of an import."""

    book: Book

    def at(self, index: Word) -> Word:
        """Word `index`."""
        return self.book.word("word_at(words, &s->claimed, @)", word(index))


LEAVES = {
    "s_base": "s->base",
    "s_pages": "s->pages",
    "s_cap_pages": "s->cap_pages",
    "s_mixed_2m": "s->mixed_2m",
    "s_most_runs": "s->most_runs",
}
BINARY = {
    z3.Z3_OP_BADD: "+",
    z3.Z3_OP_BSUB: "-",
    z3.Z3_OP_BMUL: "*",
    z3.Z3_OP_BAND: "&",
    z3.Z3_OP_BOR: "|",
    z3.Z3_OP_ULT: "<",
    z3.Z3_OP_ULEQ: "<=",
    z3.Z3_OP_UGT: ">",
    z3.Z3_OP_UGEQ: ">=",
    z3.Z3_OP_EQ: "==",
    z3.Z3_OP_DISTINCT: "!=",
    z3.Z3_OP_AND: "&&",
    z3.Z3_OP_OR: "||",
}
CALLED = {z3.Z3_OP_BSHL: "left", z3.Z3_OP_BLSHR: "right"}


class Text:
    """A rule's function, as it is written down."""

    def __init__(self, book: Book, operands: dict[str, str]) -> None:
        self.book, self.names = book, LEAVES | operands
        self.rows: list[str] = []
        self._said: set[str] = set()

    def of(self, term: Any) -> str:
        """A term in C; what it needs is said before."""
        if isinstance(term, bool):
            return str(int(term))
        if isinstance(term, int):
            return f"{int(term)}ull"
        told = [self.of(child) for child in term.children()]
        what = term.decl().kind()
        if z3.is_bv_value(term):
            return f"{term.as_long()}ull"
        if what in BINARY and (len(told) == 2 or what in (z3.Z3_OP_AND, z3.Z3_OP_OR)):
            return f"({f' {BINARY[what]} '.join(told)})"
        if what in CALLED:
            return f"{CALLED[what]}({', '.join(told)})"
        return self._other(term, what, told)

    def _other(self, term: Any, what: int, told: Sequence[str]) -> str:
        match what:
            case z3.Z3_OP_TRUE:
                return "1"
            case z3.Z3_OP_FALSE:
                return "0"
            case z3.Z3_OP_NOT:
                return f"(!{told[0]})"
            case z3.Z3_OP_BNOT:
                return f"(~{told[0]})"
            case z3.Z3_OP_ITE:
                return f"({told[0]} ? {told[1]} : {told[2]})"
            case z3.Z3_OP_UNINTERPRETED if not told:
                return self._leaf(str(term))
        raise LookupError(f"{term.decl()} of a rule has no translation to C")

    def _leaf(self, name: str) -> str:
        if name in self.names:
            return self.names[name]
        terms, text = self.book.lines[name]
        if name not in self._said:
            self._said.add(name)
            told = [self.of(term) for term in terms]
            self.rows.append(f"    {filled(text, told)}")
        return name


def filled(text: str, told: Sequence[str]) -> str:
    """A text with its places, each an `@`, filled in."""
    first, *others = text.split("@")
    return first + "".join(one + other for one, other in zip(told, others, strict=True))


def function(rule: Rule) -> str:
    """The function of a rule: does the step, and tells the place of its case."""
    book = Book()
    words = {name: z3.BitVec(name, WIDTH) for name in LEAVES}
    policy = Policy(words["s_cap_pages"], words["s_mixed_2m"], words["s_most_runs"])
    state = Bitmap(policy, words["s_base"], words["s_pages"], Frames(book))
    values, names = _operands(rule.operands, book)
    text = Text(book, names)
    for place, case in enumerate(rule(state, rule.operands(**values))):
        when = text.of(truth(case.when))
        text.rows.append(f"    if ({when}) {{")
        text.rows += [f"        {row}" for row in _taken(text, case, state)]
        text.rows += [f"        return {place};", "    }"]
    head = f"static u64 take_{rule.name}(state *s, const u64 *o, const u64 *words, result *r)"
    unused = "    (void)s, (void)o, (void)words, (void)r;"
    return "\n".join([head, "{", unused, *text.rows, "    return ALL;", "}", ""])


def _operands(shape: type, book: Book) -> tuple[dict[str, Any], dict[str, str]]:
    """Operands as terms, and where C finds those that are words."""
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    marks = hints(shape)
    for place, one in enumerate(fields(shape)):
        name = f"op_{one.name}"
        match kind(marks[one.name]):
            case Bits(1):
                values[one.name], names[name] = z3.Bool(name), f"(o[{place}] != 0)"
            case Bits():
                values[one.name], names[name] = z3.BitVec(name, WIDTH), f"o[{place}]"
            case _:
                values[one.name] = Table(book)
    return values, names


def _taken(text: Text, case: Any, state: Bitmap) -> list[str]:
    """What is done where a case is taken. What it needs is found before anything changes."""
    begun = len(text.rows)
    after = case.after
    rows = [f"r->outcome = {text.of(case.outcome)};"]
    if isinstance(case.value, Packed):
        rows.append("memcpy(r->out, s->claimed.rows, o[0] * sizeof *r->out);")
    else:
        rows.append(f"r->value = {text.of(case.value)};")
    if after is not state:
        moved = after.base is not state.base
        told = [(t, [text.of(x) for x in terms]) for t, terms in after.claimed.changes]
        base, pages = text.of(after.base), text.of(after.pages)
        rows.append(f"u64 base = {base}, pages = {pages};")
        values = []
        for number, (change, terms) in enumerate(told):
            names = [f"v{number}_{place}" for place in range(len(terms))]
            rows += [f"u64 {n} = (u64)({t});" for n, t in zip(names, terms, strict=True)]
            values.append(filled(change, names))
        rows.append("set *t = &s->claimed;")
        rows += ["clear(t, base >> 12);"] if moved else []
        rows += [f"{value};" for value in values]
        rows.append("s->base = base; s->pages = pages;")
    # Answers that only this case needs are found inside of it.
    found = [row.strip() for row in text.rows[begun:]]
    del text.rows[begun:]
    return [*found, *rows]


def source(runtime: str, rules: Sequence[Rule]) -> str:
    """A program in C that draws traces and takes them by some rules."""
    named = {rule.name: rule for rule in rules if rule.name in OPCODES}
    parts = [f"enum {{ {', '.join(NAMES)} }};"]
    parts += [function(rule) for rule in named.values()]
    listed = ", ".join(f"take_{name}" if name in named else "0" for name in OPCODES)
    parts.append("typedef u64 (*taking)(state *, const u64 *, const u64 *, result *);")
    parts.append(f"static const taking RULES[] = {{{listed}}};")
    kinds = (NAMES[KINDS[named[name].operands]] if name in named else "0" for name in OPCODES)
    parts.append(f"static const int KIND[] = {{{', '.join(kinds)}}};")
    parts += [f"#define RULE_{name.upper()} {place}" for place, name in enumerate(OPCODES)]
    parts.append("#define TAKES_WORDS(rule) (KIND[rule] >= OF_EXPORT)")
    return runtime.replace("/* RULES_HERE */", "\n".join(parts))
