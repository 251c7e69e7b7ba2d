"""What is true of slots between any two calls, and of every call, for any number of slots.

`i` and `j` are slots, `b` is the address of a byte, `n` a place in the log.

Assumes: `fresh-mappings`, `serial-calls`.
Proves: MMIO-ONE: a call is one transaction of that width at that address, or a refusal.
"""

from collections.abc import Callable, Sequence
from typing import Any

from spec.invariant import Moment
from spec.mmio import access, config, slots
from spec.mmio.access import LENGTH, address
from spec.mmio.config import reads
from spec.mmio.slots import CONTROL_BYTES, PAGE_SHIFT
from spec.mmio.state import Answer, alike, is_past
from spec.mmio.wire import IN_PAGE, Backend, cut, heard, is_hosted, is_sane, is_understood, ones
from spec.prove.inductive import changes, sentence
from spec.prove.matrix import find
from spec.rule import Case, Rule
from spec.sources import coconut, coconut_pull, decision, definition, ghcb, virtio
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    bits_and,
    implies,
    minus,
    negate,
    pick,
    plus,
    same,
    shift_left,
    shift_right,
    where,
    within,
)

CITE = decision("0024-mmio-one")
ACCESSES = {rule.id for rule in access.RULES}
SLOTS = {rule.id for rule in slots.RULES}
SENT = ("no_answer", "host_refused", "garbage", "done")
"""The cases of an access that has gone out."""
On = Callable[[Rule, Case], bool]


def _in(ids: set[str], names: Sequence[str] = (), but: Sequence[str] = ()) -> On:
    """Cases of some rules: those with some names, or all, but some."""

    def speaks(rule: Rule, case: Case) -> bool:
        return rule.id in ids and (not names or case.name in names) and case.name not in but

    return speaks


def _width(m: Moment) -> Word:
    return LENGTH.get(m.rule.name) or m.op.length


# What is fixed


@sentence(ghcb("shared buffer"))
def the_machine_is_sane(s: Any) -> Bool:
    """Addresses end at a power of two of at most 2**52, at or below the bit that shares them."""
    return is_sane(s.machine)


@sentence(definition("nobody makes 2**63 accesses"))
def the_log_has_room(s: Any) -> Bool:
    """Places in the log do not wrap."""
    return below(s.log.count, 1 << 63)


# Of every state


@sentence(coconut_pull(1167))
def an_open_slot_ends_below_the_limit(s: Any, i: Word) -> Bool:
    """A device has at least one byte, and none at or past the address limit."""
    first, stop = s.slots.gpa.at(i), s.slots.stop.at(i)
    there = all_of(below(first, stop), at_most(stop, s.machine.limit))
    return implies(s.slots.open.has(i), there)


@sentence(CITE)
def no_byte_has_two_slots(s: Any, i: Word, j: Word, b: Word) -> Bool:
    """No byte belongs to two open slots, though a page may."""
    return implies(all_of(s.slots.has(i, b), s.slots.has(j, b)), i == j)


@sentence(CITE)
def bytes_of_slots_are_taken(s: Any, i: Word, b: Word) -> Bool:
    """What belongs to an open slot is known to be taken."""
    return implies(s.slots.has(i, b), s.taken.has(b))


@sentence(coconut_pull(1102))
def the_mapping_covers_the_device(s: Any, i: Word) -> Bool:
    """Natively every byte of a device is mapped, wherever in its page it begins (H9)."""
    home, stop = s.slots.home.at(i), s.slots.mapped.at(i)
    aligned = all_of(home != 0, bits_and(home, IN_PAGE) == 0, bits_and(stop, IN_PAGE) == 0)
    whole = at_most(s.slots.stop.at(i), stop)
    native = s.machine.backend == Backend.NATIVE
    return implies(all_of(native, s.slots.open.has(i)), all_of(aligned, whole))


