"""Loops of kernels, cut at their heads: what is known after any number of turns.

A path that comes to a loop ends there. In its place stands a state after K turns, for an unknown
number K, of which an invariant is supposed, and every path on from there is followed. Four things
are shown: the invariant holds after no turn; each path that comes back to the head has it after one
turn more; K is bounded, so that the loop ends; and, as for any path, what is claimed at the end.

The invariant has three parts. Registers that a turn moves by a number are K times that number
further, and what a turn does not change is as it was. The word of the arbitrary page, if the loop
went past it, is as the rule says of passed words; or what the loop adds up is the rule's sum
over the words that it went past. And the words of K turns lie in the range. What else a turn
changes is forgotten. Which registers are of which kind is found out by trying: a wrong guess is not
shown, and the kernel is then not proved.
"""

from dataclasses import dataclass, field
from typing import Any

import z3

from conformance.audit import bits, execute
from conformance.audit.cells import cells_of, held, put
from conformance.audit.faults import NotModelled
from conformance.audit.flow import Loop
from conformance.audit.kernel_rules import PAGE, KernelRule, word_of
from conformance.audit.kernel_world import KernelWorld
from conformance.audit.linear import canonical
from conformance.audit.shapes import TURN_BITS, Shape, moved_by, shape_of, state_of, word_in
from conformance.audit.state import State

ARRIVED = "comes to the head again"
FEW_READS = 8


@dataclass(frozen=True)
class Cut:
    """A loop that was cut. entry: the path that came to it; turns: K; room: the bound on words."""

    entry: State
    shape: Shape
    turns: Any
    room: int

    def until(self, turns: Any) -> Any:
        """The first word that so many turns did not go past."""
        return canonical(self.shape.first + self.shape.stride * turns)


