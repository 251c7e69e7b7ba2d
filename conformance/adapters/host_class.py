"""Somebody's class of Python behind messages; see `conformance.adapters.host`.

Whatever it raises is told with the step at which it did. Which rules it is for, its members tell: a
record of pages, the stages of the handoff, or MMIO.
"""

import sys
from dataclasses import replace
from importlib import import_module
from typing import Any

from conformance.adapters.host import Pipe, Serve
from conformance.adapters.host_machine import Bus, asking
from conformance.adapters.wire import (
    VERSION,
    Answer,
    Call,
    Called,
    Choices,
    Greeting,
    Machine,
    Message,
    Play,
    Played,
    Stage,
    Staged,
    Started,
    State,
)
from conformance.codec import decode
from conformance.device import MEMBERS, Device, DeviceFault
from conformance.guard import guarded
from spec.catalogue import rules
from spec.pages import ListedPages
from spec.validation.bitmap import ANY_RUNS, Bitmap
from spec.validation.outcomes import Outcome


class NotUsable(Exception):
    """There is no such device; one line."""


Failed = DeviceFault
NAMES = {int(outcome): outcome.name for outcome in Outcome}


def opened(target: str, pipe: Pipe) -> tuple[Greeting, Serve]:
    """A class's greeting, and what answers for one made of it.

    Raises: NotUsable.
    """
    module, _, attribute = target.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        made = getattr(import_module(module), attribute)()
    except Exception as error:
        # Importing or making somebody's device runs their code, which may raise anything.
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise NotUsable(f"could not be started: {said}") from error
    claims = _claims(made)
    if hasattr(made, "carve"):
        return _stages(made, claims)
    return _machines(made, claims, pipe) if hasattr(made, "start") else _record(made, claims)


def _claims(made: Any) -> list[str]:
    absent = [member for member in ("name", "claims") if not hasattr(made, member)]
    if absent:
        raise NotUsable(f"has no {', '.join(absent)}; see the README")
    return sorted(map(str, made.claims))


# A record of pages


def _record(made: Any, claims: list[str]) -> tuple[Greeting, Serve]:
    if not isinstance(made, Device):
        absent = [m for m in MEMBERS if not hasattr(made, m)]
        raise NotUsable(f"has no {', '.join(absent)}; see the README")
    device, policy, ids = guarded(made), made.policy, rules()
    as_runs = policy.most_runs != ANY_RUNS
    told = NAMES.get(policy.mixed_2m, str(policy.mixed_2m))
    choices = Choices(policy.cap_pages, told, policy.most_runs)
    group = "runs" if as_runs else "bitmap"
    greeting = Greeting(VERSION, str(made.name), claims, **{group: choices}, binary=True)  # type: ignore[arg-type]

    def answer(asked: Any) -> Message:
        if not isinstance(asked, Play):
            raise DeviceFault(f"a record of pages is not asked {type(asked).__name__}")
        if asked.start is not None:
            edges = tuple(edge for run in asked.start.claimed for edge in run)
            start = Bitmap(policy, asked.start.base, asked.start.pages, ListedPages(edges))
            device.reset(start)
        answers: list[Answer] = []
        for step in asked.steps:
            rule = ids[f"validation.{group}.{step.rule}"]
            try:
                did = device.apply(rule.id, decode(rule.operands, step.op))
                shown = device.observe()
            except DeviceFault as fault:
                return Played(answers, str(fault))
            value = list(did.value) if isinstance(did.value, tuple) else did.value
            state = _said(shown)
            answers.append(Answer(NAMES.get(did.outcome, did.outcome), state, value))
        return Played(answers)

    return greeting, answer


def _said(shown: Bitmap) -> State:
    claimed: Any = shown.claimed
    return State(shown.base, shown.pages, list(claimed.runs()), shown.policy.most_runs)


# The handoff


def _stages(made: Any, claims: list[str]) -> tuple[Greeting, Serve]:
    from conformance.handoff.draw import DRAWS

    absent = [stage for stage in DRAWS if not hasattr(made, stage)]
    if absent:
        raise NotUsable(f"has no {', '.join(absent)}; see conformance/handoff/device.py")

    def answer(asked: Any) -> Message:
        if not isinstance(asked, Stage):
            raise DeviceFault(f"the handoff is not asked {type(asked).__name__}")
        return _staged(made, asked.call)

    return Greeting(VERSION, str(made.name), claims, binary=True), answer


def _staged(made: Any, told: Any) -> Message:
    import msgspec

    from conformance.handoff.calls import Call
    from conformance.handoff.device import ask

    call: Call = msgspec.convert(told, Call)
    name, value = ask(made, call)
    return Staged(name, value)


# MMIO


def _machines(made: Any, claims: list[str], pipe: Pipe) -> tuple[Greeting, Serve]:
    from conformance.mmio.world import SETTINGS, Setting
    from spec.mmio.state import Answer as Refusals

    if not hasattr(made, "backends"):
        raise NotUsable("has no backends; see conformance/mmio/device.py")
    settings = {s.backend: s for s in SETTINGS if not s.trapped}
    names = {-int(answer): answer.name for answer in Refusals}
    there: dict[int, Any] = {}
    ask = asking(pipe)

    def begun(asked: Machine) -> Message:
        like = settings[asked.backend].machine
        machine = replace(
            like, limit=asked.limit, buffer=asked.buffer_gpa, shared_bit=asked.shared_bit
        )
        there[asked.number] = _safely(made.start, Setting(asked.backend, machine), Bus(ask, asked))
        return Started()

    def called(asked: Call) -> Message:
        if asked.number not in there:
            raise DeviceFault(f"there is no machine {asked.number}")
        machine = there[asked.number]
        got = _safely(getattr(machine, asked.name), *asked.arguments)
        open_ = [(slot, *told) for slot, told in _safely(machine.slots).items()]
        if isinstance(got, bytes | bytearray):
            return Called("OK", open_, bytes(got))
        if isinstance(got, bool) or not isinstance(got, int):
            raise DeviceFault(
                f"{asked.name} answered {got!r:.60}, which is neither number nor bytes"
            )
        return Called("OK", open_, got) if got >= 0 else Called(names.get(got, got), open_)

    def answer(asked: Any) -> Message:
        match asked:
            case Machine():
                return begun(asked)
            case Call():
                return called(asked)
        raise DeviceFault(f"MMIO is not asked {type(asked).__name__}")

    backends = sorted(set(made.backends) & set(settings))
    greeting = Greeting(VERSION, str(made.name), claims, backends=backends, binary=True)
    return greeting, answer


def _safely(function: Any, *arguments: Any) -> Any:
    """What somebody's function answers.

    Raises: DeviceFault where it raises anything.
    """
    try:
        return function(*arguments)
    except Exception as error:
        said = f"{getattr(function, '__name__', 'a call')} raised {type(error).__name__}: {error}"
        raise DeviceFault(said) from error
