"""What walks are made of: regions, operands and steps, drawn where implementations go wrong.

Regions end beside a word's edge more often than not, and their runs of claimed pages start and
stop at edges. Operands are drawn by the mark on their field: near the edges of the region, of its
runs, of words and of 2 MiB pages, at the ends of the 64-bit space, and from what was asked before.

All is drawn as small integers from 0, the plainest choice, and computed from those: building
Hypothesis strategies from strategies for every operand takes ten times as long as the steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from conformance.aims import ON_2M, SMALL_CREATE_PAGES
from conformance.doors import Door
from spec.pages import ListedPages, ListedWords
from spec.rule import Rule, hints, kind, step
from spec.terms import MASK, Bits, WordTable
from spec.validation.bitmap import (
    LIMIT_GFN,
    PAGE_2M,
    PAGE_4K,
    PAGE_SHIFT,
    WORD_PAGES,
    Bitmap,
    Policy,
    gfn,
    word_count,
)

MOST_PAGES = 1300
"""The most pages of a drawn region: a 2 MiB page fits at any offset, and a bit more."""
COUNTS = ("pages", "length")
"""Operands that count; every other 64-bit operand is a byte address."""

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[Any]], Any]
Step = tuple[Rule, Any]


@dataclass(frozen=True)
class Bounds:
    """How far what is drawn may go: `pages` of a region, `steps` of a walk."""

    pages: int = MOST_PAGES
    steps: int = 12


@st.composite
def walks(
    draw: Draw, rules: Sequence[Rule], policy: Policy, doors: Sequence[Door], limits: Bounds
) -> tuple[Bitmap, list[Step]]:
    """A start, and steps of `rules` from it; where the start is a door, it is gone through."""
    steps: list[Step] = []
    if doors and draw(st.booleans()):
        door = _one(draw, doors)
        start = state = door.start
        steps.append((door.rule, door.op))
        state = step(door.rule, state, door.op).state
    else:
        start = state = _region(draw, policy, limits.pages)
    # A zero ends the walk, so that leaving steps out is what shrinking does first.
    while len(steps) < limits.steps and (not steps or _upto(draw, 9) != 0):
        rule = _one(draw, rules)
        op = _operands(draw, rule, state, steps)
        steps.append((rule, op))
        state = step(rule, state, op).state
    return start, steps


def _upto(draw: Draw, most: int) -> int:
    number: int = draw(st.integers(0, most))
    return number


def _one(draw: Draw, items: Sequence[T]) -> T:
    """One of `items`; the first is the plainest."""
    return items[_upto(draw, len(items) - 1)]


# Regions


def _region(draw: Draw, policy: Policy, most_pages: int) -> Bitmap:
    pages = _size(draw, min(most_pages, policy.cap_pages))
    furthest = LIMIT_GFN - pages
    match _upto(draw, 3):
        case 0:
            base = _upto(draw, 1024)
        case 1:
            base = max(0, (_upto(draw, furthest >> 9) << 9) + _one(draw, (0, 1, -1, 2, -2)))
        case 2:
            base = _upto(draw, furthest)
        case _:
            base = furthest
    base = min(base, furthest)
    claimed = _claimed(draw, base, pages)
    # An even number of boundaries makes whole runs; of so many there is room.
    room = (policy.most_runs - 1) & ~1
    return Bitmap(policy, base << PAGE_SHIFT, pages, ListedPages(claimed.bounds[:room]))


def _size(draw: Draw, most: int) -> int:
    """A number of pages from 1 to `most`, mostly at, before or behind a word's edge."""
    if _upto(draw, 3) == 0:
        return 1 + _upto(draw, most - 1)
    words = _upto(draw, -(-most // WORD_PAGES))
    return min(max(1, WORD_PAGES * words + _one(draw, (0, 1, -1))), most)


def _claimed(draw: Draw, base: int, pages: int) -> ListedPages:
    claimed = ListedPages()
    if _upto(draw, 3) == 3:
        claimed = claimed.with_range(base, base + pages, True)
    for _ in range(_upto(draw, 4)):
        first, stop = sorted((_page(draw, pages), _page(draw, pages)))
        claimed = claimed.with_range(base + first, base + stop, not claimed.has(base + first))
    return claimed


def _page(draw: Draw, pages: int) -> int:
    """A page number from 0 to `pages`, mostly beside an edge of the region or of a word."""
    match _upto(draw, 3):
        case 0:
            page = _one(draw, (0, 1, 2))
        case 1:
            page = pages - _one(draw, (0, 1, 2))
        case 2:
            page = WORD_PAGES * _upto(draw, pages // WORD_PAGES) + _one(draw, (0, 1, -1))
        case _:
            page = _upto(draw, pages)
    return min(max(0, page), pages)


# Operands


def _operands(draw: Draw, rule: Rule, state: Bitmap, before: Sequence[Step]) -> Any:
    """Operands of `rule` near what `state` has edges of, or those of an earlier step again."""
    again = [op for _, op in before if type(op) is rule.operands]
    if again and _upto(draw, 4) == 4:
        return _one(draw, again)
    values: dict[str, Any] = {}
    for name, annotation in hints(rule.operands).items():
        match kind(annotation):
            case Bits(1):
                values[name] = draw(st.booleans())
            case Bits() if name == "length":
                values[name] = _length(draw, state)
            case Bits() if name == "pages":
                values[name] = _pages_to_track(draw, state.policy)
            case Bits():
                values[name] = _address(draw, rule, state, before, tuple(values.values()))
            case WordTable():
                values[name] = _words(draw, state, values["length"])
            case mark:
                raise ValueError(f"{rule.id}: no way to draw operand {name!r}, marked {mark!r}")
    return rule.operands(**values)


def _length(draw: Draw, state: Bitmap) -> int:
    right: int = word_count(state.pages)
    wrong: tuple[int, ...] = (0, max(0, right - 1), right + 1, state.pages // 8 + 1, 1)
    return int(_one(draw, wrong)) if _upto(draw, 3) == 3 else right


def _pages_to_track(draw: Draw, policy: Policy) -> int:
    if _upto(draw, 3) != 3:
        return _size(draw, min(policy.cap_pages, MOST_PAGES))
    cap = policy.cap_pages
    most = (cap,) if cap <= SMALL_CREATE_PAGES else ()
    refused = [n for n in (cap + 1, LIMIT_GFN, LIMIT_GFN + 1, 1 << 52, 1 << 58, MASK) if n > cap]
    return int(_one(draw, (0, *refused, *most)))


def _address(
    draw: Draw, rule: Rule, state: Bitmap, before: Sequence[Step], earlier: tuple[int, ...]
) -> int:
    """A byte address; behind `earlier` operands of the same step, mostly one not far on."""
    first, stop = int(state.base), int(state.end)
    size = PAGE_2M if rule.name in ON_2M else PAGE_4K
    choice = _upto(draw, 9)
    if earlier and choice < 5:
        on = (1, 2, 3, 62, 63, 64, 65, 128, 512, 513)
        pages = _one(draw, on) if choice < 3 else _upto(draw, state.pages)
        behind: int = (earlier[-1] + PAGE_4K * pages) & MASK
        return behind
    if choice < 6:
        return _inside(draw, state, size)
    if choice < 8:
        claimed: Any = state.claimed
        edges = claimed.bounds[:64] or state.span()
        edge: int = _one(draw, edges)
        return (((edge << PAGE_SHIFT) & -size) + size * _one(draw, (0, -1, 1))) & MASK
    if choice == 8:
        at = _one(draw, (first, stop, _inside(draw, state, size)))
        off = (1, -1, PAGE_4K, -PAGE_4K, size, -size, size // 2, 1 << 63)
        return (at + _one(draw, off)) & MASK
    asked = (value for _, op in before[-3:] for value in vars(op).values())
    far = (0, MASK, MASK - size + 1, MASK - 2 * size + 1, 1 << 63, 1 << 52, (1 << 52) - size)
    return _one(draw, (*far, *(value for value in asked if type(value) is int)))


def _inside(draw: Draw, state: Bitmap, size: int) -> int:
    if size == PAGE_4K:
        return int(state.base + PAGE_4K * _page(draw, state.pages))
    lowest, highest = -(-int(state.base) // size), int(state.end) // size
    return size * (lowest + _upto(draw, max(0, highest - lowest)))


def _words(draw: Draw, state: Bitmap, length: int) -> ListedWords:
    """Words for a region: as it hands them out, or drawn, sometimes with a slack bit set."""
    spare = state.pages % WORD_PAGES
    if draw(st.booleans()):
        claimed: Any = state.claimed
        words = list(claimed.packed(gfn(state.base)).first(length))
    else:
        pattern = [_word(draw) for _ in range(1 + _upto(draw, 3))]
        words = (pattern * (length // len(pattern) + 1))[:length]
    if words and spare:
        slack = _one(draw, (0, 0, 0, 1 << spare, 1 << 63))
        words[-1] = (words[-1] & ((1 << spare) - 1)) | slack
    return ListedWords.of(words)


def _word(draw: Draw) -> int:
    if draw(st.booleans()):
        return _upto(draw, MASK)
    bit = _upto(draw, 63)
    return _one(draw, (0, MASK, 1 << bit, MASK ^ ((1 << bit) - 1), MASK ^ (1 << bit)))
