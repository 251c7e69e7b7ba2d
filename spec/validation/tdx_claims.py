"""What is true of an SVSM on TDX between any two steps, with any number of vCPUs and pages.

The steps are those of SEV-SNP; the machine beneath is another. There is no second page for a
frame, so what has to be kept out is not a double validation but a second acceptance: a page that
the guest has written to, taken away, added again and accepted again, is a page of zeros.

Assumes: `block-access`, `fixed-layout`, `atomic-steps`.
Proves: each sentence is true when all begins and is kept by every step.
"""

from typing import Any

from spec.invariant import Moment
from spec.machine.snp import RIGHTS_RWX, Contents
from spec.machine.tdx_host import guest_access
from spec.prove.inductive import changes, sentence
from spec.sources import coconut, decision, ghci, tdx_module
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    below,
    implies,
    negate,
    pick,
    same,
    shift_left,
)
from spec.validation import svsm_stages
from spec.validation.pvalidate import grant, restore, revoke, validate
from spec.validation.reboot import reboot_end
from spec.validation.svsm import Mode, Pc, Stage
from spec.validation.svsm_claims import nothing_is_in_hand
from spec.validation.svsm_steps import FILLED, case_of, is_rule, mine
from spec.validation.svsm_words import NOBODYS, base, in_hand, is_at, measured, one_of
from spec.validation.tdx_visibility import DONE, ask_private, ask_shared
from spec.validation.visibility import PAGE_SHIFT
from spec.validation.vmsa import demote

__all__ = ["FIRST", "FOLLOWS", "KEPT", "STEPS"]

CITE = decision("0018-machines")


@sentence(tdx_module("Secure EPT"))
def large_leaves_are_whole(s: Any, g: Word) -> Bool:
    """The 512 leaves of a 2 MiB page agree, and so do the guest's rights to them."""
    hw, first = s.hw, base(g)
    alike = all_of(
        same(hw.accepted.has(g), hw.accepted.has(first)),
        hw.rights.at(g) == hw.rights.at(first),
        hw.present.has(g),
    )
    return all_of(same(hw.large.has(g), hw.large.has(first)), implies(hw.large.has(g), alike))


@sentence(tdx_module("Secure EPT"))
def accepted_pages_are_present(s: Any, g: Word) -> Bool:
    """A page that is accepted, or that the guest has rights or a way to, was added by the host."""
    used = any_of(s.hw.accepted.has(g), s.hw.tlb.has(g), s.hw.rights.at(g) != 0)
    way = implies(s.hw.tlb.has(g), s.hw.accepted.has(g))
    return all_of(implies(used, s.hw.present.has(g)), way)


@sentence(
    tdx_module("TDG.MEM.PAGE.ACCEPT"),
    needs=("never-re-accept", "claim-before-validate", "one-vcpu-a-page", "revoke-before-rescind"),
)
def what_the_guest_wrote_is_not_replaced(s: Any, g: Word) -> Bool:
    """What the guest wrote and has not given up is there or out of reach (TDX-NO-REACCEPT)."""
    live = all_of(s.hw.kept.has(g), s.hw.accepted.has(g))
    return implies(live, s.hw.contents.at(g) == Contents.GUEST)


@sentence(tdx_module("L2 VM page attributes"), needs=("attributes-go-first",))
def rights_are_on_claimed_pages_of_the_guest(s: Any, g: Word) -> Bool:
    """The guest has rights, and something of its own, only on claimed frames of its own."""
    used = any_of(s.hw.rights.at(g) != 0, s.hw.kept.has(g))
    return implies(used, all_of(s.layout.guest.has(g), s.claimed.has(g)))


