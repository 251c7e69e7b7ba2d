"""What conditions over words say of order, told in whole numbers.

Where indices lie is a question of sums and comparisons, which a solver answers at once in whole
numbers and slowly in bits. A condition is told as far as it compares sums; what else is in it
becomes an unknown truth value, the same for the same term. So whatever holds in bits can hold here,
and what can not hold here holds nowhere: `impossible` is only ever right to say yes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import z3

from conformance.audit.linear import MODULUS, Linear, linear, minus

HALF = MODULUS >> 1
Told = tuple[Any, frozenset[int]]
"""What stands for a term, and the numbers of the side conditions that it needs."""

BELOW = {
    z3.Z3_OP_ULEQ: (False, False, True),
    z3.Z3_OP_ULT: (False, False, False),
    z3.Z3_OP_UGEQ: (False, True, True),
    z3.Z3_OP_UGT: (False, True, False),
    z3.Z3_OP_SLEQ: (True, False, True),
    z3.Z3_OP_SLT: (True, False, False),
    z3.Z3_OP_SGEQ: (True, True, True),
    z3.Z3_OP_SGT: (True, True, False),
}
"""Of each comparison: whether it is signed, turned round, and holds of equals."""


@dataclass(frozen=True)
class Spoken:
    """What a term speaks of: comparisons that are not of words, and the indices of words."""

    comparisons: tuple[Any, ...]
    indices: tuple[Any, ...]


@dataclass
class Order:
    """Conditions in whole numbers; what was told once is kept."""

    rlimit: int
    conditions: list[Any] = field(default_factory=list)
    _truths: dict[int, tuple[Any, Told]] = field(default_factory=dict)
    _numbers: dict[int, tuple[Any, Told]] = field(default_factory=dict)

    _spoken: dict[int, tuple[Any, Spoken]] = field(default_factory=dict)

    def impossible(self, parts: Sequence[Any]) -> bool:
        """Whether it is shown that the conditions do not hold together."""
        return bool(self._asked(parts).check() == z3.unsat)

    def settled(self, parts: Sequence[Any]) -> list[Any]:
        """The conditions on words, in which what all of them decide of order is decided.

        A comparison that holds, or does not, is put in as such; of indices that are the same, one
        stands for all.
        """
        solver, found = self._asked(parts), list[Any]()
        of_words = [part for part in parts if self.spoken(part).indices]
        merged = self._merged(solver, of_words)
        for part in of_words:
            pairs = [
                (one, z3.BoolVal(value))
                for one in self.spoken(part).comparisons
                for value in (True, False)
                if self._decides(solver, one, value)
            ]
            found.append(z3.substitute(z3.substitute(part, *pairs), *merged))
        return found

    def _decides(self, solver: Any, one: Any, value: bool) -> bool:
        told, needs = self.truth(one)
        solver.push()
        solver.add(told != value, *self._conditions(needs))
        decided = bool(solver.check() == z3.unsat)
        solver.pop()
        return decided

    def _merged(self, solver: Any, parts: list[Any]) -> list[tuple[Any, Any]]:
        spoken = [one for part in parts for one in self.spoken(part).indices]
        indices = [*{one.get_id(): one for one in spoken if one.size() == 64}.values()]
        told = [self.number(one) for one in indices]
        solver.add(*self._conditions(frozenset[int]().union(*(needs for _, needs in told))))
        if not indices or solver.check() != z3.sat:
            return []
        model, first, pairs = solver.model(), dict[int, Any](), list[tuple[Any, Any]]()
        for one, (number, _) in zip(indices, told, strict=True):
            value = model.eval(number, model_completion=True).as_long()
            if value not in first:
                first[value] = one
            elif self._decides(solver, one == first[value], True):
                pairs.append((one, first[value]))
        return pairs

    def _asked(self, parts: Sequence[Any]) -> Any:
        told = [self.truth(part) for part in parts if not isinstance(part, bool)]
        solver = z3.SimpleSolver()
        solver.set("rlimit", self.rlimit)
        solver.set("random_seed", 0)
        solver.add(*(one for one, _ in told))
        solver.add(*self._conditions(frozenset[int]().union(*(needs for _, needs in told))))
        return solver

    def _conditions(self, needs: frozenset[int]) -> list[Any]:
        needed, work = set[int](), list(needs)
        while work:
            number = work.pop()
            if number not in needed:
                needed.add(number)
                work += self.conditions[number][1]
        return [self.conditions[number][0] for number in sorted(needed)]

    def spoken(self, term: Any) -> Spoken:
        """What is said in a term."""
        kept = self._spoken.get(term.get_id())
        if kept is None:
            kept = self._spoken[term.get_id()] = (term, self._say(term))
        return kept[1]

    def _say(self, term: Any) -> Spoken:
        children = term.children()
        told = [self.spoken(child) for child in children]
        comparisons = {one.get_id(): one for spoken in told for one in spoken.comparisons}
        indices = {one.get_id(): one for spoken in told for one in spoken.indices}
        if children and term.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            indices[children[0].get_id()] = children[0]
        is_equal = z3.is_eq(term) and z3.is_bv(children[0]) and children[0].size() == 64
        if (is_equal or term.decl().kind() in BELOW) and not indices:
            comparisons[term.get_id()] = term
        return Spoken(tuple(comparisons.values()), tuple(indices.values()))

    def truth(self, term: Any) -> Told:
        """A condition."""
        kept = self._truths.get(term.get_id())
        if kept is None:
            kept = self._truths[term.get_id()] = (term, self._truth(term))
        return kept[1]

    def _truth(self, term: Any) -> Told:
        kind, children = term.decl().kind(), term.children()
        if kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
            return term, frozenset()
        if children and all(z3.is_bool(child) for child in children):
            told = [self.truth(child) for child in children]
            made = term.decl()(*(one for one, _ in told))
            return made, frozenset[int]().union(*(needs for _, needs in told))
        if kind == z3.Z3_OP_EQ and z3.is_bv(children[0]):
            return self._equal(*children)
        if kind in BELOW:
            return self._below(*BELOW[kind], *children)
        return z3.Bool(f"truth{term.get_id()}"), frozenset()

    def _equal(self, left: Any, right: Any) -> Told:
        gap = minus(_sum_of(left), _sum_of(right))
        value, least, most, needs = self._sum(gap)
        if least > -MODULUS and most < MODULUS:
            return value == 0, needs
        # Modulo 2**64: equal if there is no gap, and only if the gap is some number of turns.
        holds, turns = z3.FreshBool("equal"), z3.FreshInt("turns")
        tied = z3.And(z3.Implies(value == 0, holds), z3.Implies(holds, value == MODULUS * turns))
        return holds, needs | {self._note(tied, needs)}

    def _below(self, is_signed: bool, turned: bool, equal: bool, left: Any, right: Any) -> Told:
        if is_signed and left.size() != 64:
            return z3.FreshBool("signed"), frozenset()
        (a, of_a), (b, of_b) = (
            self._signed(one) if is_signed else self.number(one) for one in (left, right)
        )
        if turned:
            a, b = b, a
        return (a <= b if equal else a < b), of_a | of_b

    def _signed(self, term: Any) -> Told:
        value, least, most, needs = self._sum(_sum_of(term))
        if least >= -HALF and most < HALF:
            return value, needs
        plain, needs = self.number(term)
        return z3.If(plain >= HALF, plain - MODULUS, plain), needs

    def number(self, term: Any) -> Told:
        """The number that a word is, without a sign."""
        kept = self._numbers.get(term.get_id())
        if kept is None:
            kept = self._numbers[term.get_id()] = (term, self._number(term))
        return kept[1]

    def _number(self, term: Any) -> Told:
        value, least, most, needs = self._sum(_sum_of(term))
        if least >= 0 and most < MODULUS:
            return value, needs
        if least >= -MODULUS and most < MODULUS:
            return z3.If(value < 0, value + MODULUS, value), needs
        found = z3.FreshInt("wrapped")
        wraps = found == value - MODULUS * z3.FreshInt("turns")
        condition = z3.And(wraps, found >= 0, found < MODULUS)
        return found, frozenset({self._note(condition, needs)})

    def _sum(self, one: Linear) -> tuple[Any, int, int, frozenset[int]]:
        """A sum as a number, the least and the most that it can be, and what it needs."""
        constant, parts = one
        constant = constant - MODULUS if constant >= HALF else constant
        value, least, most, needs = z3.IntVal(constant), constant, constant, frozenset[int]()
        for part, times in parts.values():
            told, more = self._part(part)
            value, needs = value + times * told, needs | more
            reach = times * ((1 << part.size()) - 1)
            least, most = least + min(reach, 0), most + max(reach, 0)
        return value, least, most, needs

    def _part(self, part: Any) -> Told:
        kept = self._numbers.get(~part.get_id())
        if kept is None:
            kept = self._numbers[~part.get_id()] = (part, self._told_part(part))
        return kept[1]

    def _told_part(self, part: Any) -> Told:
        kind, children, top = part.decl().kind(), part.children(), 1 << part.size()
        if kind == z3.Z3_OP_ITE:
            (test, a), (yes, b), (no, c) = (
                self.truth(children[0]),
                self.number(children[1]),
                self.number(children[2]),
            )
            return z3.If(test, yes, no), a | b | c
        needs = frozenset[int]()
        found = z3.FreshInt("part")
        if kind == z3.Z3_OP_UNINTERPRETED and children:
            told = [self.number(child) for child in children]
            function = z3.Function(
                f"{part.decl().name()}_number", *(z3.IntSort() for _ in children), z3.IntSort()
            )
            found = function(*(one for one, _ in told))
            needs = frozenset().union(*(more for _, more in told))
        condition = z3.And(found >= 0, found < top)
        if kind in (z3.Z3_OP_BADD, z3.Z3_OP_BMUL):
            # Of fewer bits than an index has: what a comparison of indices may be made into.
            told = [self._narrow(child) for child in children]
            numbers = [one for one, _ in told]
            whole = sum(numbers) if kind == z3.Z3_OP_BADD else _product(numbers)
            if whole is not None:
                needs = frozenset().union(*(more for _, more in told))
                condition = z3.And(condition, found == whole - top * z3.FreshInt("turns"))
        if kind == z3.Z3_OP_EXTRACT:
            # What lies below these bits, and how often what lies above them goes round.
            whole, needs = self.number(children[0])
            step, rest, turns = 1 << part.params()[1], z3.FreshInt("rest"), z3.FreshInt("turns")
            is_topmost = part.params()[0] == children[0].size() - 1
            split = whole == step * (found + (0 if is_topmost else top * turns)) + rest
            condition = z3.And(condition, split, rest >= 0, rest < step)
        return found, needs | {self._note(condition, needs)}

    def _narrow(self, term: Any) -> Told:
        if z3.is_bv_value(term):
            half = 1 << (term.size() - 1)
            value = term.as_long()
            return z3.IntVal(value - 2 * half if value >= half else value), frozenset()
        return self.number(term)

    def _note(self, condition: Any, needs: frozenset[int]) -> int:
        self.conditions.append((condition, needs))
        return len(self.conditions) - 1


def _sum_of(term: Any) -> Linear:
    return linear(term if term.size() == 64 else z3.ZeroExt(64 - term.size(), term))


def _product(numbers: list[Any]) -> Any:
    is_linear = len(numbers) == 2 and z3.is_int_value(numbers[0])
    return numbers[0] * numbers[1] if is_linear else None
