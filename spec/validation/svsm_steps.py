"""What each step must make true: that it does what it is for, and nothing else.

A model that never does anything keeps every sentence about its states. These sentences speak of
one step, of what was and what is.

Assumes: as `svsm_claims`. Proves: each sentence for each case of each step that it speaks of.
"""

from collections.abc import Callable

from spec.invariant import Moment
from spec.machine.host import guest_access, guest_delegate, guest_write, psmash, rmpupdate
from spec.machine.snp import RIGHTS_RWX, Contents
from spec.prove.inductive import changes, sentence
from spec.rule import Case, Rule
from spec.sources import apm2, apm3, coconut, decision, svsm_spec
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    bit,
    bits_and,
    exact,
    implies,
    negate,
    pick,
    plus,
    same,
    shift_right,
)
from spec.validation.launch import record
from spec.validation.migration import bring, complete, export, take
from spec.validation.pvalidate import (
    answer,
    call,
    check,
    claim,
    entry,
    fill,
    finish,
    flush,
    grant,
    release,
    rescind,
    restore,
    revoke,
    validate,
)
from spec.validation.reboot import reboot_end
from spec.validation.svsm import Did, Mode, Pc, Result, Stage
from spec.validation.svsm_words import NOBODYS, one_of
from spec.validation.visibility import ask_private, ask_shared
from spec.validation.vmsa import demote, promote

On = Callable[[Rule, Case], bool]


def case_of(*where: tuple[Rule, str]) -> On:
    """Speaks of some cases of some rules."""
    named = {(rule.id, name) for rule, name in where}
    return lambda rule, case: (rule.id, case.name) in named


def did(what: Did, *spared: Rule) -> On:
    """Speaks of every case that did one thing, but for those of some rules."""
    ids = {rule.id for rule in spared}
    return lambda rule, case: case.outcome == what and rule.id not in ids


def mine(m: Moment, g: Word) -> Bool:
    """A frame is in the block that the step's vCPU worked on before."""
    return m.before.works_on(m.op.vcpu, g)


def reached(m: Moment) -> Word:
    """The page that the nested table leads to from the block's first frame."""
    return m.before.hw.npt.at(m.before.cpus.first.at(m.op.vcpu))


def is_rule(m: Moment, *rules: Rule) -> bool:
    """The step is of one of some rules."""
    return m.rule.id in {rule.id for rule in rules}


# What only one kind of step does


@sentence(apm2("15.36.6"), on=changes)
def only_a_claim_sets_the_record(m: Moment, g: Word) -> Bool:
    """A frame becomes claimed only by the claim of its block, or as what the launch validated."""
    was, now = m.before.claimed.has(g), m.after.claimed.has(g)
    by = mine(m, g) if is_rule(m, claim) else False
    by = m.before.layout.measured.has(g) if is_rule(m, record) else by
    return implies(all_of(now, negate(was)), by)


@sentence(apm2("15.36.6"), on=changes)
def nothing_valid_is_forgotten(m: Moment, g: Word, p: Word) -> Bool:
    """A frame stops being claimed only when no page is validated for it (NO-BLIND-RESCIND)."""
    dropped = all_of(m.before.claimed.has(g), negate(m.after.claimed.has(g)))
    there = all_of(m.before.hw.validated.has(p), m.before.hw.gfn.at(p) == g)
    return implies(dropped, negate(there))


@sentence(apm3("PVALIDATE"), on=changes)
def only_pvalidate_validates(m: Moment, p: Word) -> Bool:
    """A page becomes validated only for a frame of a claimed block (NO-REVALIDATE)."""
    gfn = m.before.hw.gfn.at(p)
    fresh = all_of(m.after.hw.validated.has(p), negate(m.before.hw.validated.has(p)))
    by = all_of(mine(m, gfn), m.before.claimed.has(gfn)) if is_rule(m, validate) else False
    return implies(fresh, by)


@sentence(apm2("15.36.6"), on=case_of((validate, "validated")))
def no_frame_is_validated_again(m: Moment, p: Word) -> Bool:
    """When PVALIDATE validates a block, no page was for any frame of it (NO-REVALIDATE)."""
    hw = m.before.hw
    return implies(mine(m, hw.gfn.at(p)), negate(hw.validated.has(p)))


