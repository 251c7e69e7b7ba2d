"""No sentence is empty: for each there is a change of the rules that it refutes."""

import pytest

from conformance.defects import DEFECTS
from spec.invariant import Invariant
from spec.validation.bitmap_claims import INVARIANTS, WELL_FORMED

NAMED = {found.breaks for found in DEFECTS}
"""`tests/conformance/test_defects.py` shows that each defect is refuted by what it names."""


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda inv: inv.name)
def test_an_invariant_is_broken_by_some_defect(invariant: Invariant) -> None:
    assert invariant.name in NAMED


@pytest.mark.parametrize("sentence", WELL_FORMED, ids=lambda said: said.__name__)
def test_what_is_true_between_steps_is_broken_by_some_defect(sentence: object) -> None:
    assert getattr(sentence, "__name__", "") in NAMED
