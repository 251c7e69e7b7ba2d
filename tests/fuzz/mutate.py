"""Changed inputs: what a hostile or a broken file would have, made from a good one.

Changes know the structure: whole fields are replaced by values at the edges of what they can hold,
records are repeated, removed and exchanged, and files end where they should not.
"""

from collections.abc import Callable
from random import Random

EDGES = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 20, 24, 0x7F, 0x80, 0xFF, 0x100, 0x101, 0x301, 0x302, 0x303,
    0x304, 0x305, 0x30C, 0xFFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFFFFF, 0x100000,
    0x7FFFFFFF, 0x80000000, 0x8000030C, 0xEFFFFFFF, 0xFFFFFFFF, 0x100000000, (1 << 40) - 1, 1 << 40,
    (1 << 52) - 1, 1 << 52, (1 << 52) - 4096, (1 << 63) - 1, 1 << 63, (1 << 64) - 4096,
    (1 << 64) - 1,
)  # fmt: skip
WIDTHS = (1, 2, 4, 4, 8, 8)
RECORDS = (8, 12, 16, 18, 20, 24, 32)

Change = Callable[[bytearray, Random], None]


def field(data: bytearray, draw: Random) -> None:
    """A field becomes an edge value, or one near to what it was."""
    width = draw.choice(WIDTHS)
    at = draw.randrange(0, max(1, len(data) - width + 1))
    at -= at % width if draw.random() < 0.8 else 0
    was = int.from_bytes(data[at : at + width], "little")
    now = draw.choice(EDGES) if draw.random() < 0.7 else was + draw.choice((-4096, -1, 1, 4096))
    data[at : at + width] = (now % (1 << 8 * width)).to_bytes(width, "little")


def bit(data: bytearray, draw: Random) -> None:
    """A bit flips."""
    at = draw.randrange(len(data))
    data[at] ^= 1 << draw.randrange(8)


def cut(data: bytearray, draw: Random) -> None:
    """The file ends early."""
    del data[draw.randrange(len(data)) :]


def grow(data: bytearray, draw: Random) -> None:
    """Something stands behind the end."""
    data += draw.randbytes(draw.randrange(1, 32))


def record(data: bytearray, draw: Random) -> None:
    """A record is removed, repeated, or takes another's place."""
    size = draw.choice(RECORDS)
    count = max(1, len(data) // size)
    here, there = draw.randrange(count) * size, draw.randrange(count) * size
    match draw.randrange(3):
        case 0:
            del data[here : here + size]
        case 1:
            data[here:here] = data[there : there + size]
        case _:
            data[here : here + size] = data[there : there + size]


CHANGES: tuple[Change, ...] = (field, field, field, field, bit, record, cut, grow)


def mutated(seed: bytes, draw: Random, hot: int = 0) -> bytearray:
    """The seed with one to four changes, mostly in its first `hot` bytes, where that is not 0."""
    keep = hot if hot and draw.random() < 0.9 else len(seed)
    data, rest = bytearray(seed[:keep]), seed[keep:]
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        if data:
            draw.choice(CHANGES)(data, draw)
    return data + rest