@sentence(apm3("RMPADJUST"), on=changes)
def only_clean_pages_are_granted(m: Moment, p: Word) -> Bool:
    """The guest gains rights only to pages without others' contents (ZERO-BEFORE-GRANT)."""
    gained = all_of(m.after.hw.weak_rights(p) != 0, m.before.hw.weak_rights(p) == 0)
    by = is_rule(m, grant, restore, demote, guest_delegate)
    clean = one_of(m.before.hw.contents.at(p), NOBODYS)
    return implies(gained, clean if by else False)


@sentence(apm2("15.36.5"), on=changes)
def only_the_host_assigns(m: Moment, p: Word) -> Bool:
    """Which page is assigned for which frame changes by RMPUPDATE alone."""
    was, now = m.before.hw, m.after.hw
    kept = all_of(same(was.assigned.has(p), now.assigned.has(p)), was.gfn.at(p) == now.gfn.at(p))
    return implies(not is_rule(m, rmpupdate), kept)


@sentence(decision("0009-locks"), on=changes)
def locks_are_taken_for_oneself(m: Moment, g: Word) -> Bool:
    """A lock goes to the vCPU that takes the step, and from nobody but the one that holds it."""
    vcpu = getattr(m.op, "vcpu", 0)
    was, now = m.before.held.has(g), m.after.held.has(g)
    taken = implies(all_of(now, negate(was)), m.after.holder.at(g) == vcpu)
    dropped = implies(all_of(was, negate(now)), m.before.holder.at(g) == vcpu)
    kept = implies(all_of(was, now), m.after.holder.at(g) == m.before.holder.at(g))
    return all_of(taken, dropped, kept)


# Refusals and halts


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), on=did(Did.REFUSED, validate, restore))
def a_refusal_changes_nothing(m: Moment, g: Word, p: Word) -> Bool:
    """What is refused leaves the record, the rights and the pages as they were (ERR-NO-CHANGE)."""
    was, now = m.before.hw, m.after.hw
    return all_of(
        same(m.before.claimed.has(g), m.after.claimed.has(g)),
        same(was.validated.has(p), now.validated.has(p)),
        was.weak_rights(p) == now.weak_rights(p),
        was.contents.at(p) == now.contents.at(p),
    )


@sentence(apm2("15.36.6"), on=case_of((validate, "size_mismatch")))
def a_mismatch_undoes_the_claim(m: Moment, g: Word, p: Word) -> Bool:
    """After FAIL_SIZEMISMATCH no frame of the block is claimed, and nothing else has changed."""
    kept = same(m.before.claimed.has(g), m.after.claimed.has(g))
    record_ = pick(mine(m, g), negate(m.after.claimed.has(g)), kept)
    return all_of(record_, same(m.before.hw.validated.has(p), m.after.hw.validated.has(p)))


@sentence(decision("0011-restore"), on=case_of((restore, "restored")))
def restoring_gives_the_rights_back(m: Moment, g: Word) -> Bool:
    """After a block could not be rescinded it is claimed still, and the guest has its rights."""
    kept = same(m.before.claimed.has(g), m.after.claimed.has(g))
    return all_of(kept, m.after.hw.rights.at(reached(m)) == RIGHTS_RWX)


@sentence(apm2("15.36.6"), on=did(Did.HALTED))
def tampering_stops_the_svsm(m: Moment, g: Word) -> Bool:
    """When hardware and record disagree the SVSM stops, and forgets nothing (CF-MISMATCH-FATAL)."""
    return all_of(m.after.halted, same(m.before.claimed.has(g), m.after.claimed.has(g)))


# What each step is for


@sentence(apm2("15.36.6"), on=case_of((claim, "claimed")))
def a_claim_claims_the_block(m: Moment, g: Word) -> Bool:
    """After a claim each frame of the block is claimed and none was, whatever its size."""
    there = all_of(m.after.claimed.has(g), negate(m.before.claimed.has(g)))
    kept = same(m.before.claimed.has(g), m.after.claimed.has(g))
    return pick(mine(m, g), there, kept)


