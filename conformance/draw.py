"""Drawing regions and operands for batches, near the edges where implementations err."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.lanes import Array, LanePages, LaneWords
from conformance.packing import from_bytes
from spec.pages import ListedWords
from spec.rule import Rule
from spec.validation.bitmap import (
    ANY_RUNS,
    At,
    Between,
    Bitmap,
    Create,
    Export,
    Fill,
    Import,
    Policy,
    gfn,
    word_count,
)

U64 = np.uint64
TOP_FRAME = 1 << 52
LIMIT_FRAME = 1 << 40
PAGES_2M = 512
# From so many words on, an implementation's loops unroll.
MANY_WORDS = 128


@dataclass(frozen=True)
class Drawn:
    """Operands for every lane, and the words of an import beside them."""

    op: Any
    words: Array | None = None

    def columns(self, offset: int) -> Iterator[Any]:
        """The operands as columns of a batch; words are named by their offset in the payload."""
        if isinstance(self.op, Export | Import):
            yield offset
            yield self.op.length
            return
        yield from vars(self.op).values()


# Starts


def draw_start(rng: np.random.Generator, lanes: int, width: int, policy: Policy) -> Bitmap:
    """A region within the policy's cap and a set of claimed frames for each lane."""
    pages = np.minimum(draw_pages(rng, lanes, width), U64(policy.cap_pages))
    base = draw_base(rng, lanes, pages)
    few = policy.most_runs != ANY_RUNS
    rows = draw_runs(rng, lanes, width, policy) if few else draw_rows(rng, lanes, width)
    whole = LanePages(base, np.zeros_like(rows))
    inside = whole.masks(base, base + pages)
    return Bitmap(policy, base << U64(12), pages, LanePages(base, rows & inside))


def draw_pages(rng: np.random.Generator, lanes: int, width: int) -> Array:
    """Numbers of pages, mostly next to a whole number of words."""
    words = rng.integers(0, width, lanes)
    beside = rng.choice([0, 1, 63, 64], lanes)
    anything = rng.integers(1, 64 * width + 1, lanes)
    near = np.clip(64 * words + beside, 1, 64 * width)
    return np.where(rng.random(lanes) < 0.6, near, anything).astype(U64)


def draw_base(rng: np.random.Generator, lanes: int, pages: Array) -> Array:
    """First frames: zero, anywhere, aligned to 2 MiB, or such that the region ends at 2**52."""
    anywhere = rng.integers(0, 1 << 30, lanes).astype(U64)
    aligned = anywhere & ~U64(PAGES_2M - 1)
    kinds = [np.zeros(lanes, U64), anywhere, aligned, U64(LIMIT_FRAME) - pages]
    return np.choose(rng.choice(4, lanes, p=[0.1, 0.6, 0.2, 0.1]), kinds)


def draw_rows(rng: np.random.Generator, lanes: int, width: int) -> Array:
    """Words: empty, full, random, alternating, with a run, or uniform but for one page.

    Only the last shows that a loop over many words looks at each: large lanes have it mostly.
    """
    random = rng.integers(0, 1 << 64, (lanes, width), dtype=U64)
    whole = LanePages(np.zeros(lanes, U64), random)
    ends = np.sort(rng.integers(0, 64 * width + 1, (2, lanes)), axis=0).astype(U64)
    run = whole.masks(ends[0], ends[1])
    full = np.full_like(random, U64(0xFFFF_FFFF_FFFF_FFFF))
    alternating = np.full_like(random, U64(0xAAAA_AAAA_AAAA_AAAA))
    odd = rng.integers(0, 64 * width, lanes).astype(U64)
    one = whole.masks(odd, odd + U64(1))
    kinds = [np.zeros_like(random), full, random, alternating, run, ~run, one, ~one]
    small, large = [0.15, 0.15, 0.15, 0.05, 0.15, 0.15, 0.1, 0.1], [0.05] * 6 + [0.35] * 2
    kind = rng.choice(len(kinds), lanes, p=large if width >= MANY_WORDS else small)
    return np.choose(kind[:, None], kinds)


def draw_runs(rng: np.random.Generator, lanes: int, width: int, policy: Policy) -> Array:
    """Words with no more runs than there is room for; in half of the lanes about as many."""
    rows = np.zeros((lanes, width), U64)
    bits = 64 * width
    often = rng.choice([0.3, 1.0], lanes)
    for _ in range(policy.most_runs - 1):
        near = rng.integers(0, bits, lanes) & np.where(rng.random(lanes) < 0.5, -1, -64)
        flip = np.where(rng.random(lanes) < often, near, bits).astype(U64)
        rows ^= LanePages(np.zeros(lanes, U64), rows).masks(flip, U64(bits))
    return rows


