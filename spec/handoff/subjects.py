"""Every subject of the handoff, in the order of its stages, with its lemmas."""

from dataclasses import replace

from spec.handoff import (
    bytes_lemmas,
    carve_claims,
    contract,
    kernel_claims,
    read_claims,
    reserve_claims,
    reserve_lemmas,
    size_claims,
    validate_claims,
    view_claims,
    write_claims,
)
from spec.prove.lemma import Lemmas
from spec.prove.matrix import Subject


def with_lemmas(subject: Subject, further: Lemmas) -> Subject:
    """A subject with the lemmas of another module behind its own.

    They are in a list of that module's, so that a changed copy of it adds nothing to this one.
    """
    return replace(subject, lemmas=lambda: (*subject.lemmas(), *further.found))


SUBJECTS: tuple[Subject, ...] = (
    read_claims.SUBJECT,
    size_claims.SUBJECT,
    kernel_claims.SUBJECT,
    with_lemmas(reserve_claims.SUBJECT, reserve_lemmas.LEMMAS),
    carve_claims.SUBJECT,
    validate_claims.SUBJECT,
    with_lemmas(write_claims.SUBJECT, bytes_lemmas.LEMMAS),
    view_claims.LOW_SUBJECT,
    with_lemmas(view_claims.SUBJECT, contract.LEMMAS),
)
