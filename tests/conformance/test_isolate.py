"""A device that dies or does not come to an end is told of, and takes nothing else down."""

import os
import time

import pytest

from conformance.isolate import DeviceCrash, in_child


def test_what_a_child_answers_is_answered():
    assert in_child(pow, 2, 10) == 1024


def test_what_a_child_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        in_child(divmod, 1, 0)


def test_a_child_that_dies_is_a_crash_that_names_the_signal():
    with pytest.raises(DeviceCrash, match="SIGABRT"):
        in_child(os.abort)


def test_a_child_that_does_not_end_is_killed():
    began = time.monotonic()
    with pytest.raises(DeviceCrash, match="did not come to an end within 2 s"):
        in_child(time.sleep, 600, seconds=2.0)
    assert time.monotonic() - began < 60
