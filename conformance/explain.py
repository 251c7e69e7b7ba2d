"""What a rule, a case, an invariant, an obligation, an assumption or a defect is, in words."""

from collections.abc import Iterator
from importlib import import_module

from conformance.docs import answer
from spec.assumptions import ALL
from spec.catalogue import SUBJECTS
from spec.invariant import Invariant
from spec.prove.matrix import Subject, situation
from spec.prove.run import catalogue
from spec.prove.world import Symbolic
from spec.rule import Case, Rule, hints


def explained(name: str) -> str | None:
    """The text for `name`, or None where nothing is called that.

    A rule is found by its id or its last part, a case by `rule.case`.
    """
    lines = [*_rules(name), *_invariants(name), *_obligations(name), *_others(name)]
    return "\n".join(lines) if lines else None


def _is(full: str, name: str) -> bool:
    return full == name or full.endswith(f".{name}")


def _rules(name: str) -> Iterator[str]:
    for subject in SUBJECTS:
        for rule in subject.rules:
            _, _, cases = situation(subject, rule, Symbolic())
            if _is(rule.id, name):
                yield from _rule(subject, rule, cases)
            for case in cases:
                if _is(f"{rule.id}.{case.name}", name):
                    yield from _case(subject, rule, case)


def _rule(subject: Subject, rule: Rule, cases: tuple[Case, ...]) -> Iterator[str]:
    yield f"{rule.id}: {rule.claim}"
    yield f"source: {rule.source}"
    yield f"operands: {', '.join(hints(rule.operands)) or 'none'}"
    yield "cases, of which the first that holds is taken:"
    for number, case in enumerate(cases, 1):
        yield f"  {number}. {case.name:<16} -> {answer(case)}"
    names = [inv.name for inv in subject.invariants if any(inv.speaks_of(rule, c) for c in cases)]
    yield "what every step of it makes true:"
    yield from (f"  {name}" for name in names)


def _case(subject: Subject, rule: Rule, case: Case) -> Iterator[str]:
    yield f"{rule.id}.{case.name}: a case of: {rule.claim}"
    yield f"answers: {answer(case)}"
    yield "obligations:"
    for inv in subject.invariants:
        if inv.speaks_of(rule, case):
            yield f"  {inv.name}: {inv.claim}"


def _invariants(name: str) -> Iterator[str]:
    for subject in SUBJECTS:
        for inv in subject.invariants:
            if inv.name == name:
                yield from _invariant(inv)
        for sentence in (*subject.well_formed, *subject.bridges):
            if sentence.__name__ == name:
                yield f"{name}: {(sentence.__doc__ or '').strip()}"
                yield "true of every state between steps, for every page"


def _invariant(inv: Invariant) -> Iterator[str]:
    yield f"{inv.name}: {inv.claim}"
    yield f"source: {inv.source}"
    if inv.given:
        yield f"assumes: {', '.join(a.name for a in inv.given)}"
    yield f"rules: {', '.join(rule.name for rule in inv.rules)}"


def _obligations(name: str) -> Iterator[str]:
    found = catalogue().get(name)
    if found is not None:
        yield f"{found.id}: {found.claim}"
        yield f"source: {found.source}"
        yield f"method: {found.method}"
        yield f"assumes: {', '.join(a.name for a in found.assumptions) or 'nothing'}"
        yield f"prove it: svsm-conformance prove '{found.id.replace('[', '?').replace(']', '?')}'"


def _others(name: str) -> Iterator[str]:
    yield from (f"{a.name} (assumption): {a.says}" for a in ALL if a.name == name)
    defects = import_module("conformance.defects")
    for defect in defects.DEFECTS:
        if defect.id == name:
            yield f"{defect.id} (defect): {defect.title}"
            yield f"origin: {defect.origin}"
            yield f"breaks: {defect.breaks}"
            yield f"try it: svsm-conformance conform --device defect:{defect.id}"
