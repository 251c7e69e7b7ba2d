"""What is true of an SVSM between any two steps of anybody, with any number of vCPUs and pages.

Assumes: `block-access`, `rmpupdate-flushes`, `atomic-steps`, `one-guest`, `fixed-layout`.
Proves: each sentence of `KEPT` is true when all begins and is kept by every step of the SVSM, of
the host and of the guest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spec.machine.snp import Contents
from spec.prove.inductive import Sentence, sentence
from spec.sources import apm2, apm3, coconut, decision, svsm_spec
from spec.tables import BLOCK, block_pages, in_block
from spec.terms import (
    MASK,
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    bits_and,
    bits_or,
    implies,
    minus,
    negate,
    pick,
    plus,
    same,
    shift_right,
)
from spec.validation.svsm import LIMIT_GFN, ROUNDS, Mode, Pc, Result, Stage, Svsm

BASE = MASK - (BLOCK - 1)

# Which modes can be at which step: what a vCPU works for, told by where it is.
MODES: Mapping[Pc, Sequence[Mode]] = {
    Pc.CLAIM: (Mode.GUEST, Mode.LAUNCH, Mode.IMPORT, Mode.UNSHARE),
    Pc.VALIDATE: (Mode.GUEST, Mode.LAUNCH, Mode.IMPORT, Mode.UNSHARE),
    Pc.FILL: (Mode.GUEST, Mode.LAUNCH, Mode.IMPORT, Mode.UNSHARE),
    Pc.GRANT: (Mode.GUEST, Mode.LAUNCH, Mode.IMPORT),
    Pc.CHECK: (Mode.GUEST,),
    Pc.REVOKE: (Mode.GUEST, Mode.REBOOT, Mode.CREATE),
    Pc.RESCIND: (Mode.GUEST, Mode.REBOOT, Mode.SHARE),
    Pc.RESTORE: (Mode.GUEST, Mode.CREATE),
    Pc.FLUSH: (Mode.GUEST, Mode.SHARE, Mode.CREATE),
    Pc.RELEASE: (Mode.GUEST, Mode.REBOOT, Mode.SHARE),
    Pc.FINISH: tuple(Mode),
    Pc.ASK_PRIVATE: (Mode.LAUNCH, Mode.IMPORT, Mode.UNSHARE),
    Pc.ASK_SHARED: (Mode.SHARE,),
    Pc.PROMOTE: (Mode.CREATE, Mode.IMPORT),
    Pc.DEMOTE: (Mode.DELETE, Mode.REBOOT),
}
AT_REST = (Pc.IDLE, Pc.READ, Pc.ANSWER, Pc.REBOOT)
ALONE = (Mode.LAUNCH, Mode.IMPORT, Mode.SHARE, Mode.UNSHARE, Mode.CREATE, Mode.DELETE, Mode.REBOOT)
NOBODYS = (Contents.ZEROED, Contents.GUEST, Contents.LAUNCHED, Contents.MIGRATED)


def one_of(term: Word, values: Sequence[int]) -> Bool:
    """A word is one of some numbers."""
    return any_of(False, *(term == int(value) for value in values))


def works(s: Svsm, c: Word) -> Bool:
    """A vCPU works on a block."""
    return negate(one_of(s.pc(c), AT_REST))


def is_at(s: Svsm, c: Word, *pcs: Pc) -> Bool:
    """A vCPU is about to take one of some steps."""
    return one_of(s.pc(c), pcs)


def in_hand(s: Svsm, gfn: Word, *pcs: Pc) -> Bool:
    """A frame is locked by a vCPU that is about to take one of some steps."""
    return all_of(s.held.has(gfn), is_at(s, s.holder.at(gfn), *pcs))


def base(p: Word) -> Word:
    """The first page of the 2 MiB that a page lies in."""
    return bits_and(p, BASE)


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


def measured(s: Svsm, gfn: Word) -> Bool:
    """The launch validated a page for a frame."""
    return s.layout.measured.has(gfn)


# Locks


@sentence(decision("0009-locks"), needs=("one-vcpu-a-page",))
def who_works_holds_the_lock(s: Svsm, c: Word, g: Word) -> Bool:
    """A vCPU that works on a frame holds its lock."""
    mine = all_of(s.held.has(g), s.holder.at(g) == c)
    return implies(all_of(works(s, c), s.works_on(c, g)), mine)


@sentence(decision("0009-locks"))
def who_holds_a_lock_works(s: Svsm, g: Word) -> Bool:
    """A locked frame is in the block of the vCPU that holds it, and that one works."""
    c = s.holder.at(g)
    return implies(s.held.has(g), all_of(works(s, c), s.works_on(c, g)))


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"))
def blocks_are_aligned(s: Svsm, c: Word) -> Bool:
    """A block begins at a multiple of its size; only a guest's request has one of 2 MiB."""
    first, large = s.block(c)
    aligned = bits_and(first, minus(block_pages(large), 1)) == 0
    small = implies(one_of(s.cpus.mode.at(c), ALONE), negate(large))
    return implies(works(s, c), all_of(aligned, below(first, LIMIT_GFN), small))


