"""A trace at whose second step the devices of these tests do what they do."""

from conformance.adapters.process import Limits
from spec.catalogue import rules
from spec.pages import ListedPages
from spec.validation.bitmap import At, Between, Bitmap

START = 0x10_0000
FEW = Limits(answer_seconds=2.0, resident=256 << 20, processes=16)


def traces(policy):
    """A start, and three steps of which the second claims 100 pages."""
    area = "validation.bitmap"
    named = {rule.name: rule for rule in rules().values() if rule.id.startswith(area)}
    start = Bitmap(policy, START, 200, ListedPages())
    steps = [
        (named["claim_4k"], At(START)),
        (named["claim_range"], Between(START + 0x1000, START + 0x1000 * 101)),
        (named["query"], At(START)),
    ]
    return start, steps
