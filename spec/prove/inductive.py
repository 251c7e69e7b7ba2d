"""The obligations of a model whose state many actors change: sentences that every step keeps.

A sentence speaks of a state and of some arbitrary things in it, told apart by the names of its
parameters: `p` and `q` are system pages, `g` and `h` guest frames, `c` and `d` vCPUs. The engine
adds "for all". In a proof each is a fresh constant, and what is known before a step is looked at
there and at what the step names; so there is no quantifier, whatever the number of each.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from spec.assumptions import Assumption
from spec.invariant import Moment
from spec.prove.matrix import find
from spec.prove.obligation import Obligation, Query
from spec.prove.world import Symbolic, World, record
from spec.rule import Case, Rule, taken
from spec.sources import Source, definition
from spec.terms import Bool, Word

SORTS = {"p": "spn", "q": "spn", "g": "gfn", "h": "gfn", "c": "vcpu", "d": "vcpu"}
Points = Mapping[str, Sequence[Word]]
"""For each sort, the things that a proof looks at."""


@dataclass(frozen=True)
class Sentence:
    """What is true of every state between steps, or of every step.

    needs: the disciplines without which it is false, by name.
    """

    name: str
    claim: str
    source: Source
    says: Callable[..., Bool]
    about: tuple[str, ...]
    needs: tuple[str, ...] = ()
    on: Callable[[Rule, Case], bool] | None = None

    def at(self, subject: Any, things: Mapping[str, Word]) -> Bool:
        """What it says of a state (or a step) and some things by name."""
        return self.says(subject, *(things[name] for name in self.about))

    def instances(self, subject: Any, points: Points) -> Iterator[Bool]:
        """What it says wherever a proof looks."""
        for chosen in product(*(points[SORTS[name]] for name in self.about)):
            yield self.says(subject, *chosen)


def sentence(
    cite: Source,
    needs: Sequence[str] = (),
    on: Callable[[Rule, Case], bool] | None = None,
) -> Callable[[Callable[..., Bool]], Sentence]:
    """Make a sentence of the function below; its name is the function's.

    on: where it speaks of steps, which.
    """

    def made(says: Callable[..., Bool]) -> Sentence:
        claim = (says.__doc__ or "").strip().split("\n\n")[0]
        about = tuple(inspect.signature(says).parameters)[1:]
        return Sentence(says.__name__, claim, cite, says, about, tuple(needs), on)

    return made


@dataclass(frozen=True)
class Model:
    """Rules on one state, and the sentences that they keep.

    given: true of what is fixed, and taken for granted. kept: true between steps. steps: true of
    each step. follows: what follows of the kept ones. first: what is true when all begins.
    named: what a step names, for a proof to look at. fresh: the terms that belong to each sort.
    """

    id: str
    state: type
    rules: tuple[Rule, ...]
    given: tuple[Sentence, ...]
    kept: tuple[Sentence, ...]
    steps: tuple[Sentence, ...]
    follows: tuple[Sentence, ...]
    first: tuple[Sentence, ...]
    named: Callable[[Any, Any, Mapping[str, Word]], Points]
    assumptions: tuple[Assumption, ...]


THINGS = tuple(SORTS)


@dataclass
class Situation:
    """A rule's step in a world: the state, the operands, the cases, and what is known before."""

    state: Any
    op: Any
    cases: tuple[Case, ...]
    things: dict[str, Word]
    known: list[Bool]
    facts: list[Bool]
    labels: list[str]


def situation(model: Model, rule: Rule, world: World) -> Situation:
    """The step of a rule in a world, made once for all obligations that share the world."""
    memo: dict[str, Situation] = world.__dict__.setdefault("situations", {})
    if rule.id not in memo:
        memo[rule.id] = _situation(model, rule, world)
    return memo[rule.id]


def _situation(model: Model, rule: Rule, world: World) -> Situation:
    state, op = record(world, model.state, "s"), record(world, rule.operands, "op")
    cases = rule(state, op)
    things = {name: world.word(name) for name in THINGS}
    points = model.named(state, op, things)
    known = [rule.enabled(state, op)] if rule.enabled else []
    labels = ["enabled"] * len(known)
    for one in (*model.given, *model.kept):
        n = list(one.instances(state, points))
        known += n
        labels += [one.name] * len(n)
    facts = world.facts([point for listed in points.values() for point in listed])
    return Situation(
        state, op, cases, things, known + facts, facts, labels + ["facts"] * len(facts)
    )