# Operands


def draw_op(rng: np.random.Generator, rule: Rule, state: Bitmap, last: Drawn | None) -> Drawn:
    """Operands of `rule` for each lane; a quarter of them are those of the step before."""
    draw = DRAW[rule.operands](rng, state) if rule.operands is not At else _at(rng, rule, state)
    return _repeated(rng, draw, last)


def _repeated(rng: np.random.Generator, drawn: Drawn, last: Drawn | None) -> Drawn:
    if last is None or type(last.op) is not type(drawn.op) or drawn.words is not None:
        return drawn
    again = rng.random(len(next(iter(vars(drawn.op).values())))) < 0.25
    pairs = zip(vars(drawn.op).items(), vars(last.op).values(), strict=True)
    values = {name: np.where(again, old, new) for (name, new), old in pairs}
    return Drawn(type(drawn.op)(**values))


def frames(rng: np.random.Generator, s: Bitmap) -> Array:
    """Frames in the region, at its edges, at the edges of words and runs, or far away."""
    lanes = s.claimed.lanes
    first, pages = gfn(s.base), s.pages
    inside = first + (rng.random(lanes) * pages).astype(U64)
    step = rng.integers(-1, 2, lanes).astype(np.int64).astype(U64)
    word = first + ((inside - first) & ~U64(63)) + step
    edge = np.where(rng.random(lanes) < 0.5, first, first + pages) + step
    far = rng.integers(0, TOP_FRAME, lanes).astype(U64)
    top = np.full(lanes, U64(TOP_FRAME - 1))
    flip = next_flip(s, inside)
    kinds = [inside, word, edge, flip, flip + step, far, top]
    p = [0.3, 0.25, 0.2, 0.15, 0.05, 0.03, 0.02]
    drawn: Array = np.choose(rng.choice(len(kinds), lanes, p=p), kinds) & U64(TOP_FRAME - 1)
    return drawn


def next_flip(s: Bitmap, frame: Array) -> Array:
    """Where the run of pages alike ends that holds `frame`, or the region's end."""
    rows = s.claimed.rows
    before = rows << U64(1)
    before[:, 1:] |= rows[:, :-1] >> U64(63)
    end = gfn(s.base) + s.pages
    flips = (rows ^ before) & s.claimed.masks(frame + U64(1), end)
    word = np.argmax(flips != 0, axis=1)
    bits = flips[np.arange(len(rows)), word]
    place = np.bitwise_count((bits & (~bits + U64(1))) - U64(1)).astype(U64)
    found: Array = np.where(bits == 0, end, s.claimed.origin + U64(64) * word.astype(U64) + place)
    return found


def addresses(rng: np.random.Generator, drawn: Array) -> Array:
    """Byte addresses of frames, a few of them not on a page boundary."""
    odd = rng.choice(np.array([0, 1, 0x800, 0xFFF], U64), len(drawn), p=[0.94, 0.02, 0.02, 0.02])
    bytes_: Array = (drawn << U64(12)) | odd
    return bytes_