@sentence(decision("0010-one-model"))
def modes_fit_steps(s: Svsm, c: Word) -> Bool:
    """A vCPU is only at steps that belong to what it works for."""
    mode = s.cpus.mode.at(c)
    fits = (implies(s.pc(c) == pc, one_of(mode, modes)) for pc, modes in MODES.items())
    return all_of(at_most(s.pc(c), max(Pc)), at_most(mode, max(Mode)), *fits)


# Who may touch what


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), needs=("only-the-guests-pages",))
def blocks_lie_where_they_may(s: Svsm, c: Word, g: Word) -> Bool:
    """A block is the guest's, or a GHCB of the SVSM's own where it is shared or taken back."""
    own = one_of(s.cpus.mode.at(c), (Mode.SHARE, Mode.UNSHARE))
    place = pick(own, s.layout.ghcbs.has(g), s.layout.guest.has(g))
    return implies(all_of(works(s, c), s.works_on(c, g)), place)


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("no-vmsa-in-a-request",))
def requests_spare_calling_areas(s: Svsm, c: Word, g: Word) -> Bool:
    """No request is at work on the launch VMSA or a page that begins with a calling area."""
    request = all_of(works(s, c), s.cpus.mode.at(c) == Mode.GUEST, s.works_on(c, g))
    return implies(request, negate(any_of(s.caas.has(g), s.layout.launch_vmsa == g)))


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("no-vmsa-in-a-request",))
def vmsas_are_spared(s: Svsm, c: Word, g: Word) -> Bool:
    """Only who makes or ends a VMSA works on the frame of a registered one."""
    mode = s.cpus.mode.at(c)
    giving_up = all_of(mode == Mode.REBOOT, is_at(s, c, Pc.REVOKE, Pc.RESCIND, Pc.RELEASE))
    other = any_of(
        one_of(mode, (Mode.GUEST, Mode.LAUNCH)), giving_up, is_at(s, c, Pc.GRANT, Pc.RESTORE)
    )
    mine = all_of(works(s, c), s.works_on(c, g), other)
    return implies(mine, negate(s.vmsas.has(g)))


@sentence(apm2("15.36.7"), needs=("no-vmsa-in-a-request",))
def pages_in_work_are_no_vmsas(s: Svsm, c: Word, p: Word) -> Bool:
    """A page in work has its VMSA bit only where it is to lose it, or has just got it."""
    mine = all_of(works(s, c), s.works_on(c, s.hw.gfn.at(p)))
    other = negate(is_at(s, c, Pc.DEMOTE, Pc.FINISH))
    return implies(all_of(mine, other), negate(s.hw.vmsa.has(p)))


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("register-first",))
def vmsas_in_the_making_are_registered(s: Svsm, c: Word) -> Bool:
    """A page that becomes a VMSA, or is one still, is registered as long as it is worked on."""
    mode, first = s.cpus.mode.at(c), s.cpus.first.at(c)
    making = all_of(mode == Mode.CREATE, is_at(s, c, Pc.REVOKE, Pc.FLUSH, Pc.PROMOTE))
    undoing = is_at(s, c, Pc.PROMOTE, Pc.DEMOTE)
    return implies(any_of(making, undoing), s.vmsas.has(first))


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("register-first", "no-vmsa-in-a-request"))
def vmsas_are_the_guests(s: Svsm, g: Word) -> Bool:
    """A VMSA is registered in a frame of the guest's that is claimed, or about to be brought in."""
    coming = in_hand(s, g, Pc.ASK_PRIVATE, Pc.CLAIM)
    failed = all_of(s.stage == Stage.IMPORTING, s.stream.has(g))
    there = any_of(s.claimed.has(g), coming, failed)
    return implies(s.vmsas.has(g), all_of(s.layout.guest.has(g), there))


