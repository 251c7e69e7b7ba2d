"""The contract between the stages: what OVMF sees is what was carved, for every map.

It holds of an image that takes a map, where a terminator is written, the firmware's low memory is
asked for up to 1 MiB at least, and low memory is told from the entry that starts at page 0; or, of
an image that takes it to be one block, where no entry but the first ends below 4 GiB. Where one of
these fails it does not hold: `conformance/data/handoff_breaks.json` has the smallest map for each.

Assumes: what is proved of each stage by itself; `induction` joins the entries of a list.
Proves: the reader meets exactly what the writer wrote; entry by entry its RAM is what it has seen;
so a page is RAM (or from 640 KiB to 1 MiB) exactly if the host gave it and the SVSM did not keep
it; nothing that is kept is the guest's, and none of it is validated for the map.
"""

from spec.assumptions import INDUCTION
from spec.handoff.carve import Carving
from spec.handoff.carve_claims import a_page_is_left_if_it_is_not_cut_out
from spec.handoff.read import Reading
from spec.handoff.reserve_lemmas import in_order
from spec.handoff.saying import BY_INDUCTION
from spec.handoff.size import Sizing
from spec.handoff.size_claims import runs_have_the_pages_of_memory
from spec.handoff.validate import Readying
from spec.handoff.validate_claims import (
    a_page_is_validated_if_it_is_passed,
    the_work_is_within_the_region,
)
from spec.handoff.view import (
    FOUR_GIB,
    Lowering,
    Slot,
    View,
    before_view,
    view,
)
from spec.handoff.view_claims import OF_LOWERING
from spec.handoff.words import PAGE_BYTES, Kind, Spans
from spec.handoff.write import Slots, Writing
from spec.handoff.write_claims import an_area_inside_is_of_the_guests_pages
from spec.pages import Pages
from spec.prove.lemma import Lemmas, must
from spec.prove.obligation import Query
from spec.prove.world import World, record
from spec.rule import changed, taken
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
    same,
    within,
)

LEMMAS = Lemmas("handoff.view")
CITE = handoff("stage 7, the contract")
READ = ("above_low", "in_low")
"""The cases of `view` in which an entry of memory is read."""


KIB_640, MIB_1 = (640 << 10) // PAGE_BYTES, (1 << 20) // PAGE_BYTES


def slot_at(slots: Slots | Spans, index: Word) -> Slot:
    """What OVMF finds in a slot of what was written: memory, and nothing reserved."""
    first, stop = slots.firsts.at(index), slots.stops.at(index)
    return Slot(False, first, less(stop, first), Kind.MEMORY, 0)


def hole(q: Word) -> Bool:
    """A page is one from 640 KiB to 1 MiB."""
    return within(q, KIB_640, MIB_1)


@LEMMAS.lemma(CITE)
def the_reader_meets_what_the_writer_wrote(world: World) -> Query:
    """Slot by slot, OVMF finds the guest's entries; behind the last it finds that the map ends."""
    s, q = record(world, Writing, "s"), world.number("q")
    found, entries = slot_at(s.written().slots, q), s.entries
    entry = all_of(found.first == entries.firsts.at(q), found.stop == entries.stops.at(q))
    filled = [entries.is_filled(q)]
    goes_on = implies(entries.has(q), all_of(entry, negate(found.ends)))
    stops = implies(q == entries.count, found.ends)
    return must([*world.facts(()), *filled], goes_on, stops)


