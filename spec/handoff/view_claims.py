"""What is true of OVMF's low memory and of its view, and what each entry it reads makes true."""

from spec.handoff.saying import (
    BY_INDUCTION,
    a_number,
    but,
    cases,
    first_reason,
    put_behind,
    unchanged,
)
from spec.handoff.view import FOUR_GIB, Lowering, Slot, View, before_low, low_memory, view
from spec.handoff.words import Answer, Kind
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
    remainder,
    same,
    within,
)

CITE = handoff("stage 7")
OF_LOW = Lemmas("handoff.low_memory")
LEMMAS = Lemmas("handoff.view")


# Low memory


def says(s: Lowering, q: Word) -> Bool:
    """The entry with an index is one that says where low memory ends."""
    first, stop = s.seen.firsts.at(q), s.seen.stops.at(q)
    of_this_kind = all_of(s.seen.has(q), s.seen.kinds.at(q) == Kind.MEMORY)
    return all_of(of_this_kind, pick(s.low_from_base, first == 0, below(stop, FOUR_GIB)))


def low_memory_is_what_an_entry_says(s: Lowering, q: Word) -> Bool:
    """Where it is known, an entry says it: its end, or the low 32 bits of its length in bytes."""
    first, stop = s.seen.firsts.at(s.giver), s.seen.stops.at(s.giver)
    length = remainder(less(stop, first), FOUR_GIB)
    said = all_of(
        says(s, s.giver),
        implies(s.low_from_base, s.low == length),
        implies(negate(s.low_from_base), s.low == stop),
    )
    return implies(s.known, said)


def it_is_known_if_an_entry_says_it(s: Lowering, q: Word) -> Bool:
    """As soon as an entry says where low memory ends, this is known; of ends, the highest."""
    highest = implies(negate(s.low_from_base), at_most(s.seen.stops.at(q), s.low))
    return implies(says(s, q), all_of(s.known, highest))


OF_LOWERING = (low_memory_is_what_an_entry_says, it_is_known_if_an_entry_says_it)


@invariant(cite=CITE, rules=(low_memory,), given=BY_INDUCTION)
def low_memory_changes_only_by_what_is_said(m: Moment, q: Word) -> Bool:
    """An entry that says nothing of it leaves low memory as it was, known or not."""
    quiet = m.after.seen.count == m.before.seen.count
    says_so = says(m.after, m.before.seen.count)
    as_before = all_of(m.after.low == m.before.low, same(m.after.known, m.before.known))
    return implies(any_of(quiet, negate(says_so)), as_before)


@invariant(
    cite=CITE, rules=(low_memory,), given=BY_INDUCTION, on=cases("at_base", "higher", "passes")
)
def an_entry_is_seen_as_it_stands(m: Moment, q: Word) -> Bool:
    """Each entry up to the end is seen, in its turn."""
    put = put_behind(m.before.seen, m.after.seen, q, m.op.first, m.op.first + m.op.pages)
    kind = m.after.seen.kinds.at(m.before.seen.count) == m.op.kind
    return all_of(put, kind, same(m.after.low_from_base, m.before.low_from_base))


@invariant(cite=CITE, rules=(low_memory, view), given=BY_INDUCTION, on=cases("ended"))
def the_end_changes_nothing(m: Moment, q: Word) -> Bool:
    """An entry without pages ends the map, and changes nothing."""
    return all_of(unchanged(m, q), any_of(m.op.is_past, negate(below(0, m.op.pages))))


OF_LOW_MEMORY = (
    low_memory_changes_only_by_what_is_said,
    an_entry_is_seen_as_it_stands,
    the_end_changes_nothing,
)


@OF_LOW.lemma(CITE, given=BY_INDUCTION, method="induction")
def all_of_it_is_true_before_the_first_entry(world: World) -> Query:
    """What is true of low memory is true where no entry has been read."""
    s, q = before_low(world.flag("low_from_base"), world.number("told")), world.number("q")
    return must(world.facts(()), *(sentence(s, q) for sentence in OF_LOWERING))


# The view


