"""What is said of a function, and how each path is judged against what is expected.

An access is judged when it is made: the first wrong one ends the audit with a witness, whatever
would come after. At the end of a path the accesses must be all there, and what was read must be
where the caller looks for it. PASS is said only if every path was followed to its end, and the
paths were shown to cover every input.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

import z3

from conformance.audit import bits
from conformance.audit.decode import RAX
from conformance.audit.execute import CIRCLES, CLOSED, RETURNS
from conformance.audit.expect import ANSWERS, Clause, Item
from conformance.audit.faults import NotModelled
from conformance.audit.state import Access, State, value_of
from conformance.audit.world import DEVICE, World

DATA = "data"
VALUE = "value"
NEAR = 1024
"""How far into the device a witness goes, if it need not go further."""


class Verdict(StrEnum):
    """The verdict words. None of them is true or false: compare, do not test."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a verdict is not a truth value: compare it, as in `verdict is {self!r}`")


class Violation(Exception):
    """A path that does what is not expected. witness: values of arguments and device answers.

    model: the values of everything on the path, as the solver has them.
    """

    def __init__(
        self, why: str, address: int, witness: dict[str, int], path: State, model: Any
    ) -> None:
        super().__init__(why)
        self.why, self.address, self.witness = why, address, witness
        self.path, self.model = path, model

    @property
    def done(self) -> list[str]:
        """The accesses of the path, in words."""
        return [told(access) for access in self.path.trace]


KINDS = {"R": "read", "W": "write"}


def told(access: Access) -> str:
    """An access in words."""
    width = f"{access.width} bits" if access.width else "unspecified width"
    offset = bits.tidy(access.offset)
    where = f"+{offset:#x}" if isinstance(offset, int) and offset >= 0 else f"+({offset})"
    locked = "atomic " if access.locked else ""
    return f"{locked}{KINDS[access.kind]} of {width} at mmio{where}"


