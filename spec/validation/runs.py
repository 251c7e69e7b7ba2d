"""Run-length tracking: the bitmap's record and its steps, kept as runs of pages that are alike.

A record kept as runs says where the pages change from unclaimed to claimed and back, so it has
room for so many runs and no more. A step whose result would have more is refused before anything
has changed. Between any two steps the record can become a bitmap, which has room for any number.

Assumes: steps on one record do not overlap (`serial-steps`).
Proves (`runs_claims`): each step does what the bitmap's does, or is refused for want of room and
for that alone; the runs always fit; becoming a bitmap loses nothing. And (`runs_lemmas`), for any
number of runs: the places of change, searched by halves and spliced, are that record.
"""

from dataclasses import dataclass, replace

from spec.rule import Case, Cases, Rule, rule
from spec.sources import decision
from spec.terms import Word, below
from spec.validation import bitmap
from spec.validation.bitmap import ANY_RUNS, Bitmap, touched
from spec.validation.outcomes import Outcome

__all__ = ["AREA", "BASE", "RULES", "Nothing", "runs_of", "switch", "touched"]

AREA = "validation.runs"
CITE = decision("0017-runs")
CHANGES = (
    bitmap.claim_4k,
    bitmap.claim_2m,
    bitmap.claim_range,
    bitmap.release_4k,
    bitmap.release_2m,
    bitmap.release_range,
    bitmap.import_words,
)
"""The steps after which there can be more runs than before."""


@dataclass(frozen=True)
class Nothing:
    """No operand."""


def runs_of(s: Bitmap) -> Word:
    """How many runs the pages of the region make; the first is of unclaimed ones, if of any."""
    return s.claimed.runs_in(*s.span())


def kept_as_runs(base: Rule) -> Rule:
    """A step of the bitmap's on a record that is kept as runs."""

    def cases(s: Bitmap, op: object) -> Cases:
        *refused, done = base(s, op)
        if base not in CHANGES:
            return (*refused, done)
        full = below(s.policy.most_runs, runs_of(done.state))
        return (*refused, Case("out_of_runs", full, Outcome.OUT_OF_RUNS, s), done)

    cases.__name__, cases.__doc__ = base.name, base.cases.__doc__
    return rule(AREA, base.operands, cite=base.source)(cases)


BASE: dict[str, Rule] = {base.name: base for base in bitmap.RULES}
"""The bitmap's step of each name."""


@rule(AREA, Nothing, cite=CITE)
def switch(s: Bitmap, _op: Nothing) -> Cases:
    """Go on as a bitmap, in which there is room for any number of runs."""
    unbound = replace(s, policy=replace(s.policy, most_runs=ANY_RUNS))
    return (Case("switched", True, Outcome.OK, unbound),)


RULES = (*map(kept_as_runs, bitmap.RULES), switch)