@sentence(apm2("15.36.6"), on=case_of((release, "released"), (release, "to_be_shared")))
def a_release_releases_the_block(m: Moment, g: Word) -> Bool:
    """After a release no frame of the block is claimed, and all others are as they were."""
    kept = same(m.before.claimed.has(g), m.after.claimed.has(g))
    return pick(mine(m, g), negate(m.after.claimed.has(g)), kept)


@sentence(apm3("PVALIDATE"), on=case_of((validate, "validated"), (rescind, "rescinded")))
def pvalidate_changes_the_block(m: Moment, p: Word) -> Bool:
    """After PVALIDATE the page reached is validated, or is not; others are as they were."""
    is_valid = m.after.hw.validated.has(p)
    kept = same(m.before.hw.validated.has(p), is_valid)
    right = same(is_valid, is_rule(m, validate))
    there = all_of(m.before.hw.assigned.has(p), mine(m, m.before.hw.gfn.at(p)))
    return all_of(implies(p == reached(m), right), any_of(kept, there))


FILLED = {
    Mode.GUEST: Contents.ZEROED,
    Mode.LAUNCH: Contents.LAUNCHED,
    Mode.IMPORT: Contents.MIGRATED,
    Mode.UNSHARE: Contents.ZEROED,
}


@sentence(coconut("kernel/src/protocols/core.rs"), on=case_of((fill, "filled")))
def filling_fills_the_page(m: Moment) -> Bool:
    """A page is filled with what it is for: zeros for a guest's request."""
    mode, there = m.before.cpus.mode.at(m.op.vcpu), m.after.hw.contents.at(reached(m))
    return all_of(*(implies(mode == one, there == int(what)) for one, what in FILLED.items()))


@sentence(apm3("RMPADJUST"), on=case_of((grant, "granted"), (revoke, "revoked")))
def rights_are_given_or_taken(m: Moment) -> Bool:
    """After a grant the guest's VMPL has all rights to the page, after a revocation none."""
    spn, hw = reached(m), m.after.hw
    wanted = RIGHTS_RWX if is_rule(m, grant) else 0
    return all_of(hw.rights.at(spn) == wanted, hw.lesser_rights.at(spn) == 0)


@sentence(apm2("15.36.8"), on=case_of((flush, "flushed")))
def a_flush_forgets_everything(m: Moment, p: Word) -> Bool:
    """After a flush no CPU remembers the way to any page."""
    return negate(m.after.hw.tlb.has(p))


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), on=lambda rule, _case: rule.id == finish.id)
def finishing_unlocks_the_block(m: Moment, g: Word) -> Bool:
    """A finished block has no frame that is locked, and other locks are held as before."""
    kept = same(m.before.held.has(g), m.after.held.has(g))
    return pick(mine(m, g), negate(m.after.held.has(g)), kept)


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), on=lambda rule, _case: rule.id == finish.id)
def next_goes_on_past_what_is_done(m: Moment) -> Bool:
    """`next` goes on by one where a guest's entry succeeded, and else stays (RESUME)."""
    vcpu = m.op.vcpu
    was, now = m.before.cpus.next.at(vcpu), m.after.cpus.next.at(vcpu)
    guest = m.before.cpus.mode.at(vcpu) == Mode.GUEST
    done = all_of(guest, m.before.cpus.result.at(vcpu) == Result.SUCCESS)
    return now == pick(done, plus(was, 1), was)


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), on=case_of((call, "taken")))
def a_request_lies_in_its_page(m: Moment) -> Bool:
    """A request that is taken has an entry left, and its last one ends in the page it begins in."""
    vcpu, cpus = m.op.vcpu, m.after.cpus
    entries, further = cpus.entries.at(vcpu), cpus.next.at(vcpu)
    end = exact(bits_and(m.op.rcx, 0xFFF)) + 8 + 8 * exact(entries)
    aligned = bits_and(m.op.rcx, 7) == 0
    return all_of(below(further, entries), at_most(end, 0x1000), aligned)


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), on=case_of((call, "too_many")))
def a_request_too_long_leaves_its_page(m: Moment) -> Bool:
    """A request is told to be too long only where its last entry ends beyond its page."""
    entries = bits_and(m.op.header, 0xFFFF)
    return below(0x1000, exact(bits_and(m.op.rcx, 0xFFF)) + 8 + 8 * exact(entries))


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), on=case_of((entry, "validates"), (entry, "rescinds")))
def an_entry_names_its_block(m: Moment) -> Bool:
    """What is worked on is what the entry names; the rest of it is zero."""
    first, large = m.after.block(m.op.vcpu)
    action = pick(bit(m.op.entry, 2), int(Pc.CLAIM), int(Pc.CHECK))
    return all_of(
        first == shift_right(m.op.entry, 12),
        same(large, bits_and(m.op.entry, 0xFF3) == 1),
        bits_and(m.op.entry, 0xFF2) == 0,
        m.after.pc(m.op.vcpu) == action,
    )