@sentence(coconut("kernel/src/platform/snp.rs"))
def nothing_is_mapped_for_a_host(s: Any, i: Word) -> Bool:
    """On SNP and TDX, and for what is not open, no page is mapped."""
    none = s.slots.mapped.at(i) == 0
    mapped = all_of(s.machine.backend == Backend.NATIVE, s.slots.open.has(i))
    return any_of(none, mapped)


@sentence(coconut("kernel/src/virtio/mmio.rs"))
def the_mapping_outlives_the_transport(s: Any, i: Word) -> Bool:
    """A transport's slot is open and has room for the control registers, 32-bit aligned."""
    room = at_most(CONTROL_BYTES, s.slots.size(i))
    aligned = bits_and(s.slots.gpa.at(i), 3) == 0
    return implies(s.slots.attached.has(i), all_of(s.slots.open.has(i), room, aligned))


@sentence(CITE)
def nothing_is_open(s: Any, i: Word, b: Word) -> Bool:
    """At first no slot is open, no byte is taken, and nothing is mapped."""
    closed = all_of(negate(s.slots.open.has(i)), negate(s.slots.attached.has(i)))
    return all_of(closed, s.slots.mapped.at(i) == 0, negate(s.taken.has(b)))


# Of every access


def _each_backend(m: Moment, said: Bool) -> tuple[Bool, ...]:
    """The same of each back end by itself, which is easier to show."""
    return tuple(where(m.before.machine.backend, one, said) for one in Backend)


def _heard(m: Moment) -> Any:
    s = m.before
    wire = m.after.log.at(s.log.count)
    return heard(s.machine, s.slots.place(m.op.slot), wire)


@sentence(CITE, on=_in(ACCESSES, ("done",)))
def a_call_is_one_transaction(m: Moment) -> tuple[Bool, ...]:
    """One access goes out: that way, of that width, at that address, with that value (MMIO-ONE)."""
    made, s = _heard(m), m.before
    writes = m.rule.name.startswith("write")
    value = cut(m.op.value, _width(m)) if writes else 0
    once = m.after.log.count == plus(s.log.count, 1)
    what = all_of(same(made.write, writes), made.value == value)
    where = all_of(made.gpa == address(s, m.op), made.width == _width(m))
    return _each_backend(m, all_of(once, what, where))


@sentence(CITE, on=_in(ACCESSES | {slots.detach.id}, SENT[:-1]))
def what_goes_out_does_not_depend_on_the_answer(m: Moment, n: Word) -> Bool:
    """Where the host's answer is none, what has gone out is what goes out otherwise, and once."""
    done = find(m.rule(m.before, m.op), "done").after.log
    return all_of(m.after.log.count == done.count, alike(m.after.log.at(n), done.at(n)))


@sentence(CITE, on=_in(ACCESSES, SENT))
def what_goes_out_is_understood(m: Moment) -> tuple[Bool, ...]:
    """What goes out is something that a host or the machine does: a width, a way, a place."""
    said = is_understood(m.before.machine, m.after.log.at(m.before.log.count))
    return _each_backend(m, said)


@sentence(CITE, on=_in(ACCESSES | SLOTS, but=SENT))
def a_refusal_before_makes_no_transaction(m: Moment, n: Word) -> Bool:
    """What is refused before the access, or needs none, sends nothing out."""
    there = alike(m.after.log.at(n), m.before.log.at(n))
    return all_of(m.after.log.count == m.before.log.count, there)


@sentence(CITE, on=changes)
def what_went_out_stays(m: Moment, n: Word) -> Bool:
    """What went out before is not changed: accesses are in program order."""
    return implies(below(n, m.before.log.count), alike(m.after.log.at(n), m.before.log.at(n)))


@sentence(CITE, on=_in(ACCESSES, SENT))
def an_access_is_inside_its_slot(m: Moment, b: Word) -> Bool:
    """The slot is open, each byte of an access is inside it, and its address is aligned."""
    s, op, width = m.before, m.op, _width(m)
    size = s.slots.size(op.slot)
    # What is left of the device behind the offset holds the byte.
    inside = all_of(at_most(op.offset, size), below(b, minus(size, op.offset)))
    is_open = s.slots.open.has(op.slot)
    aligned = bits_and(address(s, op), minus(width, 1)) == 0
    return all_of(is_open, aligned, implies(below(b, width), inside))