def _at(rng: np.random.Generator, rule: Rule, s: Bitmap) -> Drawn:
    drawn = frames(rng, s)
    if rule.name.endswith("2m"):
        lanes = len(drawn)
        # 2 MiB pages that fit are rare among frames drawn alike: half are drawn among them.
        low = gfn(s.base) + U64(PAGES_2M - 1) & ~U64(PAGES_2M - 1)
        end = gfn(s.base) + s.pages
        fit = np.where(end > low, (end - low) // U64(PAGES_2M), U64(0))
        chosen = low + U64(PAGES_2M) * (rng.random(lanes) * (fit + U64(1))).astype(U64)
        aligned = drawn & ~U64(PAGES_2M - 1)
        drawn = np.choose(rng.choice(3, lanes, p=[0.7, 0.2, 0.1]), [chosen, aligned, drawn])
        drawn &= U64(TOP_FRAME - 1)
    return Drawn(At(addresses(rng, drawn)))


def _between(rng: np.random.Generator, s: Bitmap) -> Drawn:
    lanes = s.claimed.lanes
    first = frames(rng, s)
    lengths = rng.choice(np.array([0, 1, 2, 63, 64, 65, 128, 512, 4096], U64), lanes)
    to_other = frames(rng, s)
    stop = np.where(rng.random(lanes) < 0.5, (first + lengths) & U64(TOP_FRAME - 1), to_other)
    low, high = np.minimum(first, stop), np.maximum(first, stop)
    reversed_ = rng.random(lanes) < 0.04
    many = s.claimed.rows.shape[1] >= MANY_WORDS
    whole = rng.random(lanes) < (0.4 if many else 0.08)
    one, two = np.where(reversed_, high, low), np.where(reversed_, low, high)
    one = np.where(whole, gfn(s.base), one)
    two = np.where(whole, gfn(s.base) + s.pages, two)
    return Drawn(Between(addresses(rng, one), addresses(rng, two)))


def _create(rng: np.random.Generator, s: Bitmap) -> Drawn:
    lanes, width = s.claimed.rows.shape
    pages = draw_pages(rng, lanes, width)
    base: Array = draw_base(rng, lanes, pages) << U64(12)
    cap = U64(s.policy.cap_pages)
    if cap <= U64(64 * width):
        # The most that is accepted, where the rows can hold it.
        pages = np.where(rng.random(lanes) < 0.1, cap, pages)
        base = np.minimum(base, (U64(LIMIT_FRAME) - pages) << U64(12))
    kind = rng.choice(6, lanes, p=[0.75, 0.05, 0.05, 0.05, 0.05, 0.05])
    far = U64(LIMIT_FRAME - 1) << U64(12)
    top = np.full(lanes, U64(0xFFFF_FFFF_FFFF_F000))
    bases: list[Array] = [base, base | U64(0x10), base, top, np.full(lanes, far), base]
    counts: list[Array] = [
        pages,
        pages,
        np.zeros(lanes, U64),
        pages,
        pages + U64(1),
        np.full(lanes, cap + U64(1)),
    ]
    flags = rng.random(lanes) < 0.5
    return Drawn(Create(np.choose(kind, bases), np.choose(kind, counts), flags))


def _fill(rng: np.random.Generator, s: Bitmap) -> Drawn:
    return Drawn(Fill(rng.random(s.claimed.lanes) < 0.5))


def _lengths(rng: np.random.Generator, s: Bitmap) -> Array:
    lanes, width = s.claimed.rows.shape
    right = word_count(s.pages)
    wrong = np.where(rng.random(lanes) < 0.5, right + U64(1), np.maximum(right, U64(1)) - U64(1))
    drawn = np.where(rng.random(lanes) < 0.85, right, wrong)
    lengths: Array = np.minimum(drawn, U64(width + 1))
    return lengths


def _export(rng: np.random.Generator, s: Bitmap) -> Drawn:
    return Drawn(Export(_lengths(rng, s)))


def _import(rng: np.random.Generator, s: Bitmap) -> Drawn:
    lanes, width = s.claimed.rows.shape
    rows = draw_rows(rng, lanes, width)
    slack = (rng.random(lanes) < 0.15)[:, None]
    inside = s.claimed.masks(s.claimed.origin, s.claimed.origin + s.pages)
    rows = np.where(slack, rows, rows & inside)
    rows = np.concatenate([rows, np.zeros((lanes, 1), U64)], axis=1)
    return Drawn(Import(_lengths(rng, s), LaneWords(rows)), rows)


DRAW: dict[type, Callable[[np.random.Generator, Bitmap], Drawn]] = {
    Between: _between,
    Create: _create,
    Fill: _fill,
    Export: _export,
    Import: _import,
}


# One lane on plain values


def plain_state(state: Bitmap, lane: int) -> Bitmap:
    """The state of one lane."""
    base, pages = int(state.base[lane]), int(state.pages[lane])
    return Bitmap(
        state.policy, base, pages, from_bytes(state.claimed.rows[lane].tobytes(), base >> 12)
    )


def plain_op(drawn: Drawn, lane: int) -> Any:
    """The operands of one lane."""
    op = drawn.op
    if isinstance(op, Import):
        length = int(op.length[lane])
        rows = drawn.words
        words = [] if rows is None else rows[lane, :length].tolist()
        return Import(length, ListedWords.of(words))
    values = {name: value[lane] for name, value in vars(op).items()}
    return type(op)(**{k: bool(v) if v.dtype == bool else int(v) for k, v in values.items()})
