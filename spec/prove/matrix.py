"""The obligations of one subject: every (rule, case) against every invariant that speaks of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spec.assumptions import SERIAL_STEPS, Assumption
from spec.invariant import Claim, Invariant, Moment, StateSentence, moment
from spec.prove.obligation import Obligation, Query
from spec.prove.world import Symbolic, World, everywhere, record
from spec.rule import Case, Rule, is_accepted, taken
from spec.sources import definition
from spec.terms import Bool, Word, all_of, any_of, implies


@dataclass(frozen=True)
class Subject:
    """Rules that share a state, what is true between their steps, and what each must make true.

    bridges: what follows of a well-formed state, proved once so that other proofs can lean on it.
    touched: the pages that a step's operands name. lemmas: further obligations.
    plainly: among the states that show a case to be reached, those that are plain to build.
    examples: a state and operands for a case, by rule and case, that a solver would not find.
    arbitrary: the world's arbitrary page, of the sort that the state's pages are of. assumes: what
    proofs lean on that name nothing else. together: the obligations of a case are asked in one
    session, which takes words and no numbers.
    """

    id: str
    state: type
    rules: tuple[Rule, ...]
    well_formed: tuple[StateSentence, ...]
    bridges: tuple[StateSentence, ...]
    invariants: tuple[Invariant, ...]
    touched: Callable[[Any, Any], Sequence[Word]]
    lemmas: Callable[[], Sequence[Obligation]]
    plainly: Callable[[Any], Bool] = lambda _state: True
    examples: Mapping[tuple[str, str], tuple[Any, Any]] = field(default_factory=dict, hash=False)
    arbitrary: Callable[[World, str], Word] = lambda world, name: world.word(name)
    assumes: tuple[Assumption, ...] = (SERIAL_STEPS,)
    together: bool = False

    def session(self, rule: Rule, case: Case) -> str:
        """The name that obligations which are asked in one session share."""
        return f"{rule.id}.{case.name}" if self.together else ""


Situated = tuple[Any, Any, tuple[Case, ...]]
"""A state, operands, and the cases of a rule for them."""


def situation(subject: Subject, rule: Rule, world: World) -> Situated:
    """An arbitrary state, arbitrary operands, and the cases of `rule` for them."""
    state = record(world, subject.state, "s")
    op = record(world, rule.operands, "op")
    return state, op, rule(state, op)


def well_formed(subject: Subject, state: Any, world: World, points: Sequence[Word]) -> list[Bool]:
    """What is true between steps, looked at at `points`."""
    return everywhere(subject.well_formed, state, world, points)


def find(cases: Sequence[Case], name: str) -> Case:
    """The case called `name`."""
    return next(case for case in cases if case.name == name)


def enabled(rule: Rule, state: Any, op: Any) -> list[Bool]:
    """Where the step can be taken at all, if that is not everywhere."""
    return [] if rule.enabled is None else [rule.enabled(state, op)]


def _supposing(
    subject: Subject, situated: Situated, rule: Rule, name: str, world: World, points: list[Word]
) -> list[Bool]:
    state, op, cases = situated
    return [
        taken(cases, name),
        *enabled(rule, state, op),
        *well_formed(subject, state, world, points),
        *world.facts(points),
    ]


def step_obligation(subject: Subject, rule: Rule, case: Case, inv: Invariant) -> Obligation:
    """That `inv` holds of every step of `rule` that takes `case`."""

    def ask(world: World) -> Query:
        state, op, cases = situation(subject, rule, world)
        m = moment(rule, state, op, find(cases, case.name))
        p = subject.arbitrary(world, "p")
        points = [p, *subject.touched(state, op)]
        further = [*points, *(inv.points(m) if inv.points else ())]
        said = inv.sentence(m, p)
        claim = said if isinstance(said, Claim) else Claim(True, said)
        goals = claim.conclusions
        if inv.suppose is not None:
            supposed = all_of(*_suppositions(inv, m, world, further))
            goals = tuple(implies(supposed, goal) for goal in goals)
        hypotheses = _supposing(subject, (state, op, cases), rule, case.name, world, points)
        hypotheses += everywhere(inv.uses, state, world, further)
        return Query(hypotheses, goals, claim.given)

    return Obligation(
        f"{rule.id}.{case.name}/{inv.name}",
        inv.claim,
        inv.source,
        ask,
        inv.given or subject.assumes,
        shares=subject.session(rule, case),
        alone=True,
    )


def _suppositions(inv: Invariant, m: Moment, world: World, points: Sequence[Word]) -> list[Bool]:
    suppose = inv.suppose
    return [] if suppose is None else world.everywhere(lambda q: suppose(m, q), points)


def kept_obligation(
    subject: Subject, rule: Rule, case: Case, sentence: StateSentence
) -> Obligation:
    """That a state sentence true before a step is true after it."""

    def ask(world: World) -> Query:
        state, op, cases = situation(subject, rule, world)
        p = subject.arbitrary(world, "p")
        # What is asked of the sets after the step is among the facts that are then supposed.
        said = sentence(find(cases, case.name).state, p)
        points = [p, *subject.touched(state, op)]
        hypotheses = _supposing(subject, (state, op, cases), rule, case.name, world, points)
        hypotheses += [*world.alike(), *(bridge(state, p) for bridge in subject.bridges)]
        return Query(hypotheses, [said])

    claim = (sentence.__doc__ or "").strip()
    return Obligation(
        f"{rule.id}.{case.name}/{sentence.__name__}",
        claim,
        rule.source,
        ask,
        subject.assumes,
        shares=subject.session(rule, case),
        alone=True,
    )


def bridge_obligation(subject: Subject, sentence: StateSentence) -> Obligation:
    """That a sentence follows of every well-formed state."""

    def ask(world: World) -> Query:
        state, p = record(world, subject.state, "s"), subject.arbitrary(world, "p")
        said = sentence(state, p)
        points = [p, *world.seen()]
        return Query(well_formed(subject, state, world, points), [said])

    claim = (sentence.__doc__ or "").strip()
    source = definition("the two ways to name a page")
    return Obligation(f"{subject.id}/{sentence.__name__}", claim, source, ask)


def reached_obligation(subject: Subject, rule: Rule, case: Case) -> Obligation:
    """That a case is taken by some step from some well-formed state."""

    def ask(world: World) -> Query:
        state, op, cases = situation(subject, rule, world)
        points = [subject.arbitrary(world, "p"), *subject.touched(state, op)]
        supposed = _supposing(subject, (state, op, cases), rule, case.name, world, points)
        return Query([*supposed, subject.plainly(state)], [])

    def by_example(_world: World) -> Query:
        state, op = subject.examples[rule.name, case.name]
        points = [*subject.touched(state, op), *state.claimed.bounds]
        said = [sentence(state, p) for sentence in subject.well_formed for p in points]
        cases = rule(state, op)
        one = find(cases, case.name)
        stays = is_accepted(rule, one) or one.state == state
        return Query(said, [taken(cases, case.name), stays])

    if (rule.name, case.name) in subject.examples:
        claim = f"An example of {rule.name} takes the case {case.name}; a refusal leaves it as is."
        name = f"{rule.id}.{case.name}/an_example_takes_it"
        return Obligation(name, claim, rule.source, by_example, method="example")

    return Obligation(
        f"{rule.id}.{case.name}/is_reached",
        f"Some step of {rule.name} takes the case {case.name}.",
        rule.source,
        ask,
        method="witness",
        shares=subject.session(rule, case),
        alone=True,
    )


def exhaustive_obligation(subject: Subject, rule: Rule) -> Obligation:
    """That some case of a rule is always taken."""

    def ask(world: World) -> Query:
        state, op, cases = situation(subject, rule, world)
        p = subject.arbitrary(world, "p")
        hypotheses = [*well_formed(subject, state, world, [p]), *world.facts([p])]
        hypotheses += enabled(rule, state, op)
        return Query(hypotheses, [any_of(False, *(case.when for case in cases))])

    return Obligation(
        f"{rule.id}/some_case_is_taken",
        f"Whatever {rule.name} is asked, one of its cases is taken.",
        definition("a rule is total"),
        ask,
    )


def matrix(subject: Subject) -> Iterator[Obligation]:
    """Every obligation of a subject, in a fixed order."""
    for bridge in subject.bridges:
        yield bridge_obligation(subject, bridge)
    for rule in subject.rules:
        yield exhaustive_obligation(subject, rule)
        _, _, cases = situation(subject, rule, Symbolic())
        for case in cases:
            yield reached_obligation(subject, rule, case)
            writes = is_accepted(rule, case) and case.state is not cases[0].state
            if writes or len(cases) == 1:
                for sentence in subject.well_formed:
                    yield kept_obligation(subject, rule, case, sentence)
            for inv in subject.invariants:
                if inv.speaks_of(rule, case):
                    yield step_obligation(subject, rule, case, inv)
    yield from subject.lemmas()
