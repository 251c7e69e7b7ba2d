"""The rules on arrays do in every lane what they do on plain values."""

from dataclasses import replace

import numpy as np
import pytest

from conformance.builtin import BUILTIN_POLICY
from conformance.draw import draw_op, draw_start, plain_op, plain_state
from conformance.lanes import LanePages, lane_step
from conformance.trace import expected_value
from spec.rule import Case, Rule, step
from spec.validation.bitmap import RULES, Policy
from spec.validation.outcomes import Outcome

POLICIES = (BUILTIN_POLICY, Policy(1 << 20, int(Outcome.SIZE_MISMATCH)))


@pytest.mark.parametrize("policy", POLICIES, ids=["mixed", "size_mismatch"])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_each_lane_takes_the_step_that_the_oracle_takes(rule, policy):
    rng = np.random.Generator(np.random.PCG64(7))
    cases = set()
    for width in (1, 20, 40):
        state = draw_start(rng, 100, width, policy)
        for _ in range(3):
            drawn = draw_op(rng, rule, state, None)
            done = lane_step(rule, state, drawn.op)
            for lane in range(100):
                before = plain_state(state, lane)
                right = step(rule, before, plain_op(drawn, lane))
                cases.add(right.case)
                assert done.names[done.case[lane]] == right.case
                assert done.outcome[lane] == right.outcome
                assert plain_state(done.state, lane) == right.state
                if right.outcome == Outcome.OK and done.words is None:
                    assert done.value[lane] == expected_value(right.value, before)
                if right.outcome == Outcome.OK and done.words is not None:
                    listed = expected_value(right.value, before)
                    assert tuple(done.words[lane][: len(listed)].tolist()) == listed
            state = done.state
    assert cases == set(done.names)


def test_a_mask_is_of_the_frames_asked():
    pages = LanePages(np.array([100, 100], np.uint64), np.zeros((2, 3), np.uint64))
    masks = pages.masks(np.array([99, 164], np.uint64), np.array([101, 400], np.uint64))
    assert masks[0].tolist() == [1, 0, 0]
    assert masks[1].tolist() == [0, (1 << 64) - 1, (1 << 64) - 1]


def test_each_question_about_a_set_is_answered_as_by_the_oracle():
    rng = np.random.Generator(np.random.PCG64(11))
    for width in (1, 3, 20):
        lanes = 200
        state = draw_start(rng, lanes, width, BUILTIN_POLICY)
        first, stop = (state.base >> np.uint64(12) for _ in range(2))
        first = first + rng.integers(0, 64 * width, lanes).astype(np.uint64)
        stop = stop + rng.integers(0, 64 * width + 1, lanes).astype(np.uint64)
        value = rng.random(lanes) < 0.5
        pages = state.claimed
        made = pages.with_range(first, stop, value)
        asked = [pages.has(first), pages.none(first, stop), pages.all(first, stop)]
        counts, lowest = pages.count(first, stop), pages.lowest_missing(first, stop)
        for lane in range(lanes):
            plain = plain_state(state, lane).claimed
            a, b = int(first[lane]), int(stop[lane])
            answers = [plain.has(a), plain.none(a, b), plain.all(a, b)]
            assert [bool(found[lane]) for found in asked] == answers
            assert counts[lane] == plain.count(a, b)
            assert plain.all(a, b) or lowest[lane] == plain.lowest_missing(a, b)
            after = plain_state(replace(state, claimed=made), lane).claimed
            assert after == plain.with_range(a, b, bool(value[lane]))


def test_a_step_that_takes_no_case_is_loud():
    def half(s, _op):
        return (Case("even", s.pages % np.uint64(2) == 0, Outcome.OK, s),)

    partial = Rule("test.half", object, RULES[0].source, half, 0)
    rng = np.random.Generator(np.random.PCG64(0))
    with pytest.raises(LookupError, match=r"test\.half"):
        lane_step(partial, draw_start(rng, 50, 2, BUILTIN_POLICY), None)
