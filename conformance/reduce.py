"""Making a trace that parts from the rules smaller, one plain attempt after another.

An attempt is kept where the same field of the same rule still parts and the trace weighs less.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from conformance.device import Device
from conformance.strategies import COUNTS
from conformance.trace import Finding, judge
from spec.pages import ListedPages, ListedWords
from spec.rule import Rule, hints, kind, step
from spec.terms import MASK, Bits, WordTable
from spec.validation.bitmap import PAGE_2M, PAGE_4K, PAGE_SHIFT, Bitmap

ATTEMPTS = 2000
"""How many traces are tried at most."""
FEW_RUNS = 16
"""A set of more runs than these is first cut by halves."""

Step = tuple[Rule, Any]
Parted = tuple[Bitmap, list[Step], Finding]
"""A start, the steps from it, and the difference that the last of them shows."""
Attempt = tuple[Bitmap, list[Step]]


def reduce(parted: Parted, device: Device) -> Parted:
    """The smallest trace found by attempts on `parted` that shows the same on `device`."""
    best = parted
    left = ATTEMPTS
    better = True
    while better and left > 0:
        better = False
        for start, steps in _attempts(best):
            if weight((start, steps)) >= weight(best):
                continue
            left -= 1
            finding = judge(start, steps, device)
            if finding is not None and _same(finding, best[2]):
                best, better = (start, steps[: finding.step + 1], finding), True
                break
            if left <= 0:
                break
    return best


def weight(parted: Attempt | Parted) -> tuple[int, ...]:
    """What makes a trace large, the worst first."""
    start, steps = parted[0], parted[1]
    runs = _runs(start)
    claimed_pages = sum(stop - first for first, stop in runs)
    sizes = sum(_size(op) for _, op in steps)
    return (len(steps), len(runs), start.pages, claimed_pages, start.base, sizes)


def _runs(start: Bitmap) -> list[tuple[int, int]]:
    claimed: Any = start.claimed
    return list(claimed.runs())


def _size(op: Any) -> int:
    """The sum of an operand record's numbers: their bytes, pages, bits."""
    values = vars(op).values()
    tables = (v.listed for v in values if isinstance(v, ListedWords))
    bits = sum(word.bit_count() for table in tables for _, word in table)
    span = max(0, op.stop - op.first) if hasattr(op, "stop") else 0
    return bits + span + sum(int(v) for v in values if isinstance(v, int))


def _same(finding: Finding, wanted: Finding) -> bool:
    return (finding.rule, finding.field) == (wanted.rule, wanted.field)


def _attempts(parted: Parted) -> Iterator[Attempt]:
    start, steps, _ = parted
    yield from _later_starts(start, steps)
    yield from ((start, fewer) for fewer in _fewer(steps))
    yield from _plainer_starts(start, steps)
    for place, (rule, op) in enumerate(steps):
        for plainer in _plainer_operands(rule, op, start):
            yield start, [*steps[:place], (rule, plainer), *steps[place + 1 :]]


def _later_starts(start: Bitmap, steps: Sequence[Step]) -> list[Attempt]:
    """The states that the rules pass through and the steps left from there, the last first."""
    later: list[Attempt] = []
    state = start
    for place, (rule, op) in enumerate(steps[:-1], 1):
        state = step(rule, state, op).state
        later.append((state, list(steps[place:])))
    return later[::-1]


