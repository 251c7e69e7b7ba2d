"""What the host and the guest do by themselves on TDX, drawn: mostly pages taken and added anew."""

from random import Random

from conformance.protocol.places import FRAMES, Drawn, in_use, one_of
from conformance.protocol.world import BLOCKS, OWN
from spec.machine import tdx_host
from spec.machine.tdx import Tdx
from spec.tables import BLOCK
from spec.validation import tdx_visibility
from spec.validation.svsm import ROUNDS, Pc, Stage
from spec.validation.tdx_model import SvsmOnTdx

PAGE_SHIFT = 12


def leaf(hw: Tdx, frame: int) -> tdx_host.Leaf:
    """The leaf that a frame is in, or a page of 4 KiB where there is none."""
    large = bool(hw.large.has(frame))
    return tdx_host.Leaf(frame & -BLOCK if large else frame, large)


def a_host_move(random: Random, s: SvsmOnTdx) -> Drawn:
    """What the host does: takes a page away, adds one where there is none, splits a large one."""
    frame = in_use(random, s) if random.random() < 0.5 else one_of(random, FRAMES)
    draw = random.random()
    if draw < 0.06:
        odd = one_of(random, BLOCKS) + (random.random() < 0.3)
        rule = tdx_host.page_aug if draw < 0.02 else tdx_host.page_remove
        return rule, tdx_host.Leaf(odd, True)
    if draw < 0.08:
        return tdx_host.page_remove, tdx_host.Leaf(frame, False)
    if draw < 0.2:
        block = one_of(random, BLOCKS) + (random.random() < 0.1)
        return tdx_host.page_demote, tdx_host.AtGfn(block)
    if draw < 0.6:
        block = frame & -BLOCK
        whole = block in BLOCKS and s.hw.present.no_block(block, True)
        if whole and random.random() < 0.7:
            return tdx_host.page_aug, tdx_host.Leaf(block, True)
        if not s.hw.present.has(frame) or random.random() < 0.1:
            return tdx_host.page_aug, tdx_host.Leaf(frame, False)
        return tdx_host.page_remove, leaf(s.hw, frame)
    return a_guest_move(random, s, frame)


def a_guest_move(random: Random, s: SvsmOnTdx, frame: int) -> Drawn:
    """What the guest does by itself, or the SVSM to a page of its own."""
    draw = random.random()
    if s.stage in (Stage.COLD, Stage.RUNNING) and draw < 0.3:
        mine = one_of(random, (OWN.start, *OWN)) if random.random() < 0.8 else frame
        return tdx_host.svsm_write, tdx_host.AtGfn(mine)
    if s.stage != Stage.RUNNING:
        return tdx_host.page_remove, leaf(s.hw, frame)
    known = [first for first, _ in s.hw.tlb.runs()]
    if known and draw < 0.6:
        return tdx_host.guest_write, tdx_host.AtGfn(one_of(random, known))
    rule = tdx_host.guest_access if draw < 0.9 else tdx_host.guest_write
    return rule, tdx_host.AtGfn(frame)


def a_repair(_random: Random, s: SvsmOnTdx, vcpu: int) -> Drawn:
    """What an honest host does so that a vCPU can go on."""
    request = s.pc(vcpu) in (Pc.READ, Pc.ANSWER)
    frame = s.cpus.block.at(vcpu) >> PAGE_SHIFT if request else s.cpus.first.at(vcpu)
    large = bool(not request and s.cpus.large.has(vcpu))
    if s.hw.large.has(frame) and not large:
        return tdx_host.page_demote, tdx_host.AtGfn(frame & -BLOCK)
    whole = large and s.hw.present.no_block(frame, True)
    return tdx_host.page_aug, tdx_host.Leaf(frame, whole)


def a_blow(random: Random, s: SvsmOnTdx, vcpu: int) -> Drawn:
    """What hurts a vCPU most, where it is: its page is taken, or split, or added anew."""
    first, large = s.block(vcpu)
    if not s.hw.present.has(first):
        return tdx_host.page_aug, tdx_host.Leaf(first, large)
    if large and random.random() < 0.5:
        return tdx_host.page_demote, tdx_host.AtGfn(first)
    return tdx_host.page_remove, leaf(s.hw, first)


def told(random: Random, vcpu: int, s: SvsmOnTdx) -> tdx_visibility.Mapped:
    """The host's word on MapGPA; one that puts it off mostly goes on doing so."""
    asked = s.cpus.first.at(vcpu) << PAGE_SHIFT
    if s.cpus.rounds.at(vcpu) < ROUNDS and random.random() < 0.6:
        return tdx_visibility.Mapped(vcpu, tdx_visibility.RETRY, asked)
    r10 = one_of(random, (0, 0, 0, 0, 1, 1, 1, 2, 1 << 63, (1 << 64) - 1))
    r11 = one_of(random, (asked, asked, asked, asked, 0, asked + 0x1000, (1 << 64) - 1))
    return tdx_visibility.Mapped(vcpu, r10, r11)
