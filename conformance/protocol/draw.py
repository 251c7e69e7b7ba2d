"""What happens next: a draw among everything that anybody could do, hostile words included."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from conformance.protocol.world import (
    BLOCKS,
    FIRMWARE,
    GHCBS,
    LAUNCH_VMSA,
    MAPPED_AT,
    NONCE,
    OWN,
    PAGES,
    SPARE,
    VCPUS,
)
from spec.machine import host
from spec.rule import Rule
from spec.tables import BLOCK
from spec.validation import launch, migration, pvalidate, reboot, visibility, vmsa
from spec.validation.svsm import Cpu, Pc, Stage, Svsm

AT_REST = (Pc.IDLE, Pc.READ, Pc.ANSWER)
T = TypeVar("T")
Drawn = tuple[Rule, Any]
ODD_FRAMES = (
    0,
    1 << 35,
    1 << 39,
    (1 << 40) - 1,
    1 << 40,
    (1 << 52) - BLOCK,
    (1 << 52) - 1,
    1 << 34,
    LAUNCH_VMSA,
)
"""Frames at and past address limits: C-bit 47 and 51, vTOM at 2**46, 52 and 64 bits of address."""
FRAMES = (*PAGES, *BLOCKS, BLOCKS[0] + 1, BLOCKS[1] + BLOCK - 1, PAGES.stop, OWN.start)


def one_of(random: Random, things: Sequence[T]) -> T:
    """One of some things; `Random.choice`, in a third of the time."""
    return things[int(random.random() * len(things))]


def a_frame(random: Random) -> int:
    """A frame of the guest's, near one, or far from any."""
    if random.random() < 0.05:
        return one_of(random, ODD_FRAMES)
    return one_of(random, PAGES) if random.random() < 0.7 else one_of(random, FRAMES)


def in_use(random: Random, s: Svsm) -> int:
    """A frame that somebody has in hand, or that a vCPU is made of."""
    there: list[int] = [s.cpus.first.at(c) for c in VCPUS if s.pc(c) not in AT_REST]
    there += [s.cpus.block.at(c) >> 12 for c in VCPUS if s.pc(c) != Pc.IDLE]
    there += [first for first, _ in (*s.vmsas.runs(), *s.caas.runs())]
    return int(one_of(random, there or FRAMES))


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
        word ^= 1 << one_of(random, (1, 1, *range(64)))
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


def a_new_thing(random: Random, vcpu: int, s: Svsm) -> Drawn:
    """What an idle vCPU is asked."""
    gpa = a_frame(random) << 12
    draw = random.random()
    if random.random() < 0.03:
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
        if draw < (0.93 if s.vmsas.is_empty() else 0.97):
            return reboot.reboot, Cpu(vcpu)
    if s.stage == Stage.COLD and draw < 0.7:
        page = one_of(random, FIRMWARE) << 12 if random.random() < 0.9 else gpa
        return launch.launch, launch.Firmware(vcpu, page)
    if s.stage == Stage.IMPORTING and draw < 0.8:
        left = [f for a, b in s.stream.minus(s.claimed).runs() for f in (a, b - 1)]
        page = one_of(random, left) << 12 if left and random.random() < 0.9 else gpa
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


def a_host_move(random: Random, s: Svsm) -> Drawn:
    """What the host does: mostly something that hurts, often where somebody is at work."""
    frame = in_use(random, s) if random.random() < 0.4 else one_of(random, FRAMES)
    spn = s.hw.npt.at(frame) if random.random() < 0.5 else frame + MAPPED_AT
    if random.random() < 0.3:
        spn = one_of(random, SPARE)
    there = s.hw.npt.at(frame)
    if there in SPARE and not s.hw.maps(there, frame) and random.random() < 0.5:
        # A page that is led to is worth most to the host once it is assigned for that frame.
        return host.rmpupdate, host.Rmpupdate(there, True, frame, False)
    draw = random.random()
    block = frame & -BLOCK if frame & -BLOCK in BLOCKS else one_of(random, BLOCKS)
    odd = random.random() < 0.05
    if draw < 0.25:
        return host.remap, host.Remap(frame, spn, False)
    if draw < 0.35:
        at = block + MAPPED_AT if random.random() < 0.6 else SPARE[-1]
        return host.remap, host.Remap(block, at + odd, True)
    if draw < 0.52:
        return host.rmpupdate, host.Rmpupdate(spn, random.random() < 0.8, frame, False)
    if draw < 0.6:
        at = block + MAPPED_AT if random.random() < 0.7 else SPARE[-1]
        return host.rmpupdate, host.Rmpupdate(at + odd, random.random() < 0.8, block, True)
    if draw < 0.72:
        return host.psmash, host.AtSpn(block + MAPPED_AT + odd)
    if draw < 0.77:
        return host.host_write, host.AtSpn(spn)
    return a_guest_move(random, s, frame)