@sentence(tdx_module("L2 VM page attributes"), needs=("revoke-before-rescind", "one-vcpu-a-page"))
def pages_in_work_are_nobodys(s: Any, c: Word, g: Word) -> Bool:
    """Before a page is granted, and after it is revoked, the guest has nothing in it."""
    there = is_at(
        s, c, Pc.VALIDATE, Pc.FILL, Pc.GRANT, Pc.RESCIND, Pc.FLUSH, Pc.RELEASE, Pc.PROMOTE
    )
    # A page of the firmware that is claimed already is only granted.
    launch = all_of(s.pc(c) == Pc.GRANT, s.cpus.mode.at(c) == Mode.LAUNCH)
    block = all_of(there, negate(launch), s.works_on(c, g))
    reboots = s.cpus.mode.at(c) == Mode.REBOOT
    flushed = any_of(negate(s.hw.tlb.has(g)), is_at(s, c, Pc.RESCIND, Pc.FLUSH), reboots)
    no_rights = s.hw.rights.at(g) == 0
    return implies(block, all_of(no_rights, flushed, negate(s.hw.kept.has(g))))


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("zero-before-grant",))
def the_guest_sees_nobody_elses_contents(s: Any, g: Word) -> Bool:
    """The guest's accepted page holds zeros or its own (ZERO-BEFORE-GRANT)."""
    its_own = all_of(s.hw.accepted.has(g), s.layout.guest.has(g))
    return implies(its_own, one_of(s.hw.contents.at(g), NOBODYS))


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("flush-before-release",))
def what_is_remembered_is_claimed(s: Any, g: Word) -> Bool:
    """A CPU remembers the way to claimed frames of the guest's alone (FLUSH-AFTER-REVOKE)."""
    known = all_of(s.layout.guest.has(g), any_of(s.claimed.has(g), s.stage == Stage.REBOOTING))
    serving = one_of(s.stage, (Stage.RUNNING, Stage.REBOOTING, Stage.MOVED))
    return implies(s.hw.tlb.has(g), all_of(known, serving))


@sentence(coconut("kernel/src/protocols/core.rs"), needs=("register-first",))
def registered_frames_have_no_rights(s: Any, g: Word) -> Bool:
    """The guest has no rights to the page of a registered vCPU, once they are taken away."""
    gone = any_of(s.hw.rights.at(g) == 0, in_hand(s, g, Pc.REVOKE))
    forgotten = any_of(negate(s.hw.tlb.has(g)), in_hand(s, g, Pc.REVOKE, Pc.FLUSH))
    return implies(s.vmsas.has(g), all_of(gone, forgotten))


@sentence(decision("0013-reboot"), needs=("rescind-all-at-reboot", "fill-what-is-accepted"))
def a_cold_machine_holds_what_was_launched(s: Any, g: Word) -> Bool:
    """Before the guest runs its claimed pages hold what the launch put there (REBOOT-CLEAN)."""
    known = any_of(s.claimed.has(g), s.stage == Stage.OFF)
    cold = all_of(one_of(s.stage, svsm_stages.COLD), known, s.layout.guest.has(g))
    launched = s.hw.contents.at(g) == Contents.LAUNCHED
    held = in_hand(s, g, Pc.VALIDATE, Pc.FILL)
    return implies(all_of(cold, s.hw.accepted.has(g)), any_of(launched, held))


@sentence(tdx_module("TDH.MEM.PAGE.ADD"))
def the_launch_accepted_what_was_measured(s: Any, g: Word) -> Bool:
    """At first a page is accepted only for a measured frame, without rights."""
    hw = s.hw
    launched = all_of(hw.present.has(g), measured(s, g), hw.contents.at(g) == Contents.LAUNCHED)
    return all_of(
        implies(hw.accepted.has(g), launched),
        hw.rights.at(g) == 0,
        negate(hw.tlb.has(g)),
        negate(hw.kept.has(g)),
        large_leaves_are_whole.says(s, g),
    )


# Of each step


@sentence(tdx_module("TDG.MEM.PAGE.ACCEPT"), on=changes)
def only_accept_accepts(m: Moment, g: Word) -> Bool:
    """A page becomes accepted only as one of a claimed block."""
    fresh = all_of(m.after.hw.accepted.has(g), negate(m.before.hw.accepted.has(g)))
    by = all_of(mine(m, g), m.before.claimed.has(g)) if is_rule(m, validate) else False
    return implies(fresh, by)


@sentence(tdx_module("TDG.MEM.PAGE.ACCEPT"), on=case_of((validate, "validated")))
def nothing_live_is_accepted(m: Moment, g: Word) -> Bool:
    """When a block is accepted, the guest has nothing in any frame of it (TDX-NO-REACCEPT)."""
    free = all_of(negate(m.before.hw.kept.has(g)), m.before.hw.rights.at(g) == 0)
    return implies(mine(m, g), all_of(free, m.after.hw.accepted.has(g)))


@sentence(CITE, on=changes)
def only_clean_pages_are_granted(m: Moment, g: Word) -> Bool:
    """The guest gains rights only to pages without others' contents (ZERO-BEFORE-GRANT)."""
    gained = all_of(m.after.hw.rights.at(g) != 0, m.before.hw.rights.at(g) == 0)
    by = is_rule(m, grant, restore, demote)
    clean = any_of(one_of(m.before.hw.contents.at(g), NOBODYS), negate(m.before.hw.accepted.has(g)))
    return implies(gained, clean if by else False)


