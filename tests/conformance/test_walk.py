"""Walks agree with the rules, find what is wrong, and make it small."""

from collections import Counter
from dataclasses import replace
from typing import ClassVar

import pytest

from conformance.doors import doors
from conformance.guard import guarded
from conformance.trace import judge
from conformance.walk import shrink, walk
from spec.pages import ListedPages
from spec.validation import bitmap as b
from tests.conformance.broken import ONE_STEP, POLICY, Faithful, Forgets, LostTail, ShortRange

RULES = b.RULES


def test_walks_of_the_rules_themselves_find_nothing(capfd):
    result = walk(Faithful, RULES, 0, 150, doors(POLICY))
    assert result.findings == []
    assert result.examples == 150
    assert result.steps == sum(result.reached.values()) > 300
    assert len(result.reached) > 40
    assert capfd.readouterr() == ("", "")


def test_walks_without_doors_reach_most_cases():
    reached = walk(Faithful, RULES, 0, 300, ()).reached
    assert len(reached) > 45


@pytest.mark.parametrize("device", ONE_STEP, ids=lambda d: d.__name__)
def test_walks_find_a_broken_device_and_shrink_it(device, capfd):
    # What a seed draws depends on the constants in the modules that are loaded: a few are tried.
    tried = (walk(device, RULES, seed, 400, doors(POLICY)).findings for seed in range(4))
    found = next((findings for findings in tried if findings), [])
    assert len(found) == 1
    start, steps, finding = found[0]
    assert len(steps) == 1
    assert finding.step == 0
    assert judge(start, steps, guarded(device())) == finding
    assert capfd.readouterr() == ("", "")


def test_walks_make_the_region_small():
    start, steps, _ = walk(LostTail, RULES, 3, 300, doors(POLICY)).findings[0]
    assert (start.pages, start.base, start.claimed.bounds) == (1, 0, ())
    assert steps == [(b.fill, b.Fill(True))]
    start, steps, _ = walk(ShortRange, RULES, 3, 300, doors(POLICY)).findings[0]
    assert steps == [(b.claim_range, b.Between(0, 65 << 12))]
    assert start.pages == 65


def test_walks_find_what_needs_two_steps():
    mine = [b.claim_4k, b.release_4k]
    _, steps, finding = walk(Forgets, mine, 0, 300, doors(POLICY)).findings[0]
    assert [rule.name for rule, _ in steps] == ["release_4k", "claim_4k"]
    assert finding.field == "outcome"


def test_walks_are_the_same_for_the_same_seed():
    def told(seed):
        result = walk(Faithful, RULES, seed, 40, doors(POLICY))
        return result.steps, result.reached

    assert told(5) == told(5)
    assert told(5) != told(6)
    assert walk(Forgets, RULES, 2, 200).findings == walk(Forgets, RULES, 2, 200).findings


def test_walks_leave_out_what_is_not_claimed():
    device = Faithful()
    device.claims = frozenset({"validation.bitmap.fill"})
    assert set(walk(lambda: device, RULES, 0, 20, doors(POLICY)).reached) == {
        ("validation.bitmap.fill", "filled")
    }
    device.claims = frozenset()
    assert walk(lambda: device, RULES, 0, 20).examples == 0


def test_walks_of_a_device_that_answers_at_random_still_end_in_a_finding():
    class Fickle(Faithful):
        count: ClassVar = Counter()

        def observe(self):
            self.count["asked"] += 1
            shown = super().observe()
            return replace(shown, pages=7) if self.count["asked"] % 13 == 0 else shown

    assert len(walk(Fickle, RULES, 0, 100).findings) == 1


def test_shrink_makes_a_long_trace_short():
    claimed = ListedPages().with_range(0x907, 0x930, True).with_range(0x980, 0x9A0, True)
    start = b.Bitmap(POLICY, 0x900000, 700, claimed)
    steps = [(b.query, b.At(0x900000 + 0x1000 * n)) for n in range(40)]
    steps += [(b.claim_range, b.Between(0x9A0000, 0xA50000)), (b.fill, b.Fill(True))]
    for device in (LostTail, ShortRange):
        found = shrink(device, start, steps)
        assert found is not None
        assert len(found[1]) == 1
        assert found[0].claimed.bounds == ()
        assert found[0].base == 0
        assert judge(found[0], found[1], device()) == found[2]


def test_shrink_keeps_the_steps_that_are_needed():
    start = b.Bitmap(POLICY, 0x900000, 700, ListedPages().with_range(0x900, 0x910, True))
    steps = [(b.release_4k, b.At(0x900000 + 0x1000 * n)) for n in range(9)]
    steps += [(b.claim_4k, b.At(0x904000))]
    _, small, _ = shrink(Forgets, start, steps)
    assert [rule.name for rule, _ in small] == ["release_4k", "claim_4k"]


def test_shrink_of_a_trace_that_shows_nothing_is_nothing():
    start = b.Bitmap(POLICY, 0, 64, ListedPages())
    assert shrink(Faithful, start, [(b.fill, b.Fill(True))]) is None