@sentence(
    decision("0015-second-validation"), on=case_of((claim, "all_claimed"), (check, "none_claimed"))
)
def a_second_validation_is_told_as_chosen(m: Moment) -> Bool:
    """Asked for what is so already, the SVSM answers as the policy says, or SUCCESS if told."""
    s, vcpu = m.before, m.op.vcpu
    heeded = all_of(s.policy.heeds_ignore_cf, s.cpus.ignore_cf.has(vcpu))
    told = m.after.cpus.result.at(vcpu)
    return told == pick(heeded, int(Result.SUCCESS), s.policy.refused)


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), on=case_of((answer, "answered")))
def the_answer_is_the_result(m: Moment) -> Bool:
    """A request is answered with the result of its last entry."""
    vcpu = m.op.vcpu
    told = m.after.cpus.rax.at(vcpu) == m.before.cpus.result.at(vcpu)
    return all_of(told, m.after.pc(vcpu) == Pc.IDLE)


@sentence(apm2("15.36.7"), on=case_of((promote, "promoted"), (demote, "demoted")))
def vmsas_are_made_and_ended(m: Moment) -> Bool:
    """A page has its VMSA bit after it is promoted, and has not after it is demoted."""
    return same(m.after.hw.vmsa.has(reached(m)), is_rule(m, promote))


# The machine


@sentence(apm3("PSMASH"), on=case_of((psmash, "smashed")))
def smashing_is_not_seen(m: Moment, p: Word) -> Bool:
    """A smashed page is as validated, as accessible and as full as it was (SIZE-AGNOSTIC)."""
    was, now = m.before.hw, m.after.hw
    return all_of(
        same(was.validated.has(p), now.validated.has(p)),
        was.weak_rights(p) == now.weak_rights(p),
        was.contents.at(p) == now.contents.at(p),
    )


@sentence(apm3("RMPUPDATE"), on=lambda rule, case: rule.id == rmpupdate.id and callable(case.state))
def what_the_host_assigns_is_not_validated(m: Moment) -> Bool:
    """After RMPUPDATE a page is not validated, and the guest has no rights to it."""
    hw, spn = m.after.hw, m.op.spn
    return all_of(negate(hw.validated.has(spn)), hw.weak_rights(spn) == 0)


@sentence(apm2("15.36.10"), on=case_of((guest_access, "allowed"), (guest_write, "written")))
def the_guest_comes_to_its_own_pages(m: Moment, p: Word) -> Bool:
    """A page that the guest comes to is of a frame of its own, and holds nobody else's contents."""
    hw = m.before.hw
    spn = hw.npt.at(m.op.gfn) if is_rule(m, guest_access) else m.op.spn
    clean = any_of(one_of(hw.contents.at(p), NOBODYS), negate(hw.validated.has(p)))
    return implies(p == spn, all_of(m.before.layout.guest.has(hw.gfn.at(p)), clean))


# What the host is asked


@sentence(
    decision("0012-visibility"),
    on=case_of((ask_private, "asked"), (ask_shared, "asked")),
)
def the_host_has_done_it_all(m: Moment) -> Bool:
    """A page state counts as changed only if the host says so, and its header too (PSC-VERIFY)."""
    by_ghcb = all_of(m.op.info2 == 0, m.op.header == 1)
    return pick(m.before.policy.by_msr, m.op.msr == 0x015, by_ghcb)


