"""The little language of `--expect`: which accesses to the device are right.

    R32                                       one read of 32 bits at the device pointer, returned
    W16@offset(value & 0xff)                  one write, so far behind the pointer, of that value
    W{length} if length in 1,2,4,8 else none  as many bytes as an argument says
    R32@0xfc then R32@0x100 then R32@0xfc     one after another
    RMW32(old | value)                        a read, and a write of what is stated of it
    R32*                                      one read or more: a poll
    only W32                                  any number of accesses, each of that kind
    R32 returning (read >> 4) & 1             what is returned, or `any`
    R32 then W32@4(read) if answer1 != 0 else R32     what the device answers may decide

Where nothing is said, a write writes the argument `value`, or the bytes of `data`; a read is stored
at `data`, or returned. What an RMW writes is anything unless stated, and so is what a poll
returns.
"""

import re
from dataclasses import dataclass

import z3

from conformance.audit.expressions import Expression, Names, Words, number, truth, words_of
from conformance.audit.faults import UnreadableObject

ACCESS = re.compile(r"(RMW|R|W)(\d*)")
WIDTHS = (8, 16, 32, 64)
MAX_CLAUSES = 64
ANY = "any"
ANSWERS = frozenset(f"answer{number}" for number in range(1, 9))
"""What the device answered to the reads of a path; anything, where there were not as many."""


@dataclass(frozen=True)
class Item:
    """One access. bits: its width, or `bytes_`, an expression for it. value: None is anything."""

    kind: str
    bits: int
    bytes_: Expression | None
    offset: Expression
    value: Expression | None
    stated: bool
    many: bool = False

    def width(self, names: Names) -> z3.BitVecRef:
        """How wide it is, in bits."""
        return z3.BitVecVal(self.bits, 64) if self.bytes_ is None else 8 * self.bytes_(names)


@dataclass(frozen=True)
class Clause:
    """What is right where the condition holds and none before it. returning: None is the usual."""

    condition: Expression
    items: tuple[Item, ...]
    only: bool = False
    returning: Expression | str | None = None
    text: str = ""

    @property
    def repeats(self) -> bool:
        """Whether it allows any number of accesses."""
        return self.only or any(item.many for item in self.items)


def unchecked(clauses: tuple[Clause, ...], names: frozenset[str]) -> list[str]:
    """Which values of the accesses are compared with nothing, as nobody said what they are."""
    is_given = bool(names & {"value", "data"})
    found = dict[str, None]()
    for clause in clauses:
        for item in clause.items:
            is_open = item.value is None and (item.kind == "RMW" or not is_given)
            if item.kind != "R" and (is_open or clause.only):
                found[f"what `{clause.text}` writes"] = None
            if item.many and item.kind == "R" and clause.returning is None:
                found[f"what `{clause.text}` returns"] = None
    return list(found)


def _zero(names: Names) -> z3.BitVecRef:
    return z3.BitVecVal(0, 64)


def _always(names: Names) -> z3.BoolRef:
    return z3.BoolVal(True)


def parse(text: str, names: frozenset[str]) -> tuple[Clause, ...]:
    """The clauses of an expectation; the last one always holds.

    Raises: UnreadableObject
    """
    words = words_of(text, names | ANSWERS | {"read", "old"})
    clauses: list[Clause] = []
    while True:
        began = words.at
        items, only, returning = _accesses(words)
        told = words.since(began)
        if not words.take("if"):
            clauses.append(Clause(_always, items, only, returning, told))
            break
        clauses.append(Clause(truth(words), items, only, returning, told))
        if not words.take("else"):
            raise words.fault("expected `else` and what holds then, such as `else none`,")
        if len(clauses) > MAX_CLAUSES:
            raise UnreadableObject(f"{text!r}: more than {MAX_CLAUSES} clauses")
    if words.peek():
        raise words.fault("nothing more was expected")
    return tuple(clauses)


def _accesses(words: Words) -> tuple[tuple[Item, ...], bool, Expression | str | None]:
    if words.take("none"):
        return (), False, None
    if words.take("only"):
        return tuple(_access(words)), True, ANY
    items = _access(words)
    while words.take("then"):
        items += _access(words)
    if any(item.many for item in items[:-1]):
        raise words.fault("only the last access may be repeated")
    returning: Expression | str | None = None
    if words.take("returning"):
        returning = ANY if words.take("any") else number(words)
    return tuple(items), False, returning


def _access(words: Words) -> list[Item]:
    found = ACCESS.fullmatch(words.peek())
    if found is None:
        raise words.fault("expected an access such as R32, W16, RMW32 or none")
    words.next()
    kind, width = found[1], int(found[2] or 0)
    size: Expression | None = None
    if not found[2]:
        words.need("{")
        size = number(words)
        words.need("}")
    elif width not in WIDTHS:
        raise words.fault(f"{kind}{width}: a register has 8, 16, 32 or 64 bits, not {width};")
    many = words.take("*")
    offset = number(words, 4) if words.take("@") else _zero
    value: Expression | None = None
    if words.take("("):
        value = number(words)
        words.need(")")
    if value is not None and kind == "R":
        raise words.fault("a read states no value; say `returning`")
    if kind != "RMW":
        return [Item(kind, width, size, offset, value, value is not None or kind == "R", many)]
    if many:
        raise words.fault("RMW may not be repeated")
    first = Item("R", width, size, offset, None, True)
    return [first, Item("RMW", width, size, offset, value, value is not None)]
