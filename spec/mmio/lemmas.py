"""What two interfaces and three back ends have in common, and what no wrong lowering has.

A wrong lowering is refuted by a device that can tell: values are shown for which the device is left
in another state, or answers something else, than after the one transaction that was meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spec.mmio import access
from spec.mmio.access import LENGTH, READS, WRITES, Read, ReadTyped, Write, WriteTyped, read, write
from spec.mmio.devices import (
    Access,
    Bell,
    Devices,
    Fifo,
    Virtio,
    bell,
    counter,
    fifo,
    one_clears,
    wide,
)
from spec.mmio.state import Mmio, alike, is_past
from spec.mmio.wire import Backend, heard, is_sane
from spec.prove.lemma import Lemmas, must
from spec.prove.matrix import find
from spec.prove.obligation import Obligation, Query
from spec.prove.world import World, record
from spec.rule import Rule, changed, step, taken
from spec.sources import coconut_pull, decision, definition
from spec.tables import ListedTable
from spec.terms import (
    all_of,
    any_of,
    at_most,
    below,
    bits_and,
    exact,
    implies,
    minus,
    plus,
    same,
    shift_right,
    sum_of,
)

LEMMAS = Lemmas("mmio")
CITE = decision("0024-mmio-one")


# Numbers


@LEMMAS.lemma(cite=definition("sums that do not wrap"))
def room_is_counted_in_numbers(world: World) -> Query:
    """The check of 64-bit words that a range ends in time is the one of numbers."""
    first, length, stop = (world.word(name) for name in ("first", "length", "stop"))
    ends = sum_of(exact(first), exact(length))
    return must([], same(is_past(first, length, stop), below(exact(stop), ends)))


@LEMMAS.lemma(cite=definition("powers of two"))
def an_aligned_access_stays_in_its_page(world: World) -> Query:
    """An access of 1, 2, 4 or 8 bytes at a multiple of its length is in one page."""
    gpa, width, byte = (world.word(name) for name in ("gpa", "width", "byte"))
    aligned = bits_and(gpa, minus(width, 1)) == 0
    pages = shift_right(gpa, 12), shift_right(plus(gpa, byte), 12)
    widths = access.is_width(width)
    return must([aligned, widths, below(byte, width)], pages[0] == pages[1])


@LEMMAS.lemma(cite=coconut_pull(1102))
def offsets_count_in_the_size_of_a_mapping(world: World) -> Query:
    """A device that begins at a page needs what its size does, any other a page more at most."""
    gpa, size = world.word("gpa"), world.word("size")
    there = plus(bits_and(gpa, 0xFFF), size)
    needed = shift_right(plus(there, 0xFFF), 12)
    alone = shift_right(plus(size, 0xFFF), 12)
    more = any_of(needed == alone, needed == plus(alone, 1))
    at_page = implies(bits_and(gpa, 0xFFF) == 0, needed == alone)
    return must([at_most(size, 1 << 52)], more, at_page)


# The slice interface and the typed one


def _agree(world: World, typed: Rule, plain: Rule) -> Query:
    s = record(world, Mmio, "s")
    n, width = world.word("n"), LENGTH[typed.name]
    common = [world.word(name) for name in ("slot", "offset")]
    words = [world.word(name) for name in ("a", "b", "c")]
    one: Any = (ReadTyped if plain is read else WriteTyped)(*common, *words)
    whole: Any = Read if plain is read else Write
    other = whole(*common, width, *words)
    left, right = typed(s, one), plain(s, other)
    said = []
    for case in left:
        twin = find(right, case.name)
        there = taken(left, case.name)
        logs = case.after.log, twin.after.log
        what = all_of(alike(logs[0].at(n), logs[1].at(n)), logs[0].count == logs[1].count)
        answers = all_of(case.outcome == twin.outcome, case.value == twin.value)
        said += [same(there, taken(right, case.name)), implies(there, all_of(what, answers))]
    return must([], *said)


def _slice_and_typed(typed: Rule, plain: Rule) -> None:
    @LEMMAS.lemma(cite=CITE, of=typed.name)
    def slice_and_typed_agree(world: World) -> Query:
        """A typed access is the slice access of that width: alike in all that is seen of it."""
        return _agree(world, typed, plain)


for _typed in READS:
    _slice_and_typed(_typed, read)
for _typed in WRITES:
    _slice_and_typed(_typed, write)


# The back ends


def _backends(rule: Rule, other: Backend) -> None:
    @LEMMAS.lemma(cite=CITE, of=f"{rule.name},{other.name.lower()}")
    def back_ends_agree(world: World) -> Query:
        """Against an honest host a back end is the native one: refusals, history and answers."""
        s = record(world, Mmio, "s")
        op: Any = changed(record(world, rule.operands, "op"), failed=0, status=0)
        native, hosted = (
            changed(s, machine=changed(s.machine, backend=int(b))) for b in (Backend.NATIVE, other)
        )
        left, right = rule(native, op), rule(hosted, op)
        said = [same(taken(left, c.name), taken(right, c.name)) for c in left]
        done = find(left, "done").after.log, find(right, "done").after.log
        place = s.slots.place(op.slot)
        mine, its = (
            heard(now.machine, place, log.at(s.log.count))
            for now, log in zip((native, hosted), done, strict=True)
        )
        at = access.address(s, op)
        # That an access of a slot's is below the limit is in the model's sentences.
        low = all_of(below(at, s.machine.limit), is_sane(hosted.machine))
        what = [
            same(mine.write, its.write),
            mine.gpa == its.gpa,
            mine.width == its.width,
            mine.value == its.value,
        ]
        answers = find(left, "done").value == find(right, "done").value
        return must([low], *said, *what, answers)


for _other in (Backend.SNP, Backend.TDX):
    _backends(read, _other)
    _backends(write, _other)


# Wrong lowerings, each shown to be wrong by a device that can tell


def example() -> Devices:
    """A device of each kind with something in it."""
    none = ListedTable()
    items = ListedTable.of({0: 0x11, 1: 0x22, 2: 0x33, 3: 0x44, 4: 0x55})
    return Devices(
        fifo=Fifo(items, 0, 5),
        clears=0xFF,
        one_clears=0b1011,
        bell=Bell(0, 0),
        wide=0xAABB_CCDD,
        counter=0xFFFF_FFFF,
        virtio=Virtio(0, 0, 0, Bell(0, 0), none),
    )


def after(rule: Rule, asked: Sequence[Access]) -> tuple[Devices, int]:
    """The example after some transactions in order, and what they read, the first lowest."""
    d, value, shift = example(), 0, 0
    for op in asked:
        done = step(rule, d, op)
        value |= done.value << shift
        shift += 0 if op.write else 8 * op.width
        d = done.state
    return d, value


@dataclass(frozen=True)
class Wrong:
    """What a lowering makes of one transaction that was `meant`, and a device that can tell."""

    name: str
    claim: str
    device: Rule
    meant: Access
    made: tuple[Access, ...]


def _reads(*parts: tuple[int, int]) -> tuple[Access, ...]:
    return tuple(Access(False, offset, width, 0) for offset, width in parts)


WRONG = (
    Wrong(
        "memcpy_is_not_one_access",
        "Copying four bytes one by one takes four items out of a FIFO.",
        fifo,
        Access(False, 0, 4, 0),
        _reads((0, 1), (1, 1), (2, 1), (3, 1)),
    ),
    Wrong(
        "two_halves_are_not_one_access",
        "A counter read in two halves is of two moments.",
        counter,
        Access(False, 0, 8, 0),
        _reads((0, 4), (4, 4)),
    ),
    Wrong(
        "halves_of_a_register_are_not_the_register",
        "A register of 32 bits answers nothing to 16.",
        wide,
        Access(False, 0, 4, 0),
        _reads((0, 2), (2, 2)),
    ),
    Wrong(
        "a_retry_is_not_one_access",
        "A doorbell that is written again rings again.",
        bell,
        Access(True, 0, 4, 1),
        (Access(True, 0, 4, 1), Access(True, 0, 4, 1)),
    ),
    Wrong(
        "read_modify_write_is_not_a_write",
        "To clear one bit by reading all and writing them back with it clears others.",
        one_clears,
        Access(True, 0, 4, 0b0010),
        (Access(False, 0, 4, 0), Access(True, 0, 4, 0b1011)),
    ),
    Wrong(
        "any_length_forwarded_is_not_one_access",
        "A host that is asked for 16 bytes asks the device twice for 8.",
        fifo,
        Access(False, 0, 16, 0),
        _reads((0, 8), (8, 8)),
    ),
)


def _told_apart(one: Wrong) -> Obligation:
    def ask(_world: World) -> Query:
        meant, made = after(one.device, [one.meant]), after(one.device, one.made)
        return Query([], [meant != made])

    return Obligation(f"mmio/{one.name}", one.claim, CITE, ask, method="example")


LEMMAS.found.extend(map(_told_apart, WRONG))
