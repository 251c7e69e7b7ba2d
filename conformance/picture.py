"""A difference as a picture: the pages before the step, as expected, as the device has them.

One column is one page. Rows show the pages around those that the step asks for and those that
differ; a long stretch is shown around its edges and around the first pages that differ.
"""

import itertools
from pathlib import Path
from typing import Any

from conformance.aims import asked
from conformance.codec import decode
from conformance.trace import Finding
from spec.catalogue import SUBJECTS, rules
from spec.invariant import Claim, Moment
from spec.validation.bitmap import PAGE_SHIFT, Bitmap, gfn
from spec.validation.outcomes import Outcome

WIDTH_COLUMNS = 100
LABEL_COLUMNS = 10
MARGIN_PAGES = 3
TICK_PAGES = 8

Glyphs = tuple[str, str, str, str, str]
"""A claimed page, an unclaimed one, one outside the region, the asked mark, the differing mark."""
BLOCKS: Glyphs = ("█", "░", " ", "─", "▲")
PLAIN: Glyphs = ("#", ".", " ", "-", "^")


def describe(finding: Finding, trace_path: Path | str) -> str:
    """What went wrong, by which rule it is wrong, and the command that shows it again."""
    rule = rules()[finding.rule]
    case = f".{finding.case}" if finding.case else ""
    return "\n".join(
        (
            f"step {finding.step}: {finding.rule}{case}: {finding.field} differs",
            f"operands: {_operands(finding)}",
            f"expected: {finding.expected}",
            f"got: {finding.got}",
            f"at stake: {', '.join(at_stake(finding)) or 'the answer itself'}",
            f"source: {rule.source}",
            f"replay: svsm-conformance replay {trace_path}",
        )
    )


def at_stake(finding: Finding) -> tuple[str, ...]:
    """The invariants that the step breaks if what the device answered and shows is taken for true.

    Looked at at the edges of what was asked and of what is claimed; none where no state was shown.
    """
    if finding.got_state is None or not finding.case:
        return ()
    rule = rules()[finding.rule]
    before, op = decode(Bitmap, finding.before), decode(rule.operands, finding.op)
    shown = decode(Bitmap, finding.got_state)
    cases = rule(before, op)
    right = next(case for case in cases if case.name == finding.case)
    told = Outcome.__members__.get(finding.got) if finding.field == "outcome" else None
    answered = int(right.outcome if told is None else told)
    # A wrong outcome makes another sort of step of it: an acceptance of what is to be refused.
    alike = [case for case in cases if int(case.outcome) == answered]
    case = right if right in alike or not alike else alike[-1]
    seen = Moment(rule, before, op, answered, _value(finding, right.value), shown)
    edges = {
        *before.claimed.bounds,
        *shown.claimed.bounds,
        *before.span(),
        *(asked(rule, op) or ()),
    }
    near = sorted({p for edge in edges for p in (edge - 1, edge) if p >= 0})[:200]
    subject = next(subject for subject in SUBJECTS if rule in subject.rules)
    spoken = [i for i in subject.invariants if i.suppose is None and i.speaks_of(rule, case)]
    return tuple(i.name for i in spoken if not all(_holds(i.sentence(seen, p)) for p in near))


def _value(finding: Finding, right: Any) -> Any:
    """The value that the device answered, where that is a number and differs."""
    is_number = finding.field == "value" and finding.got.isalnum()
    return int(finding.got, 0) if is_number else right


def _holds(said: Any) -> bool:
    return bool(not said.given or all(said.conclusions)) if isinstance(said, Claim) else bool(said)


def _operands(finding: Finding) -> str:
    def shown(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int):
            text = str(value)
            return text if len(text) <= 60 else f"{text[:57]}..."
        return hex(value) if value > 9 else str(value)

    return ", ".join(f"{name}={shown(value)}" for name, value in finding.op.items())