class _Reading:
    """OVMF has read the first `k` entries of `guest`, and reads the next."""

    def __init__(self, world: World) -> None:
        self.guest, self.k = record(world, Spans, "guest"), world.number("k")
        self.q, self.ram = world.number("q"), world.marks("ram")
        self.so_far = world.marks("so_far")
        low = record(world, Lowering, "low")
        self.low = changed(low, seen=self.guest)
        self.told = world.number("told")
        seen = changed(self.guest, count=self.k, memory=self.so_far)
        flags = world.flag("takes_map"), world.flag("checks_first")
        self.view = View(*flags, self.low.low, self.ram, world.marks("reserved"), seen)
        self.facts = world.facts(())

    def carved(self) -> list[Bool]:
        """The guest's entries are as they are carved, with all of the first MiB."""
        guest, giver = self.guest, self.low.giver
        points = (self.k, giver, less(self.k, self.k))
        made = [said for p in points for said in (guest.apart(p), guest.is_filled(p))]
        made += [implies(guest.has(p), guest.kinds.at(p) == Kind.MEMORY) for p in points]
        made += [in_order(guest, points[2], p) for p in (self.k, giver)]
        base = all_of(guest.firsts.at(points[2]) == 0, at_most(MIB_1, guest.stops.at(points[2])))
        return [*made, below(0, guest.count), base]

    def low_is_right(self) -> list[Bool]:
        """Low memory is what a pass over the same entries says; QEMU's where they say nothing."""
        points = (less(self.k, self.k), self.k)
        said = [sentence(self.low, p) for p in points for sentence in OF_LOWERING]
        return [*said, implies(negate(self.low.known), self.low.low == self.told)]

    def suits(self) -> Bool:
        """The image takes a map, and the map suits how it finds low memory."""
        others = [
            implies(all_of(self.guest.has(i), i != 0), at_most(FOUR_GIB, self.guest.stops.at(i)))
            for i in (self.k, self.low.giver)
        ]
        one_block = all_of(*others, below(self.told, FOUR_GIB))
        return all_of(self.view.takes_map, any_of(self.low.low_from_base, one_block))

    def agrees(self, ram: Pages, memory: Pages) -> Bool:
        """A page is RAM, or in the hole, exactly if it is in an entry that was read."""
        return same(any_of(ram.has(self.q), hole(self.q)), memory.has(self.q))


def _before(reading: _Reading, nothing: Pages) -> Bool:
    """Nothing has been read, and RAM is what it is before anything is."""
    s = reading.view
    start = before_view(s.takes_map, s.checks_first, s.low, nothing)
    ram = same(s.ram.has(reading.q), start.ram.has(reading.q))
    return all_of(reading.k == 0, ram, negate(reading.so_far.has(reading.q)))


@LEMMAS.lemma(CITE)
def ram_begins_below_640_kib_and_from_1_mib_on(world: World) -> Query:
    """Before any entry is read, RAM is what is below 640 KiB, and from 1 MiB to low memory."""
    low, q = world.number("low"), world.number("q")
    nothing = world.marks("nothing").emptied()
    start = before_view(world.flag("takes_map"), world.flag("checks_first"), low, nothing)
    ram = any_of(below(q, KIB_640), within(q, MIB_1, low))
    return must(world.facts(()), same(start.ram.has(q), ram), negate(start.reserved.has(q)))


@LEMMAS.lemma(CITE, given=BY_INDUCTION, method="induction")
def entry_by_entry_ram_is_what_was_read(world: World) -> Query:
    """Behind each entry that OVMF reads, its RAM and the hole are the entries read so far."""
    reading = _Reading(world)
    op = slot_at(reading.guest, reading.k)
    nothing = world.marks("nothing").emptied()
    started = all_of(below(0, reading.k), reading.agrees(reading.ram, reading.so_far))
    supposed = [*reading.facts, *reading.carved(), *reading.low_is_right()]
    supposed += [reading.guest.has(reading.k), any_of(_before(reading, nothing), started)]
    cases = view(reading.view, op)
    others = [c.name for c in cases if c.name not in READ]
    kept = [
        implies(taken(cases, c.name), reading.agrees(c.state.ram, c.state.seen.memory))
        for c in cases
        if c.name in READ
    ]
    never = [negate(taken(cases, name)) for name in others]
    return must(supposed, *kept, *never, given=reading.suits())


