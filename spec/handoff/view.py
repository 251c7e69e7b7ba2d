"""Stage 7: what OVMF makes of the bytes that were written; a rule about somebody else's code.

It goes through the entries twice: for its low memory (`low_memory`), then for its RAM (`view`).

Assumes: OVMF's version does what docs/handoff.md says of it.
Proves (`view_claims`, `composition`): what each entry adds; and that OVMF's RAM, and the pages from
640 KiB to 1 MiB, are what was carved, for every map, under conditions on version and policy that
are told there.
"""

from dataclasses import dataclass

from spec.handoff.words import AREA, NONE, Answer, Kind, Spans
from spec.pages import Pages
from spec.rule import Case, Cases, changed, rule
from spec.sources import edk2
from spec.terms import (
    Bool,
    Flag,
    Number,
    NumberPages,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    negate,
    remainder,
    sum_of,
)

FOUR_GIB = 1 << 20
HOLE_FIRST, HOLE_STOP = 160, 256
"""The pages from 640 KiB to 1 MiB, which OVMF never takes as RAM from the map's low memory."""
NOISE = 16
"""An entry type from which on a newer image takes the first entry to be noise."""


@dataclass(frozen=True)
class Slot:
    """An entry as OVMF finds it in the area; `is_past`: the page has no more."""

    is_past: Flag
    first: Number
    pages: Number
    kind: Number
    reserved: Number

    @property
    def stop(self) -> Word:
        """The page past the entry's last."""
        return sum_of(self.first, self.pages)

    @property
    def ends(self) -> Bool:
        """The reader stops here."""
        return any_of(self.is_past, self.pages == 0)


@dataclass(frozen=True)
class Lowering:
    """Where low memory ends, as far as is known; what QEMU tells where no entry says it.

    giver: the index of the entry that says it, where `known`.
    """

    low_from_base: Flag
    known: Flag
    low: Number
    giver: Number
    seen: Spans


@rule(AREA, Slot, cite=edk2("OvmfPkg/Library/PlatformInitLib/MemDetect.c"))
def low_memory(s: Lowering, op: Slot) -> Cases:
    """Learn from one entry where low memory ends."""
    is_memory = op.kind == Kind.MEMORY
    seen = changed(s, seen=s.seen.put_other(op.first, op.stop, op.kind))
    at_base = all_of(s.low_from_base, is_memory, op.first == 0)
    higher = any_of(negate(s.known), below(s.low, op.stop))
    is_low = all_of(negate(s.low_from_base), is_memory, below(op.stop, FOUR_GIB))
    length = remainder(op.pages, FOUR_GIB)
    said = changed(seen, known=True, giver=s.seen.count)
    return (
        Case("ended", op.ends, Answer.OK, s),
        Case("at_base", at_base, Answer.OK, changed(said, low=length)),
        Case("higher", all_of(is_low, higher), Answer.OK, changed(said, low=op.stop)),
        Case("passes", True, Answer.OK, seen),
    )


@dataclass(frozen=True)
class View:
    """OVMF's RAM and what it keeps reserved so far; `seen` are the entries it has read."""

    takes_map: Flag
    checks_first: Flag
    low: Number
    ram: NumberPages
    reserved: NumberPages
    seen: Spans


@rule(AREA, Slot, cite=edk2("OvmfPkg/Library/PlatformInitLib/Igvm.c"))
def view(s: View, op: Slot) -> Cases:
    """See what OVMF makes of one entry; NOT_TAKEN: it asks QEMU, and takes the host's memory."""
    is_first, is_memory = s.seen.count == 0, op.kind == Kind.MEMORY
    is_noise = any_of(at_most(NOISE, op.kind), op.reserved != 0)
    memory = changed(s, seen=s.seen.put(op.first, op.stop))
    other = changed(s, seen=s.seen.put_other(op.first, op.stop, op.kind))
    ram = s.ram.with_range(op.first, op.stop, True)
    kept = s.reserved.with_range(op.first, op.stop, True)
    return (
        Case("no_reader", negate(s.takes_map), Answer.NOT_TAKEN, s),
        Case("no_entry", all_of(is_first, op.ends), Answer.NOT_TAKEN, s),
        Case("noise", all_of(is_first, s.checks_first, is_noise), Answer.NOT_TAKEN, s),
        Case("ended", op.ends, Answer.OK, s),
        Case(
            "above_low",
            all_of(is_memory, below(s.low, op.stop)),
            Answer.OK,
            changed(memory, ram=ram),
        ),
        Case("in_low", is_memory, Answer.OK, memory),
        Case(
            "reserved",
            op.kind == Kind.PLATFORM_RESERVED,
            Answer.OK,
            changed(other, reserved=kept),
        ),
        Case("other", True, Answer.OK, other),
    )


def before_low(low_from_base: Bool, told: Word) -> Lowering:
    """Before the first entry: low memory is what QEMU tells."""
    return Lowering(low_from_base, False, told, 0, NONE)


def before_view(
    takes_map: Bool, checks_first: Bool, low: Word, nothing: Pages = NONE.memory
) -> View:
    """Before the first entry: RAM is `[0, 640 KiB)` and `[1 MiB, low memory)`.

    nothing: a set without a page.
    """
    ram = nothing.with_range(0, HOLE_FIRST, True).with_range(HOLE_STOP, low, True)
    return View(takes_map, checks_first, low, ram, nothing, NONE)