# The record and the machine


@sentence(apm2("15.36.5"))
def large_entries_are_whole(s: Svsm, p: Word) -> Bool:
    """The 512 entries of a 2 MiB page agree, and lead to frames in a row from an aligned one on."""
    hw, first = s.hw, base(p)
    offset = bits_and(p, BLOCK - 1)
    agree = all_of(
        same(hw.assigned.has(p), hw.assigned.has(first)),
        hw.gfn.at(p) == bits_or(hw.gfn.at(first), offset),
        same(hw.validated.has(p), hw.validated.has(first)),
        bits_and(hw.gfn.at(first), BLOCK - 1) == 0,
        hw.assigned.has(first),
    )
    whole = same(hw.large.has(p), hw.large.has(first))
    return all_of(whole, implies(hw.large.has(p), agree))


@sentence(apm2("15.36.5"))
def validated_pages_are_assigned(s: Svsm, p: Word) -> Bool:
    """A page that is validated, or that a CPU remembers the way to, is assigned to the guest."""
    seen = any_of(s.hw.validated.has(p), s.hw.tlb.has(p))
    return implies(seen, s.hw.assigned.has(p))


DOUBLE = ("claim-before-validate", "one-vcpu-a-page", "carry-is-fatal", "record-the-launch")


@sentence(apm2("15.36.6"), needs=DOUBLE)
def validated_frames_have_one_home(s: Svsm, p: Word, q: Word) -> Bool:
    """No frame is validated at two system pages at once (INJ)."""
    both = all_of(s.hw.validated.has(p), s.hw.validated.has(q))
    return implies(all_of(both, s.hw.gfn.at(p) == s.hw.gfn.at(q)), p == q)


@sentence(apm2("15.36.6"), needs=(*DOUBLE, "release-after-rescind"))
def what_is_validated_is_claimed(s: Svsm, p: Word) -> Bool:
    """A frame for which any page is validated is claimed (TRK-OVER)."""
    known = any_of(s.stage == Stage.OFF, s.claimed.has(s.hw.gfn.at(p)))
    at_launch = implies(s.stage == Stage.OFF, measured(s, s.hw.gfn.at(p)))
    return implies(s.hw.validated.has(p), all_of(known, at_launch))


@sentence(apm2("15.36.6"), needs=("claim-before-validate", "one-vcpu-a-page"))
def frames_to_be_validated_are_not(s: Svsm, c: Word, p: Word) -> Bool:
    """For a frame that is about to be validated, or has been rescinded, no page is validated."""
    rescinded = all_of(s.pc(c) == Pc.FLUSH, s.cpus.mode.at(c) != Mode.CREATE)
    there = any_of(is_at(s, c, Pc.VALIDATE, Pc.RELEASE), rescinded)
    mine = all_of(there, s.works_on(c, s.hw.gfn.at(p)))
    return implies(mine, negate(s.hw.validated.has(p)))


CLAIMED = (
    Pc.VALIDATE,
    Pc.FILL,
    Pc.GRANT,
    Pc.REVOKE,
    Pc.RESCIND,
    Pc.RESTORE,
    Pc.FLUSH,
    Pc.RELEASE,
    Pc.PROMOTE,
    Pc.DEMOTE,
)


