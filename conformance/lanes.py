"""The third interpretation of the rules: numpy arrays, many states in step.

A lane is one state. Sets of frames are rows of packed words: bit `i` of word `j` of a lane is
frame `origin + 64 * j + i`. Calling a rule on arrays gives its cases for every lane at once;
`lane_step` picks in each lane the first that holds.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spec.rule import Rule
from spec.validation.bitmap import Bitmap, gfn

U64 = np.uint64
Array = npt.NDArray[Any]
ONE, SIXTY_FOUR = U64(1), U64(64)
LOW_BITS = np.array([(1 << n) - 1 for n in range(65)], U64)
"""The word whose lowest `n` bits are set, by `n`."""


def lane_word(value: Any, lanes: int) -> Array:
    """`value` as one 64-bit word a lane."""
    return np.broadcast_to(np.asarray(value, dtype=U64), (lanes,))


@dataclass(frozen=True, eq=False)
class LaneWords:
    """A table of words a lane, by rows; zero past the end."""

    rows: Array

    def at(self, index: Array) -> Array:
        """Word `index` of each lane."""
        lanes, width = self.rows.shape
        place = np.minimum(lane_word(index, lanes), U64(width - 1)).astype(np.int64)
        inside = lane_word(index, lanes) < U64(width)
        return np.where(inside, self.rows[np.arange(lanes), place], U64(0))


@dataclass(frozen=True, eq=False)
class LanePages:
    """A set of frames a lane; `updates` are the ranges that were made since it was read."""

    origin: Array
    rows: Array
    updates: tuple[tuple[Any, Any, Any], ...] = ()

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        return int(self.rows.shape[0])

    def masks(self, first: Any, stop: Any) -> Array:
        """The bits of each word whose frames are in `[first, stop)`, a row for each lane."""
        width = self.rows.shape[1]
        bits = U64(64 * width)
        low, high = (self._place(end, bits).astype(np.intp) for end in (first, stop))
        bases = np.arange(width, dtype=np.intp) * 64
        return _below(high, bases) & ~_below(low, bases)

    def _place(self, frame: Any, bits: U64) -> Array:
        """The bit of a frame, clipped to the row."""
        frame = lane_word(frame, self.lanes)
        above = np.minimum(frame - self.origin, bits)
        return np.where(frame < self.origin, U64(0), above)

    def has(self, page: Any) -> Array:
        """Whether `page` is in the set."""
        place = lane_word(page, self.lanes) - self.origin
        word = LaneWords(self.rows).at(place >> U64(6))
        held: Array = (word >> (place & U64(63))) & ONE == ONE
        return held

    def with_range(self, first: Any, stop: Any, value: Any) -> "LanePages":
        """This set with membership of `[first, stop)` made `value`."""
        masks = self.masks(first, stop)
        made = np.broadcast_to(np.asarray(value, dtype=bool), (self.lanes,))[:, None]
        rows = np.where(made, self.rows | masks, self.rows & ~masks)
        return LanePages(self.origin, rows, (*self.updates, (first, stop, value)))

    def rebased(self, origin: Array) -> "LanePages":
        """The updates made on an empty set of another origin: what `create` leaves behind."""
        pages = LanePages(origin, np.zeros_like(self.rows))
        for first, stop, value in self.updates:
            pages = pages.with_range(first, stop, value)
        return pages

    def none(self, first: Any, stop: Any) -> Array:
        """No page of `[first, stop)` is in the set."""
        held: Array = ~np.any(self.rows & self.masks(first, stop), axis=1)
        return held

    def all(self, first: Any, stop: Any) -> Array:
        """Every page of `[first, stop)` is in the set; the range is within the row."""
        held: Array = ~np.any(~self.rows & self.masks(first, stop), axis=1)
        return held

    def count(self, first: Any, stop: Any) -> Array:
        """How many pages of `[first, stop)` are in the set."""
        held = np.bitwise_count(self.rows & self.masks(first, stop))
        total: Array = held.sum(axis=1, dtype=U64)
        return total

    def lowest_missing(self, first: Any, stop: Any) -> Array:
        """The lowest page of `[first, stop)` not in the set, where there is one."""
        missing = ~self.rows & self.masks(first, stop)
        word = np.argmax(missing != 0, axis=1)
        bits = missing[np.arange(self.lanes), word]
        place = np.bitwise_count((bits & (~bits + ONE)) - ONE)
        found: Array = self.origin + word.astype(U64) * SIXTY_FOUR + place.astype(U64)
        return found

    def runs_in(self, first: Any, stop: Any) -> Array:
        """How many runs of alike pages `[first, stop)` has, for a set with no page outside it."""
        carried = np.zeros_like(self.rows)
        carried[:, 1:] = self.rows[:, :-1] >> U64(63)
        flips = (self.rows ^ (self.rows << ONE | carried)) & self.masks(first, stop)
        total: Array = np.bitwise_count(flips).sum(axis=1, dtype=U64) + ONE
        return total

    def packed(self, origin: Any) -> LaneWords:
        """The set as words; `origin` is the lane's own wherever a rule asks."""
        del origin
        return LaneWords(self.rows)

    def unpacked(self, words: LaneWords, origin: Any, pages: Any) -> "LanePages":
        """The pages `origin + p` with `p` below `pages` and bit `p` of `words` set."""
        rows = words.rows[:, : self.rows.shape[1]]
        whole = LanePages(lane_word(origin, self.lanes), rows)
        inside = whole.masks(whole.origin, whole.origin + lane_word(pages, self.lanes))
        return LanePages(whole.origin, rows & inside)


