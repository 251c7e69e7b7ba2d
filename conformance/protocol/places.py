"""Frames that everybody draws from: those of the guest, those in use, and odd ones."""

from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from conformance.protocol.world import BLOCKS, LAUNCH_VMSA, OWN, PAGES, VCPUS
from spec.rule import Rule
from spec.tables import BLOCK
from spec.validation.svsm import Pc

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


def in_use(random: Random, s: Any) -> int:
    """A frame that somebody has in hand, or that a vCPU is made of."""
    there: list[int] = [s.cpus.first.at(c) for c in VCPUS if s.pc(c) not in AT_REST]
    there += [s.cpus.block.at(c) >> 12 for c in VCPUS if s.pc(c) != Pc.IDLE]
    there += [first for first, _ in (*s.vmsas.runs(), *s.caas.runs())]
    return int(one_of(random, there or FRAMES))
