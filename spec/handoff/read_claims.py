"""What is true of the entries read so far, and what each step of reading makes true."""

from spec.handoff.read import Entry, Reading, read, start
from spec.handoff.saying import (
    BY_INDUCTION,
    a_number,
    alike,
    but,
    cases,
    first_reason,
    put_behind,
    unchanged,
)
from spec.handoff.words import KIND_LIMIT, LIMIT, Answer, Kind
from spec.invariant import Moment, invariant
from spec.prove.lemma import Lemmas, must
from spec.prove.matrix import Subject
from spec.prove.obligation import Query
from spec.prove.world import World
from spec.sources import handoff
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    implies,
    less,
    negate,
    pick,
    same,
    sum_of,
    within,
)

CITE = handoff("stage 1")
LEMMAS = Lemmas("handoff.read")


def entries_are_in_order(s: Reading, q: Word) -> Bool:
    """Each entry starts at or past the end of the one before: sorted and disjoint (MAP-SANE)."""
    return s.entries.in_order(q)


def entries_are_filled(s: Reading, q: Word) -> Bool:
    """No entry is empty."""
    return s.entries.is_filled(q)


def entries_are_below_the_limit(s: Reading, q: Word) -> Bool:
    """No entry ends above the address limit, or where byte addresses end (MAP-SANE)."""
    return all_of(s.entries.ends_by(q, s.limit), s.entries.ends_by(q, LIMIT))


def types_are_known(s: Reading, q: Word) -> Bool:
    """The type of each entry is one of the six."""
    return implies(s.entries.has(q), within(s.entries.kinds.at(q), 0, KIND_LIMIT))


def no_entry_ends_past_the_last(s: Reading, q: Word) -> Bool:
    """No entry ends past the end of the last, nor starts past its start."""
    first_by = implies(s.entries.has(q), at_most(s.entries.firsts.at(q), s.entries.start))
    return all_of(s.entries.ends_by(q, s.entries.end), first_by)


def memory_is_noted(s: Reading, q: Word) -> Bool:
    """Whether there is memory is known as soon as an entry of it has been read."""
    is_memory = all_of(s.entries.has(q), s.entries.kinds.at(q) == Kind.MEMORY)
    return implies(any_of(is_memory, s.entries.memory.has(q)), s.has_memory)


def memory_ends_by_the_last_entry(s: Reading, q: Word) -> Bool:
    """No page of memory is past the entries."""
    return implies(s.entries.memory.has(q), all_of(s.entries.count != 0, below(q, s.entries.end)))


WELL_FORMED = (
    entries_are_in_order,
    entries_are_filled,
    entries_are_below_the_limit,
    types_are_known,
    no_entry_ends_past_the_last,
    memory_is_noted,
    memory_ends_by_the_last_entry,
)


@invariant(cite=CITE, rules=(read,), given=BY_INDUCTION)
def an_answer_names_the_first_reason(m: Moment, q: Word) -> Bool:
    """The answer is the first reason for which the entry is refused, in the order of the page."""
    op, entries = m.op, m.before.entries
    ends = any_of(op.is_past, negate(below(0, op.pages)))
    some = below(0, entries.count)
    top = sum_of(op.first, op.pages)
    return first_reason(
        m.outcome,
        (Answer.NO_MEMORY, all_of(ends, negate(m.before.has_memory))),
        (Answer.OK, ends),
        (Answer.NONZERO_RESERVED, below(0, sum_of(op.flags, op.reserved))),
        (Answer.UNKNOWN_TYPE, below(5, op.kind)),
        (Answer.WRAPS, negate(at_most(top, LIMIT))),
        (Answer.ABOVE_LIMIT, negate(at_most(top, m.before.limit))),
        (Answer.UNSORTED, all_of(some, negate(at_most(entries.start, op.first)))),
        (Answer.OVERLAPS, all_of(some, negate(at_most(entries.end, op.first)))),
    )


@invariant(cite=CITE, rules=(read,), given=BY_INDUCTION, on=cases("memory", "other"))
def an_entry_is_taken_as_it_stands(m: Moment, q: Word) -> Bool:
    """An entry that is taken comes behind the others as it is, and they stay as they are."""
    op, before, after = m.op, m.before.entries, m.after.entries
    last = before.count
    kinds = pick(q == last, after.kinds.at(q) == op.kind, alike(before.kinds, after.kinds, q))
    put = put_behind(before, after, q, op.first, sum_of(op.first, op.pages))
    return all_of(put, kinds, but(m, q, "entries", "has_memory"))


@invariant(cite=CITE, rules=(read,), given=BY_INDUCTION, on=cases("memory", "other"))
def memory_is_what_entries_of_memory_say(m: Moment, q: Word) -> Bool:
    """A page is memory exactly if it was before, or the entry is of type MEMORY and has it."""
    op = m.op
    is_memory = op.kind == Kind.MEMORY
    comes = all_of(is_memory, at_most(op.first, q), below(less(q, op.pages), op.first))
    pages = same(m.after.entries.memory.has(q), any_of(m.before.entries.memory.has(q), comes))
    return all_of(pages, same(m.after.has_memory, any_of(m.before.has_memory, is_memory)))


@invariant(cite=CITE, rules=(read,), given=BY_INDUCTION, on=cases("memory", "other"))
def an_entry_that_is_taken_is_past_all_others(m: Moment, q: Word) -> Bool:
    """An entry that is taken starts where every entry before it has ended, and has no page yet."""
    clash = all_of(m.before.entries.memory.has(q), within(q, m.op.first, m.op.stop))
    return all_of(m.before.entries.ends_by(q, m.op.first), negate(clash))


@invariant(cite=CITE, rules=(read,), given=BY_INDUCTION, on=cases("ended"))
def a_map_that_is_taken_has_memory(m: Moment, q: Word) -> Bool:
    """A map that is read to its end has memory, and is as it was before its end was seen."""
    return all_of(m.before.has_memory, unchanged(m, q))


@invariant(cite=CITE, rules=(read,), on="refused", given=BY_INDUCTION)
def a_refusal_changes_nothing(m: Moment, q: Word) -> Bool:
    """After a refusal everything is as it was."""
    return unchanged(m, q)


INVARIANTS = (
    an_answer_names_the_first_reason,
    an_entry_is_taken_as_it_stands,
    memory_is_what_entries_of_memory_say,
    an_entry_that_is_taken_is_past_all_others,
    a_map_that_is_taken_has_memory,
    a_refusal_changes_nothing,
)


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def all_of_it_is_true_before_the_first_entry(world: World) -> Query:
    """What is true of the entries read so far is true where none has been read."""
    s, q = start(world.number("limit")), world.number("q")
    return must(world.facts(()), *(sentence(s, q) for sentence in WELL_FORMED))


def touched(s: Reading, _op: Entry) -> tuple[Word, ...]:
    """The indices that a step speaks of."""
    return (s.entries.last,)


SUBJECT = Subject(
    "handoff.read",
    Reading,
    (read,),
    WELL_FORMED,
    (),
    INVARIANTS,
    touched,
    lambda: LEMMAS.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)
