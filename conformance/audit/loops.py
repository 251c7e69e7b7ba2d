"""Loops of kernels, summed up: what is known after any number of turns.

A loop is followed once around, which shows what a turn changes. Registers that a turn moves by a
number are then what they were plus K times that number, for an unknown number K of turns; what else
changes is forgotten. One turn from such a state, on every path that comes back to the head, gives
the condition T(K) of a turn. The invariant then has three parts, each shown to hold from turn to
turn: registers moved as was said; K is bounded, so that nothing wraps; and what the rule says of a
word that was passed holds of the one word of the arbitrary page, if it was passed. The last turn's
condition is known as well, as there was a last turn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import z3

from conformance.audit import bits, execute
from conformance.audit.decode import RSP
from conformance.audit.faults import NotModelled
from conformance.audit.kernel_rules import PAGE, KernelRule
from conformance.audit.kernel_world import WORDS, KernelWorld
from conformance.audit.state import FLAGS, State

ARRIVED = "comes to the head again"
SUMMED = "summed"


@dataclass(frozen=True)
class Shape:
    """What a turn does. steps: registers that move by a number; index: the word looked at."""

    start: State
    steps: dict[int, int]
    forgotten: tuple[int, ...]
    wide: tuple[int, ...]
    index: Any
    stride: int


@dataclass
class Loops:
    """The loops of one kernel; `count` of them were summed up."""

    world: KernelWorld
    rule: KernelRule
    count: int = 0
    entered: list[State] = field(default_factory=list)
    """Paths as they came to a loop that was then summed up."""
    sums: list[State] = field(default_factory=list)
    """What stands for each of these loops."""

    def arrive(self, s: State) -> list[State] | None:
        """A path comes to the head of a loop: what stands for it from here on.

        Raises: NotModelled where the loop has not the form above.
        """
        before = s.heads.get(s.rip)
        if before is None:
            s.heads[s.rip] = s.fork(True)
            return None
        if before == SUMMED:
            s.ended = execute.CLOSED
            return None
        return self._sum_up(before, s)

    def _sum_up(self, first: State, second: State) -> list[State]:
        if len(second.writes) != len(first.writes) or second.memory != first.memory:
            raise NotModelled("a loop that writes")
        self.count += 1
        shape = self._shape(first, second)
        turns = self.world.fresh("turns", 64)
        condition, bound = self._turn(shape, turns)
        start = self._state(shape, turns, bound(turns))
        mine, until = z3.LShR(PAGE, 6), shape.index + turns * shape.stride
        passed = z3.And(z3.ULE(shape.index, mine), z3.ULT(mine, until))
        last_turn = z3.substitute(condition, (turns, turns - 1))
        start.suppose = (
            *start.suppose,
            z3.Implies(turns != 0, last_turn),
            z3.Implies(passed, self._keeps(shape, turns, bound(turns), condition)(mine)),
        )
        start.heads[start.rip] = SUMMED
        start.generalised = True
        self.entered.append(first)
        self.sums.append(start.fork(True))
        return [start]

    def _keeps(self, shape: Shape, turns: Any, bound: Any, condition: Any) -> Any:
        """What the rule says of a word that was passed, if a turn shows it of its words."""
        holds = self.rule.passed
        if holds is None:
            return lambda word: z3.BoolVal(True)
        of_turn = [
            holds(self.world, z3.simplify(shape.index + turns * shape.stride + n))
            for n in range(shape.stride)
        ]
        if self.world.check(shape.start.suppose, bound, condition, z3.Not(bits.both(*of_turn))):
            raise NotModelled("a loop that passes words of which the invariant does not hold")
        return lambda word: holds(self.world, word)

    def _shape(self, first: State, second: State) -> Shape:
        steps, forgotten = dict[int, int](), []
        for n in range(16):
            moved = bits.tidy(bits.sub(second.regs[n], first.regs[n], 64))
            if isinstance(moved, int):
                if moved:
                    steps[n] = moved
            else:
                forgotten.append(n)
        wide = tuple(n for n in range(16) if second.wide[n] is not first.wide[n])
        if RSP in steps or RSP in forgotten:
            raise NotModelled("a loop that moves the stack pointer")
        pointer = self.world.regions[WORDS]
        for n, step in steps.items():
            value = bits.term(first.regs[n], 64)
            if WORDS in self.world.mentions(value) and step % 8 == 0 and step < 1 << 16:
                index = z3.simplify(z3.LShR(value - pointer, 3))
                return Shape(first, steps, tuple(forgotten), wide, index, step // 8)
        raise NotModelled("a loop that moves no pointer forward")

    def _state(self, shape: Shape, turns: Any, *suppose: Any) -> State:
        made = shape.start.fork(True)
        made.known, made.heads = {}, dict(shape.start.heads)
        for n, step in shape.steps.items():
            made.regs[n] = bits.term(made.regs[n], 64) + turns * step
        for n in shape.forgotten:
            made.regs[n] = self.world.fresh("turn", 64)
        for n in shape.wide:
            made.wide[n] = self.world.fresh("turn_wide", 128)
        made.set_flags(**{name: self.world.fresh_truth(name) for name in FLAGS})
        made.suppose = (*made.suppose, *suppose)
        return made

    def _turn(self, shape: Shape, turns: Any) -> tuple[Any, Any]:
        """The condition of a turn, and a bound on the number of turns that turns keep."""
        for bound in self._bounds(shape):
            zero = z3.BitVecVal(0, 64)
            if self.world.check(shape.start.suppose, z3.Not(bound(zero))):
                continue
            arrived = self._around(shape, turns, bound(turns))
            base = len(shape.start.suppose) + 1
            condition = bits.either(*(bits.both(*s.suppose[base:]) for s in arrived))
            if not _is_open(condition) and not self.world.check(
                shape.start.suppose, bound(turns), condition, z3.Not(bound(turns + 1))
            ):
                return condition, bound
        raise NotModelled("a loop of which no bound on its turns was found")

    def _bounds(self, shape: Shape) -> Iterator[Any]:
        last = z3.LShR(self.rule.stop - 1, 6)
        for more in (-1, 0, 1):

            def bound(turns: Any, more: int = more) -> Any:
                word = shape.index + turns * shape.stride
                return z3.And(z3.ULE(turns, last + 1), z3.ULE(word, last + more))

            yield bound

    def _around(self, shape: Shape, turns: Any, bound: Any) -> list[State]:
        """Where one turn leads, on each path that comes back to the head."""
        start, head, arrived = self._state(shape, turns, bound), shape.start.rip, list[State]()

        def on_loop(s: State) -> list[State] | None:
            if s.rip == head:
                arrived.append(s)
                s.ended = ARRIVED
                return None
            return []

        paths = execute.Paths()
        execute.follow(start, lambda s: None, False, paths, on_loop=on_loop)
        if paths.undecided:
            raise NotModelled(f"in a loop: {paths.undecided[0][1]}")
        if not arrived:
            raise NotModelled("a loop that goes round once")
        for s in arrived:
            self._moves_as_said(shape, turns, s)
        return arrived

    def _moves_as_said(self, shape: Shape, turns: Any, s: State) -> None:
        if len(s.writes) != len(shape.start.writes) or s.memory != shape.start.memory:
            raise NotModelled("a loop that writes")
        for n in range(16):
            if n not in shape.forgotten:
                wanted = bits.term(shape.start.regs[n], 64) + (turns + 1) * shape.steps.get(n, 0)
                differs = bits.tidy(bits.term(s.regs[n], 64) != wanted)
                if differs is not False and self.world.check(s.suppose, differs):
                    raise NotModelled("a loop whose turns do not move alike")
            if n not in shape.wide and s.wide[n] is not shape.start.wide[n]:
                raise NotModelled("a loop whose turns do not change alike")


def _is_open(condition: Any) -> bool:
    """Whether a condition speaks of what was forgotten."""
    seen, work = set[int](), [condition]
    while work:
        one = work.pop()
        if one.get_id() not in seen:
            seen.add(one.get_id())
            work += one.children()
            name = str(one.decl()) if one.num_args() == 0 else ""
            if name.startswith(("any_turn", *(f"any_{flag}" for flag in FLAGS))) and (
                not name.startswith("any_turns")
            ):
                return True
    return False
