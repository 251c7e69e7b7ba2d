"""The obligations of a model whose state many actors change: sentences that every step keeps.

A sentence speaks of a state and of some arbitrary things in it, told apart by the names of its
parameters: `p` and `q` are system pages, `g` and `h` guest frames, `c` and `d` vCPUs, `i` and `j`
slots, `b` a byte, `n` a place in a log. The engine adds "for all". In a proof each is a fresh
constant, and what is known before a step is looked at there and at what the step names; so there
is no quantifier, whatever the number of each.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from itertools import product
from typing import Any

import z3

from spec.assumptions import Assumption
from spec.invariant import Moment
from spec.prove.matrix import find
from spec.prove.obligation import Obligation, Query
from spec.prove.premises import Premises
from spec.prove.world import Symbolic, World, record
from spec.rule import Case, Rule, taken
from spec.sources import Source, definition
from spec.terms import Bool, Word, all_of, implies, is_symbolic, negate, truth

SORTS = {
    "p": "spn",
    "q": "spn",
    "g": "gfn",
    "h": "gfn",
    "c": "vcpu",
    "d": "vcpu",
    "i": "slot",
    "j": "slot",
    "b": "byte",
    "n": "place",
}
IN_SETS = ("gfn", "spn", "byte")
"""Sorts of things that sets hold, of which something may be said of many at once."""
Points = Mapping[str, Sequence[Word]]
"""For each sort, the things that a proof looks at."""


@dataclass(frozen=True)
class Sentence:
    """What is true of every state between steps, or of every step.

    Of a step it may say several things, each of which is asked by itself.
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

    def instances(
        self, subject: Any, points: Points, spared: Mapping[str, Word]
    ) -> Iterator[Callable[[], Bool]]:
        """How to write what it says wherever a proof looks.

        spared: by sort, a thing that only sentences about that sort alone are looked at at.
        """
        for chosen in product(*(self._places(name, points, spared) for name in self.about)):
            yield partial(self.says, subject, *chosen)

    def _places(self, name: str, points: Points, spared: Mapping[str, Word]) -> Sequence[Word]:
        sort = SORTS[name]
        alone = all(SORTS[other] == sort for other in self.about)
        left_out = None if alone else spared.get(sort)
        return [point for point in points[sort] if point is not left_out]


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


def changes(_rule: Rule, case: Case) -> bool:
    """Speaks of every case that leaves something behind."""
    return callable(case.state)


@dataclass(frozen=True)
class Model:
    """Rules on one state, and the sentences that they keep.

    given: true of what is fixed, and taken for granted. kept: true between steps. steps: true of
    each step. follows: what follows of the kept ones, and other proofs lean on. first: what is true
    when all begins. named: what a step names, for a proof to look at. plain: of a step, that it is
    a simple one, where values are chosen. never: cases that no step takes on this machine, which
    is proved. machine: where several models share rules, what tells its obligations apart.
    inherits: a model whose sentences are true here too: proved there of the rules that are shared,
    here of those that are not. fails_closed: cases marked `never` are never taken. best: who is
    asked where one solver is enough: z3 where words are added up. answers: of an outcome, its name,
    where it is not one of `Did`. alone: ids of rules whose obligations are not asked in one
    session: where values of many bytes are to be shown, each has an easier time by itself. apart:
    of a step and the things that a sentence is about, cases in which it is shown one by one, and
    then where it is none of them.
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
    plain: Callable[[Any, Any], Bool]
    assumptions: tuple[Assumption, ...]
    never: frozenset[tuple[str, str]] = frozenset()
    machine: str = ""
    inherits: "Model | None" = None
    fails_closed: bool = True
    best: str = "bitwuzla"
    answers: type[IntEnum] | None = None
    alone: frozenset[str] = frozenset()
    apart: Callable[[Any, Any, Mapping[str, Word]], Sequence[Bool]] = lambda _s, _op, _things: ()

    def called(self, rule: Rule) -> str:
        """The id of a rule's obligations."""
        area, _, rest = rule.id.partition(".")
        return f"{area}.{self.machine}.{rest}" if self.machine else rule.id

    def session(self, name: str) -> str:
        """The name that obligations which are asked in one session share."""
        return "" if name in self.alone else name