@sentence(coconut_pull(1102), on=_in(ACCESSES | {slots.detach.id}, ("done",)))
def a_native_access_is_mapped(m: Moment) -> Bool:
    """An instruction's bytes lie in that part of the slot's own mapping which is the device."""
    s, wire = m.before, m.after.log.at(m.before.log.count)
    home, first = s.slots.home.at(m.op.slot), s.slots.gpa.at(m.op.slot)
    into = minus(wire.address, plus(home, bits_and(first, IN_PAGE)))
    inside = negate(is_past(into, wire.width, s.slots.size(m.op.slot)))
    return where(s.machine.backend, Backend.NATIVE, inside)


@sentence(CITE, on=_in(ACCESSES, SENT))
def what_goes_out_fits_its_width(m: Moment) -> Bool:
    """Nothing but the value leaves the SVSM with an access: what is past the width is 0."""
    wire = m.after.log.at(m.before.log.count)
    return at_most(wire.value, ones(wire.width))


@sentence(CITE, on=_in(ACCESSES, ("done",)))
def what_is_read_is_no_wider_than_asked(m: Moment) -> Bool:
    """A read answers the low bytes of what came back, as many as were asked for, and no more."""
    reads_ = m.rule.name.startswith("read")
    value = cut(m.op.data, _width(m)) if reads_ else 0
    return all_of(m.value == value, at_most(m.value, ones(_width(m))))


@sentence(ghcb("SW_EXITINFO1"), on=_in(ACCESSES | {slots.detach.id}, SENT))
def an_answer_is_checked(m: Moment) -> Bool:
    """What a host answers is taken for success only where it says so, and marks it as said."""
    op, hosted = m.op, is_hosted(m.before.machine)
    good = all_of(op.failed == 0, op.status == 0)
    low = bits_and(op.status, 0xFFFF_FFFF)
    snp = m.before.machine.backend == Backend.SNP
    no = pick(snp, any_of(low == 1, low == 2), shift_right(op.status, 63) == 1)
    return all_of(
        same(m.outcome == Answer.OK, any_of(negate(hosted), good)),
        same(m.outcome == Answer.NO_ANSWER, all_of(hosted, op.failed != 0)),
        same(m.outcome == Answer.HOST_REFUSED, all_of(hosted, op.failed == 0, no)),
    )


@sentence(CITE, on=_in(ACCESSES, ("unmapped", "outside", "misaligned", "bad_length")))
def what_is_refused_could_not_be_one_access(m: Moment) -> Bool:
    """A call is refused before the access only if no one access of the slot's would do."""
    s, op, width = m.before, m.op, _width(m)
    widths = any_of(*(width == one for one in (1, 2, 4, 8)))
    at = address(s, op)
    fits = negate(is_past(op.offset, width, s.slots.size(op.slot)))
    good = all_of(s.slots.open.has(op.slot), fits, bits_and(at, minus(width, 1)) == 0, widths)
    return negate(good)


@sentence(CITE, on=_in(ACCESSES, but=()))
def an_access_changes_no_slot(m: Moment, i: Word, b: Word) -> Bool:
    """An access leaves slots and what is taken as they are."""
    slots_ = m.after.slots.alike(m.before.slots, i)
    return all_of(slots_, same(m.after.taken.has(b), m.before.taken.has(b)))


# Of slots


@sentence(CITE, on=_in(SLOTS))
def only_the_slot_changes(m: Moment, j: Word) -> Bool:
    """What is done to one slot takes nothing from another, be it in the same page."""
    return any_of(j == m.op.slot, m.after.slots.alike(m.before.slots, j))


