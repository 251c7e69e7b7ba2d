"""Migration streams as they are made to be read: well formed, and then changed on purpose.

What a stream is made of is said in a few numbers, so that a trace of one is short; its bytes follow
docs/migration-stream.md, written here once more.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random
from typing import Any

from conformance.stream.oracle import FRAME, HEADER, RUN
from spec.validation.stream import CHECKSUM_BYTES, MAGIC, VERSION
from spec.validation.svsm import LIMIT_GFN

NONCE, CAP = 0x5EED, 64
"""The mark that was given out, and the most pages that a reader takes."""
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Made:
    """A stream, and the most pages that its reader is to take.

    runs, vmsas: as they are listed. frames: of the records; those of the runs where it is None.
    pages: as the header says; as many as there are records where it is None. version, flags, mark,
    magic: in the header. cut: bytes taken from the end, of which there may be fewer than none.
    flips: bits that are changed. sealed: whether the checksum is made after all of that.
    """

    runs: Ranges = ((0x10, 0x12), (0x40, 0x41))
    vmsas: tuple[int, ...] = (0x11,)
    frames: tuple[int, ...] | None = None
    pages: int | None = None
    magic: int = MAGIC
    version: int = VERSION
    flags: int = 0
    mark: int = NONCE
    cut: int = 0
    flips: tuple[int, ...] = ()
    sealed: bool = True
    cap: int = CAP

    def listed(self) -> tuple[int, ...]:
        """The frames that have a record."""
        if self.frames is not None:
            return self.frames
        return tuple(frame for first, stop in self.runs for frame in range(first, stop))


def contents(frame: int) -> bytes:
    """What a page holds: words that name it, and their place in it."""
    return struct.pack("<512Q", *(frame << 12 | place for place in range(512)))


def bytes_of(made: Made) -> bytes:
    """The bytes of a stream."""
    frames = made.listed()
    pages = len(frames) if made.pages is None else made.pages
    counts = made.mark, len(made.runs), pages, len(made.vmsas)
    magic = made.magic.to_bytes(8, "little")
    pieces = [HEADER.pack(magic, made.version, made.flags, *counts)]
    pieces += [RUN.pack(*run) for run in made.runs]
    pieces += [FRAME.pack(frame) for frame in made.vmsas]
    pieces += [FRAME.pack(frame) + contents(frame) for frame in frames]
    body = bytearray(b"".join(pieces))
    whole = bytearray(body + sha256(body).digest())
    for bit in made.flips:
        whole[bit // 8 % len(whole)] ^= 1 << bit % 8
    if made.cut:
        whole = whole[: -made.cut] if made.cut > 0 else whole + bytes(-made.cut)
    if made.sealed and len(whole) >= CHECKSUM_BYTES:
        whole[-CHECKSUM_BYTES:] = sha256(whole[:-CHECKSUM_BYTES]).digest()
    return bytes(whole)


Change = Callable[[Random, Made], Made]


def _with(**values: Any) -> Change:
    return lambda _random, made: replace(made, **values)


def _run_moved(random: Random, made: Made) -> Made:
    """One bound of a run is another; records are of the runs as they are, or as they were."""
    runs = [list(run) for run in made.runs]
    if runs:
        run, side = random.choice(runs), random.choice((0, 1))
        run[side] = max(0, run[side] + random.choice((-2, -1, 1, 2)))
    frames = random.choice((made.frames, made.listed()))
    return replace(made, runs=tuple((a, b) for a, b in runs), frames=frames)


def _runs_shuffled(random: Random, made: Made) -> Made:
    return replace(made, runs=tuple(random.sample(made.runs, len(made.runs))))


def _vmsas_changed(random: Random, made: Made) -> Made:
    near = [frame + d for frame in (*made.listed()[:8], 0) for d in (0, 0, 0, 1)]
    return replace(made, vmsas=tuple(random.choices(near, k=random.choice((1, 2, 2, 3)))))


def _records_changed(random: Random, made: Made) -> Made:
    frames = list(made.listed())
    place = random.randrange(len(frames) + 1)
    match random.choice(("more", "fewer", "another", "shuffled")):
        case "more":
            frames.insert(place, random.choice((0, place, *made.listed()[:4])))
        case "fewer":
            del frames[place:]
        case "another":
            frames[place : place + 1] = [random.choice((0, *frames))]
        case _:
            random.shuffle(frames)
    return replace(made, frames=tuple(frames))


def _cut(random: Random, made: Made) -> Made:
    return replace(made, cut=random.choice((-4104, -8, -1, 1, 8, 4104, 10**6)))


def _flipped(random: Random, made: Made) -> Made:
    size = 8 * len(bytes_of(made))
    place = random.choice((random.randrange(size), random.randrange(min(size, LISTED))))
    return replace(made, flips=(*made.flips, place), sealed=random.random() < 0.5)


LISTED = 8 * 128
"""So many bits from the start are mostly those of the header, of runs and of VMSAs."""
CHANGES: tuple[Change, ...] = (
    _run_moved,
    _runs_shuffled,
    _vmsas_changed,
    _records_changed,
    _cut,
    _flipped,
    _with(magic=MAGIC ^ 1),
    _with(version=VERSION + 1),
    _with(flags=1),
    _with(mark=NONCE - 1),
    _with(cap=2),
    lambda random, made: replace(made, pages=abs(len(made.listed()) + random.choice((-1, 1)))),
)


def drawn(random: Random) -> Made:
    """A stream: mostly one that nearly makes sense."""
    first = random.choice((0, 1, 0x10, 0x10, LIMIT_GFN - random.randint(1, 6)))
    runs: list[tuple[int, int]] = []
    for _ in range(random.choice((0, 1, 2, 2, 3))):
        stop = first + random.choice((1, 1, 2, 3))
        runs.append((first, stop))
        first = stop + random.choice((1, 1, 2, 0x30))
    made = Made(runs=tuple(runs), vmsas=())
    frames = made.listed()
    made = replace(made, vmsas=tuple(sorted(random.sample(frames, min(2, len(frames) // 2)))))
    for change in random.sample(CHANGES, random.choice((0, 1, 1, 1, 2))):
        made = change(random, made)
    return made


WAYS: dict[str, Made] = {
    "taken": Made(),
    "empty_record": Made(runs=(), vmsas=()),
    "too_short": Made(cut=1 << 20),
    "bad_magic": Made(magic=MAGIC ^ 1),
    "bad_version": Made(version=VERSION + 1),
    "with_flags": Made(flags=1),
    "replayed": Made(mark=NONCE - 1),
    "over_cap": Made(cap=2),
    "more_runs_than_pages": Made(pages=1),
    "too_long": Made(cut=-8),
    "damaged": Made(flips=(8 * 100,), sealed=False),
    "runs_touch": Made(runs=((0x10, 0x12), (0x12, 0x13))),
    "runs_out_of_order": Made(runs=((0x40, 0x41), (0x10, 0x12))),
    "empty_run": Made(runs=((0x10, 0x10), (0x40, 0x43)), vmsas=()),
    "above_limit": Made(runs=((LIMIT_GFN, LIMIT_GFN + 1),), vmsas=()),
    "runs_too_long": Made(runs=((0x10, 0x14),), frames=(0x10, 0x11, 0x12)),
    "runs_too_short": Made(frames=(0x10, 0x11, 0x40, 0x41)),
    "vmsa_not_claimed": Made(vmsas=(0x13,)),
    "vmsa_twice": Made(vmsas=(0x11, 0x11)),
    "another_record": Made(frames=(0x11, 0x10, 0x40)),
}
"""A stream for each way that one can go, by name."""
