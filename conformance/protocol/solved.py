"""Requests that the solver makes: words on which each check of a request turns.

The rules of a request are asked, on a state that is known, for operands that take each case, with
the two sides of each comparison equal or one apart. What comes out lies where a check that is a
little wrong answers something else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import z3

from conformance.aims import comparisons
from spec.prove.world import Symbolic, record
from spec.rule import Rule, changed, taken
from spec.tables import block_pages
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    negate,
    plus,
    truth,
    within,
    word,
)
from spec.validation import pvalidate
from spec.validation.svsm import Svsm


@dataclass(frozen=True)
class Known:
    """A set of pages that is known, asked of pages that are not."""

    runs: tuple[tuple[int, int], ...]

    def has(self, page: Word) -> Bool:
        """Whether `page` is in the set."""
        return any_of(False, *(within(page, first, stop) for first, stop in self.runs))

    def no_block(self, first: Word, large: Bool) -> Bool:
        """No page of a block is in the set."""
        past = plus(first, block_pages(large))
        meets = (all_of(below(first, b), below(a, past)) for a, b in self.runs)
        return negate(any_of(False, *meets))

    def whole_block(self, first: Word, large: Bool) -> Bool:
        """Every page of a block is in the set, whose runs do not touch."""
        past = plus(first, block_pages(large))
        inside = (all_of(at_most(a, first), at_most(past, b)) for a, b in self.runs)
        return any_of(False, *inside)

    def is_empty(self) -> bool:
        """No page is in the set."""
        return not self.runs


@dataclass(frozen=True)
class Willing:
    """A machine on which every access comes through."""

    def exits(self, _gfn: Word) -> bool:
        """No access exits."""
        return False

    def reaches(self, _gfn: Word, _large: Bool) -> bool:
        """Every access comes through."""
        return True


def known(state: Any) -> Any:
    """A state with each set of pages in it made a `Known` one, on a willing machine."""
    values = {f.name: getattr(state, f.name) for f in fields(state)}
    sets = {name: Known(tuple(v.runs())) for name, v in values.items() if hasattr(v, "runs")}
    return changed(state, **sets)


def requests(state: Svsm) -> list[pvalidate.Call]:
    """Calls on which the checks of a call turn."""
    return list(_solved(state, pvalidate.call))


def entries(state: Svsm) -> list[pvalidate.Entry]:
    """Entries on which the checks of an entry turn; the vCPU is about to read one."""
    return list(_solved(state, pvalidate.entry))


def _solved(state: Svsm, rule: Rule) -> Iterator[Any]:
    layout = known(state.layout)
    made = changed(known(state), layout=layout, hw=Willing())
    op = changed(record(Symbolic(), rule.operands, "op"), vcpu=0)
    cases = rule(made, op)
    seen: set[tuple[int, ...]] = set()
    for case in cases:
        when = taken(cases, case.name)
        for aim in (truth(True), *(truth(aim.holds) for aim in comparisons(cases))):
            found = _values(rule, op, [truth(when), aim])
            if found is not None and found not in seen:
                seen.add(found)
                yield rule.operands(*found)


def _values(rule: Rule, op: Any, asked: Sequence[Any]) -> tuple[int, ...] | None:
    """Operands for which all that is asked holds, if the solver finds any."""
    solver = z3.SolverFor("QF_BV")
    solver.set("rlimit", 2_000_000)
    solver.add(*asked)
    if solver.check() != z3.sat:
        return None
    model = solver.model()
    terms = (word(getattr(op, f.name)) for f in fields(rule.operands))
    return tuple(model.eval(term, model_completion=True).as_long() for term in terms)