@sentence(CITE, on=_in({slots.open.id}, ("opened",)))
def an_opened_slot_has_what_was_asked(m: Moment, b: Word) -> Bool:
    """An opened slot has the bytes asked for, no transport, and those bytes become taken."""
    t, op = m.after, m.op
    stop = plus(op.gpa, op.size)
    place = all_of(t.slots.gpa.at(op.slot) == op.gpa, t.slots.stop.at(op.slot) == stop)
    fresh = all_of(t.slots.open.has(op.slot), negate(t.slots.attached.has(op.slot)))
    taken = any_of(m.before.taken.has(b), within(b, op.gpa, stop))
    return all_of(place, fresh, same(t.taken.has(b), taken))


@sentence(coconut_pull(1167), on=_in({slots.open.id}, ("opened",)))
def no_page_is_mapped_in_vain(m: Moment) -> Bool:
    """As few pages are mapped as hold the device, and that number is answered."""
    t, op = m.after, m.op
    stop = t.slots.mapped.at(op.slot)
    native = m.before.machine.backend == Backend.NATIVE
    count = shift_right(minus(stop, slots.first_page(op.gpa)), PAGE_SHIFT)
    spare = minus(stop, t.slots.stop.at(op.slot))
    return all_of(m.value == pick(native, count, 0), implies(native, at_most(spare, IN_PAGE)))


@sentence(CITE, on=_in({slots.open.id}, but=("opened",)))
def what_is_not_opened_could_not_be(m: Moment) -> Bool:
    """A device is turned down only where its bytes are none, too high, taken, or not mapped."""
    s, op = m.before, m.op
    room = negate(is_past(op.gpa, op.size, s.machine.limit))
    free = s.taken.none(op.gpa, plus(op.gpa, op.size))
    mapped = any_of(s.machine.backend != Backend.NATIVE, op.home != 0)
    good = all_of(negate(s.slots.open.has(op.slot)), op.size != 0, room, free, mapped)
    return negate(good)


@sentence(CITE, on=_in({slots.close.id}, ("done",)))
def a_closed_slot_gives_its_bytes_back(m: Moment, b: Word) -> Bool:
    """A closed slot has no mapping, its bytes are free, and no others are."""
    s, t, op = m.before, m.after, m.op
    kept = all_of(s.taken.has(b), negate(s.slots.has(op.slot, b)))
    gone = all_of(negate(t.slots.open.has(op.slot)), t.slots.mapped.at(op.slot) == 0)
    return all_of(gone, same(t.taken.has(b), kept))


@sentence(coconut("kernel/src/virtio/mmio.rs"), on=_in({slots.attach.id, slots.detach.id}))
def only_the_transport_changes(m: Moment, i: Word, b: Word) -> Bool:
    """Attaching and detaching change only whether a transport uses the slot; there is but one."""
    s, t = m.before, m.after
    attached = t.slots.attached.has(m.op.slot)
    done = m.outcome == Answer.OK
    first = all_of(attached, negate(s.slots.attached.has(m.op.slot)))
    now = implies(done, first) if m.rule.id == slots.attach.id else attached_after(m, attached)
    kept = all_of(
        same(s.slots.open.has(i), t.slots.open.has(i)),
        s.slots.mapped.at(i) == t.slots.mapped.at(i),
        same(s.taken.has(b), t.taken.has(b)),
    )
    return all_of(now, kept)


def attached_after(m: Moment, attached: Bool) -> Bool:
    """After detaching there is no transport, where there could have been one."""
    return implies(m.before.slots.open.has(m.op.slot), negate(attached))


@sentence(coconut("kernel/src/virtio/mmio.rs"), on=_in({slots.detach.id}, ("done",)))
def a_dropped_transport_resets_its_device(m: Moment) -> tuple[Bool, ...]:
    """Dropping a transport writes 0 to Status, 32 bits wide, once, in a slot still mapped."""
    made, s = _heard(m), m.before
    once = m.after.log.count == plus(s.log.count, 1)
    at = plus(s.slots.gpa.at(m.op.slot), slots.STATUS)
    what = all_of(made.write, made.width == 4, made.value == 0, made.gpa == at)
    there = all_of(s.slots.attached.has(m.op.slot), m.after.slots.open.has(m.op.slot))
    return _each_backend(m, all_of(once, what, there))