THINGS = tuple(SORTS)


@dataclass
class Situation:
    """A rule's step in a world: the state, the operands, the cases, and what is known before.

    supposed: what each sentence says of the state before, at each place that a proof looks at, and
    that the rule is `enabled`.
    """

    state: Any
    op: Any
    cases: tuple[Case, ...]
    things: dict[str, Word]
    supposed: Premises


def situation(model: Model, rule: Rule | None, known: str, world: World) -> Situation:
    """The step of a rule in a world (or a state at rest), made once for all that share the world.

    known: `kept` or `first`, what is supposed of the state.
    """
    memo: dict[str, Situation] = world.__dict__.setdefault("situations", {})
    name = f"{rule.id if rule else ''}/{known}"
    if name not in memo:
        memo[name] = _situation(model, rule, known, world)
    return memo[name]


def _situation(model: Model, rule: Rule | None, known: str, world: World) -> Situation:
    state = record(world, model.state, "s")
    op = record(world, rule.operands, "op") if rule else None
    cases = rule(state, op) if rule else ()
    things = {name: world.word(name) for name in THINGS}
    points = model.named(state, op, things)
    sentences = (*model.given, *(model.first if known == "first" else model.kept))
    if model.inherits and known == "kept":
        sentences += model.inherits.kept + model.inherits.follows
    sentences += model.follows if rule else ()
    # The second vCPU of a sentence matters only beside the first.
    spared = {"vcpu": things["d"]} if rule else {}
    said = [(s.name, write) for s in sentences for write in s.instances(state, points, spared)]
    if rule and rule.enabled:
        said.append(("enabled", partial(rule.enabled, state, op)))
    near = [place for sort in IN_SETS for place in points.get(sort, ())]
    return Situation(state, op, cases, things, Premises(said, lambda: world.near(near)))


Then = Callable[[Situation, Case], Bool | tuple[Bool, ...]]


def _cell(model: Model, rule: Rule, case: Case, one: Sentence, then: Then) -> Obligation:
    """That a case makes a sentence true."""

    def ask(world: World) -> Query:
        now = situation(model, rule, "kept", world)
        at = find(now.cases, case.name)
        given = taken(now.cases, case.name)
        said = then(now, at)
        goals = _apart(model, one, now, said if isinstance(said, tuple) else (said,))
        return Query(now.supposed, goals, given, model.plain(now.state, now.op))

    return Obligation(
        f"{model.called(rule)}.{case.name}/{one.name}",
        one.claim,
        one.source,
        ask,
        model.assumptions,
        "inductive",
        shares=model.session(model.called(rule)),
        best=model.best,
    )


def _apart(model: Model, one: Sentence, now: Situation, goals: Sequence[Bool]) -> Sequence[Bool]:
    """Each part of each goal in each of a model's cases; the goals as they are if it has none."""
    cases = model.apart(now.state, now.op, {name: now.things[name] for name in one.about})
    if not cases:
        return goals
    parts = [part for goal in goals for part in _parts(goal)]
    places = range(len(cases) + 1)
    return [_in_case(cases, place, part) for part in parts for place in places]


def _in_case(cases: Sequence[Bool], place: int, said: Bool) -> Bool:
    """Where a case is the first that holds, `said` does; past the last, where none of them holds.

    What is known of the cases there is put in, so that no solver goes through what is not. Nothing
    else is written otherwise: z3's simplifier would make products of differences.
    """
    first = all_of(*map(negate, cases[:place]), *cases[place : place + 1])
    if is_symbolic(said):
        known = [(truth(case), truth(False)) for case in cases[:place]]
        known += [(truth(case), truth(True)) for case in cases[place : place + 1]]
        said = z3.substitute(said, *known)
    return implies(first, said)


