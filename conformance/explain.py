"""What a rule, a case, an invariant, a discipline, an assumption or a defect is, in words."""

from collections.abc import Iterator
from importlib import import_module

from conformance.docs import answer, outcome
from spec.assumptions import ALL
from spec.catalogue import HANDOFF, MMIO, MODELS, SUBJECTS
from spec.invariant import Invariant
from spec.prove.inductive import SORTS, Model
from spec.prove.matrix import Subject, situation
from spec.prove.run import catalogue
from spec.prove.world import Symbolic, record
from spec.rule import Case, Rule, hints
from spec.validation import disciplines
from spec.validation.svsm import Did


def explained(name: str) -> str | None:
    """The text for `name`, or None where nothing is called that.

    A rule is found by its id or its last part, a case by `rule.case`.
    """
    lines = [*_rules(name), *_invariants(name), *_models(name), *_obligations(name)]
    lines += [*_disciplines(name), *_others(name)]
    return "\n".join(lines) if lines else None


def _is(full: str, name: str) -> bool:
    return full == name or full.endswith(f".{name}")


def _rules(name: str) -> Iterator[str]:
    for subject in (*SUBJECTS, *HANDOFF):
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
    for subject in (*SUBJECTS, *HANDOFF):
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


def _disciplines(name: str) -> Iterator[str]:
    """What an SVSM does, what needs it, and what happens where it does not."""
    if name not in {one.name for one in disciplines.ALL}:
        return
    told = import_module("conformance.stories").story(name)
    yield f"{name} (discipline): {told.discipline.says}"
    yield f"needed by: {told.sentence.name}: {told.sentence.claim}"
    yield f"source: {told.sentence.source}"
    needing = dict.fromkeys(s.name for model in MODELS for s in model.kept if name in s.needs)
    yield f"sentences that need it: {', '.join(needing) or told.sentence.name}"
    yield f"without it (defect {told.defect}), on a machine at rest:"
    yield from (f"  {number:2}. {line}" for number, line in enumerate(told.lines, 1))
    of = ", ".join(f"{key} = {value:#x}" for key, value in told.false_of.items())
    yield f"consequence: it is no longer true that: {told.sentence.claim}{f' ({of})' if of else ''}"
    yield f"kept as a trace: conformance/data/stories.json, {name}; checked just now"
    yield f"see the suite find it: svsm-conformance conform --device defect:{told.defect}"


def _models(name: str) -> Iterator[str]:
    told: set[int] = set()
    for model in (*MODELS, *MMIO):
        for rule in model.rules:
            if _is(model.called(rule), name) and id(rule) not in told:
                told.add(id(rule))
                yield from _model_rule(model, rule)
        for one in (*model.given, *model.kept, *model.follows, *model.steps):
            if one.name == name and id(one) not in told:
                told.add(id(one))
                yield f"{name}: {one.claim}"
                yield f"source: {one.source}"
                yield f"speaks of: {', '.join(f'{SORTS[a]} {a}' for a in one.about) or 'a step'}"
                yield f"needs: {', '.join(one.needs) or 'no discipline of the SVSM'}"


def _model_rule(model: Model, rule: Rule) -> Iterator[str]:
    world = Symbolic()
    state, op = record(world, model.state, "s"), record(world, rule.operands, "op")
    yield f"{model.called(rule)}: {rule.claim}"
    yield f"source: {rule.source}"
    yield f"operands: {', '.join(hints(rule.operands)) or 'none'}"
    yield "cases, of which the first that holds is taken:"
    for number, case in enumerate(rule(state, op), 1):
        never = " (never taken: proved)" if case.never else ""
        did = outcome(model, case) if model.answers else Did(int(case.outcome)).name
        yield f"  {number}. {case.name:<16} -> {did}{never}"


def _others(name: str) -> Iterator[str]:
    yield from (f"{a.name} (assumption): {a.says}" for a in ALL if a.name == name)
    plain = import_module("conformance.defects").DEFECTS
    of_svsm = import_module("conformance.protocol.defects").all_defects()
    of_handoff = import_module("conformance.handoff.defects").all_defects()
    of_mmio = import_module("conformance.mmio.defects").all_defects()
    of_streams = import_module("conformance.stream.defects").all_defects()
    for defect in (*plain, *of_svsm, *of_streams, *of_handoff, *of_mmio):
        if defect.id == name:
            yield f"{defect.id} (defect): {defect.title}"
            yield f"origin: {defect.origin}"
            yield f"breaks: {defect.breaks}"
            yield f"try it: svsm-conformance conform --device defect:{defect.id}"
