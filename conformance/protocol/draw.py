"""What happens next: a draw among everything that anybody could do, hostile words included."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from conformance.protocol import machines
from conformance.protocol.places import Drawn, a_frame, in_use, one_of
from conformance.protocol.world import (
    BLOCKS,
    FIRMWARE,
    GHCBS,
    LAUNCH_VMSA,
    NONCE,
    OWN,
    PAGES,
    VCPUS,
)
from spec.validation import launch, migration, pvalidate, reboot, visibility, vmsa
from spec.validation.svsm import Cpu, Pc, Stage, Svsm


def an_entry(random: Random, s: Svsm) -> int:
    """An entry of a request: mostly one that makes sense."""
    draw = random.random()
    if draw < 0.02:
        return random.getrandbits(64)
    large = random.random() < 0.35
    frame = one_of(random, BLOCKS) if large and random.random() < 0.9 else a_frame(random)
    if draw > 0.85:
        frame, large = in_use(random, s), False
    if draw > 0.98:
        frame = s.layout.launch_vmsa
    word = frame << 12 | large | random.getrandbits(1) << 2 | (random.random() < 0.2) << 3
    if random.random() < 0.05:
        word ^= 1 << one_of(random, (*[1] * 12, *range(64)))
    return word


def a_header(random: Random) -> int:
    """The header of a request: mostly a few entries from the first on."""
    entries = one_of(random, (1, 1, 2, 3, 510, 511))
    first = random.randrange(3) if random.random() < 0.2 else 0
    if random.random() < 0.03:
        entries = one_of(random, (0, 512, 0xFFFF))
    return entries | first << 16 | random.getrandbits(32) << 32


def a_call(random: Random, vcpu: int, s: Svsm) -> Drawn:
    """A request: at a page's start, behind a calling area, at a page's end, or anywhere."""
    page = one_of(random, (*PAGES, *PAGES[:2], BLOCKS[0]))
    draw = random.random()
    if draw < 0.15:
        page = a_frame(random) if draw < 0.05 else in_use(random, s)
    if draw > 0.98:
        page = s.layout.launch_vmsa
    offset = one_of(random, (0, 8, 8, 16, 4080, 4088))
    if random.random() < 0.03:
        offset = random.randrange(4096)
    return pvalidate.call, pvalidate.Call(vcpu, page << 12 | offset, a_header(random))


def a_misaligned(random: Random, vcpu: int, stage: int) -> Drawn:
    """A byte address that begins no page."""
    gpa = one_of(random, PAGES) << 12 | one_of(random, (1, 8, 0x800, 0xFFF))
    some: dict[int, Drawn] = {
        Stage.COLD: (launch.launch, launch.Firmware(vcpu, gpa)),
        Stage.RUNNING: (vmsa.create, vmsa.Create(vcpu, gpa, gpa)),
        Stage.IMPORTING: (migration.bring, migration.Page(vcpu, gpa)),
    }
    others: list[Drawn] = [
        (visibility.share, visibility.Page(vcpu, gpa)),
        (visibility.unshare, visibility.Page(vcpu, gpa)),
    ]
    if stage == Stage.RUNNING:
        others.append((vmsa.delete, vmsa.Delete(vcpu, gpa)))
    return one_of(random, (*others, some.get(stage, others[0])))


def is_short(random: Random, s: Svsm) -> bool:
    """Whether a reboot comes to its end in a walk; one that does not is seldom begun."""
    return all(s.claimed.no_block(first, True) for first in BLOCKS) or random.random() < 0.01


def a_new_thing(random: Random, vcpu: int, s: Svsm) -> Drawn:
    """What an idle vCPU is asked."""
    gpa = a_frame(random) << 12
    draw = random.random()
    if random.random() < (0.1 if s.stage == Stage.IMPORTING else 0.03):
        return a_misaligned(random, vcpu, s.stage)
    own = one_of(random, GHCBS) << 12 if random.random() < 0.9 else gpa
    if s.stage == Stage.RUNNING:
        if draw < 0.8:
            return a_call(random, vcpu, s)
        if draw < 0.87:
            there = [f for f in PAGES if s.claimed.has(f)] if random.random() < 0.8 else PAGES
            pages = there or PAGES
            return vmsa.create, vmsa.Create(
                vcpu, one_of(random, pages) << 12, one_of(random, pages) << 12
            )
        if draw < 0.92:
            known = [f for a, _ in s.vmsas.runs() for f in (a,)]
            page = one_of(random, known) << 12 if known and random.random() < 0.8 else gpa
            return vmsa.delete, vmsa.Delete(vcpu, page)
        if draw < (0.93 if s.vmsas.is_empty() else 0.97) and is_short(random, s):
            return reboot.reboot, Cpu(vcpu)
    if s.stage == Stage.COLD and draw < 0.7:
        page = one_of(random, FIRMWARE) << 12 if random.random() < 0.9 else gpa
        return launch.launch, launch.Firmware(vcpu, page)
    if s.stage == Stage.IMPORTING and draw < 0.8:
        left = [f for a, b in s.stream.minus(s.claimed).runs() for f in (a, b - 1)]
        page = one_of(random, left) << 12 if left and random.random() < 0.9 else gpa
        if draw < 0.1:
            page = in_use(random, s) << 12
        return migration.bring, migration.Page(vcpu, page)
    rule = visibility.share if random.random() < 0.5 else visibility.unshare
    return rule, visibility.Page(vcpu, own)


def a_stage_step(random: Random, s: Svsm) -> Drawn | None:
    """What is asked of the SVSM as a whole."""
    nothing = launch.Nothing()
    match s.stage:
        case Stage.OFF:
            if random.random() < 0.2:
                return launch.power_on, nothing
            frame = one_of(random, (*OWN, LAUNCH_VMSA, FIRMWARE.start, PAGES[3], BLOCKS[0] + 1))
            return launch.record, launch.Block(frame, random.random() < 0.2)
        case Stage.COLD:
            if not s.stream.is_empty() and random.random() < 0.8:
                nonce = NONCE if random.random() < 0.6 else random.getrandbits(64)
                return migration.take, migration.Marked(nonce)
            return launch.start, nothing
        case Stage.RUNNING:
            return (migration.export, nothing) if random.random() < 0.05 else None
        case Stage.IMPORTING:
            return migration.complete, nothing
    return None


def a_reboot_step(random: Random, vcpu: int, s: Svsm) -> Drawn:
    """What a reboot takes on next, in the order of frames; sometimes what it must not."""
    lowest_vmsa = next((first for first, _ in s.vmsas.runs()), None)
    lowest = next((first for first, _ in s.layout.guest.meet(s.claimed).runs()), None)
    if random.random() < 0.25:
        wrong = (reboot.reboot_end, Cpu(vcpu))
        if lowest_vmsa is not None or lowest is not None:
            return wrong
    if lowest_vmsa is not None:
        if random.random() < 0.2:
            return reboot.reboot_page, reboot.Frame(vcpu, lowest_vmsa)
        return reboot.reboot_vmsa, reboot.Frame(vcpu, lowest_vmsa)
    if random.random() < 0.12:
        wrong_frame = reboot.Frame(vcpu, OWN.start)
        return one_of(random, (reboot.reboot_vmsa, reboot.reboot_page)), wrong_frame
    if lowest is not None:
        return reboot.reboot_page, reboot.Frame(vcpu, lowest)
    return reboot.reboot_end, Cpu(vcpu)


def _told(random: Random, vcpu: int, s: Any, name: str) -> Drawn:
    """A step in which the host is asked, on whichever machine."""
    machine = machines.of(s)
    return machine.by_name[name], machine.told(random, vcpu, s)


STEPS: dict[int, Callable[[Random, int, Svsm], Drawn]] = {
    Pc.READ: lambda r, c, s: (pvalidate.entry, pvalidate.Entry(c, an_entry(r, s))),
    Pc.VALIDATE: lambda _r, c, _s: (pvalidate.validate, Cpu(c)),
    Pc.FILL: lambda _r, c, _s: (pvalidate.fill, Cpu(c)),
    Pc.GRANT: lambda _r, c, _s: (pvalidate.grant, Cpu(c)),
    Pc.REVOKE: lambda _r, c, _s: (pvalidate.revoke, Cpu(c)),
    Pc.RESCIND: lambda _r, c, _s: (pvalidate.rescind, Cpu(c)),
    Pc.RESTORE: lambda _r, c, _s: (pvalidate.restore, Cpu(c)),
    Pc.FLUSH: lambda _r, c, _s: (pvalidate.flush, Cpu(c)),
    Pc.ANSWER: lambda _r, c, _s: (pvalidate.answer, Cpu(c)),
    Pc.PROMOTE: lambda r, c, _s: (vmsa.promote, vmsa.Checked(c, r.random() < 0.7)),
    Pc.DEMOTE: lambda _r, c, _s: (vmsa.demote, Cpu(c)),
    Pc.ASK_PRIVATE: lambda r, c, s: _told(r, c, s, "ask_private"),
    Pc.ASK_SHARED: lambda r, c, s: _told(r, c, s, "ask_shared"),
    Pc.REBOOT: a_reboot_step,
}


PINNED = (Pc.READ, Pc.ANSWER)
RARE = frozenset((Pc.RESCIND, Pc.RESTORE, Pc.DEMOTE, Pc.PROMOTE))
"""Where a host that moves just then brings out what is seldom seen."""


def next_step(random: Random, s: Svsm, exits: Sequence[int], hostility: float) -> Drawn:
    """What happens next.

    exits: vCPUs whose last step exited to the host. hostility: how often the host moves.
    """
    machine = machines.of(s)
    if exits and random.random() < 0.6:
        return machine.repair(random, s, exits[0])
    pc_of = s.cpus.pc.at
    pcs = [pc_of(vcpu) for vcpu in VCPUS]
    if not RARE.isdisjoint(pcs) and random.random() < 0.05 + 0.2 * hostility:
        return machine.blow(random, s, next(c for c in VCPUS if pcs[c] in RARE))
    if s.halted or random.random() < hostility:
        return machine.host(random, s)
    # A device looks at what a request needs, and reads it, in one go: nobody comes in between.
    vcpu = next((c for c in VCPUS if pcs[c] in PINNED), -1)
    if vcpu < 0:
        vcpu = one_of(random, VCPUS)
    if s.stage == Stage.REBOOTING and pcs[vcpu] == Pc.IDLE:
        vcpu = next((c for c in VCPUS if pcs[c] != Pc.IDLE), vcpu)
    pc = pcs[vcpu]
    if pc in STEPS:
        return STEPS[pc](random, vcpu, s)
    if s.stage == Stage.OFF or random.random() < 0.1:
        whole = a_stage_step(random, s)
        if whole is not None:
            return whole
    if s.stage in (Stage.MOVED, Stage.OFF, Stage.REBOOTING):
        return machine.host(random, s)
    return a_new_thing(random, vcpu, s)
