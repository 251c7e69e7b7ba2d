"""Running a device in a process of its own, so that its crash or hang is a verdict about it.

A crash takes only that process down. The step that caused it is looked for afterwards, in further
processes, among the doors: halves of them are tried until one step is left.
"""

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from conformance.codec import encode
from conformance.device import DeviceFault, find_device
from conformance.doors import Door, doors
from conformance.trace import Finding, Trace, decoded, judge
from spec.rule import step
from spec.validation.bitmap import Policy

PR_SET_PDEATHSIG = 1
# What one replay, or the doors of one rule after another, may take at the most.
DOORS_SECONDS, REPLAY_SECONDS = 60.0, 120.0


class DeviceCrash(DeviceFault):
    """The process that ran the device died."""


class Run(threading.local):
    """What the threads of one run have in common: whether it was interrupted.

    What dies then has not crashed, and no process is started any more.
    """

    stopped = threading.Event()


RUN = Run()


def take_part(stopped: threading.Event) -> None:
    """Make the calling thread one of a run's."""
    RUN.stopped = stopped


def stop_all(stopped: threading.Event) -> None:
    """End every child of this process, and have a run's threads start none in its place."""
    stopped.set()
    for child in multiprocessing.active_children():
        child.terminate()


def in_child(function: Callable[..., Any], *arguments: Any, seconds: float | None = None) -> Any:
    """What `function` answers in a fresh process.

    seconds: how long it may take; then it is killed.

    Raises: DeviceCrash where the process died or was killed; KeyboardInterrupt where the run was
    interrupted; else whatever the function raises.
    """
    if RUN.stopped.is_set():
        raise KeyboardInterrupt
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, context, _outlived_by_none, (os.getpid(),))
    answered = False
    try:
        pending = pool.submit(function, *arguments)
        child = next(iter(pool._processes.values()), None)
        if RUN.stopped.is_set() and child is not None:
            # It was started while the others were ended.
            child.kill()
        answer = pending.result(seconds)
        answered = True
        return answer
    except TimeoutError as error:
        if child is not None:
            child.kill()
        raise DeviceCrash(f"the device did not come to an end within {seconds:.0f} s") from error
    except BrokenProcessPool as error:
        if RUN.stopped.is_set():
            raise KeyboardInterrupt from error
        raise DeviceCrash(f"the device's process died{_how(child)}") from error
    finally:
        # A process that has answered ends at once; one that hangs is not waited for.
        pool.shutdown(wait=answered, cancel_futures=True)


def _outlived_by_none(parent: int) -> None:
    """This process is killed when the thread that started it is no more."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _how(child: Any) -> str:
    if child is None:
        return ""
    child.join(timeout=5)
    code = child.exitcode
    if code is None or code >= 0:
        return f" (exit code {code})"
    return f" ({signal.Signals(-code).name})"


def replay_in_child(trace: Trace, device: str, place: str) -> Finding | None:
    """`conformance.trace.replay` in a fresh process; its death is a finding."""
    try:
        return in_child(_replay, trace, device, place, seconds=REPLAY_SECONDS)  # type: ignore[no-any-return]
    except DeviceCrash as crash:
        start, steps = decoded(trace, place)
        state = start
        for rule, op in steps[:-1]:
            state = step(rule, state, op).state
        return _crashed(state, *steps[-1], str(crash), len(steps) - 1)


def _replay(trace: Trace, device: str, place: str) -> Finding | None:
    start, steps = decoded(trace, place)
    return judge(start, steps, find_device(device)())


def _try_doors(device: str, policy: Policy, rules: frozenset[str], first: int, stop: int) -> None:
    made = find_device(device)()
    for door in doors(policy, rules)[first:stop]:
        judge(door.start, [(door.rule, door.op)], made)


def crashing_door(device: str, policy: Policy, rules: Sequence[str]) -> tuple[Door, Finding] | None:
    """A door whose step makes the device's process die, and the finding; None if none does."""
    named = frozenset(rules)
    opened = doors(policy, named)
    first, stop = 0, len(opened)
    crash = _crash(device, policy, named, first, stop)
    if crash is None:
        return None
    while stop - first > 1:
        middle = (first + stop) // 2
        earlier = _crash(device, policy, named, first, middle)
        if earlier is not None:
            stop, crash = middle, earlier
        else:
            first = middle
    door = opened[first]
    alone = _crash(device, policy, named, first, stop)
    return None if alone is None else (door, _crashed(door.start, door.rule, door.op, alone, 0))


def _crash(device: str, policy: Policy, rules: frozenset[str], first: int, stop: int) -> str | None:
    try:
        in_child(_try_doors, device, policy, rules, first, stop, seconds=DOORS_SECONDS)
    except DeviceCrash as crash:
        return str(crash)
    return None


def _crashed(state: Any, rule: Any, op: Any, said: str, place: int) -> Finding:
    right = step(rule, state, op)
    return Finding(
        step=place,
        rule=rule.id,
        case=right.case,
        field="fault",
        expected="an answer",
        got=said,
        before=encode(state),
        op=encode(op),
        expected_state=encode(right.state),
    )