@LEMMAS.lemma(CITE, given=(INDUCTION,))
def what_was_carved_is_what_the_host_gave_and_the_svsm_did_not_keep(world: World) -> Query:
    """A page is the guest's exactly if the host gave it as memory and the SVSM did not keep it.

    Conservation, through stages 1 to 4; OWN-DISJOINT.
    """
    said, guest, given, kept, _ = _through(world)
    is_guests = same(guest, all_of(given, negate(kept)))
    return must(said, is_guests, implies(guest, negate(kept)))


def _of_region(world: World) -> Carving:
    """The pass that cuts the bitmaps' region out."""
    made: Carving = record(world, Carving, "region")
    return made


def _through(world: World) -> tuple[list[Bool], Bool, Bool, Bool, Word]:
    """What the stages say of a page, each handing its list on to the next."""
    q = world.number("q")
    r, z = record(world, Reading, "read"), record(world, Sizing, "size")
    c, d = record(world, Carving, "kernel"), _of_region(world)
    handed_on = [
        same(z.seen.memory.has(q), r.entries.memory.has(q)),
        same(c.given.memory.has(q), z.runs.memory.has(q)),
        same(d.given.memory.has(q), c.left.memory.has(q)),
    ]
    said = [
        runs_have_the_pages_of_memory(z, q),
        a_page_is_left_if_it_is_not_cut_out(c, q),
        a_page_is_left_if_it_is_not_cut_out(d, q),
    ]
    kept = any_of(within(q, c.cut_first, c.cut_stop), within(q, d.cut_first, d.cut_stop))
    facts = [*world.facts(()), *handed_on, *said]
    return facts, d.left.memory.has(q), r.entries.memory.has(q), kept, q


@LEMMAS.lemma(CITE, given=(INDUCTION,))
def ovmf_sees_what_was_carved(world: World) -> Query:
    """When OVMF has read all, a page is RAM, or in the hole, exactly if it was given and not kept.

    By `entry_by_entry_ram_is_what_was_read` at the last entry, and conservation.
    """
    said, guest, given, kept, q = _through(world)
    ram, seen = world.marks("ram"), world.marks("seen")
    at_the_end = same(any_of(ram.has(q), hole(q)), seen.has(q))
    handed_on = same(seen.has(q), guest)
    sees = same(any_of(ram.has(q), hole(q)), all_of(given, negate(kept)))
    never = implies(all_of(ram.has(q), kept), False)
    return must([*said, at_the_end, handed_on], sees, never)


@LEMMAS.lemma(CITE, given=(INDUCTION,))
def nothing_kept_is_validated_for_the_map(world: World) -> Query:
    """No page of kernel or region is validated when the map is written (RESERVE-VALID-ONCE)."""
    said, guest, _, kept, q = _through(world)
    s = record(world, Writing, "write")
    handed_on = same(s.entries.memory.has(q), guest)
    inside = an_area_inside_is_of_the_guests_pages(s, q)
    validated = all_of(s.inside, within(q, s.first, s.stop))
    return must([*said, handed_on, inside], negate(kept), given=validated)


@LEMMAS.lemma(CITE, given=(INDUCTION,))
def what_is_validated_for_the_region_is_never_granted(world: World) -> Query:
    """A page validated for the bitmaps is not the guest's, nor validated for the map as well.

    So it is validated once in all, and only the SVSM has it (RESERVE-VALID-ONCE).
    """
    said, guest, _, _, q = _through(world)
    region, r = _of_region(world), record(world, Readying, "validate")
    s = record(world, Writing, "write")
    said += [
        r.first == region.cut_first,
        r.stop == region.cut_stop,
        the_work_is_within_the_region(r, q),
        a_page_is_validated_if_it_is_passed(r, q),
        same(s.entries.memory.has(q), guest),
        an_area_inside_is_of_the_guests_pages(s, q),
    ]
    for_the_map = all_of(s.inside, within(q, s.first, s.stop))
    return must(said, negate(guest), negate(for_the_map), given=r.validated.has(q))
