"""Whatever a device does is a verdict with its step, and nothing is left running afterwards."""

import os
import signal
import time
from collections import Counter

import pytest
from traces import FEW, traces

from conformance.adapters import found
from conformance.adapters.link import GivenUp
from conformance.trace import judge

MISDEEDS = {
    "crash": ("*(volatile int *)8 = 1", "died of SIGSEGV"),
    "abort": ("abort()", "died of SIGABRT"),
    "exit": ("_exit(3)", "ended with exit code 3"),
    "hang": ("for (;;) ;", "did not answer within 2 s"),
    "sleep": ("pause()", "did not answer within 2 s"),
    "killed": ("kill(getpid(), 9)", "died of SIGKILL"),
    "memory": (
        "for (;;) memset(malloc(1 << 20), 1, 1 << 20), usleep(1000)",
        "took more than 256 MiB of memory",
    ),
    "fork bomb": (
        "for (int n = 0; n < 400; n++) if (!fork()) for (;;) pause(); for (;;) pause()",
        "started more than 16 processes",
    ),
    "closed pipe": (
        "for (int d = 3; d < 64; d++) close(d); for (;;) pause()",
        "closed its end of the pipe and went on running",
    ),
    "garbage": ("for (int d = 3; d < 64; d++) write(d, garbage, 64)", "message"),
    "endless output": (
        "for (;;) for (int d = 3; d < 64; d++) write(d, garbage, 64)",
        "message",
    ),
    "escapes": (
        "if (!fork()) { setsid(); if (!fork()) for (;;) pause(); _exit(0); } abort()",
        "died of SIGABRT",
    ),
    "a large file": (
        'int d = creat("svsm-large", 0600); unlink("svsm-large"); '
        "for (;;) write(d, garbage, 64 << 20)",
        "died of SIGXFSZ: it wrote a file of more than",
    ),
}


@pytest.mark.parametrize("name", MISDEEDS)
def test_each_misdeed_is_a_verdict_that_names_its_step(compiled, left_running, name):
    deed, says = MISDEEDS[name]
    spec = f"c:{compiled('misdeeds.c', DEED=deed)}"
    device = found.record(spec)
    device.link.limits = FEW
    finding = judge(*traces(device.policy), device)
    assert (finding.field, finding.step, finding.rule) == (
        "fault",
        1,
        "validation.bitmap.claim_range",
    )
    assert says in finding.got
    # The run goes on with the next trace.
    start, steps = traces(device.policy)
    reached = Counter()
    assert judge(start, steps[::2], device, reached) is None
    assert sum(reached.values()) == 2
    device.link.end()
    assert not left_running()


@pytest.mark.slow
def test_a_device_that_ends_too_often_is_given_up(compiled):
    device = found.record(f"c:{compiled('misdeeds.c', DEED='abort()')}")
    start, steps = traces(device.policy)
    with pytest.raises(GivenUp, match="has ended 24 times"):
        for _ in range(30):
            assert judge(start, steps, device).got == "died of SIGABRT"


def test_a_code_that_leads_nowhere_is_loud(compiled):
    device = found.record(f"c:{compiled('flat.c', ALREADY='77')}")
    start, steps = traces(device.policy)
    finding = judge(start, [steps[0], steps[0]], device)
    assert (finding.field, finding.step) == ("fault", 1)
    assert "answered the code 77, which is no outcome" in finding.got


def test_a_device_whose_suite_is_gone_is_gone_too(compiled, left_running):
    path = compiled("flat.c")
    pid = os.fork()
    if not pid:
        device = found.record(f"c:{path}")
        judge(*traces(device.policy), device)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    until = time.monotonic() + 5
    while left_running() and time.monotonic() < until:
        time.sleep(0.05)
    assert not left_running()
