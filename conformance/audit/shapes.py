"""What a turn of a loop changes, and how: guesses, from which an invariant is made.

A loop is followed once around, from the state in which it is entered and then from one in which
what changed is unknown, until nothing new is found to change. Nothing is shown here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import z3

from conformance.audit import bits
from conformance.audit.cells import REGISTER, Cell, cells_of, held, put
from conformance.audit.decode import RSP
from conformance.audit.faults import NotModelled
from conformance.audit.linear import canonical
from conformance.audit.state import FLAGS, State

MAX_TRIES = 8
TURN_BITS = 35


@dataclass
class Shape:
    """What a turn does. steps: cells that move by a number; loose: those that change otherwise.

    words: the loose cells that hold a word, by its index. sums: those to which a turn adds.
    first, stride: the index of the first word that the loop goes past, and how many a turn does.
    """

    steps: dict[Cell, int] = field(default_factory=dict)
    loose: dict[Cell, Any] = field(default_factory=dict)
    words: dict[Cell, Any] = field(default_factory=dict)
    sums: tuple[Cell, ...] = ()
    first: Any = None
    stride: int = 0


def shape_of(entry: State, turns: Any, around: Callable[[State], list[State]]) -> Shape:
    """What a turn does, found out by trying; what is found has to be shown.

    Raises: NotModelled where the loop has no such shape.
    """
    shape = Shape()
    for _ in range(MAX_TRIES):
        start = state_of(entry, shape, turns) if shape.steps or shape.loose else entry
        arrived = around(start)
        if not _learn(shape, entry, start, arrived):
            _hold_words(shape, entry, arrived, turns)
            shape.sums = _sums(shape, start, arrived)
            shape.first, shape.stride = _words(shape, turns, start, arrived)
            for cell in shape.words:
                # Looked at in a turn is the word that the turn before has read.
                shape.first = word_in(entry, shape, cell, turns, z3.BitVecVal(0, 64)).arg(0)
            return shape
    raise NotModelled("a loop of which it is not found what a turn changes")


def _learn(shape: Shape, entry: State, start: State, arrived: list[State]) -> bool:
    """Whether a turn changes more, or otherwise, than the shape says; it then says so."""
    learned = False
    for s in arrived:
        if s.writes != start.writes:
            raise NotModelled("a loop that writes words")
        for cell in cells_of(start, s):
            if cell in shape.loose:
                continue
            moved = bits.tidy(bits.sub(held(s, cell), held(start, cell), cell.width))
            if moved == shape.steps.get(cell, 0) and isinstance(moved, int):
                continue
            learned = True
            if isinstance(moved, int) and cell not in shape.steps and start is entry:
                shape.steps[cell] = moved
            else:
                shape.steps.pop(cell, None)
                shape.loose[cell] = entry.world.fresh("turn", cell.width)
    return learned


def _hold_words(shape: Shape, entry: State, arrived: list[State], turns: Any) -> None:
    """A word that a turn leaves in a cell, and that was there when the loop was entered."""
    for cell in [cell for cell in shape.loose if cell.width == 64 and arrived]:
        left = [bits.term(held(s, cell), 64) for s in arrived]
        if all(one.decl().eq(entry.world.held) and one.eq(left[0]) for one in left):
            shape.words[cell] = left[0].arg(0)
            if not word_in(entry, shape, cell, turns, z3.BitVecVal(0, 64)).eq(
                bits.term(held(entry, cell), 64)
            ):
                del shape.words[cell]


def word_in(entry: State, shape: Shape, cell: Cell, turns: Any, number: Any) -> Any:
    """What a cell that holds a word holds after so many turns."""
    return entry.world.held(canonical(z3.substitute(shape.words[cell], (turns, number - 1))))


def state_of(entry: State, shape: Shape, turns: Any) -> State:
    """The state after some turns, as far as the shape tells it."""
    if any(cell.name == RSP and cell.region == REGISTER for cell in (*shape.steps, *shape.loose)):
        raise NotModelled("a loop that moves the stack pointer")
    made = entry.fork(True)
    for cell, step in shape.steps.items():
        put(made, cell, moved_by(held(entry, cell), turns, step, cell.width))
    for cell, fresh in shape.loose.items():
        put(made, cell, fresh)
    for cell in shape.words:
        put(made, cell, word_in(entry, shape, cell, turns, turns))
    made.set_flags(**{name: entry.world.fresh_truth(name) for name in FLAGS})
    return made


def moved_by(value: Any, turns: Any, step: int, width: int) -> Any:
    """A value that so many turns have moved by a number each."""
    if step == 0:
        return value
    moved = bits.term(value, width) + z3.Extract(width - 1, 0, step * turns)
    return canonical(moved) if width == 64 else moved


def _sums(shape: Shape, start: State, arrived: list[State]) -> tuple[Cell, ...]:
    """The loose cells that every turn adds to: what is added speaks of no loose cell."""
    loose = {one.get_id() for one in shape.loose.values()}
    return tuple(
        cell
        for cell in shape.loose
        if cell.width == 64
        and cell not in shape.words
        and all(
            not _mentions(bits.sub(held(s, cell), held(start, cell), 64), loose) for s in arrived
        )
    )


def _mentions(term: Any, wanted: set[int]) -> bool:
    work, seen = [z3.simplify(term, som=True)], set[int]()
    while work:
        one = work.pop()
        if one.get_id() in wanted:
            return True
        if one.get_id() not in seen:
            seen.add(one.get_id())
            work += one.children()
    return False


def _words(shape: Shape, turns: Any, start: State, arrived: list[State]) -> tuple[Any, int]:
    """The index of the first word of the first turn, and how many words further the next begins."""
    counter = turns.arg(0)

    def at_turn(offset: Any, number: int) -> Any:
        return canonical(z3.substitute(offset, (counter, z3.BitVecVal(number, TURN_BITS))))

    touched = [one.offset for s in arrived for one in s.trace[len(start.trace) :]]
    at = [(at_turn(one, 0), at_turn(one, 1)) for one in touched]
    gaps = [bits.tidy(first - at[0][0]) for first, _ in at]
    if not gaps or not all(isinstance(one, int) for one in gaps):
        raise NotModelled("a loop that reads words here and there")
    first, second = at[min(range(len(at)), key=lambda n: bits.signed(gaps[n], 64))]
    stride = bits.tidy(second - first)
    if not isinstance(stride, int) or not 0 < stride < 1 << 16:
        raise NotModelled(f"a loop that does not move forward over words {first} {second}")
    return first, stride