@sentence(apm2("15.36.6"), needs=("claim-before-validate", "release-after-rescind"))
def frames_in_work_are_claimed(s: Svsm, c: Word, g: Word) -> Bool:
    """A frame is claimed from before PVALIDATE until after it is rescinded."""
    return implies(all_of(is_at(s, c, *CLAIMED), s.works_on(c, g)), s.claimed.has(g))


# Rights and contents


@sentence(apm3("RMPADJUST"), needs=("revoke-before-rescind",))
def rights_are_on_validated_pages_of_the_guest(s: Svsm, p: Word) -> Bool:
    """The guest has rights only to validated pages, of its own frames (REVOKE-BEFORE-RESCIND)."""
    good = all_of(s.hw.validated.has(p), s.layout.guest.has(s.hw.gfn.at(p)))
    return implies(s.hw.weak_rights(p) != 0, good)


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), needs=("revoke-before-rescind", "one-vcpu-a-page"))
def revoked_pages_have_no_rights(s: Svsm, c: Word, p: Word) -> Bool:
    """Before a page is granted, and after it is revoked, the guest has no rights to it."""
    there = is_at(s, c, Pc.VALIDATE, Pc.FILL, Pc.RESCIND, Pc.FLUSH, Pc.RELEASE, Pc.PROMOTE)
    mine = all_of(there, s.works_on(c, s.hw.gfn.at(p)))
    return implies(mine, s.hw.weak_rights(p) == 0)


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("zero-before-grant",))
def the_guest_sees_nobody_elses_contents(s: Svsm, p: Word) -> Bool:
    """Once filled, the guest's validated page holds zeros or its own (ZERO-BEFORE-GRANT)."""
    gfn = s.hw.gfn.at(p)
    mine = all_of(s.hw.validated.has(p), s.layout.guest.has(gfn))
    clean = one_of(s.hw.contents.at(p), NOBODYS)
    return implies(mine, any_of(clean, in_hand(s, gfn, Pc.FILL)))


@sentence(apm2("15.36.8"), needs=("flush-before-release",))
def what_is_remembered_is_claimed(s: Svsm, p: Word) -> Bool:
    """A CPU remembers the way to claimed frames of the guest's alone (FLUSH-AFTER-REVOKE)."""
    gfn = s.hw.gfn.at(p)
    known = all_of(s.layout.guest.has(gfn), any_of(s.claimed.has(gfn), s.stage == Stage.REBOOTING))
    serving = one_of(s.stage, (Stage.RUNNING, Stage.REBOOTING, Stage.MOVED))
    return implies(s.hw.tlb.has(p), all_of(known, serving))


@sentence(apm2("15.36.8"), needs=("flush-before-release",))
def flushed_pages_are_forgotten(s: Svsm, c: Word, p: Word) -> Bool:
    """Before a page is released or becomes a VMSA, and before it is filled, no CPU remembers it."""
    release = all_of(s.pc(c) == Pc.RELEASE, s.cpus.mode.at(c) != Mode.REBOOT)
    there = any_of(is_at(s, c, Pc.VALIDATE, Pc.FILL, Pc.PROMOTE), release)
    mine = all_of(there, s.works_on(c, s.hw.gfn.at(p)))
    return implies(mine, negate(s.hw.tlb.has(p)))


@sentence(apm2("15.36.7"), needs=("register-first", "no-vmsa-in-a-request"))
def vmsas_are_out_of_reach(s: Svsm, p: Word) -> Bool:
    """The guest has neither rights to a VMSA nor a way that a CPU remembers (VMSA-EXCLUDE)."""
    gfn = s.hw.gfn.at(p)
    safe = all_of(s.hw.weak_rights(p) == 0, negate(s.hw.tlb.has(p)))
    known = all_of(s.vmsas.has(gfn), s.hw.validated.has(p))
    return implies(s.hw.vmsa.has(p), all_of(safe, known))


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("register-first",))
def registered_frames_have_no_rights(s: Svsm, p: Word) -> Bool:
    """The guest has no rights to the page of a registered VMSA, once they are taken away."""
    gfn = s.hw.gfn.at(p)
    known = all_of(s.vmsas.has(gfn), s.hw.validated.has(p))
    gone = any_of(s.hw.weak_rights(p) == 0, in_hand(s, gfn, Pc.REVOKE))
    forgotten = any_of(negate(s.hw.tlb.has(p)), in_hand(s, gfn, Pc.REVOKE, Pc.FLUSH))
    return implies(known, all_of(gone, forgotten))


