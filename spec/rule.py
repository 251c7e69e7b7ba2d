"""A rule is an ordered list of named cases; the first whose condition holds is taken.

The same text is proved (`taken`), executed as the oracle (`step`) and executed on many states at
once (`lanes` in `conformance`). A case is named for its condition, never for the code it returns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from spec.sources import Source
from spec.terms import (
    Bits,
    Bool,
    KeySet,
    KeyTable,
    Natural,
    NumberSet,
    NumberTable,
    PageSet,
    Word,
    WordTable,
    all_of,
    negate,
)


class Case(NamedTuple):
    """One way a step can go.

    `when` is its condition (it is taken where no earlier case is), `outcome` what is answered,
    `state` what the step leaves behind (or a function that makes it, called where the case is
    taken), `value` what a successful step answers beside it. `never`: no step takes it from a
    state in which the invariants hold; that is proved, and it is there to fail closed.
    """

    name: str
    when: Bool
    outcome: Word
    state: Any
    value: Any = 0
    never: bool = False

    @property
    def after(self) -> Any:
        """What the step leaves behind."""
        return self.state() if callable(self.state) else self.state


Cases = tuple[Case, ...]


@dataclass(frozen=True)
class Rule:
    """A rule: its cases as a function of the state and the operands.

    enabled: where the step can be taken at all; everywhere if it is None.
    """

    id: str
    operands: type
    source: Source
    cases: Callable[[Any, Any], Cases]
    accepts: int
    enabled: Callable[[Any, Any], Bool] | None = None

    @property
    def name(self) -> str:
        """The last part of the id: the operation's name."""
        return self.id.rsplit(".", 1)[1]

    @property
    def claim(self) -> str:
        """The first sentence of its docstring."""
        return (self.cases.__doc__ or "").strip().split("\n\n")[0]

    def __call__(self, state: Any, op: Any) -> Cases:
        return self.cases(state, op)


class Step(NamedTuple):
    """What one executed step did."""

    case: str
    outcome: int
    value: Any
    state: Any


def rule(
    area: str,
    operands: type,
    cite: Source,
    accepts: int = 0,
    enabled: Callable[[Any, Any], Bool] | None = None,
) -> Callable[[Callable[[Any, Any], Cases]], Rule]:
    """Make a rule of the function below, under the id `area.name`.

    accepts: the outcome that is not a refusal. enabled: where the step can be taken at all.
    """

    def made(cases: Callable[[Any, Any], Cases]) -> Rule:
        return Rule(f"{area}.{cases.__name__}", operands, cite, cases, accepts, enabled)

    return made


R = TypeVar("R")


def changed(record: R, **values: Any) -> R:
    """A copy of a record with some fields changed; `dataclasses.replace`, ten times as fast."""
    made = object.__new__(type(record))
    made.__dict__.update(record.__dict__, **values)
    return made


def step(subject: Rule, state: Any, op: Any) -> Step:
    """Execute one step on plain values.

    Raises: LookupError where no case is taken, which a proof of exhaustiveness rules out.
    """
    for case in subject(state, op):
        if case.when:
            return Step(case.name, int(case.outcome), case.value, case.after)
    raise LookupError(f"{subject.id}: no case is taken for {op}")


def taken(cases: Sequence[Case], name: str) -> Bool:
    """The condition under which the case called `name` is the one taken."""
    place = [case.name for case in cases].index(name)
    return all_of(*(negate(case.when) for case in cases[:place]), cases[place].when)


def is_accepted(subject: Rule, case: Case) -> bool:
    """Whether a case is an acceptance: its outcome is, and not by a parameter."""
    return isinstance(case.outcome, int) and int(case.outcome) == subject.accepts


def hints(record: type) -> Mapping[str, Any]:
    """The annotation of each field of a dataclass, resolved, with its metadata."""
    return get_type_hints(record, include_extras=True)


Mark = Bits | PageSet | WordTable | KeySet | KeyTable | Natural | NumberTable | NumberSet


def kind(annotation: Any) -> Mark | None:
    """The mark that an annotation carries, if any."""
    if get_origin(annotation) is not Annotated:
        return None
    return next((m for m in get_args(annotation)[1:] if isinstance(m, Mark)), None)


def scalars(record: Any) -> Mapping[str, Any]:
    """The fields of a dataclass instance that are single words or flags."""
    marks = hints(type(record))
    return {
        f.name: getattr(record, f.name)
        for f in fields(record)
        if isinstance(kind(marks[f.name]), Bits)
    }
