"""Hostile requests in bulk: any words at all, of which each must end in the result of the rules.

`python -m conformance.protocol.hostile COUNT [SEED]` runs so many requests, each a header and as
many entries as are read, against the built-in SVSM, and tells what became of them.
"""

import gc
import sys
import time
from collections import Counter
from random import Random

from conformance.device import DeviceFault
from conformance.protocol.device import SvsmDevice
from conformance.protocol.draw import FRAMES, ODD_FRAMES, an_entry
from conformance.protocol.judge import Differs, Joint, Reached
from conformance.protocol.world import BLOCKS, PAGES, starts
from spec.rule import changed
from spec.validation import pvalidate
from spec.validation.svsm import Pc, Stage, Svsm

OFFSETS = (0, 8, 16, 4072, 4080, 4088)
PLACES = (*FRAMES, *ODD_FRAMES)


def running() -> Svsm:
    """A state in which the guest runs, with some of its pages claimed, and every vCPU at rest."""
    state = starts()[1]
    some = state.claimed.with_range(PAGES[0], PAGES[4], True).with_block(BLOCKS[0], True, True)
    validated = state.hw.validated
    for first, stop in some.minus(state.layout.measured).runs():
        spn = state.hw.npt.at(first)
        validated = validated.with_range(spn, spn + stop - first, True)
    hw = changed(state.hw, validated=validated)
    return changed(state, claimed=some, hw=hw, stage=int(Stage.RUNNING))


def a_request(random: Random) -> tuple[int, int]:
    """RCX and a header: any words, or words near those that make sense."""
    if random.random() < 0.1:
        return random.getrandbits(64), random.getrandbits(64)
    page = random.choice(PLACES) if random.random() < 0.2 else PAGES[0]
    offset = random.choice(OFFSETS) if random.random() < 0.9 else random.randrange(4096)
    entries = random.choice((0, 1, 1, 1, 2, 509, 510, 511, 512, 0xFFFF))
    first = random.choice((0, 0, 0, 0, 1, entries, 0xFFFF))
    return page << 12 | offset, entries | first << 16 | random.getrandbits(32) << 32


def run(count: int, seed: int) -> Reached:
    """How often each case was taken by `count` requests.

    Raises: Differs, DeviceFault where a request does not end as the rules say.
    """
    random, reached, device, start = Random(seed), Reached(), SvsmDevice(), running()
    joint = Joint(device, start, reached)
    for _ in range(count):
        joint.state = start
        rcx, header = a_request(random)
        taken = joint.do(pvalidate.call, pvalidate.Call(0, rcx, header))
        if taken.case == "taken":
            word = an_entry(random, start)
            word = random.getrandbits(64) if random.random() < 0.3 else word
            joint.do(pvalidate.entry, pvalidate.Entry(0, word))
            if joint.state.pc(0) in (Pc.VALIDATE, Pc.REVOKE):
                _undone(joint, start)
        device.drop(0)
    return reached


def _undone(joint: Joint, start: Svsm) -> None:
    """Have the device forget a request that it took on."""
    joint.device.drop(0)
    if joint.state.claimed != start.claimed:
        joint.device.svsm.record.release(*joint.state.block(0))


def main(arguments: list[str]) -> int:
    """Run the requests; 0 if each ended as the rules say."""
    count, seed = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    total: Reached = Counter()
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