def _obligation(
    model: Model,
    rule: Rule,
    case: Case | None,
    name: str,
    claim: str,
    source: Source,
    then: Callable[[Situation, Case | None], Sequence[Bool]],
    method: str = "inductive",
) -> Obligation:
    where = rule.id if case is None else f"{rule.id}.{case.name}"

    def ask(world: World) -> Query:
        now = situation(model, rule, world)
        at = None if case is None else find(now.cases, case.name)
        given: Bool = True if case is None else taken(now.cases, case.name)
        return Query(now.known, then(now, at), given)

    return Obligation(
        f"{where}/{name}", claim, source, ask, model.assumptions, method, shares=rule.id
    )


def _kept(one: Sentence) -> Callable[[Situation, Case | None], Sequence[Bool]]:
    def then(now: Situation, case: Case | None) -> Sequence[Bool]:
        return [one.at(now.state if case is None else case.after, now.things)]

    return then


def _stepped(one: Sentence, rule: Rule) -> Callable[[Situation, Case | None], Sequence[Bool]]:
    def then(now: Situation, case: Case | None) -> Sequence[Bool]:
        if case is None:
            raise ValueError(f"{one.name} speaks of steps")
        step = Moment(rule, now.state, now.op, case.outcome, case.value, case.after)
        return [one.at(step, now.things)]

    return then


def _begins(model: Model, one: Sentence) -> Obligation:
    def ask(world: World) -> Query:
        state = record(world, model.state, "s")
        things = {name: world.word(name) for name in THINGS}
        points = model.named(state, None, things)
        known = [said for s in (*model.given, *model.first) for said in s.instances(state, points)]
        return Query(known, [one.at(state, things)])

    return Obligation(
        f"{model.id}/at_first.{one.name}", one.claim, one.source, ask, model.assumptions, "base"
    )


def _follows(model: Model, one: Sentence) -> Obligation:
    def ask(world: World) -> Query:
        state = record(world, model.state, "s")
        things = {name: world.word(name) for name in THINGS}
        points = model.named(state, None, things)
        known = [said for s in (*model.given, *model.kept) for said in s.instances(state, points)]
        return Query(known, [one.at(state, things)])

    return Obligation(
        f"{model.id}/{one.name}", one.claim, one.source, ask, model.assumptions, "follows"
    )


def obligations(model: Model) -> Iterator[Obligation]:
    """Every obligation of a model, in a fixed order."""
    for one in model.kept:
        yield _begins(model, one)
    for one in model.follows:
        yield _follows(model, one)
    for rule in model.rules:
        yield from of_rule(model, rule)


def of_rule(model: Model, rule: Rule) -> Iterator[Obligation]:
    """The obligations of one rule."""
    state, op = record(Symbolic(), model.state, "s"), record(Symbolic(), rule.operands, "op")
    for case in rule(state, op):
        if case.never:
            claim = f"{rule.name} never comes to the case {case.name}."
            yield _never(model, rule, case, claim)
            continue
        claim = f"Some step of {rule.name} takes the case {case.name}."
        yield _obligation(
            model, rule, case, "is_reached", claim, rule.source, lambda _n, _c: [], "witness"
        )
        changes = callable(case.state) or case.state is not state
        for one in model.kept if changes else ():
            yield _obligation(model, rule, case, one.name, one.claim, one.source, _kept(one))
        for one in model.steps:
            if one.on is None or one.on(rule, case):
                then = _stepped(one, rule)
                yield _obligation(model, rule, case, one.name, one.claim, one.source, then)


def _never(model: Model, rule: Rule, case: Case, claim: str) -> Obligation:
    def ask(world: World) -> Query:
        now = situation(model, rule, world)
        return Query(now.known, [taken(now.cases, case.name) == False])  # noqa: E712

    source = definition("what fails closed need not happen")
    return Obligation(
        f"{rule.id}.{case.name}/is_never_taken", claim, source, ask, model.assumptions, "inductive"
    )


__all__ = ["Model", "Sentence", "obligations", "of_rule", "sentence"]