def _fewer(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """`steps` without a stretch of them, long stretches first; the last step stays."""
    size = (len(steps) - 1) // 2 or 1
    while size and len(steps) > 1:
        for place in range(0, len(steps) - 1, size):
            yield [*steps[:place], *steps[min(place + size, len(steps) - 1) :]]
        size //= 2


def _plainer_starts(start: Bitmap, steps: list[Step]) -> Iterator[Attempt]:
    first, stop = start.span()
    runs = _runs(start)
    size = len(runs)
    while size:
        for place in range(0, len(runs), size):
            claimed = start.claimed
            for a, b in runs[place : place + size]:
                claimed = claimed.with_range(a, b, False)
            yield replace(start, claimed=claimed), steps
        size = size // 2 if len(runs) <= FEW_RUNS or size > len(runs) // FEW_RUNS else 0
    yield replace(start, claimed=ListedPages().with_range(first, stop, True)), steps
    before, behind = _used(start, steps)
    for pages in sorted({1, 2, 64, 65, 512, 513, 1024, behind, start.pages // 2, start.pages - 1}):
        if 0 < pages < start.pages:
            kept = start.claimed.with_range(first + pages, stop, False)
            yield replace(start, pages=pages, claimed=kept), steps
    for pages in sorted({1, start.pages - before, start.pages // 2, start.pages - 1}):
        if 0 < pages < start.pages:
            yield _without_head(start, steps, pages)
    for base in (0, PAGE_4K, start.base % PAGE_2M, PAGE_2M):
        if base < start.base:
            yield _moved(start, steps, start.base - base)
    for a, b in runs[:FEW_RUNS]:
        for kept_stop in (a + 1, (a + b) // 2, b - 1):
            if a < kept_stop < b:
                yield replace(start, claimed=start.claimed.with_range(kept_stop, b, False)), steps


def _used(start: Bitmap, steps: Sequence[Step]) -> tuple[int, int]:
    """The pages of the region before the first address that a step names, and before the last."""
    named = [getattr(op, name) for rule, op in steps for name in _addresses(rule)]
    pages = [(address - start.base) >> PAGE_SHIFT for address in named if address >= start.base]
    return min(pages, default=0), max(pages, default=0)


def _without_head(start: Bitmap, steps: list[Step], pages: int) -> Attempt:
    """The same trace in the last `pages` of the region, which begin where all of it began."""
    first, _ = start.span()
    gone = start.pages - pages
    rest = start.claimed.with_range(first, first + gone, False)
    base = start.base + gone * PAGE_4K
    return _moved(replace(start, base=base, pages=pages, claimed=rest), steps, gone * PAGE_4K)


def _moved(start: Bitmap, steps: list[Step], down_bytes: int) -> Attempt:
    """The same trace `down_bytes` lower: the region, its set, and every address in it."""
    frames = down_bytes >> PAGE_SHIFT
    claimed = ListedPages(tuple(edge - frames for run in _runs(start) for edge in run))
    moved = [(rule, _lower(rule, op, down_bytes)) for rule, op in steps]
    return replace(start, base=start.base - down_bytes, claimed=claimed), moved


def _addresses(rule: Rule) -> list[str]:
    marks = hints(rule.operands)
    wide = [
        n for n, mark in marks.items() if isinstance(found := kind(mark), Bits) and found.width > 1
    ]
    return [name for name in wide if name not in COUNTS]


def _lower(rule: Rule, op: Any, down_bytes: int) -> Any:
    names = _addresses(rule)
    return replace(op, **{name: (getattr(op, name) - down_bytes) & MASK for name in names})


def _plainer_operands(rule: Rule, op: Any, start: Bitmap) -> Iterator[Any]:
    for name in _addresses(rule):
        value = getattr(op, name)
        pages = (value - start.base) >> PAGE_SHIFT
        nearer = [
            start.base,
            start.base + PAGE_4K * (pages // 2),
            value - PAGE_4K,
            PAGE_2M,
            PAGE_4K,
            0,
        ]
        yield from (replace(op, **{name: n}) for n in nearer if 0 <= n < value)
    if hasattr(op, "stop") and op.first + PAGE_4K < op.stop:
        middle = (op.first + (op.stop - op.first) // 2) & ~(PAGE_4K - 1)
        for first, stop in (
            (op.first, op.first + PAGE_4K),
            (op.stop - PAGE_4K, op.stop),
            (op.first, middle),
            (middle, op.stop),
            (op.first + PAGE_4K, op.stop),
        ):
            yield replace(op, first=first, stop=stop)
    for name, annotation in hints(rule.operands).items():
        value = getattr(op, name)
        if name in COUNTS:
            yield from (
                replace(op, **{name: n})
                for n in (0, 1, 64, value // 2, value - 1)
                if 0 <= n < value
            )
        if isinstance(kind(annotation), WordTable):
            for skipped in value.listed[:FEW_RUNS]:
                rest = tuple(entry for entry in value.listed if entry != skipped)
                yield replace(op, **{name: ListedWords(rest)})
