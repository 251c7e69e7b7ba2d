"""Concrete sets of pages as bytes and back: bit `p % 8` of byte `p // 8` is page `origin + p`."""

import numpy as np

from spec.pages import ListedPages
from spec.terms import WIDTH
from spec.validation.bitmap import Bitmap, gfn

# A big integer is quicker than an array up to about this many pages.
_SMALL_PAGES = 1 << 13


def word_count(pages: int) -> int:
    """How many 64-bit words hold one bit for each of `pages` pages."""
    return -(-pages // WIDTH)


def to_bytes(pages: ListedPages, origin: int, count: int) -> bytes:
    """The pages `[origin, origin + count)` as whole little-endian words; the slack is zero."""
    size = 8 * word_count(count)
    runs = ((max(a - origin, 0), min(b - origin, count)) for a, b in pages.runs())
    inside = [(a, b) for a, b in runs if a < b]
    if len(inside) * count <= 64 * _SMALL_PAGES or len(inside) <= 4:
        bits = 0
        for a, b in inside:
            bits |= ((1 << (b - a)) - 1) << a
        return bits.to_bytes(size, "little")
    flips = np.zeros(8 * size + 1, np.bool_)
    flips[[edge for run in inside for edge in run]] = True
    held = np.logical_xor.accumulate(flips[:-1])
    return np.packbits(held, bitorder="little").tobytes()


def from_bytes(data: bytes, origin: int) -> ListedPages:
    """The pages `origin + p` with bit `p` of `data` set."""
    if 8 * len(data) <= _SMALL_PAGES:
        bits, bounds = int.from_bytes(data, "little"), []
        edges = bits ^ (bits << 1)
        while edges:
            lowest = edges & -edges
            edges ^= lowest
            bounds.append(origin + lowest.bit_length() - 1)
        return ListedPages(tuple(bounds))
    held = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    flips = np.flatnonzero(np.diff(held, prepend=np.uint8(0), append=np.uint8(0)))
    return ListedPages(tuple((flips + origin).tolist()))


def state_bytes(state: Bitmap) -> bytes:
    """The words of a concrete state, as bytes."""
    return to_bytes(state.claimed, gfn(state.base), state.pages)
