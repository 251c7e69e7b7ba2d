"""Every subject of the handoff, in the order of its stages, with its lemmas."""

from spec.handoff import (
    bytes_lemmas,
    carve_claims,
    contract,
    kernel_claims,
    read_claims,
    reserve_claims,
    reserve_lemmas,
    size_claims,
    view_claims,
    write_claims,
)
from spec.prove.matrix import Subject

WITH_LEMMAS = (reserve_lemmas, bytes_lemmas, contract)
"""Modules that add lemmas to the subjects below; they are found once these are imported."""

SUBJECTS: tuple[Subject, ...] = (
    read_claims.SUBJECT,
    size_claims.SUBJECT,
    kernel_claims.SUBJECT,
    reserve_claims.SUBJECT,
    carve_claims.SUBJECT,
    write_claims.SUBJECT,
    view_claims.LOW_SUBJECT,
    view_claims.SUBJECT,
)