def _parts(goal: Bool) -> Sequence[Bool]:
    """What all has to hold for a goal to hold."""
    return goal.children() if is_symbolic(goal) and z3.is_and(goal) else [goal]


def _kept(one: Sentence) -> Then:
    return lambda now, case: one.at(case.after, now.things)


def _stepped(one: Sentence, rule: Rule) -> Then:
    def then(now: Situation, case: Case) -> Bool:
        step = Moment(rule, now.state, now.op, case.outcome, case.value, case.after)
        return one.at(step, now.things)

    return then


def _of_state(model: Model, one: Sentence, known: str) -> Obligation:
    """That a sentence follows of others about the same state."""

    def ask(world: World) -> Query:
        now = situation(model, None, known, world)
        return Query(now.supposed, [one.at(now.state, now.things)])

    name = one.name if known == "kept" else f"at_first.{one.name}"
    return Obligation(
        f"{model.id}/{name}",
        one.claim,
        one.source,
        ask,
        model.assumptions,
        "follows",
        shares=model.session(f"{model.id}/{known}"),
        best=model.best,
    )


def of_states(model: Model) -> Iterator[Obligation]:
    """That the sentences are true when all begins, and what follows of them."""
    for one in model.kept:
        yield _of_state(model, one, "first")
    for one in model.follows:
        yield _of_state(model, one, "kept")


def obligations(model: Model) -> Iterator[Obligation]:
    """Every obligation of a model, in a fixed order."""
    yield from of_states(model)
    for rule in model.rules:
        yield from of_rule(model, rule)


def of_rule(model: Model, rule: Rule) -> Iterator[Obligation]:
    """The obligations of one rule: no case of it breaks a sentence, and each case is taken.

    Of a sentence that speaks of every change nothing is to be shown where it reads nothing of what
    a case changes: it is the same formula before and after, or plainly true.
    """
    world = Symbolic()
    state, op = record(world, model.state, "s"), record(world, rule.operands, "op")
    things = {name: world.word(name) for name in THINGS}
    kept, steps = model.kept, model.steps
    if model.inherits and rule not in model.inherits.rules:
        kept, steps = kept + model.inherits.kept, steps + model.inherits.steps
    before = {one.name: one.at(state, things) for one in kept}
    for case in rule(state, op):
        if (case.never and model.fails_closed) or (rule.id, case.name) in model.never:
            yield _never(model, rule, case)
            continue
        yield _reached(model, rule, case)
        for one in kept if case.state is not state else ():
            if not one.at(case.after, things).eq(before[one.name]):
                yield _cell(model, rule, case, one, _kept(one))
        for one in steps:
            if one.on is None or one.on(rule, case):
                now = Moment(rule, state, op, case.outcome, case.value, case.after)
                plain = one.on is changes and z3.is_true(z3.simplify(truth(one.at(now, things))))
                if not plain:
                    yield _cell(model, rule, case, one, _stepped(one, rule))


def _reached(model: Model, rule: Rule, case: Case) -> Obligation:
    def ask(world: World) -> Query:
        now = situation(model, rule, "kept", world)
        given = taken(now.cases, case.name)
        return Query(now.supposed, [], given, model.plain(now.state, now.op))

    claim = f"Some step of {rule.name} takes the case {case.name}."
    name = model.called(rule)
    where = f"{name}.{case.name}/is_reached"
    return Obligation(
        where,
        claim,
        rule.source,
        ask,
        model.assumptions,
        "witness",
        model.session(name),
        model.best,
    )


def _never(model: Model, rule: Rule, case: Case) -> Obligation:
    def ask(world: World) -> Query:
        now = situation(model, rule, "kept", world)
        return Query(now.supposed, [negate(taken(now.cases, case.name))])

    return Obligation(
        f"{model.called(rule)}.{case.name}/is_never_taken",
        f"{rule.name} never comes to the case {case.name}.",
        definition("what fails closed need not happen"),
        ask,
        model.assumptions,
        "inductive",
        shares=model.session(model.called(rule)),
        best=model.best,
    )
