"""Who works on what: locks, blocks, and who may touch a VMSA.

Assumes and proves: see `svsm_claims`.
"""

from spec.prove.inductive import sentence
from spec.sources import apm2, coconut, decision, svsm_spec
from spec.tables import block_pages
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
)
from spec.validation.svsm import LIMIT_GFN, Mode, Pc, Stage, Svsm
from spec.validation.svsm_words import ALONE, MODES, in_hand, is_at, one_of, works

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
