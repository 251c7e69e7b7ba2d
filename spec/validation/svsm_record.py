"""The record, the machine beneath it, the guest's rights, and what pages hold.

Assumes and proves: see `svsm_claims`.
"""

from spec.prove.inductive import sentence
from spec.sources import apm2, apm3, coconut, svsm_spec
from spec.tables import BLOCK
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    bits_and,
    bits_or,
    implies,
    negate,
    same,
)
from spec.validation.svsm import Mode, Pc, Stage, Svsm
from spec.validation.svsm_words import NOBODYS, base, in_hand, is_at, measured, one_of

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