# Of a 64-bit field that is read in rounds

ROUND = {config.config_round.id}


@sentence(virtio("4.2.2.2"), on=_in(ROUND, ("stable", "changed")))
def a_round_is_four_reads(m: Moment) -> Bool:
    """A whole round is four 32-bit reads: the generation, the halves in order, the generation."""
    s, op = m.before, m.op
    low, high = plus(op.offset, 0x100), plus(op.offset, 0x104)

    def is_made(number: int, offset: Word) -> Bool:
        one = access.ReadTyped(op.slot, offset, 0, 0, 0)
        read = find(access.read_u32(s, one), "done").after.log.at(s.log.count)
        return alike(m.after.log.at(plus(s.log.count, number)), read)

    made = (is_made(number, one) for number, one in enumerate((0xFC, low, high, 0xFC)))
    return all_of(m.after.log.count == plus(s.log.count, 4), *made)


@sentence(virtio("4.2.2.2"), on=_in(ROUND, ("stable", "changed")))
def a_torn_field_is_not_answered(m: Moment) -> Bool:
    """A field is answered only where the generation was the same before and after."""
    first, low, high, last = reads(m.op)
    equal = cut(first.data, 4) == cut(last.data, 4)
    halves = plus(cut(low.data, 4), shift_left(cut(high.data, 4), 32))
    return all_of(
        same(m.outcome == Answer.OK, equal), implies(equal, m.value == halves), m.op.left != 0
    )


@sentence(virtio("4.2.2.2"), on=_in(ROUND))
def a_round_is_at_most_four_accesses(m: Moment) -> Bool:
    """No round sends out more than four accesses, and none without a try that is left."""
    sent = minus(m.after.log.count, m.before.log.count)
    return at_most(sent, pick(m.op.left == 0, 0, 4))


@sentence(CITE, on=_in(ROUND, but=("no_tries", "stable", "changed")))
def a_refused_read_ends_the_round(m: Moment) -> Bool:
    """What refuses one of the reads is what is answered, and nothing is read after it."""
    known = (
        Answer.UNMAPPED,
        Answer.OUTSIDE,
        Answer.MISALIGNED,
        Answer.NO_ANSWER,
        Answer.HOST_REFUSED,
        Answer.GARBAGE,
    )
    return all_of(any_of(*(m.outcome == one for one in known)), m.value == 0)


GIVEN = (the_machine_is_sane, the_log_has_room)
KEPT = (
    an_open_slot_ends_below_the_limit,
    no_byte_has_two_slots,
    bytes_of_slots_are_taken,
    the_mapping_covers_the_device,
    nothing_is_mapped_for_a_host,
    the_mapping_outlives_the_transport,
)
FIRST = (nothing_is_open,)
STEPS = (
    a_call_is_one_transaction,
    what_goes_out_does_not_depend_on_the_answer,
    what_goes_out_is_understood,
    a_refusal_before_makes_no_transaction,
    what_went_out_stays,
    an_access_is_inside_its_slot,
    a_native_access_is_mapped,
    what_goes_out_fits_its_width,
    what_is_read_is_no_wider_than_asked,
    an_answer_is_checked,
    what_is_refused_could_not_be_one_access,
    an_access_changes_no_slot,
    only_the_slot_changes,
    an_opened_slot_has_what_was_asked,
    no_page_is_mapped_in_vain,
    what_is_not_opened_could_not_be,
    a_closed_slot_gives_its_bytes_back,
    only_the_transport_changes,
    a_dropped_transport_resets_its_device,
    a_round_is_four_reads,
    a_torn_field_is_not_answered,
    a_round_is_at_most_four_accesses,
    a_refused_read_ends_the_round,
)
