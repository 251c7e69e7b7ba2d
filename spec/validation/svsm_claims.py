"""What is true of an SVSM between any two steps of anybody, with any number of vCPUs and pages.

Assumes: `block-access`, `rmpupdate-flushes`, `atomic-steps`, `one-guest`, `fixed-layout`.
Proves: each sentence of `KEPT` is true when all begins and is kept by every step of the SVSM, of
the host and of the guest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spec.machine.snp import Contents
from spec.prove.inductive import Sentence, sentence
from spec.sources import apm2, coconut, decision
from spec.tables import BLOCK, in_block
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    below,
    bits_and,
    bits_or,
    implies,
    negate,
    pick,
    shift_right,
)
from spec.validation.svsm import LIMIT_GFN, Mode, Pc, Stage, Svsm
from spec.validation.svsm_locks import (
    blocks_are_aligned,
    blocks_lie_where_they_may,
    modes_fit_steps,
    pages_in_work_are_no_vmsas,
    requests_spare_calling_areas,
    vmsas_are_spared,
    vmsas_are_the_guests,
    vmsas_in_the_making_are_registered,
    who_holds_a_lock_works,
    who_works_holds_the_lock,
)
from spec.validation.svsm_record import (
    flushed_pages_are_forgotten,
    frames_in_work_are_claimed,
    frames_to_be_validated_are_not,
    large_entries_are_whole,
    registered_frames_have_no_rights,
    revoked_pages_have_no_rights,
    rights_are_on_validated_pages_of_the_guest,
    the_guest_sees_nobody_elses_contents,
    validated_frames_have_one_home,
    validated_pages_are_assigned,
    vmsas_are_out_of_reach,
    what_is_remembered_is_claimed,
    what_is_validated_is_claimed,
)
from spec.validation.svsm_stages import (
    a_cold_machine_has_only_firmware,
    a_cold_machine_holds_what_was_launched,
    blocks_of_a_migration_are_in_the_stream,
    next_counts_what_is_done,
    only_the_stream_is_brought_in,
    pages_in_work_are_not_shared,
    pages_that_change_hands_are_not_claimed,
    shared_pages_are_not_claimed,
    stages_fit_modes,
    the_host_is_asked_a_few_times,
    what_was_handed_out_stays,
    who_reboots_is_alone,
)
from spec.validation.svsm_words import (
    measured,
    works,
)

# What is fixed


@sentence(decision("0010-one-model"))
def frames_are_below_the_limit(s: Svsm, g: Word) -> Bool:
    """A frame of the guest's or of the SVSM's has an address below 2**52 bytes."""
    ours = any_of(s.layout.guest.has(g), s.layout.own.has(g))
    return implies(ours, below(g, LIMIT_GFN))


@sentence(decision("0010-one-model"))
def own_frames_are_not_the_guests(s: Svsm, g: Word) -> Bool:
    """The memory map has no frame of the SVSM's own; GHCBs are its own, firmware the guest's."""
    own, guest = s.layout.own.has(g), s.layout.guest.has(g)
    return all_of(
        negate(all_of(own, guest)),
        implies(s.layout.ghcbs.has(g), own),
        implies(s.layout.firmware.has(g), guest),
        implies(all_of(s.layout.measured.has(g), guest), s.layout.firmware.has(g)),
    )


@sentence(decision("0010-one-model"))
def the_launch_vmsa_is_no_firmware(s: Svsm) -> Bool:
    """The first VMSA lies in no page of the firmware."""
    return negate(s.layout.firmware.has(s.layout.launch_vmsa))


GIVEN = (
    frames_are_below_the_limit,
    own_frames_are_not_the_guests,
    the_launch_vmsa_is_no_firmware,
)


# When all begins


@sentence(apm2("15.36.6"))
def nothing_is_in_hand(s: Svsm, c: Word, g: Word) -> Bool:
    """At first nobody works, nothing is claimed, registered, shared or locked."""
    idle = all_of(s.pc(c) == Pc.IDLE, s.cpus.mode.at(c) == Mode.GUEST)
    sets = (s.claimed, s.held, s.vmsas, s.caas, s.shared)
    empty = (negate(pages.has(g)) for pages in sets)
    return all_of(idle, s.stage == Stage.OFF, negate(s.halted), *empty)


@sentence(apm2("15.36.6"))
def the_launch_validated_what_was_measured(s: Svsm, p: Word, q: Word) -> Bool:
    """At first a page is validated only for a measured frame, one page a frame, without rights."""
    hw = s.hw
    both = all_of(hw.validated.has(p), hw.validated.has(q), hw.gfn.at(p) == hw.gfn.at(q))
    whole = large_entries_are_whole.says(s, p)
    return all_of(
        implies(hw.validated.has(p), all_of(hw.assigned.has(p), measured(s, hw.gfn.at(p)))),
        implies(hw.validated.has(p), hw.contents.at(p) == Contents.LAUNCHED),
        hw.weak_rights(p) == 0,
        negate(hw.vmsa.has(p)),
        negate(hw.tlb.has(p)),
        implies(both, p == q),
        whole,
    )


KEPT = (
    who_works_holds_the_lock,
    who_holds_a_lock_works,
    blocks_are_aligned,
    modes_fit_steps,
    blocks_lie_where_they_may,
    requests_spare_calling_areas,
    vmsas_are_spared,
    pages_in_work_are_no_vmsas,
    vmsas_in_the_making_are_registered,
    vmsas_are_the_guests,
    large_entries_are_whole,
    validated_pages_are_assigned,
    validated_frames_have_one_home,
    what_is_validated_is_claimed,
    frames_to_be_validated_are_not,
    frames_in_work_are_claimed,
    rights_are_on_validated_pages_of_the_guest,
    revoked_pages_have_no_rights,
    the_guest_sees_nobody_elses_contents,
    what_is_remembered_is_claimed,
    flushed_pages_are_forgotten,
    vmsas_are_out_of_reach,
    registered_frames_have_no_rights,
    shared_pages_are_not_claimed,
    pages_that_change_hands_are_not_claimed,
    pages_in_work_are_not_shared,
    the_host_is_asked_a_few_times,
    next_counts_what_is_done,
    a_cold_machine_has_only_firmware,
    a_cold_machine_holds_what_was_launched,
    stages_fit_modes,
    who_reboots_is_alone,
    only_the_stream_is_brought_in,
    blocks_of_a_migration_are_in_the_stream,
    what_was_handed_out_stays,
)
FIRST = (nothing_is_in_hand, the_launch_validated_what_was_measured)


# What follows in every state


@sentence(decision("0009-locks"), needs=("one-vcpu-a-page",))
def a_page_has_one_vcpu(s: Svsm, c: Word, d: Word, g: Word) -> Bool:
    """No two vCPUs work on a page at once, whatever the size of their blocks (ATOMIC-PAGE)."""
    first = all_of(works(s, c), s.works_on(c, g))
    second = all_of(works(s, d), s.works_on(d, g))
    return implies(all_of(first, second), c == d)


@sentence(coconut("kernel/src/mm/memory.rs"), needs=("only-the-guests-pages",))
def the_svsms_own_pages_are_out_of_reach(s: Svsm, p: Word) -> Bool:
    """The guest has no rights to a page of the SVSM's, nor a way to it (OWN-DISJOINT)."""
    own = all_of(s.hw.assigned.has(p), s.layout.own.has(s.hw.gfn.at(p)))
    return implies(own, all_of(s.hw.weak_rights(p) == 0, negate(s.hw.tlb.has(p))))