# Visibility


@sentence(coconut("kernel/src/mm/page_visibility.rs"), needs=("rescind-before-share",))
def shared_pages_are_not_claimed(s: Svsm, g: Word) -> Bool:
    """A page that the host was asked to share is a GHCB and is not claimed (PSC-ORDER)."""
    clean = all_of(s.layout.ghcbs.has(g), negate(s.claimed.has(g)), s.stage != Stage.OFF)
    return implies(s.shared.has(g), clean)


@sentence(coconut("kernel/src/mm/page_visibility.rs"), needs=("rescind-before-share",))
def pages_that_change_hands_are_not_claimed(s: Svsm, c: Word, g: Word) -> Bool:
    """While the host is asked, the page is not claimed; nor is it when it is about to be."""
    coming = all_of(s.pc(c) == Pc.CLAIM, s.cpus.mode.at(c) != Mode.GUEST)
    there = any_of(is_at(s, c, Pc.ASK_PRIVATE, Pc.ASK_SHARED), coming)
    return implies(all_of(there, s.works_on(c, g)), negate(s.claimed.has(g)))


@sentence(coconut("kernel/src/mm/page_visibility.rs"), needs=("rescind-before-share",))
def pages_in_work_are_not_shared(s: Svsm, c: Word, g: Word) -> Bool:
    """A page that is worked on is shared only while the host is to be asked to end that."""
    asking = all_of(s.cpus.mode.at(c) == Mode.UNSHARE, is_at(s, c, Pc.ASK_PRIVATE, Pc.FINISH))
    told = all_of(s.cpus.mode.at(c) == Mode.SHARE, s.pc(c) == Pc.FINISH)
    mine = all_of(works(s, c), s.works_on(c, g))
    return implies(all_of(mine, s.shared.has(g)), any_of(asking, told))


# Requests


@sentence(decision("0012-visibility"))
def the_host_is_asked_a_few_times(s: Svsm, c: Word) -> Bool:
    """Whoever asks the host for a page state asks a bounded number of times."""
    return implies(works(s, c), at_most(s.cpus.rounds.at(c), ROUNDS))


@sentence(svsm_spec("SVSM_CORE_PVALIDATE"), needs=("next-after-effect",))
def next_counts_what_is_done(s: Svsm, c: Word) -> Bool:
    """`next` counts the entries that have had their effect, but for the one just done (RESUME)."""
    done, further = s.cpus.done.at(c), s.cpus.next.at(c)
    entries = s.cpus.entries.at(c)
    mine = all_of(works(s, c), s.cpus.mode.at(c) == Mode.GUEST)
    just = all_of(mine, s.pc(c) == Pc.FINISH, s.cpus.result.at(c) == Result.SUCCESS)
    right = pick(just, done == plus(further, 1), done == further)
    open_ = any_of(mine, is_at(s, c, Pc.READ))
    in_range = all_of(at_most(entries, 0xFFFF), below(further, entries))
    answered = implies(is_at(s, c, Pc.ANSWER), all_of(at_most(further, entries), right))
    return all_of(implies(open_, all_of(right, in_range)), answered)


# Stages


COLD = (Stage.OFF, Stage.COLD)


@sentence(decision("0013-reboot"), needs=("rescind-all-at-reboot",))
def a_cold_machine_has_only_firmware(s: Svsm, g: Word) -> Bool:
    """Before the guest runs only its firmware is claimed, and nothing registered (REBOOT-CLEAN)."""
    firmware = implies(all_of(s.layout.guest.has(g), s.claimed.has(g)), s.layout.firmware.has(g))
    none = all_of(negate(s.vmsas.has(g)), negate(s.caas.has(g)))
    return implies(one_of(s.stage, COLD), all_of(firmware, none))