@sentence(
    decision("0012-visibility"),
    on=case_of((ask_private, "not_yet"), (ask_shared, "not_yet")),
)
def each_round_is_one_less(m: Moment) -> Bool:
    """The host is asked again with one round less, so that it comes to an end (PSC-VERIFY)."""
    was, now = m.before.cpus.rounds.at(m.op.vcpu), m.after.cpus.rounds.at(m.op.vcpu)
    return all_of(below(now, was), m.after.pc(m.op.vcpu) == m.before.pc(m.op.vcpu))


# Reboot and migration


@sentence(decision("0013-reboot"), on=case_of((reboot_end, "cold")))
def a_reboot_leaves_nothing(m: Moment, g: Word, p: Word) -> Bool:
    """After a reboot no page of the guest is claimed, validated, accessible or remembered."""
    s, hw = m.after, m.after.hw
    guest = m.before.layout.guest
    record_ = implies(guest.has(g), all_of(negate(s.claimed.has(g)), negate(s.caas.has(g))))
    none = all_of(hw.weak_rights(p) == 0, negate(hw.tlb.has(p)), negate(hw.vmsa.has(p)))
    pages = implies(hw.validated.has(p), negate(guest.has(hw.gfn.at(p))))
    return all_of(record_, negate(s.vmsas.has(g)), none, pages)


@sentence(decision("0014-migration"), on=case_of((export, "handed_out")))
def the_record_is_handed_out(m: Moment, g: Word) -> Bool:
    """What is handed out is the record of the guest's, and nothing goes on here (MIG-EXACT)."""
    mine_ = all_of(m.before.layout.guest.has(g), m.before.claimed.has(g))
    return all_of(same(m.after.stream.has(g), mine_), m.after.stage == Stage.MOVED)


@sentence(decision("0014-migration"), on=case_of((take, "taken")))
def an_old_stream_is_not_taken(m: Moment, g: Word) -> Bool:
    """A stream is taken only with the mark given out, while nothing of the guest is claimed."""
    mine_ = all_of(m.before.layout.guest.has(g), m.before.claimed.has(g))
    return all_of(m.op.nonce == m.before.nonce, negate(mine_))


@sentence(decision("0014-migration"), on=case_of((bring, "locked")))
def vmsas_are_brought_last(m: Moment, g: Word) -> Bool:
    """When a VMSA is brought in, every other page of the stream is claimed."""
    s = m.before
    vmsa = s.stream_vmsas.has(shift_right(m.op.gpa, 12))
    other = all_of(s.stream.has(g), negate(s.stream_vmsas.has(g)))
    return implies(all_of(vmsa, other), s.claimed.has(g))


@sentence(decision("0014-migration"), on=case_of((complete, "complete")))
def what_was_claimed_there_is_claimed_here(m: Moment, g: Word) -> Bool:
    """When the guest runs again, its record is the one that was handed out (MIG-EXACT)."""
    s = m.after
    return implies(s.layout.guest.has(g), same(s.claimed.has(g), s.stream.has(g)))


STEPS = (
    only_a_claim_sets_the_record,
    nothing_valid_is_forgotten,
    only_pvalidate_validates,
    no_frame_is_validated_again,
    only_clean_pages_are_granted,
    only_the_host_assigns,
    locks_are_taken_for_oneself,
    a_refusal_changes_nothing,
    a_mismatch_undoes_the_claim,
    restoring_gives_the_rights_back,
    tampering_stops_the_svsm,
    a_claim_claims_the_block,
    a_release_releases_the_block,
    pvalidate_changes_the_block,
    filling_fills_the_page,
    rights_are_given_or_taken,
    a_flush_forgets_everything,
    finishing_unlocks_the_block,
    next_goes_on_past_what_is_done,
    a_request_lies_in_its_page,
    a_request_too_long_leaves_its_page,
    an_entry_names_its_block,
    a_second_validation_is_told_as_chosen,
    the_answer_is_the_result,
    vmsas_are_made_and_ended,
    smashing_is_not_seen,
    what_the_host_assigns_is_not_validated,
    the_guest_comes_to_its_own_pages,
    the_host_has_done_it_all,
    each_round_is_one_less,
    a_reboot_leaves_nothing,
    the_record_is_handed_out,
    an_old_stream_is_not_taken,
    vmsas_are_brought_last,
    what_was_claimed_there_is_claimed_here,
)