def a_guest_move(random: Random, s: Svsm, frame: int) -> Drawn:
    """What the guest does by itself, or the SVSM to a page of its own."""
    draw = random.random()
    if s.stage in (Stage.COLD, Stage.RUNNING) and draw < 0.3:
        mine = one_of(random, OWN) if random.random() < 0.8 else frame
        return host.svsm_write, host.AtGfn(mine)
    if s.stage != Stage.RUNNING:
        return host.remap, host.Remap(frame, frame + MAPPED_AT, False)
    known = [first for first, _ in s.hw.tlb.runs()]
    if known and draw < 0.5:
        return host.guest_write, host.AtSpn(one_of(random, known))
    if draw < 0.7:
        return host.guest_access, host.AtGfn(frame)
    if draw < 0.75:
        return host.guest_write, host.AtSpn(frame + MAPPED_AT)
    return host.guest_delegate, host.Delegate(frame, one_of(random, (0, 1, 3, 0xF, 0x1F)))


def a_repair(random: Random, s: Svsm, vcpu: int) -> Drawn:
    """What an honest host does so that a vCPU can go on."""
    pc = s.pc(vcpu)
    request = pc in (Pc.READ, Pc.ANSWER)
    frame = s.cpus.block.at(vcpu) >> 12 if request else s.cpus.first.at(vcpu)
    large = not request and s.cpus.large.has(vcpu)
    spn = s.hw.npt.at(frame)
    if s.hw.large.has(spn) and not large and s.hw.assigned.has(spn):
        return host.psmash, host.AtSpn(spn & ~(BLOCK - 1))
    home = frame + MAPPED_AT
    if spn != home and random.random() < 0.7:
        return host.remap, host.Remap(frame, home, large and frame % BLOCK == 0)
    return host.rmpupdate, host.Rmpupdate(spn, True, frame, False)


def told(random: Random, vcpu: int) -> visibility.Told:
    """The host's word on a page-state change."""
    info2 = one_of(random, (0, 0, 0, 0, 0, 1, 1 << 32, (1 << 64) - 1))
    header = one_of(random, (1, 1, 1, 1, 1, 0, 0, 0, 2, 1 | 1 << 16, 1 | 1 << 32, 0xFFFF))
    msr = one_of(random, (0x15, 0x15, 0x15, 0x15, 0x14, 0x15 | 1 << 32, 0x15 | 1 << 12, 0))
    return visibility.Told(vcpu, info2, header, msr)


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
    if random.random() < 0.04:
        wrong_frame = reboot.Frame(vcpu, OWN.start)
        return one_of(random, (reboot.reboot_vmsa, reboot.reboot_page)), wrong_frame
    if lowest is not None:
        return reboot.reboot_page, reboot.Frame(vcpu, lowest)
    return reboot.reboot_end, Cpu(vcpu)


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
    Pc.ASK_PRIVATE: lambda r, c, _s: (visibility.ask_private, told(r, c)),
    Pc.ASK_SHARED: lambda r, c, _s: (visibility.ask_shared, told(r, c)),
    Pc.REBOOT: a_reboot_step,
}


PINNED = (Pc.READ, Pc.ANSWER)
RARE = frozenset((Pc.RESCIND, Pc.RESTORE, Pc.DEMOTE, Pc.PROMOTE))
"""Where a host that moves just then brings out what is seldom seen."""


def a_blow(random: Random, s: Svsm, vcpu: int) -> Drawn:
    """What hurts a vCPU most, where it is."""
    first, large = s.block(vcpu)
    spn = s.hw.npt.at(first)
    if large and random.random() < 0.6:
        return host.psmash, host.AtSpn(spn & -BLOCK)
    if random.random() < 0.5:
        return host.remap, host.Remap(first, one_of(random, SPARE), False)
    return host.rmpupdate, host.Rmpupdate(spn, random.random() < 0.7, first, False)


def next_step(random: Random, s: Svsm, exits: Sequence[int], hostility: float) -> Drawn:
    """What happens next.

    exits: vCPUs whose last step exited to the host. hostility: how often the host moves.
    """
    if exits and random.random() < 0.6:
        return a_repair(random, s, exits[0])
    pc_of = s.cpus.pc.at
    pcs = [pc_of(vcpu) for vcpu in VCPUS]
    if not RARE.isdisjoint(pcs) and random.random() < 0.05 + 0.2 * hostility:
        return a_blow(random, s, next(c for c in VCPUS if pcs[c] in RARE))
    if s.halted or random.random() < hostility:
        return a_host_move(random, s)
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
        return a_host_move(random, s)
    return a_new_thing(random, vcpu, s)