def strip(finding: Finding, ascii: bool = False) -> str:
    """The page strip of a difference, at most 100 columns wide, its lines without a final one."""
    glyphs = PLAIN if ascii else BLOCKS
    before: Bitmap = decode(Bitmap, finding.before)
    expected: Bitmap = decode(Bitmap, finding.expected_state)
    got: Bitmap | None = None
    if finding.got_state is not None:
        got = decode(Bitmap, finding.got_state)
    pages = _asked_pages(finding)
    differing = () if got is None else _differing(expected, got)
    first, stop = _window(before, expected, pages, differing)
    columns = range(first, stop)
    rows = [
        ("before", _row(before, columns, glyphs)),
        ("expected", _row(expected, columns, glyphs)),
        ("got", "not shown" if got is None else _row(got, columns, glyphs)),
        ("asked", _marks(columns, (pages,) if pages else (), glyphs[3])),
        ("differs", _marks(columns, differing, glyphs[4])),
        ("page", _axis(columns, expected)),
    ]
    drawn = [f"{label:<{LABEL_COLUMNS}}{row}".rstrip() for label, row in rows]
    place = f"first column: frame {first:#x}, byte address {first << PAGE_SHIFT:#x}"
    key = f"{glyphs[0]} claimed  {glyphs[1]} unclaimed; one column is one page of 4 KiB"
    return "\n".join((*drawn, place, key))


Span = tuple[int, int]


def _asked_pages(finding: Finding) -> Span | None:
    rule = rules()[finding.rule]
    span = asked(rule, decode(rule.operands, finding.op))
    if span is None:
        return None
    first, stop = (gfn(edge) for edge in span)
    return (first, stop) if first < stop else (first, first + 1)


def _differing(expected: Bitmap, got: Bitmap) -> tuple[Span, ...]:
    """The runs of frames that are claimed in one of the two and not in the other."""
    edges = sorted({*expected.claimed.bounds, *got.claimed.bounds})
    return tuple(
        (a, b)
        for a, b in itertools.pairwise(edges)
        if expected.claimed.has(a) != got.claimed.has(a)
    )


def _window(
    before: Bitmap, expected: Bitmap, pages: Span | None, differing: tuple[Span, ...]
) -> Span:
    """The frames to show: those that differ first of all, then what else there is room for."""
    room = WIDTH_COLUMNS - LABEL_COLUMNS
    region = (expected if expected.pages else before).span()
    spans = [differing[0]] if differing else [pages or region]
    spans += [*differing[1:], *([pages] if pages else []), region]
    first, stop = spans[0][0], min(spans[0][1], spans[0][0] + room - 2 * MARGIN_PAGES)
    for low, high in spans[1:]:
        # A span too far away to be shown whole is left out, or shown as far as there is room.
        grown = min(first, low), max(stop, high)
        if grown[1] - grown[0] + 2 * MARGIN_PAGES <= room:
            first, stop = grown
    first = max(0, first - MARGIN_PAGES)
    return first, min(stop + MARGIN_PAGES, first + room)


def _row(state: Bitmap, columns: range, glyphs: Glyphs) -> str:
    first, stop = state.span()
    claimed, unclaimed, outside, *_ = glyphs

    def glyph(page: int) -> str:
        # A claim outside the region is what must be seen, so it is looked at first.
        if state.claimed.has(page):
            return claimed
        return unclaimed if first <= page < stop else outside

    return "".join(map(glyph, columns))


def _marks(columns: range, spans: tuple[Span, ...], mark: str) -> str:
    return "".join(mark if any(a <= page < b for a, b in spans) else " " for page in columns)


def _axis(columns: range, state: Bitmap) -> str:
    """Numbers of pages in the region, each beginning below its page."""
    base, stop = state.span()
    text = ""
    for page in columns:
        number = str(page - base)
        fits = len(text) <= page - columns.start and page - columns.start + len(number) <= len(
            columns
        )
        if (page - base) % TICK_PAGES == 0 and base <= page <= stop and fits:
            text = text.ljust(page - columns.start) + number + " "
    return text