def _below(place: Array, bases: Array) -> Array:
    """In each word, the bits before bit `place` of the row."""
    masks: Array = LOW_BITS[np.clip(place[:, None] - bases, 0, 64)]
    return masks


@dataclass(frozen=True)
class LaneStep:
    """What one step did in every lane.

    case: the place of the case taken among the rule's. value: a word a lane; words for an export.
    """

    names: tuple[str, ...]
    case: Array
    outcome: Array
    value: Array
    words: Array | None
    state: Bitmap


def lane_step(rule: Rule, state: Bitmap, op: Any) -> LaneStep:
    """Execute one step in every lane.

    Raises: LookupError where in some lane no case is taken.
    """
    lanes = state.claimed.lanes
    cases = rule(state, op)
    whens = np.stack([np.broadcast_to(np.asarray(case.when), (lanes,)) for case in cases])
    taken = np.argmax(whens, axis=0)
    if not whens.any(axis=0).all():
        raise LookupError(f"{rule.id}: no case is taken in some lane")
    outcome, value = np.zeros(lanes, U64), np.zeros(lanes, U64)
    words, after = None, state
    for place, case in enumerate(cases):
        here = taken == place
        outcome = np.where(here, lane_word(case.outcome, lanes), outcome)
        if isinstance(case.value, LaneWords):
            words = case.value.rows
        else:
            value = np.where(here, lane_word(case.value, lanes), value)
        if case.state is not state:
            after = merged(here, case.state, after, case.state.base is not state.base)
    return LaneStep(tuple(case.name for case in cases), taken, outcome, value, words, after)


def merged(here: Array, yes: Bitmap, no: Bitmap, moved: bool) -> Bitmap:
    """In each lane the state `yes` where `here` holds, else `no`.

    moved: `yes` has another base, so its set is told from that base on.
    """
    made = yes.claimed.rebased(gfn(lane_word(yes.base, len(here)))) if moved else yes.claimed
    pages = LanePages(
        np.where(here, made.origin, no.claimed.origin),
        np.where(here[:, None], made.rows, no.claimed.rows),
    )
    base, count = np.where(here, yes.base, no.base), np.where(here, yes.pages, no.pages)
    return replace(no, base=base, pages=count, claimed=pages)
