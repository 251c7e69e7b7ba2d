"""A batch of traces as whole arrays: what goes to a device, and what the rules say comes of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.adapters.lanes_room import Places, places
from conformance.batch import OPCODES, STEPS, UNWRITTEN, Batch
from conformance.lanes import Array
from conformance.packing import from_bytes
from conformance.trace import Reached, Steps
from spec.pages import ListedWords
from spec.rule import Rule
from spec.validation.bitmap import At, Between, Bitmap, Create, Export, Fill, Import, Policy
from spec.validation.outcomes import Outcome

OF_WORDS = (Export, Import)
CASES = 32
"""More than any rule has."""


@dataclass(frozen=True)
class Sheet:
    """Traces of `STEPS` steps each.

    starts: base, pages, most_runs and the words. ops: as in `struct svsm_step`, for each step.
    words: what exports and imports find. outcomes, values, after, shown: what the rules say of each
    step, of the words, and of the state behind it. cases: the place of the case taken. in_c: the
    rules were compiled.
    """

    policy: Policy
    rules: tuple[Rule, ...]
    starts: Array
    ops: Array
    words: Array
    outcomes: Array
    values: Array
    after: Array
    shown: Array
    cases: Array
    in_c: bool = False

    @property
    def lanes(self) -> int:
        """How many traces there are."""
        return int(self.starts.shape[0])

    @property
    def width(self) -> int:
        """How many words a state has."""
        return int(self.starts.shape[1]) - 3

    @property
    def room(self) -> int:
        """How many words a trace has for its exports and imports."""
        return int(self.words.shape[1])

    @property
    def places(self) -> Places:
        """Where it lies in memory that is shared."""
        return places(self.lanes, STEPS, self.width, self.room)

    def trace(self, lane: int) -> tuple[Bitmap, Steps]:
        """One of the traces, on plain values."""
        base, pages = (int(n) for n in self.starts[lane, :2])
        claimed = from_bytes(self.starts[lane, 3:].tobytes(), base >> 12)
        start = Bitmap(self.policy, base, pages, claimed)
        return start, [self._step(lane, place) for place in range(STEPS)]

    def _step(self, lane: int, place: int) -> tuple[Rule, Any]:
        number, *operands = (int(n) for n in self.ops[lane, place])
        rule = next(r for r in self.rules if OPCODES.index(r.name) == number)
        return rule, self._operands(rule.operands, lane, operands)

    def _operands(self, shape: type, lane: int, told: list[int]) -> Any:
        if shape is At:
            return At(told[0])
        if shape is Between:
            return Between(told[0], told[1])
        if shape is Fill:
            return Fill(bool(told[0]))
        if shape is Create:
            return Create(told[0], told[1], bool(told[2]))
        length, first = told[:2]
        if shape is Export:
            return Export(length)
        words = self.words[lane, first : first + length].tolist()
        return Import(length, ListedWords.of(words))

    def count(self, reached: Reached, agreed: Array) -> None:
        """Count the cases of the lanes that were compared to their end and agreed.

        agreed: a truth value for each lane.
        """
        numbers = self.ops[agreed, :, 0].astype(np.int64) * CASES + self.cases[agreed]
        times = np.bincount(numbers.ravel(), minlength=len(OPCODES) * CASES)
        for rule in self.rules:
            first = OPCODES.index(rule.name) * CASES
            for case, name in enumerate(case_names(rule)):
                if times[first + case]:
                    reached[rule.id, name] += int(times[first + case])


def case_names(rule: Rule) -> tuple[str, ...]:
    """The names of a rule's cases, in order."""
    if rule.id not in _NAMES:
        from spec.catalogue import SUBJECTS
        from spec.prove.matrix import situation
        from spec.prove.world import Symbolic

        subject = next(s for s in SUBJECTS if rule in s.rules)
        _, _, cases = situation(subject, rule, Symbolic())
        _NAMES[rule.id] = tuple(case.name for case in cases)
    return _NAMES[rule.id]


_NAMES: dict[str, tuple[str, ...]] = {}


def of_batch(batch: Batch) -> Sheet:
    """A batch that the rules on arrays have been run on."""
    lanes, width = batch.start.claimed.rows.shape
    room = width + 1
    start = batch.start
    runs = np.full(lanes, np.uint64(start.policy.most_runs))
    starts = np.concatenate(
        [np.stack([start.base, start.pages, runs], axis=1), start.claimed.rows], axis=1
    ).astype(np.uint64)
    ops = np.zeros((lanes, STEPS, 4), np.uint64)
    words = np.full((lanes, STEPS * room), UNWRITTEN, np.uint64)
    after = words.copy()
    outcomes = np.zeros((lanes, STEPS), np.int64)
    values = np.zeros((lanes, STEPS), np.uint64)
    shown = np.zeros((lanes, STEPS, 2 + width), np.uint64)
    cases = np.zeros((lanes, STEPS), np.int64)
    for place, (rule, drawn, done) in enumerate(
        zip(batch.rules, batch.ops, batch.done, strict=True)
    ):
        ops[:, place, 0] = OPCODES.index(rule.name)
        accepted = done.outcome == int(Outcome.OK)
        slot = slice(place * room, place * room + room)
        if isinstance(drawn.op, OF_WORDS):
            ops[:, place, 1], ops[:, place, 2] = drawn.op.length, place * room
        else:
            for column, value in enumerate(vars(drawn.op).values(), 1):
                ops[:, place, column] = value
            values[:, place] = np.where(accepted, done.value, np.uint64(0))
        if drawn.words is not None:
            words[:, slot] = after[:, slot] = drawn.words
        if done.words is not None:
            listed = np.pad(done.words, ((0, 0), (0, 1)))
            within = np.arange(room) < drawn.op.length.astype(np.intp)[:, None]
            after[:, slot] = np.where(accepted[:, None] & within, listed, after[:, slot])
        outcomes[:, place], cases[:, place] = done.outcome, done.case
        shown[:, place, 0], shown[:, place, 1] = done.state.base, done.state.pages
        shown[:, place, 2:] = done.state.claimed.rows
    rules = tuple(dict.fromkeys(batch.rules))
    return Sheet(start.policy, rules, starts, ops, words, outcomes, values, after, shown, cases)
