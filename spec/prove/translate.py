"""Z3 terms as bitwuzla's, node by node.

What many formulas have in common is one node in z3, and becomes one term in bitwuzla. Printed
as text it is told again in each formula: a group that has 2,700 nodes is 430,000 letters. A
test compares what is made here with what bitwuzla's own parser makes of z3's text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import z3

from spec.z3_library import bare

KINDS = {
    z3.Z3_OP_EQ: "EQUAL",
    z3.Z3_OP_DISTINCT: "DISTINCT",
    z3.Z3_OP_ITE: "ITE",
    z3.Z3_OP_AND: "AND",
    z3.Z3_OP_OR: "OR",
    z3.Z3_OP_NOT: "NOT",
    z3.Z3_OP_IMPLIES: "IMPLIES",
    z3.Z3_OP_XOR: "XOR",
    z3.Z3_OP_BADD: "BV_ADD",
    z3.Z3_OP_BSUB: "BV_SUB",
    z3.Z3_OP_BMUL: "BV_MUL",
    z3.Z3_OP_BNEG: "BV_NEG",
    z3.Z3_OP_BUDIV: "BV_UDIV",
    z3.Z3_OP_BUREM: "BV_UREM",
    z3.Z3_OP_BUDIV_I: "BV_UDIV",
    z3.Z3_OP_BUREM_I: "BV_UREM",
    z3.Z3_OP_BAND: "BV_AND",
    z3.Z3_OP_BOR: "BV_OR",
    z3.Z3_OP_BXOR: "BV_XOR",
    z3.Z3_OP_BNOT: "BV_NOT",
    z3.Z3_OP_BSHL: "BV_SHL",
    z3.Z3_OP_BLSHR: "BV_SHR",
    z3.Z3_OP_BASHR: "BV_ASHR",
    z3.Z3_OP_ULT: "BV_ULT",
    z3.Z3_OP_ULEQ: "BV_ULE",
    z3.Z3_OP_UGT: "BV_UGT",
    z3.Z3_OP_UGEQ: "BV_UGE",
    z3.Z3_OP_SLT: "BV_SLT",
    z3.Z3_OP_SLEQ: "BV_SLE",
    z3.Z3_OP_SGT: "BV_SGT",
    z3.Z3_OP_SGEQ: "BV_SGE",
    z3.Z3_OP_CONCAT: "BV_CONCAT",
    z3.Z3_OP_EXTRACT: "BV_EXTRACT",
    z3.Z3_OP_ZERO_EXT: "BV_ZERO_EXTEND",
    z3.Z3_OP_SIGN_EXT: "BV_SIGN_EXTEND",
}
INDICES = {z3.Z3_OP_EXTRACT: 2, z3.Z3_OP_ZERO_EXT: 1, z3.Z3_OP_SIGN_EXT: 1}
UNARY = (z3.Z3_OP_AND, z3.Z3_OP_OR, z3.Z3_OP_XOR, z3.Z3_OP_BADD, z3.Z3_OP_CONCAT)
"""Of one thing alone these are that thing, and bitwuzla wants two."""
LEAVES = (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE, z3.Z3_OP_BNUM, z3.Z3_OP_UNINTERPRETED)
FEW = 40
"""Of as many places of a function each two are told to be alike; of more, the solver finds out."""
Z3 = bare(
    "get_app_arg",
    "get_app_decl",
    "get_app_num_args",
    "get_arity",
    "get_ast_id",
    "get_bv_sort_size",
    "get_decl_int_parameter",
    "get_decl_kind",
    "get_decl_name",
    "get_domain",
    "get_numeral_string",
    "get_range",
    "get_sort",
    "get_sort_kind",
)


class Unreadable(ValueError):
    """bitwuzla knows nothing of what a term speaks of."""


@dataclass
class Translator:
    """What has been made of the terms of one z3 context, in one of bitwuzla's term managers.

    made: by the number that z3 gives a term, which is its own while the term is `kept`. calls: by
    symbol, its declaration, and where it was asked: the places, and the term that answers.
    alike: what follows of a function's being one, of each two places where it was asked. products:
    the numbers of the terms with a multiplication in them.
    """

    bitwuzla: Any
    manager: Any
    made: dict[int, Any] = field(default_factory=dict)
    symbols: dict[str, Any] = field(default_factory=dict)
    sorts: dict[int, Any] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)
    calls: dict[str, list[tuple[Any, list[Any], Any]]] = field(default_factory=dict)
    alike: list[Any] = field(default_factory=list)
    products: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        kinds = self.bitwuzla.Kind
        self.kinds = {op: getattr(kinds, name) for op, name in KINDS.items()}

    def of(self, term: Any) -> Any:
        """`term` as a term of bitwuzla's.

        Raises: Unreadable where it speaks of numbers, or of an operation not among `KINDS`.
        """
        self.kept.append(term)
        context, root = term.ctx.ref(), term.as_ast()
        made, number, argument = self.made, Z3.get_ast_id, Z3.get_app_arg
        found = number(context, root)
        waiting = [(found, root)]
        while waiting:
            name, ast = waiting[-1]
            if name in made:
                waiting.pop()
                continue
            listed = [
                argument(context, ast, place) for place in range(Z3.get_app_num_args(context, ast))
            ]
            numbers = [number(context, one) for one in listed]
            missing = [pair for pair in zip(numbers, listed, strict=True) if pair[0] not in made]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            declared = Z3.get_app_decl(context, ast)
            op = Z3.get_decl_kind(context, declared)
            made[name] = self._made(context, ast, op, declared, [made[one] for one in numbers])
            if op == z3.Z3_OP_BMUL or not self.products.isdisjoint(numbers):
                self.products.add(name)
        return made[found]

    def multiplies(self, term: Any) -> bool:
        """Whether a term that has been translated has a multiplication in it."""
        return term.get_id() in self.products

    def _made(self, context: Any, ast: Any, op: int, declared: Any, parts: list[Any]) -> Any:
        """The term of a node, from the terms of its parts."""
        if op in LEAVES:
            return self._leaf(context, ast, op, declared, parts)
        if op not in self.kinds:
            name = z3.FuncDeclRef(declared, z3.main_ctx()).name()
            raise Unreadable(f"term is made by {name}, must be one of {', '.join(KINDS.values())}")
        if len(parts) == 1 and op in UNARY:
            return parts[0]
        count = INDICES.get(op, 0)
        indices = [Z3.get_decl_int_parameter(context, declared, n) for n in range(count)]
        return self.manager.mk_term(self.kinds[op], parts, indices)

    def _leaf(self, context: Any, ast: Any, op: int, declared: Any, parts: list[Any]) -> Any:
        """A constant, a symbol, or a function at some places."""
        if op == z3.Z3_OP_TRUE:
            return self.manager.mk_true()
        if op == z3.Z3_OP_FALSE:
            return self.manager.mk_false()
        if op == z3.Z3_OP_BNUM:
            sort = self._sort(context, Z3.get_sort(context, ast))
            value = Z3.get_numeral_string(context, ast).decode()
            return self.manager.mk_bv_value(sort, value, 10)
        name = z3.z3core.Z3_get_symbol_string(context, Z3.get_decl_name(context, declared))
        if name not in self.symbols:
            self.symbols[name] = self.manager.mk_const(self._shape(context, declared), name)
            self.calls[name] = []
        symbol = self.symbols[name]
        if parts:
            symbol = self.manager.mk_term(self.bitwuzla.Kind.APPLY, [symbol, *parts])
            if len(self.calls[name]) < FEW:
                self.alike += self._alike(parts, symbol, self.calls[name])
        self.calls[name].append((declared, parts, symbol))
        return symbol

    def _alike(self, parts: list[Any], answer: Any, calls: Sequence[Any]) -> Iterator[Any]:
        """That at places which are those of an earlier call the answer is that of the call."""
        kinds, make = self.bitwuzla.Kind, self.manager.mk_term
        for _, at, told in calls:
            apart = [pair for pair in zip(parts, at, strict=True) if pair[0] != pair[1]]
            if apart and not any(one.is_value() and other.is_value() for one, other in apart):
                same = [make(kinds.EQUAL, list(pair)) for pair in apart]
                places = make(kinds.AND, same) if len(same) > 1 else same[0]
                yield make(kinds.IMPLIES, [places, make(kinds.EQUAL, [answer, told])])

    def model(self, solver: Any) -> Any:
        """The values that a solver has just found, as a model of z3's."""
        context, found = z3.main_ctx(), z3.Model()
        for calls in self.calls.values():
            declared = z3.FuncDeclRef(calls[0][0], context)
            sort = declared.range()
            told = {tuple(_number(solver, one) for one in at): term for _, at, term in calls}
            values = {at: _value(sort, _number(solver, term)) for at, term in told.items()}
            if () in values:
                z3.Z3_add_const_interp(context.ref(), found.model, declared.ast, values[()].ast)
                continue
            _interpret(found, declared, values)
        return found

    def _shape(self, context: Any, declared: Any) -> Any:
        """The sort of a symbol."""
        arity = Z3.get_arity(context, declared)
        takes = [self._sort(context, Z3.get_domain(context, declared, n)) for n in range(arity)]
        answers = self._sort(context, Z3.get_range(context, declared))
        return self.manager.mk_fun_sort(takes, answers) if takes else answers

    def _sort(self, context: Any, sort: Any) -> Any:
        """A sort: truth values, or bit-vectors of a width."""
        kind = Z3.get_sort_kind(context, sort)
        if kind == z3.Z3_BOOL_SORT:
            return self.manager.mk_bool_sort()
        if kind != z3.Z3_BV_SORT:
            raise Unreadable("term speaks of things that are neither words nor truth values")
        return self.manager.mk_bv_sort(Z3.get_bv_sort_size(context, sort))


def _number(solver: Any, term: Any) -> int:
    """A solver's number for a term; a truth value is 0 or 1."""
    return int(solver.get_value(term).value(10))


def _value(sort: Any, number: int) -> Any:
    """A number as a value of a sort."""
    return (
        z3.BoolVal(bool(number)) if sort.kind() == z3.Z3_BOOL_SORT else z3.BitVecVal(number, sort)
    )


def _interpret(model: Any, declared: Any, values: dict[tuple[int, ...], Any]) -> None:
    """Tell a model a function: its values where it was asked, and the first of them elsewhere."""
    context = declared.ctx
    sorts = [declared.domain(place) for place in range(declared.arity())]
    usual = next(iter(values.values()))
    added = z3.Z3_add_func_interp(context.ref(), model.model, declared.ast, usual.ast)
    made = z3.FuncInterp(added, context)
    for at, value in values.items():
        listed = z3.AstVector(ctx=context)
        for sort, number in zip(sorts, at, strict=True):
            listed.push(_value(sort, number))
        z3.Z3_func_interp_add_entry(context.ref(), made.f, listed.vector, value.ast)
