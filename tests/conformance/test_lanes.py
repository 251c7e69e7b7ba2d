"""The rules on arrays do in every lane what they do on plain values."""

import numpy as np
import pytest

from conformance.builtin import BUILTIN_POLICY
from conformance.draw import draw_op, draw_start, plain_op, plain_state
from conformance.lanes import LanePages, lane_step
from conformance.trace import expected_value
from spec.rule import step
from spec.validation.bitmap import RULES, Policy
from spec.validation.outcomes import Outcome

POLICIES = (BUILTIN_POLICY, Policy(1 << 20, int(Outcome.SIZE_MISMATCH)))


@pytest.mark.parametrize("policy", POLICIES, ids=["mixed", "size_mismatch"])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_each_lane_takes_the_step_that_the_oracle_takes(rule, policy):
    rng = np.random.Generator(np.random.PCG64(7))
    cases = set()
    for width in (1, 20, 40):
        state = draw_start(rng, 60, width, policy)
        for _ in range(3):
            drawn = draw_op(rng, rule, state, None)
            done = lane_step(rule, state, drawn.op)
            for lane in range(60):
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
    assert len(cases) > 1 or rule.name == "fill"


def test_a_mask_is_of_the_frames_asked():
    pages = LanePages(np.array([100, 100], np.uint64), np.zeros((2, 3), np.uint64))
    masks = pages.masks(np.array([99, 164], np.uint64), np.array([101, 400], np.uint64))
    assert masks[0].tolist() == [1, 0, 0]
    assert masks[1].tolist() == [0, (1 << 64) - 1, (1 << 64) - 1]