@sentence(apm2("15.36.5"))
def an_entry_that_fits_leads_to_its_block(s: Svsm, c: Word, p: Word) -> Bool:
    """A page that a step reaches by an entry that fits is of a frame of the block."""
    first, large = s.block(c)
    spn = s.hw.npt.at(first)
    fits = all_of(s.hw.maps(spn, first), any_of(negate(large), s.hw.large.has(spn)))
    reached = all_of(works(s, c), fits, in_block(p, spn, large))
    frame = pick(large, bits_or(first, bits_and(p, BLOCK - 1)), first)
    return implies(reached, all_of(s.hw.gfn.at(p) == frame, s.works_on(c, s.hw.gfn.at(p))))


FOLLOWS = (
    a_page_has_one_vcpu,
    the_svsms_own_pages_are_out_of_reach,
    an_entry_that_fits_leads_to_its_block,
)


def named(s: Svsm, op: Any, things: Mapping[str, Word]) -> Mapping[str, Sequence[Word]]:
    """What a proof looks at: its own things, and what the step names."""
    hw = s.hw
    p, q, g = things["p"], things["q"], things["g"]
    spn, gfn, vcpu = [p, q], [g, hw.gfn.at(p), hw.gfn.at(q)], [things["c"], things["d"]]
    vcpu += [s.holder.at(g), s.holder.at(hw.gfn.at(p))]
    if hasattr(op, "vcpu"):
        vcpu.append(op.vcpu)
        request = shift_right(s.cpus.block.at(op.vcpu), 12)
        gfn.append(request)
        spn.append(hw.npt.at(request))
        first = s.cpus.first.at(op.vcpu)
        gfn.append(first)
        large = s.cpus.large.has(op.vcpu)
        spn.append(hw.npt.at(first))
        # In a 2 MiB page: the mate of `p`, at the same place in the page that the step reaches.
        spn.append(bits_or(hw.npt.at(first), bits_and(hw.gfn.at(p), pick(large, BLOCK - 1, 0))))
    else:
        gfn.append(s.cpus.first.at(things["c"]))
    if hasattr(op, "spn"):
        spn.append(op.spn)
        gfn.append(hw.gfn.at(op.spn))
    for name in ("gfn",):
        if hasattr(op, name):
            gfn.append(getattr(op, name))
            spn.append(hw.npt.at(getattr(op, name)))
    for name in ("gpa", "vmsa", "caa", "rcx", "entry"):
        if hasattr(op, name):
            gfn.append(shift_right(getattr(op, name), 12))
            spn.append(hw.npt.at(gfn[-1]))
    return {"spn": spn, "gfn": gfn, "vcpu": vcpu}