@sentence(decision("0013-reboot"), needs=("rescind-all-at-reboot",))
def a_cold_machine_holds_what_was_launched(s: Svsm, p: Word) -> Bool:
    """Before the guest runs its validated pages hold what the launch put there (REBOOT-CLEAN)."""
    gfn = s.hw.gfn.at(p)
    mine = all_of(one_of(s.stage, COLD), s.hw.validated.has(p), s.layout.guest.has(gfn))
    return implies(mine, any_of(s.hw.contents.at(p) == Contents.LAUNCHED, in_hand(s, gfn, Pc.FILL)))


@sentence(decision("0013-reboot"))
def stages_fit_modes(s: Svsm, c: Word) -> Bool:
    """In each stage vCPUs only do what belongs to it."""
    mode, busy = s.cpus.mode.at(c), works(s, c)
    visible = (Mode.SHARE, Mode.UNSHARE)
    allowed: Mapping[Stage, Sequence[Mode]] = {
        Stage.OFF: (),
        Stage.COLD: (Mode.LAUNCH, *visible),
        Stage.RUNNING: (Mode.GUEST, Mode.CREATE, Mode.DELETE, *visible),
        Stage.REBOOTING: (Mode.REBOOT,),
        Stage.IMPORTING: (Mode.IMPORT, *visible),
        Stage.MOVED: (),
    }
    fits = (
        implies(all_of(s.stage == stage, busy), one_of(mode, modes))
        for stage, modes in allowed.items()
    )
    asked = implies(is_at(s, c, Pc.READ, Pc.ANSWER), one_of(s.stage, (Stage.RUNNING, Stage.MOVED)))
    reboots = implies(is_at(s, c, Pc.REBOOT), s.stage == Stage.REBOOTING)
    return all_of(at_most(s.stage, max(Stage)), asked, reboots, *fits)


@sentence(decision("0013-reboot"))
def who_reboots_is_alone(s: Svsm, c: Word, d: Word) -> Bool:
    """During a reboot one vCPU is at work, and no other."""

    def active(vcpu: Word) -> Bool:
        return any_of(works(s, vcpu), is_at(s, vcpu, Pc.REBOOT))

    both = all_of(s.stage == Stage.REBOOTING, active(c), active(d))
    return implies(both, c == d)


@sentence(decision("0014-migration"), needs=("only-the-stream",))
def only_the_stream_is_brought_in(s: Svsm, g: Word) -> Bool:
    """While a migration comes in, what is claimed of the guest is in the stream (MIG-EXACT)."""
    stray = all_of(s.stage == Stage.IMPORTING, s.layout.guest.has(g), s.claimed.has(g))
    inside = implies(s.stage == Stage.IMPORTING, implies(s.stream.has(g), s.layout.guest.has(g)))
    return all_of(implies(stray, s.stream.has(g)), inside)


@sentence(decision("0014-migration"))
def blocks_of_a_migration_are_in_the_stream(s: Svsm, c: Word, g: Word) -> Bool:
    """What is brought in is in the stream, what is launched is firmware."""
    mine, mode = all_of(works(s, c), s.works_on(c, g)), s.cpus.mode.at(c)
    stream = implies(mode == Mode.IMPORT, s.stream.has(g))
    return implies(mine, all_of(stream, implies(mode == Mode.LAUNCH, s.layout.firmware.has(g))))


@sentence(decision("0014-migration"), needs=("stop-at-export",))
def what_was_handed_out_stays(s: Svsm, g: Word) -> Bool:
    """After the record is handed out, it is what was handed out (MIG-EXACT)."""
    mine = all_of(s.layout.guest.has(g), s.claimed.has(g))
    return implies(s.stage == Stage.MOVED, same(s.stream.has(g), mine))


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


ALL: tuple[Sentence, ...] = (*GIVEN, *KEPT, *FIRST, *FOLLOWS)