@sentence(CITE, on=lambda rule, case: rule.name == "fill" and case.name == "filled")
def filling_fills_the_page(m: Moment) -> Bool:
    """A page is filled with what it is for, accepted before or not: zeros for a guest's request."""
    first, mode = m.before.cpus.first.at(m.op.vcpu), m.before.cpus.mode.at(m.op.vcpu)
    there = m.after.hw.contents.at(first)
    return all_of(*(implies(mode == one, there == int(what)) for one, what in FILLED.items()))


@sentence(CITE, on=case_of((grant, "granted"), (revoke, "revoked")))
def rights_are_given_or_taken(m: Moment, g: Word) -> Bool:
    """After a grant the guest has all rights to the block, after a revocation none."""
    wanted = RIGHTS_RWX if is_rule(m, grant) else 0
    kept = m.after.hw.rights.at(g) == m.before.hw.rights.at(g)
    return pick(mine(m, g), m.after.hw.rights.at(g) == wanted, kept)


@sentence(CITE, on=case_of((guest_access, "allowed")))
def the_guest_comes_to_its_own_pages(m: Moment) -> Bool:
    """A page that the guest comes to is its own, and holds nobody else's contents."""
    s, g = m.before, m.op.gfn
    return all_of(s.layout.guest.has(g), one_of(s.hw.contents.at(g), NOBODYS))


@sentence(decision("0013-reboot"), on=case_of((reboot_end, "cold")))
def a_reboot_leaves_nothing(m: Moment, g: Word) -> Bool:
    """After a reboot no page of the guest is claimed, used or remembered (REBOOT-CLEAN)."""
    t = m.after
    free = all_of(negate(t.claimed.has(g)), t.hw.rights.at(g) == 0, negate(t.hw.kept.has(g)))
    return implies(t.layout.guest.has(g), all_of(free, negate(t.hw.tlb.has(g))))


@sentence(
    ghci("TDG.VP.VMCALL<MapGPA>"),
    on=case_of((ask_private, "asked"), (ask_shared, "asked")),
)
def the_host_says_it_is_mapped(m: Moment) -> Bool:
    """A page state counts as changed only if the host says so in so many words (PSC-VERIFY)."""
    return m.op.r10 == DONE


@sentence(
    ghci("TDG.VP.VMCALL<MapGPA>"),
    on=case_of((ask_private, "not_yet"), (ask_shared, "not_yet")),
)
def each_round_of_mapping_is_one_less(m: Moment) -> Bool:
    """The host is asked again with one round less, so that it comes to an end (PSC-VERIFY)."""
    was, now = m.before.cpus.rounds.at(m.op.vcpu), m.after.cpus.rounds.at(m.op.vcpu)
    return all_of(below(now, was), m.after.pc(m.op.vcpu) == m.before.pc(m.op.vcpu))


@sentence(
    ghci("TDG.VP.VMCALL<MapGPA>"),
    on=case_of((ask_private, "not_yet"), (ask_shared, "not_yet")),
)
def each_round_of_mapping_is_within(m: Moment) -> Bool:
    """The host is asked again only where it says that it stands at the page asked for."""
    first, _ = m.before.block(m.op.vcpu)
    return m.op.r11 == shift_left(first, PAGE_SHIFT)


# What follows in every state


@sentence(coconut("kernel/src/mm/memory.rs"), needs=("only-the-guests-pages",))
def the_svsms_own_pages_are_out_of_reach(s: Any, g: Word) -> Bool:
    """The guest has no rights to a page of the SVSM's, nor a way to it (OWN-DISJOINT)."""
    return implies(s.layout.own.has(g), all_of(s.hw.rights.at(g) == 0, negate(s.hw.tlb.has(g))))


KEPT = (
    large_leaves_are_whole,
    accepted_pages_are_present,
    what_the_guest_wrote_is_not_replaced,
    rights_are_on_claimed_pages_of_the_guest,
    pages_in_work_are_nobodys,
    the_guest_sees_nobody_elses_contents,
    what_is_remembered_is_claimed,
    registered_frames_have_no_rights,
    a_cold_machine_holds_what_was_launched,
)
FIRST = (nothing_is_in_hand, the_launch_accepted_what_was_measured)
FOLLOWS = (the_svsms_own_pages_are_out_of_reach,)
STEPS = (
    only_accept_accepts,
    nothing_live_is_accepted,
    only_clean_pages_are_granted,
    filling_fills_the_page,
    rights_are_given_or_taken,
    the_guest_comes_to_its_own_pages,
    the_host_says_it_is_mapped,
    each_round_of_mapping_is_one_less,
    each_round_of_mapping_is_within,
    a_reboot_leaves_nothing,
)
