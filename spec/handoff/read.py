"""Stage 1: the host's entries, read one by one, and refused as a whole where one is wrong.

Assumes: nothing of what the host wrote.
Proves (`read_claims`, for every number of entries): what is read is sorted, disjoint, below the
address limit and of known types (MAP-SANE); each refusal means what it says, and the first reason
is told.
"""

from dataclasses import dataclass

from spec.handoff.words import AREA, KIND_LIMIT, LIMIT, NONE, Answer, Kind, Spans
from spec.rule import Case, Cases, changed, rule
from spec.sources import igvm
from spec.terms import Flag, Number, Word, all_of, any_of, at_most, below, negate, sum_of


@dataclass(frozen=True)
class Reading:
    """The entries read so far, and whether one is of type MEMORY; `limit`: where addresses end."""

    limit: Number
    entries: Spans
    has_memory: Flag


@dataclass(frozen=True)
class Entry:
    """The next entry of the area, as it stands there; `is_past`: the area has no more."""

    is_past: Flag
    first: Number
    pages: Number
    kind: Number
    flags: Number
    reserved: Number

    @property
    def stop(self) -> Word:
        """The page past the entry's last."""
        return sum_of(self.first, self.pages)


@rule(AREA, Entry, cite=igvm("IGVM_VHS_MEMORY_MAP_ENTRY"))
def read(s: Reading, op: Entry) -> Cases:
    """Read one entry of the host's map, or see that it has ended."""
    ends = any_of(op.is_past, op.pages == 0)
    is_memory = op.kind == Kind.MEMORY
    before = s.entries
    memory = before.put(op.first, op.stop)
    other = before.put_other(op.first, op.stop, op.kind)
    return (
        Case("no_memory", all_of(ends, negate(s.has_memory)), Answer.NO_MEMORY, s),
        Case("ended", ends, Answer.OK, s),
        Case(
            "nonzero_reserved",
            any_of(op.flags != 0, op.reserved != 0),
            Answer.NONZERO_RESERVED,
            s,
        ),
        Case("unknown_type", at_most(KIND_LIMIT, op.kind), Answer.UNKNOWN_TYPE, s),
        Case("wraps", below(LIMIT, op.stop), Answer.WRAPS, s),
        Case("above_limit", below(s.limit, op.stop), Answer.ABOVE_LIMIT, s),
        Case(
            "unsorted", all_of(before.count != 0, below(op.first, before.start)), Answer.UNSORTED, s
        ),
        Case(
            "overlaps", all_of(before.count != 0, below(op.first, before.end)), Answer.OVERLAPS, s
        ),
        Case("memory", is_memory, Answer.OK, changed(s, entries=memory, has_memory=True)),
        Case("other", True, Answer.OK, changed(s, entries=other)),
    )


def start(limit: Word) -> Reading:
    """Before the first entry."""
    return Reading(limit, NONE, False)
