"""Every subject that has rules, and every obligation, by id."""

from collections.abc import Iterator
from functools import cache

from spec.prove.matrix import Subject, matrix
from spec.prove.obligation import Obligation
from spec.rule import Rule
from spec.validation import bitmap, bitmap_claims, bitmap_lemmas, bitmap_words

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
)


def obligations() -> Iterator[Obligation]:
    """Every obligation of every subject, in a fixed order."""
    for subject in SUBJECTS:
        yield from matrix(subject)


@cache
def rules() -> dict[str, Rule]:
    """Every rule by id."""
    return {rule.id: rule for subject in SUBJECTS for rule in subject.rules}
