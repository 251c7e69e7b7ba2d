"""What is true of an SVSM on any machine: its locks, its requests, its stages.

Assumes: `fixed-layout`, `atomic-steps`.
Proves: each sentence is true when all begins and is kept by every step, whatever the machine does;
so on the native platform, too, whose steps are among them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spec.assumptions import ATOMIC_STEPS, FIXED_LAYOUT
from spec.machine.any import AnyMachine
from spec.prove.inductive import Model
from spec.tables import BLOCK
from spec.terms import Word, bits_and, bits_or, pick, shift_right
from spec.validation import (
    launch,
    migration,
    native_visibility,
    pvalidate,
    reboot,
    svsm_locks,
    svsm_stages,
    svsm_steps,
    visibility,
    vmsa,
)
from spec.validation.svsm import Svsm
from spec.validation.svsm_claims import GIVEN, a_page_has_one_vcpu, nothing_is_in_hand, plain
from spec.validation.svsm_record import frames_in_work_are_claimed
from spec.validation.svsm_words import base


@dataclass(frozen=True)
class SvsmOnAny(Svsm):
    """The whole state on any machine; `hw` is what it answers."""

    hw: AnyMachine  # type: ignore[assignment]


LOCKS = (
    svsm_locks.who_works_holds_the_lock,
    svsm_locks.who_holds_a_lock_works,
    svsm_locks.blocks_are_aligned,
    svsm_locks.modes_fit_steps,
    svsm_locks.blocks_lie_where_they_may,
    svsm_locks.requests_spare_calling_areas,
    svsm_locks.vmsas_are_spared,
    svsm_locks.vmsas_in_the_making_are_registered,
    svsm_locks.vmsas_are_the_guests,
    frames_in_work_are_claimed,
)
STAGES = (
    svsm_stages.shared_pages_are_not_claimed,
    svsm_stages.pages_that_change_hands_are_not_claimed,
    svsm_stages.pages_in_work_are_not_shared,
    svsm_stages.the_host_is_asked_a_few_times,
    svsm_stages.next_counts_what_is_done,
    svsm_stages.a_cold_machine_has_only_firmware,
    svsm_stages.stages_fit_modes,
    svsm_stages.who_reboots_is_alone,
    svsm_stages.only_the_stream_is_brought_in,
    svsm_stages.blocks_of_a_migration_are_in_the_stream,
    svsm_stages.what_was_handed_out_stays,
)
KEPT = (*LOCKS, *STAGES)
STEPS = (
    svsm_steps.only_a_claim_sets_the_record,
    svsm_steps.locks_are_taken_for_oneself,
    svsm_steps.a_claim_claims_the_block,
    svsm_steps.a_release_releases_the_block,
    svsm_steps.finishing_unlocks_the_block,
    svsm_steps.next_goes_on_past_what_is_done,
    svsm_steps.a_request_lies_in_its_page,
    svsm_steps.a_request_too_long_leaves_its_page,
    svsm_steps.an_entry_names_its_block,
    svsm_steps.a_second_validation_is_told_as_chosen,
    svsm_steps.the_answer_is_the_result,
    svsm_steps.tampering_stops_the_svsm,
    svsm_steps.the_record_is_handed_out,
    svsm_steps.an_old_stream_is_not_taken,
    svsm_steps.vmsas_are_brought_last,
    svsm_steps.what_was_claimed_there_is_claimed_here,
)
"""Sentences about steps that say nothing of the machine beneath."""


def named(s: Any, op: Any, things: Mapping[str, Word]) -> Mapping[str, Sequence[Word]]:
    """What a proof looks at: its own things, and what the step names."""
    g, h = things["g"], things["h"]
    gfn, vcpu = [g, base(g)], [things["c"], things["d"], s.holder.at(g)]
    del h
    if hasattr(op, "vcpu"):
        vcpu.append(op.vcpu)
        first, large = s.block(op.vcpu)
        gfn += [first, shift_right(s.cpus.block.at(op.vcpu), 12)]
        # In a 2 MiB page: the mate of `g`, at the same place in the block.
        gfn.append(bits_or(first, bits_and(g, pick(large, BLOCK - 1, 0))))
    else:
        gfn.append(s.cpus.first.at(things["c"]))
    gfn += [getattr(op, name) for name in ("gfn",) if hasattr(op, name)]
    for name in ("gpa", "vmsa", "caa", "rcx", "entry"):
        if hasattr(op, name):
            gfn.append(shift_right(getattr(op, name), 12))
    return {"spn": [], "gfn": gfn, "vcpu": vcpu}


SHARED = (
    *launch.RULES,
    *pvalidate.RULES,
    *vmsa.RULES,
    visibility.share,
    visibility.unshare,
    *reboot.RULES,
    *migration.RULES,
)
"""The steps that are the same on every machine."""
NATIVE = (*SHARED, *native_visibility.RULES)
"""The steps on the native platform."""
RULES = (*NATIVE, visibility.ask_shared, visibility.ask_private)
MODEL = Model(
    "validation.any",
    SvsmOnAny,
    RULES,
    GIVEN,
    KEPT,
    STEPS,
    (a_page_has_one_vcpu,),
    (nothing_is_in_hand,),
    named,
    plain,
    (ATOMIC_STEPS, FIXED_LAYOUT),
    machine="any",
    fails_closed=False,
)
