"""Guests as they are get through with the default policy: they are told what hardware tells today.

OVMF and Linux send at most 510 entries from behind their calling area, ask again on INCOMPLETE and
BUSY, split a 2 MiB entry on FAIL_SIZEMISMATCH, and terminate on anything else. The SVSM with a
record must bring such a caller to the same end as one that has none and passes on what PVALIDATE
says, as long as the host is honest.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from impl import svsm as home
from impl.platform import Fill, Flush, Read, Write, drive
from impl.pvalidate import pvalidate
from impl.record import LARGE
from impl.snp import Pvalidate, Rmpadjust

SUCCESS, SIZE_MISMATCH, NO_CHANGE = 0, 0x8000_1006, 0x8000_1010
RETRY = (0x8000_0000, 0x8000_0007)
CAA, BLOCK, PAGES = 0x10, 0x200, range(0x12, 0x18)
REQUEST = CAA << 12 | 8
MOST_ENTRIES = 510
Entry = tuple[int, bool, bool, bool]
"""A frame, whether it is of 2 MiB, to be validated, and whether CF is ignored."""


@dataclass
class Honest:
    """A machine whose host only does what it must: it smashes where that is asked for."""

    valid: set[int] = field(default_factory=lambda: {CAA})
    large: set[int] = field(default_factory=lambda: {BLOCK})
    memory: dict[int, bytes] = field(default_factory=dict)
    filled: list[tuple[int, bool]] = field(default_factory=list)

    def pvalidate(self, frame: int, large: bool, validate: bool) -> tuple[int, bool]:
        block = frame - frame % LARGE
        if large and block not in self.large:
            return 6, False
        if not large:
            self.large.discard(block)
        frames = range(frame, frame + LARGE) if large else [frame]
        unchanged = (frame in self.valid) == validate
        (self.valid.update if validate else self.valid.difference_update)(frames)
        return 0, unchanged

    def answer(self, operation: object) -> object:
        match operation:
            case Read(gpa, size):
                return self.memory[gpa][:size]
            case Write(gpa, data):
                self.memory[gpa] = data
            case Pvalidate(frame, large, validate):
                return self.pvalidate(frame, large, validate)
            case Rmpadjust(frame, large, _, each):
                small = large and frame not in self.large and not each
                return 6 if small else 0
            case Fill(frame, large, _):
                self.filled.append((frame, large))
            case Flush():
                pass
        return None


Call = Callable[[Sequence[Entry]], tuple[int, int]]
"""Answers a request: the result, and `next`."""


def with_record(machine: Honest) -> Call:
    layout = home.Layout(guest=((CAA, 0x18), (BLOCK, BLOCK + LARGE)), own=())
    svsm = home.Svsm(layout)
    svsm.record.mark(CAA, 1)
    svsm.stage = home.Stage.RUNNING

    def call(entries: Sequence[Entry]) -> tuple[int, int]:
        machine.memory[REQUEST] = struct.pack("<HHI", len(entries), 0, 0)
        for place, (frame, large, validate, ignore) in enumerate(entries):
            word = frame << 12 | large | validate << 2 | ignore << 3
            machine.memory[REQUEST + 8 + 8 * place] = struct.pack("<Q", word)
        result = drive(svsm.guarded(pvalidate(svsm, REQUEST)), machine.answer)
        return result, struct.unpack("<HHI", machine.memory[REQUEST])[1]

    return call


def without_record(machine: Honest) -> Call:
    def call(entries: Sequence[Entry]) -> tuple[int, int]:
        for place, (frame, large, validate, ignore) in enumerate(entries):
            code, unchanged = machine.pvalidate(frame, large, validate)
            if code:
                return SIZE_MISMATCH, place
            if unchanged and not ignore:
                return NO_CHANGE, place
        return SUCCESS, len(entries)

    return call


def guest(call: Call, wanted: Sequence[Entry]) -> bool:
    """Whether a caller gets through, or terminates."""
    left = list(wanted)
    while left:
        result, done = call(left[:MOST_ENTRIES])
        left = left[done:]
        if result in RETRY or result == SUCCESS:
            continue
        if result == SIZE_MISMATCH and left[0][1]:
            frame, _, validate, ignore = left[0]
            left[:1] = [(frame + k, False, validate, ignore) for k in range(LARGE)]
            continue
        return False
    return True


def boot() -> list[list[Entry]]:
    """What a guest asks for while it boots: all memory, then a page shared and taken back."""
    memory = [(BLOCK, True, True, False), *((frame, False, True, False) for frame in PAGES)]
    page = PAGES[2]
    shared = [(page, False, False, False)]
    back = [(page, False, True, False)]
    of_block = [(BLOCK + 5, False, False, False)]
    again = [(BLOCK + 5, False, True, False)]
    return [memory, shared, back, of_block, again]


def test_a_guest_boots() -> None:
    machine = Honest()
    call = with_record(machine)
    assert all(guest(call, wanted) for wanted in boot())
    assert machine.valid >= {*PAGES, *range(BLOCK, BLOCK + LARGE)}
    assert machine.filled[0] == (BLOCK, True)


def test_a_guest_that_validates_again_and_ignores_cf_gets_through_and_loses_nothing() -> None:
    machine = Honest()
    call = with_record(machine)
    assert all(guest(call, wanted) for wanted in boot())
    filled = len(machine.filled)
    again = [(frame, False, True, True) for frame in PAGES]
    assert guest(call, again)
    assert len(machine.filled) == filled


@pytest.mark.parametrize("seed", range(60))
def test_it_comes_to_the_same_end_as_with_hardware_alone(seed: int) -> None:
    random, ends = Random(seed), []
    wanted = [some_entries(random) for _ in range(12)]
    for way in (with_record, without_record):
        machine = Honest()
        call = way(machine)
        ends.append([guest(call, entries) for entries in wanted if entries])
    first = next((k for k, pair in enumerate(zip(*ends, strict=True)) if pair[0] != pair[1]), None)
    # A guest that terminates asks for nothing more: what follows its end is of no account.
    stopped = ends[0].index(False) if False in ends[0] else len(ends[0])
    assert first is None or first > stopped


def some_entries(random: Random) -> list[Entry]:
    made: list[Entry] = []
    for _ in range(random.randrange(1, 5)):
        large = random.random() < 0.4
        frame = BLOCK if large else random.choice((*PAGES, BLOCK, BLOCK + 1))
        made.append((frame, large, random.random() < 0.7, random.random() < 0.5))
    return made