@dataclass
class Judge:
    """Judges paths against clauses. names: the arguments; inputs: what a witness shows."""

    world: World
    clauses: tuple[Clause, ...]
    names: dict[str, Any]
    has_data: bool

    @property
    def repeats(self) -> bool:
        """Whether any number of accesses may be right."""
        return any(clause.repeats for clause in self.clauses)

    def _env(self, s: State) -> dict[str, Any]:
        # Arguments, and what the device answered so far; what it did not is unknown.
        reads = [
            bits.term(bits.widen(one.value, one.width, 64), 64)
            for one in s.trace
            if one.kind == "R" and one.width
        ]
        answers = {name: self.world.named(f"no_{name}", 64) for name in ANSWERS}
        answers |= {f"answer{number + 1}": value for number, value in enumerate(reads[:8])}
        last = reads[-1] if reads else self.world.named("no_answer", 64)
        return {**self.names, **answers, "read": last, "old": last}

    def _applies(self, env: dict[str, Any]) -> list[tuple[Any, Clause]]:
        made: list[tuple[Any, Clause]] = []
        before = z3.BoolVal(True)
        for clause in self.clauses:
            holds = clause.condition(env)
            made.append((z3.simplify(z3.And(before, holds)), clause))
            before = z3.And(before, z3.Not(holds))
        return made

    def access(self, s: State, access: Access) -> None:
        """Judge the access that a path has just made.

        Raises: Violation
        """
        number, env = len(s.trace) - 1, self._env(s)
        wrong = [
            (z3.And(applies, mismatch), clause)
            for applies, clause in self._applies(env)
            for mismatch in [self._mismatch(env, clause, number, access)]
            if mismatch is not False
        ]
        self._refute(s, wrong, lambda clause: self._why(clause, number, access), access.address)

    def _why(self, clause: Clause, number: int, access: Access) -> str:
        made = f"{told(access)} as access {number + 1}"
        if not clause.only and not clause.repeats and number >= len(clause.items):
            return f"{made}, where {clause.text} is expected and is over"
        return f"{made}, where {clause.text} is expected"

    def _mismatch(self, env: dict[str, Any], clause: Clause, number: int, access: Access) -> Any:
        items = clause.items
        if clause.only:
            wanted = items[0] if access.kind == "R" or len(items) == 1 else items[-1]
            return self._differs(env, wanted, access, check_place=False)
        if number >= len(items):
            if not items or not items[-1].many:
                return z3.BoolVal(True)
            return self._differs(env, items[-1], access)
        return self._differs(env, items[number], access)

    def _differs(
        self, env: dict[str, Any], item: Item, access: Access, check_place: bool = True
    ) -> Any:
        if item.kind[-1] != access.kind or access.width == 0:
            return z3.BoolVal(True)
        wrong = [item.width(env) != access.width]
        if check_place:
            wrong.append(item.offset(env) != bits.term(access.offset, 64))
            if access.kind == "W":
                wanted = self._wanted(env, item, access.width)
                if wanted is not None:
                    wrong.append(bits.term(access.value, access.width) != wanted)
        return bits.tidy(z3.Or(*wrong))

    def _wanted(self, env: dict[str, Any], item: Item, width: int) -> Any:
        if item.value is not None:
            return z3.Extract(width - 1, 0, item.value(env))
        if item.kind == "RMW":
            return None
        if VALUE in self.names:
            return z3.Extract(width - 1, 0, self.names[VALUE])
        if self.has_data:
            # A copy of what the caller gave: the state may have been changed since.
            given = [(self.world.named(f"{DATA}[{n:#x}]", 8), 1, 0) for n in range(width // 8)]
            return bits.term(value_of(given), width)
        return None

    def end(self, s: State) -> None:
        """Judge a path that has ended.

        Raises: Violation
        """
        if s.ended == CLOSED:
            return
        if s.ended == CIRCLES:
            what = "loops here for ever, and asks the device nothing"
            self._refute(s, [(z3.BoolVal(True), self.clauses[0])], lambda _: what, s.at)
            return
        made, env = len(s.trace), self._env(s)
        wrong = [
            (applies, clause)
            for applies, clause in self._applies(env)
            if not clause.only and made < len(clause.items)
        ]
        self._refute(s, wrong, lambda c: f"{s.ended} after {_count(made)}; expected {c.text}", s.at)
        if s.ended != RETURNS:
            return
        for applies, clause in self._applies(env):
            for what, differs in self._left_wrong(s, env, clause):
                self._refute(
                    s, [(z3.And(applies, differs), clause)], lambda _, what=what: what, s.at
                )

    def _left_wrong(self, s: State, env: dict[str, Any], clause: Clause) -> list[tuple[str, Any]]:
        reads = [one for one in s.trace if one.kind == "R" and one.width]
        if clause.returning is not None:
            if isinstance(clause.returning, str):
                return self._data_changed(s, 0)
            wanted = clause.returning(env)
            # Of one answer, as wide as it; of several put together, a whole word.
            width = reads[-1].width if len(reads) == 1 or (reads and clause.repeats) else 64
            returned = bits.term(bits.part(s.regs[RAX], 0, width, 64), width)
            differs = returned != z3.Extract(width - 1, 0, wanted)
            return [
                *self._data_changed(s, 0),
                ("what is returned is not what is expected", differs),
            ]
        if not clause.items or clause.items[-1].kind != "R" or clause.repeats or not reads:
            return self._data_changed(s, 0)
        last = reads[-1]
        if self.has_data:
            size = last.width // 8
            stored = value_of([self.world.byte(s, DATA, n) for n in range(size)])
            differs = bits.term(stored, last.width) != bits.term(last.value, last.width)
            what = "what lies at data afterwards is not what the device answered"
            return [(what, differs), *self._data_changed(s, size)]
        returned = bits.part(s.regs[RAX], 0, last.width, 64)
        differs = bits.term(returned, last.width) != bits.term(last.value, last.width)
        return [("what is returned is not what the device answered", differs)]

    def _data_changed(self, s: State, size: int) -> list[tuple[str, Any]]:
        if not self.has_data:
            return []
        changed = [
            bits.term(value_of([piece]), 8) != self.world.named(f"{DATA}[{offset:#x}]", 8)
            for (region, offset), piece in s.memory.items()
            if region == DATA and not 0 <= offset < size
        ]
        what = "bytes of data are written that are not asked for"
        return [(what, z3.Or(*changed))] if changed else []

    def _refute(self, s: State, wrong: list[tuple[Any, Clause]], why: Any, address: int) -> None:
        open_ones = [(one, clause) for one, clause in wrong if not z3.is_false(one)]
        if not open_ones:
            return
        is_wrong = z3.Or(*(one for one, _ in open_ones))
        if not self.world.check(s.suppose, is_wrong):
            return
        model = self._plainest(s, is_wrong)
        if s.generalised:
            raise NotModelled("a later turn of a loop may do what is not expected, or may not be")
        clause = next(
            c for one, c in open_ones if z3.is_true(model.eval(one, model_completion=True))
        )
        raise Violation(why(clause), address, self._witness(s, model), s, model)

    def _plainest(self, s: State, is_wrong: Any) -> Any:
        """Values of the last question, and if there are such, those at which things lie apart.

        A pointer may be any number, but a reader and a processor like some better than others.
        """
        found = self.world.model()
        offsets = [one.offset for one in s.trace if not isinstance(one.offset, int)]
        near = [z3.ULT(bits.term(one, 64), NEAR) for one in offsets]
        homes = self.world.homes()
        for wish in (homes + near, homes, self.world.homes(DEVICE)):
            if self.world.check(s.suppose, is_wrong, *wish):
                return self.world.model()
        return found

    def _witness(self, s: State, model: Any) -> dict[str, int]:
        shown = dict(self.names)
        for number, access in enumerate(one for one in s.trace if one.kind == "R" and one.width):
            shown[f"answer {number + 1}"] = access.value
        if self.has_data:
            shown |= {f"data[{n}]": self.world.named(f"{DATA}[{n:#x}]", 8) for n in range(8)}
        return {
            name: model.eval(bits.term(value, 64), model_completion=True).as_long()
            for name, value in shown.items()
        }


def _count(made: int) -> str:
    return "no access" if made == 0 else f"{made} access{'es' if made > 1 else ''}"


def covers_all(world: World, suppose: tuple[Any, ...], ends: list[State]) -> bool:
    """Whether every input takes one of the paths."""
    paths = [bits.both(*s.suppose[len(suppose) :]) for s in ends]
    return not world.check(suppose, bits.negate(bits.either(*paths)))