def plain(s: Svsm, op: Any) -> Bool:
    """A step on a page of 4 KiB."""
    blocks = [s.cpus.large.has(op.vcpu)] if hasattr(op, "vcpu") else []
    blocks += [op.large] if hasattr(op, "large") else []
    blocks += [bits_and(op.entry, 3) != 0] if hasattr(op, "entry") else []
    return negate(any_of(False, *blocks))


def plain_in_place(s: Svsm, op: Any) -> Bool:
    """The same, by a vCPU that works on frame 1, which system page 1 is for."""
    if not hasattr(op, "vcpu"):
        return plain(s, op)
    mapped = all_of(s.hw.npt.at(1) == 1, s.hw.gfn.at(1) == 1)
    return all_of(plain(s, op), s.cpus.first.at(op.vcpu) == 1, mapped)


def apart(s: Svsm, op: Any, things: Mapping[str, Word]) -> Sequence[Bool]:
    """Of two system pages: both in the block that a vCPU works on, the one, the other.

    A solver would find out by itself, but goes through sums of 64 bits on the way.
    """
    if not hasattr(op, "vcpu") or not {"p", "q"} <= things.keys():
        return ()
    first, large = s.block(op.vcpu)
    inside = [in_block(things[name], s.hw.npt.at(first), large) for name in ("p", "q")]
    return (all_of(*inside), *inside)


ALL: tuple[Sentence, ...] = (*GIVEN, *KEPT, *FIRST, *FOLLOWS)
