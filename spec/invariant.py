"""An invariant is a sentence about one step and one page; the engine adds "for all".

The sentence sees a `Moment`: what was, what was asked, what was answered, what is. It speaks of
an arbitrary page `p`. In a proof `p` is a fresh constant; in the oracle it runs over pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spec.assumptions import Assumption
from spec.rule import Case, Rule, is_accepted
from spec.sources import Source
from spec.terms import Bool, Word

On = Literal["accepted", "refused", "every"] | Callable[[Rule, Case], bool]
"""Which cases an invariant speaks of: by how they answer, or by a test of the case."""


@dataclass(frozen=True)
class Moment:
    """One step: the state `before` it, its operands `op`, its answer, and the state `after`."""

    rule: Rule
    before: Any
    op: Any
    outcome: Word
    value: Any
    after: Any


def moment(rule: Rule, before: Any, op: Any, case: Case) -> Moment:
    """The step in which `case` is the one taken."""
    return Moment(rule, before, op, case.outcome, case.value, case.state)


@dataclass(frozen=True)
class Claim:
    """Where `given` holds, `then` holds; `given` must be shown to be possible.

    goals: further conclusions, each shown by itself, where one conjunction would be hard.
    """

    given: Bool
    then: Bool
    goals: tuple[Bool, ...] = ()

    @property
    def conclusions(self) -> tuple[Bool, ...]:
        """All that is to hold."""
        return (self.then, *self.goals)


Sentence = Callable[[Moment, Word], Any]
"""A sentence answers a Bool or a Claim."""

StateSentence = Callable[[Any, Word], Bool]
"""A sentence about a state and a page."""


@dataclass(frozen=True)
class Invariant:
    """A sentence that each step of some rules must make true.

    suppose: what is taken to hold of every page while the sentence is judged, if anything.
    points: further pages of the step, at which `suppose` and `uses` are to be looked at.
    uses: sentences about the state before, proved by themselves, that the proof may lean on.
    """

    name: str
    sentence: Sentence
    source: Source
    rules: tuple[Rule, ...]
    on: On
    given: tuple[Assumption, ...]
    suppose: Callable[[Moment, Word], Bool] | None = None
    points: Callable[[Moment], Sequence[Word]] | None = None
    uses: tuple[StateSentence, ...] = ()

    @property
    def claim(self) -> str:
        """What it says, in words."""
        return (self.sentence.__doc__ or "").strip().split("\n\n")[0]

    def speaks_of(self, rule: Rule, case: Case) -> bool:
        """Whether it says something of this case."""
        if rule.id not in {r.id for r in self.rules}:
            return False
        if callable(self.on):
            return self.on(rule, case)
        accepted = is_accepted(rule, case)
        return {"accepted": accepted, "refused": not accepted, "every": True}[self.on]


def invariant(
    cite: Source,
    rules: Sequence[Rule],
    on: On = "every",
    given: Sequence[Assumption] = (),
    suppose: Callable[[Moment, Word], Bool] | None = None,
    points: Callable[[Moment], Sequence[Word]] | None = None,
    uses: Sequence[StateSentence] = (),
) -> Callable[[Sentence], Invariant]:
    """Make an invariant of the sentence below; its name is the function's."""

    def made(sentence: Sentence) -> Invariant:
        name = sentence.__name__
        return Invariant(
            name, sentence, cite, tuple(rules), on, tuple(given), suppose, points, tuple(uses)
        )

    return made