@dataclass
class Loops:
    """The loops of one kernel.

    entered: the paths that came to a loop that was cut. after: what stands for each of them.
    """

    world: KernelWorld
    rule: KernelRule
    loops: dict[int, Loop]
    entered: list[State] = field(default_factory=list)
    after: list[State] = field(default_factory=list)

    @property
    def heads(self) -> frozenset[int]:
        """Where paths are cut."""
        return frozenset(self.loops)

    def arrive(self, s: State) -> list[State] | None:
        """A path comes to the head of a loop: what stands for it from here on.

        Raises: NotModelled where the invariant is not shown.
        """
        cut = s.heads.get(s.rip)
        if cut is not None and s.at in self.loops[s.rip].body:
            self._kept(cut, s)
            s.ended = execute.CLOSED
            return None
        came_back = self._around(s)
        if all(len(one.suppose) == len(s.suppose) for one in came_back):
            # Nothing is decided on the way round: a turn of a known number of them, or none.
            return None
        self.entered.append(s)
        return [self._cut(s)]

    # One turn

    def _around(self, start: State) -> list[State]:
        """The paths that come back to the head after one turn."""
        loop, arrived = self.loops[start.rip], list[State]()

        def on_cut(s: State) -> list[State] | None:
            if s.rip != loop.head:
                if s.rip in loop.body:
                    raise NotModelled("a loop in a loop")
                return []
            arrived.append(s)
            s.ended = ARRIVED
            return None

        paths = execute.Paths()
        cuts = self.heads | loop.exits
        start = start.fork(True)
        execute.follow(start, lambda s: None, False, paths, cuts=cuts, on_cut=on_cut)
        if paths.undecided:
            raise NotModelled(f"in a loop: {paths.undecided[0][1]}")
        return arrived

    # The invariant

    def _cut(self, entry: State) -> State:
        turns = z3.ZeroExt(64 - TURN_BITS, self.world.fresh("turns", TURN_BITS))
        shape = shape_of(entry, turns, self._around)
        for room in (shape.stride + 1, shape.stride, 1, 0):
            cut = Cut(entry, shape, turns, room)
            if not self.world.sees(entry.suppose, self._lies(cut, z3.BitVecVal(0, 64))):
                continue
            start = self._after(cut)
            back = self._around(start)
            if all(self.world.sees(s.suppose, self._lies(cut, turns + 1)) for s in back):
                self.after.append(start.fork(True))
                return start
        raise NotModelled("a loop of which no bound on its turns was found")

    def _after(self, cut: Cut) -> State:
        """The state after some turns, with all of the invariant."""
        shape, turns = cut.shape, cut.turns
        made = state_of(cut.entry, shape, turns)
        if self.rule.adds is not None and shape.sums:
            added = self._added(cut, cut.until(turns))
            # One of the cells says what the others leave of the sum.
            one, *others = shape.sums
            rest = sum((shape.loose[cell] for cell in others), z3.BitVecVal(0, 64))
            put(made, one, self._total(cut.entry, cut) - rest + added)
        made.suppose = (
            *cut.entry.suppose,
            self._lies(cut, turns),
            self._passed(cut, turns),
        )
        made.heads[made.rip] = cut
        made.generalised = True
        return made

    def _lies(self, cut: Cut, turns: Any) -> Any:
        """The words of so many turns lie in the range, and so many turns are a number."""
        until = cut.until(turns)
        return z3.And(
            z3.ULE(until + cut.room, self.rule.stop),
            z3.ULE(until, self.rule.stop),
            z3.ULE(turns, self.rule.stop),
            z3.ULT(turns, 1 << TURN_BITS),
        )

    def _passed(self, cut: Cut, turns: Any) -> Any:
        """If the page's word was passed, it is as words are that were passed."""
        if self.rule.passed is None:
            return True
        mine = word_of(PAGE)
        went_by = z3.And(z3.ULE(cut.shape.first, mine), z3.ULT(mine, cut.until(turns)))
        return z3.Implies(went_by, self.rule.passed(self.world, mine))

    def of_last_turn(self, s: State) -> tuple[Any, ...]:
        """What a path that left a loop in the middle knows of the words of its last turn.

        It is shown of each of the words, so it holds of the page's if that is one of them.
        """
        found, mine, passed = list[Any](), word_of(PAGE), self.rule.passed
        if passed is None:
            return ()
        for cut in s.heads.values():
            first, until = cut.until(cut.turns), cut.until(cut.turns + 1)
            words = [canonical(first + n) for n in range(cut.shape.stride)]
            if self.world.sees(s.suppose, bits.both(*(passed(self.world, at) for at in words))):
                among = z3.And(z3.ULE(first, mine), z3.ULT(mine, until))
                found.append(z3.Implies(among, passed(self.world, mine)))
        return tuple(found)

    def _total(self, s: State, cut: Cut) -> Any:
        return sum((bits.term(held(s, cell), 64) for cell in cut.shape.sums), z3.BitVecVal(0, 64))

    def _added(self, cut: Cut, until: Any) -> Any:
        return self.world.sum_before(until) - self.world.sum_before(cut.shape.first)

    def _kept(self, cut: Cut, s: State) -> None:
        """Raises: NotModelled where a turn does not keep the invariant"""
        shape, turns = cut.shape, cut.turns
        until = cut.until(turns)
        wanted = [
            ("the bound on its turns", self._lies(cut, turns + 1)),
            *(("what a turn changes", one) for one in self._moved_as_said(cut, s)),
        ]
        if self.rule.adds is not None and shape.sums:
            gained = self._total(s, cut) - self._total(cut.entry, cut)
            wrong = gained - self._added(cut, canonical(until + shape.stride))
            wanted.append(("its sum", self.world.telescoped(s, self.rule.adds, wrong) == 0))
        if self.rule.passed is not None:
            passed = [
                self.rule.passed(self.world, canonical(until + n)) for n in range(shape.stride)
            ]
            wanted.append(("what is said of words that were passed", bits.both(*passed)))
        for what, holds in wanted:
            if not self.world.shows(s.suppose, holds):
                raise NotModelled(f"a turn of a loop does not keep {what}")
        if s.writes != cut.entry.writes:
            raise NotModelled("a loop that writes words")

    def _moved_as_said(self, cut: Cut, s: State) -> list[Any]:
        """What is to be shown of cells, where it cannot be seen at once."""
        found = []
        for cell in cells_of(cut.entry, s):
            if cell in cut.shape.words:
                found.append(
                    held(s, cell) == word_in(cut.entry, cut.shape, cell, cut.turns, cut.turns + 1)
                )
            elif cell not in cut.shape.loose:
                step = cut.shape.steps.get(cell, 0)
                wanted = moved_by(held(cut.entry, cell), cut.turns + 1, step, cell.width)
                same = bits.tidy(bits.equal(held(s, cell), wanted, cell.width))
                if same is not True:
                    found.append(same if same is not False else z3.BoolVal(False))
        return found


def where(s: State, word: Any) -> list[Any]:
    """Where a word may lie to a path: in what was read last, or in what its loops went past."""
    cuts = list(reversed(s.heads.values()))
    since = max((len(cut.entry.trace) for cut in cuts), default=0)
    read = {one.offset.get_id(): one.offset for one in s.trace[since:] if one.kind == "R"}
    found = [word == at for at in read.values() if len(read) <= FEW_READS]
    for cut in cuts:
        turns = cut.turns
        for first, until in ((cut.shape.first, turns), (cut.until(turns), turns + 1)):
            found.append(z3.And(z3.ULE(first, word), z3.ULT(word, cut.until(until))))
    return found
