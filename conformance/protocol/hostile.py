"""Hostile requests in bulk: any words at all, of which each must end in the result of the rules.

`python -m conformance.protocol.hostile COUNT [SEED]` runs so many requests, each a header and as
many entries as are read, against the built-in SVSM, and tells what became of them. A third of them
are made by the solver, as they are or with one bit changed; the rest are drawn.
"""

import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from conformance.device import DeviceFault
from conformance.protocol.compiled import own
from conformance.protocol.device import SvsmDevice
from conformance.protocol.draw import an_entry
from conformance.protocol.judge import Differs, Joint, Reached
from conformance.protocol.places import FRAMES, ODD_FRAMES
from conformance.protocol.solved import entries, requests
from conformance.protocol.world import BLOCKS, LAUNCH_VMSA, OTHER, PAGES, POLICY, cold
from spec.rule import changed
from spec.validation import pvalidate
from spec.validation.svsm import Cpu, Pc, Policy, Stage, Svsm

OFFSETS = (0, 8, 16, 4072, 4080, 4088)
PLACES = (*FRAMES, *ODD_FRAMES)
VMSA, CAA, LEFT, UNVALIDATED = PAGES[4:8]
"""Frames of a vCPU that is there; one that leads to no page; one whose page is not validated."""
VALID = (*PAGES[:2], *PAGES[4:6])
SOLVED = 0.33
ODD = 0.1


@cache
def running(policy: Policy = POLICY, launch_vmsa: int = LAUNCH_VMSA) -> Svsm:
    """The guest runs, some of its pages are claimed, there is a vCPU, and every vCPU is at rest."""
    state = cold(policy, launch_vmsa=launch_vmsa)
    sound = state.claimed.with_block(BLOCKS[0], True, True)
    sound = sound.with_range(BLOCKS[1], BLOCKS[1] + 5, True)
    for frame in VALID:
        sound = sound.with_block(frame, False, True)
    npt, validated = state.hw.npt, state.hw.validated
    for first, stop in sound.minus(state.layout.measured).runs():
        spn = npt.at(first)
        validated = validated.with_range(spn, spn + stop - first, True)
    hw = changed(state.hw, validated=validated, npt=npt.put(LEFT, 0))
    return changed(
        state,
        claimed=sound.with_range(LEFT, UNVALIDATED + 1, True),
        vmsas=state.vmsas.with_block(VMSA, False, True),
        caas=state.caas.with_block(CAA, False, True),
        caa_of=state.caa_of.put(VMSA, CAA),
        hw=hw,
        stage=int(Stage.RUNNING),
    )


def busy(joint: Joint) -> None:
    """Another vCPU works on a page, and goes no further."""
    joint.do(pvalidate.call, pvalidate.Call(1, PAGES[0] << 12, 1))
    joint.do(pvalidate.entry, pvalidate.Entry(1, PAGES[1] << 12))


def idle(_joint: Joint) -> None:
    """No other vCPU does anything."""


@dataclass(frozen=True)
class Scene:
    """Where requests are made: the state, and what another vCPU does before."""

    start: Callable[[], Svsm]
    before: Callable[[Joint], None] = idle


SCENES = (
    Scene(running),
    Scene(lambda: running(launch_vmsa=PAGES[3])),
    Scene(running, busy),
    Scene(lambda: running(OTHER), busy),
)
Pool = tuple[Sequence[pvalidate.Call], Sequence[pvalidate.Entry]]


