"""Visibility, requests, and the stages from power-on to migration.

Assumes and proves: see `svsm_claims`.
"""

from collections.abc import Mapping, Sequence

from spec.machine.snp import Contents
from spec.prove.inductive import sentence
from spec.sources import coconut, decision, svsm_spec
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    implies,
    negate,
    pick,
    plus,
    same,
)
from spec.validation.svsm import ROUNDS, Mode, Pc, Result, Stage, Svsm
from spec.validation.svsm_words import (
    in_hand,
    is_at,
    one_of,
    works,
)

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
