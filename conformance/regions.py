"""Traces on the very regions of a machine's memory map, large as they are."""

import random
from collections.abc import Sequence
from typing import Any

from conformance.trace import Steps
from spec.pages import ListedPages
from spec.rule import Rule
from spec.validation.bitmap import (
    PAGE_2M,
    PAGE_4K,
    At,
    Between,
    Bitmap,
    Create,
    Export,
    Fill,
    Policy,
    word_count,
)

STEPS = 24
LARGE_WORDS = 4096


def region_trace(
    base: int, pages: int, policy: Policy, rules: Sequence[Rule], seed: int
) -> tuple[Bitmap, Steps]:
    """A start without a region, the region's creation, and steps near its edges and inside it."""
    rng = random.Random(f"{seed} {base} {pages}")
    by_name = {rule.name: rule for rule in rules}
    steps: list[tuple[Rule, Any]] = []
    if "create" in by_name:
        steps.append((by_name["create"], Create(base, pages, False)))
        start = Bitmap(policy, 0, 0, ListedPages())
    else:
        start = Bitmap(policy, base, pages, ListedPages())
    usable = [r for r in rules if r.operands in (At, Between, Fill)]
    words = word_count(pages)
    if "export_words" in by_name and words <= LARGE_WORDS:
        steps.append((by_name["export_words"], Export(words)))
    for _ in range(STEPS if usable else 0):
        rule = rng.choice(usable)
        steps.append((rule, _operands(rng, rule, base, pages)))
    return start, steps


def _operands(rng: random.Random, rule: Rule, base: int, pages: int) -> Any:
    end = base + pages * PAGE_4K
    places = [base, end, base + PAGE_4K * rng.randrange(pages), base + PAGE_2M * rng.randrange(8)]
    first = rng.choice(places) + PAGE_4K * rng.choice([-1, 0, 0, 1, 63, 64])
    if rule.operands is Fill:
        return Fill(rng.random() < 0.5)
    if rule.operands is At:
        aligned = first - first % PAGE_2M if rule.name.endswith("2m") else first
        return At(max(0, aligned))
    stop = rng.choice([end, first + PAGE_4K * rng.choice([1, 64, 512, 100_000]), first])
    return Between(max(0, first), max(0, stop))
