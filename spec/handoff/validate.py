"""Stage 5: the region's pages, made private, validated and zeroed, each once.

First the host is asked to make the whole region private, where it holds memory shared until it is
asked; then block by block of 2 MiB it is validated and zeroed, page by page where the RMP holds
smaller entries.

Assumes: the region is that of stage 3, empty or whole blocks, and none of its pages has been
validated by the launch; the host may answer whatever it likes.
Proves (`validate_claims`, for a region of any size): no page is validated twice, and none before it
is private; each is zeroed once it is validated; when all is ready, that is exactly the region
(RESERVE-VALID-ONCE); a page that cannot be had refuses all; it ends.
"""

from dataclasses import dataclass

from spec.handoff.words import AREA, BLOCK, NONE, Answer
from spec.rule import Case, Cases, changed, rule
from spec.sources import handoff
from spec.terms import (
    Bool,
    Flag,
    Number,
    NumberPages,
    Word,
    all_of,
    at_most,
    below,
    less,
    negate,
    pick,
    sum_of,
)

FAIL_SIZEMISMATCH = 6
"""PVALIDATE: 2 MiB are asked for, and the RMP entry is of 4 KiB."""


@dataclass(frozen=True)
class Readying:
    """The region `[first, stop)`: private below page `asked`, validated and zeroed below `next`.

    shared: the host holds it shared until it is asked. singly_stop: where pages below it are
    validated one by one. ready: all is done.
    """

    first: Number
    stop: Number
    shared: Flag
    asked: Number
    next: Number
    singly_stop: Number
    ready: Flag
    private: NumberPages
    validated: NumberPages
    zeroed: NumberPages

    @property
    def is_single(self) -> Bool:
        """Only one page is validated next, not a block."""
        return below(self.next, self.singly_stop)

    @property
    def reach(self) -> Word:
        """Where what is validated next ends."""
        return pick(self.is_single, sum_of(self.next, 1), sum_of(self.next, BLOCK))

    @property
    def measure(self) -> tuple[Word, Word, Word]:
        """What gets less with every step: blocks to be asked for, pages, blocks not yet split."""
        unasked = less(self.stop, self.asked)
        return unasked, less(self.stop, self.next), less(self.stop, self.singly_stop)


@dataclass(frozen=True)
class Machine:
    """What the machine answers: whether the host refuses, and PVALIDATE's code and carry flag."""

    refuses: Flag
    code: Number
    carry: Flag


def is_open(s: Readying, _op: Machine) -> Bool:
    """It has not come to an end."""
    return negate(s.ready)


@rule(AREA, Machine, cite=handoff("stage 5"), enabled=is_open)
def validate(s: Readying, op: Machine) -> Cases:
    """Ask the host for one block of the region, or validate and zero one block or page."""
    asks = all_of(s.shared, below(s.asked, s.stop))
    asked = sum_of(s.asked, BLOCK)
    private = changed(s, asked=asked, private=s.private.with_range(s.asked, asked, True))
    splits = all_of(op.code == FAIL_SIZEMISMATCH, negate(s.is_single))
    split = changed(s, singly_stop=sum_of(s.next, BLOCK))
    validated = s.validated.with_range(s.next, s.reach, True)
    zeroed = s.zeroed.with_range(s.next, s.reach, True)
    taken = changed(s, next=s.reach, validated=validated, zeroed=zeroed)
    return (
        Case("not_private", all_of(asks, op.refuses), Answer.NOT_PRIVATE, s),
        Case("private", asks, Answer.OK, private),
        Case("ready", at_most(s.stop, s.next), Answer.OK, changed(s, ready=True)),
        Case("size_mismatch", splits, Answer.OK, split),
        Case("not_validated", op.code != 0, Answer.NOT_VALIDATED, s),
        Case("was_validated", op.carry, Answer.NOT_VALIDATED, s),
        Case("page", s.is_single, Answer.OK, taken),
        Case("block", True, Answer.OK, taken),
    )


def start(region: tuple[Word, Word], shared: Bool, nothing: NumberPages = NONE.memory) -> Readying:
    """Before the first step.

    nothing: a set without a page.
    """
    first, stop = region
    return Readying(first, stop, shared, first, first, first, False, nothing, nothing, nothing)
