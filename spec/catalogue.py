"""Every subject and every model that has rules, and every obligation, by id."""

from collections.abc import Iterator
from functools import cache

from spec.prove.inductive import Model
from spec.prove.inductive import obligations as of_model
from spec.prove.matrix import Subject, matrix
from spec.prove.obligation import Obligation
from spec.rule import Rule
from spec.validation import (
    bitmap,
    bitmap_claims,
    bitmap_lemmas,
    bitmap_words,
    runs,
    runs_claims,
    runs_lemmas,
    svsm_model,
    tdx_model,
)

SUBJECTS = (
    Subject(
        bitmap.AREA,
        bitmap.Bitmap,
        bitmap.RULES,
        bitmap_claims.WELL_FORMED,
        bitmap_claims.BRIDGES,
        bitmap_claims.INVARIANTS,
        bitmap.touched,
        lambda: (*bitmap_lemmas.LEMMAS.found, *bitmap_words.LEMMAS.found),
    ),
    Subject(
        runs.AREA,
        bitmap.Bitmap,
        runs.RULES,
        runs_claims.WELL_FORMED,
        bitmap_claims.BRIDGES,
        runs_claims.INVARIANTS,
        runs.touched,
        lambda: runs_lemmas.LEMMAS.found,
        runs_claims.plainly,
        runs_claims.EXAMPLES,
    ),
)


def subject_of(policy: bitmap.Policy) -> Subject:
    """The rules for devices of a policy: those of the bitmap, or of a record kept as runs."""
    as_runs = policy.most_runs != bitmap.ANY_RUNS
    return next(s for s in SUBJECTS if (s.id == runs.AREA) == as_runs)


MODELS: tuple[Model, ...] = (svsm_model.MODEL, tdx_model.MODEL)


def obligations() -> Iterator[Obligation]:
    """Every obligation of every subject and model, in a fixed order."""
    for subject in SUBJECTS:
        yield from matrix(subject)
    for model in MODELS:
        yield from of_model(model)


@cache
def rules() -> dict[str, Rule]:
    """Every rule of a subject, by id."""
    return {rule.id: rule for subject in SUBJECTS for rule in subject.rules}


@cache
def model_rules() -> dict[str, Rule]:
    """Every rule of a model, by id."""
    return {rule.id: rule for model in MODELS for rule in model.rules}
