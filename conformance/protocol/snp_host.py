"""What the host and the guest do by themselves on SEV-SNP, drawn: mostly what hurts."""

from random import Random

from conformance.protocol.places import FRAMES, Drawn, in_use, one_of
from conformance.protocol.world import BLOCKS, MAPPED_AT, OWN, SPARE
from spec.machine import host
from spec.tables import BLOCK
from spec.validation import visibility
from spec.validation.svsm import ROUNDS, Pc, Stage, Svsm


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
        mine = one_of(random, (OWN.start, *OWN)) if random.random() < 0.8 else frame
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


def told(random: Random, vcpu: int, s: Svsm) -> visibility.Told:
    """The host's word on a page-state change; one that puts it off mostly goes on doing so."""
    if s.cpus.rounds.at(vcpu) < ROUNDS and random.random() < 0.6:
        return visibility.Told(vcpu, 0, 0, 0)
    info2 = one_of(random, (0, 0, 0, 0, 0, 1, 1 << 32, (1 << 64) - 1))
    header = one_of(random, (1, 1, 1, 1, 1, 0, 0, 0, 2, 1 | 1 << 16, 1 | 1 << 32, 0xFFFF))
    msr = one_of(random, (0x15, 0x15, 0x15, 0x15, 0x14, 0x15 | 1 << 32, 0x15 | 1 << 12, 0))
    return visibility.Told(vcpu, info2, header, msr)


def a_blow(random: Random, s: Svsm, vcpu: int) -> Drawn:
    """What hurts a vCPU most, where it is."""
    first, large = s.block(vcpu)
    spn = s.hw.npt.at(first)
    if large and random.random() < 0.6:
        return host.psmash, host.AtSpn(spn & -BLOCK)
    if random.random() < 0.5:
        return host.remap, host.Remap(first, one_of(random, SPARE), False)
    return host.rmpupdate, host.Rmpupdate(spn, random.random() < 0.7, first, False)