def what_is_seen_of_memory_is_noted(s: View, q: Word) -> Bool:
    """No page of memory has been seen where no entry has."""
    return implies(s.seen.memory.has(q), s.seen.count != 0)


READ = cases("above_low", "in_low", "reserved", "other")


@invariant(cite=CITE, rules=(view,), given=BY_INDUCTION)
def a_map_is_taken_unless_its_first_entry_is_none(m: Moment, q: Word) -> Bool:
    """The map is not taken by an image that reads none, nor where its first entry is not one."""
    s, op = m.before, m.op
    is_first = negate(below(0, s.seen.count))
    no_entry = any_of(op.is_past, negate(below(0, op.pages)))
    noise = all_of(s.checks_first, any_of(below(15, op.kind), negate(op.reserved == 0)))
    odd = all_of(is_first, any_of(no_entry, noise))
    return first_reason(m.outcome, (Answer.NOT_TAKEN, any_of(negate(s.takes_map), odd)))


@invariant(cite=CITE, rules=(view,), given=BY_INDUCTION, on=READ)
def memory_above_low_memory_is_ram(m: Moment, q: Word) -> Bool:
    """An entry of memory that ends above low memory becomes RAM as a whole; no other page does."""
    s, op = m.before, m.op
    is_ram = all_of(op.kind == Kind.MEMORY, negate(at_most(op.stop, s.low)))
    comes = any_of(s.ram.has(q), all_of(is_ram, within(q, op.first, op.stop)))
    return same(m.after.ram.has(q), comes)


@invariant(cite=CITE, rules=(view,), given=BY_INDUCTION, on=READ)
def reserved_entries_are_kept_reserved(m: Moment, q: Word) -> Bool:
    """An entry that the platform reserves is kept reserved; no other page is."""
    s, op = m.before, m.op
    is_kept = all_of(op.kind == Kind.PLATFORM_RESERVED, within(q, op.first, op.stop))
    return same(m.after.reserved.has(q), any_of(s.reserved.has(q), is_kept))


@invariant(cite=CITE, rules=(view,), given=BY_INDUCTION, on=READ)
def what_is_read_is_remembered(m: Moment, q: Word) -> Bool:
    """Each entry up to the end is read, in its turn; what is memory among it is known."""
    seen, op = m.before.seen, m.op
    put = put_behind(seen, m.after.seen, q, op.first, op.first + op.pages)
    is_memory = all_of(op.kind == Kind.MEMORY, within(q, op.first, op.stop))
    memory = same(m.after.seen.memory.has(q), any_of(seen.memory.has(q), is_memory))
    kind = m.after.seen.kinds.at(seen.count) == op.kind
    return all_of(put, memory, kind, but(m, q, "ram", "reserved", "seen"))


@invariant(cite=CITE, rules=(view,), on="refused", given=BY_INDUCTION)
def a_map_that_is_not_taken_changes_nothing(m: Moment, q: Word) -> Bool:
    """Where the map is not taken, nothing comes of it."""
    return unchanged(m, q)


OF_VIEW = (
    a_map_is_taken_unless_its_first_entry_is_none,
    memory_above_low_memory_is_ram,
    reserved_entries_are_kept_reserved,
    what_is_read_is_remembered,
    a_map_that_is_not_taken_changes_nothing,
    the_end_changes_nothing,
)


def touched_low(s: Lowering, _op: Slot) -> tuple[Word, ...]:
    """The indices that a step speaks of."""
    return (s.giver,)


def touched(s: View, _op: Slot) -> tuple[Word, ...]:
    """The indices that a step speaks of."""
    return (s.seen.last,)


LOW_SUBJECT = Subject(
    "handoff.low_memory",
    Lowering,
    (low_memory,),
    OF_LOWERING,
    (),
    OF_LOW_MEMORY,
    touched_low,
    lambda: OF_LOW.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)
SUBJECT = Subject(
    "handoff.view",
    View,
    (view,),
    (what_is_seen_of_memory_is_noted,),
    (),
    OF_VIEW,
    touched,
    lambda: LEMMAS.found,
    arbitrary=a_number,
    assumes=BY_INDUCTION,
)