class Stand:
    """A device in a scene, and what the solver made for it."""

    def __init__(
        self, scene: Scene, reached: Reached, make: Callable[[], SvsmDevice] = SvsmDevice
    ) -> None:
        self.scene, self.reached, self.make = scene, reached, make
        self.set_up()
        page = PAGES[0] << 12 | 8
        asked = self.start.with_cpu(0, pc=Pc.READ, block=page, entries=2, next=0)
        self.pool: Pool = (requests(self.start), entries(asked))

    def set_up(self) -> None:
        """A fresh device, with the other vCPU where the scene has it."""
        self.device = self.make()
        self.joint = Joint(self.device, self.scene.start(), Counter())
        self.scene.before(self.joint)
        self.joint.reached = self.reached
        self.start = own(self.joint.state)

    def request(self, random: Random) -> None:
        """One request, to its result or to where the machine is asked to do something."""
        joint = self.joint
        joint.state = own(self.start)
        joint.do(pvalidate.call, a_call(random, self.pool))
        while joint.state.pc(0) == Pc.READ:
            joint.do(pvalidate.entry, self.an_entry(random))
        if joint.state.pc(0) == Pc.ANSWER:
            joint.do(pvalidate.answer, Cpu(0))
        elif joint.state.pc(0) != Pc.IDLE:
            joint.about_to(0)
            self._undo()
        if joint.state.halted:
            self.set_up()
        else:
            self.device.drop(0)

    def an_entry(self, random: Random) -> pvalidate.Entry:
        """An entry: the solver's, any word, or one that nearly makes sense."""
        draw = random.random()
        if draw < SOLVED:
            word = random.choice(self.pool[1]).entry
        else:
            word = random.getrandbits(64) if draw > 0.8 else an_entry(random, self.start)
        return pvalidate.Entry(0, flipped(random, word))

    def _undo(self) -> None:
        """Have the device forget a request that it took on."""
        self.device.drop(0)
        if self.joint.state.claimed != self.start.claimed:
            self.device.svsm.record.release(*self.joint.state.block(0))


def flipped(random: Random, word: int) -> int:
    """A word, mostly as it is, else with one bit changed."""
    return word ^ 1 << random.randrange(64) if random.random() < ODD else word


def a_call(random: Random, pool: Pool) -> pvalidate.Call:
    """RCX and a header: the solver's, any words, or words near those that make sense."""
    draw = random.random()
    if draw < SOLVED:
        call = random.choice(pool[0])
        return pvalidate.Call(0, flipped(random, call.rcx), flipped(random, call.header))
    if draw > 1 - ODD:
        return pvalidate.Call(0, random.getrandbits(64), random.getrandbits(64))
    page = random.choice(PLACES) if random.random() < 0.2 else PAGES[0]
    offset = random.choice(OFFSETS) if random.random() < 0.9 else random.randrange(4096)
    entries = random.choice((0, 1, 1, 1, 2, 509, 510, 511, 512, 0xFFFF))
    first = random.choice((0, 0, 0, 0, 1, entries, 0xFFFF))
    header = entries | first << 16 | random.getrandbits(32) << 32
    return pvalidate.Call(0, (page << 12 | offset) & 2**64 - 1, header)


def run(count: int, seed: int) -> Reached:
    """How often each case was taken by `count` requests, over all scenes in turn.

    Raises: Differs, DeviceFault where a request does not end as the rules say.
    """
    random, reached = Random(seed), Reached()
    for number, stand in enumerate(stands()):
        stand.reached = stand.joint.reached = reached
        for _ in range(count // len(SCENES) + (number < count % len(SCENES))):
            stand.request(random)
    return reached


@cache
def stands() -> tuple[Stand, ...]:
    """A device in each scene."""
    return tuple(Stand(scene, Counter()) for scene in SCENES)


def main(arguments: list[str]) -> int:
    """Run the requests; 0 if each ended as the rules say."""
    count, seed = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    total: Reached = Counter()
    made = sum(len(part) for stand in stands() for part in stand.pool)
    print(f"hostile: {made:,} made by the solver", file=sys.stderr, flush=True)
    gc.freeze()
    began = time.monotonic()
    for part in range(0, count, 100_000):
        size = min(100_000, count - part)
        try:
            total += run(size, seed * 1_000_003 + part)
        except (Differs, DeviceFault) as parted:
            print(f"hostile: a request of {part} to {part + size}: {parted}")
            return 1
        spent = time.monotonic() - began
        print(f"hostile: {part + size:,} requests ({spent:.0f} s)", file=sys.stderr, flush=True)
    for (rule, case), times in sorted(total.items()):
        print(f"{rule}.{case}: {times:,}")
    print(f"{count:,} requests, each ended as the rules say; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
