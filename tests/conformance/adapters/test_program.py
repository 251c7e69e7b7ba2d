"""A program that speaks is a device; one that does not, or not any more, is told of in one line."""

import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest
from traces import FEW, traces

from conformance.adapters import found
from conformance.device import DeviceError
from conformance.doors import doors
from conformance.trace import judge

SPEAKER = Path(__file__).with_name("speaker.py")


def named(*arguments):
    return f"program:{shlex.join([sys.executable, str(SPEAKER), *arguments])}"


def test_a_program_that_speaks_json_agrees_with_the_rules():
    device = found.record(named())
    reached = Counter()
    for rule in ("claim_range", "import_words", "create"):
        for door in doors(device.policy, frozenset((f"validation.bitmap.{rule}",))):
            if door.start.pages < 10_000 and getattr(door.op, "pages", 0) < 10_000:
                assert judge(door.start, [(door.rule, door.op)], device, reached) is None
    assert len(reached) > 10
    device.link.end()


MISDEEDS = {
    "exits": "ended with exit code 3",
    "hangs": "did not answer within 2 s",
    "closes": "closed its end of the pipe and went on running",
    "garbage": "said 'what was the question?', which is no message",
    "endless": "said more than 64 MiB in one message",
    "other": "answered with started where it was asked for played",
}


@pytest.mark.parametrize("wrong", MISDEEDS)
def test_each_misdeed_of_a_program_is_a_verdict_that_names_its_step(wrong):
    device = found.record(named(wrong))
    device.link.limits = FEW
    start, steps = traces(device.policy)
    finding = judge(start, steps, device)
    assert (finding.field, finding.step) == ("fault", 1)
    assert MISDEEDS[wrong] in finding.got
    assert judge(start, steps[::2], device) is None
    device.link.end()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            named("at once"),
            "ended with exit code 1; it said: I need a licence; see docs/adapters.md",
        ),
        (named("version"), "speaks version 9 of the messages, this is 1; build it for 1"),
        ("program:true", "ended with exit code 0; see docs/adapters.md"),
        ("program:cat", "which is no message"),
        ("program:no-such-program --x", "there is no program 'no-such-program' that can be run"),
        ("program:'", "No closing quotation"),
        ("program: ", "names no program to run"),
    ],
)
def test_a_program_that_is_no_device_is_told_of_in_one_line(spec, says):
    with pytest.raises(DeviceError) as told:
        found.specs(spec)
    assert says in str(told.value)
    assert "\n" not in str(told.value)
