"""Checks as a step summary: Markdown for the page of a build on GitHub."""

from collections import Counter
from collections.abc import Sequence

from conformance.report.checks import Check
from conformance.report.words import line

MOST_TOLD = 20
MOST_TEXT = 300
ESCAPED = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+-.!|~&@:"})
SHAPES = {"passed": "✓", "failed": "✕", "error": "!", "skipped": "–"}


def summary(title: str, checks: Sequence[Check], exit_code: int) -> str:
    """The Markdown: a row for each suite, and what did not pass."""
    holds = "holds" if exit_code == 0 else "does NOT hold"
    lines = [f"### svsm-conformance {_plain(title)}: {holds}, exit {exit_code}", ""]
    lines += ["| suite | passed | failed | errors | not claimed |", "|---|--:|--:|--:|--:|"]
    for suite in dict.fromkeys(check.suite for check in checks):
        states = Counter(check.state for check in checks if check.suite == suite)
        cells = (states[s] for s in ("passed", "failed", "error", "skipped"))
        lines.append(f"| {_plain(suite)} | {' | '.join(map(str, cells))} |")
    wrong = [check for check in checks if check.state in ("failed", "error")]
    lines += [""] if wrong else []
    for check in wrong[:MOST_TOLD]:
        what = f"{SHAPES[check.state]} **{_plain(check.word)}** {_plain(check.id)}"
        lines.append(f"- {what}: {_plain(check.says)}")
        if check.again:
            lines.append(f"  <br>{_plain(check.citation)}; again: {_plain(check.again)}")
    if len(wrong) > MOST_TOLD:
        lines.append(f"- and {len(wrong) - MOST_TOLD} more")
    return "\n".join((*lines, "", ""))


def _plain(text: str) -> str:
    """A text in one line of which nothing is markup, and not too long."""
    shown = line(text)
    cut = shown if len(shown) <= MOST_TEXT else f"{shown[:MOST_TEXT]} ..."
    return cut.translate(ESCAPED)
