"""Somebody's class of Python behind messages; see `conformance.adapters.host`.

Whatever it raises is told with the step at which it did. Which rules it is for, its members tell: a
record of pages, or the stages of the handoff.
"""

import sys
from importlib import import_module
from typing import Any

from conformance.adapters.host import Pipe, Serve
from conformance.adapters.wire import (
    VERSION,
    Answer,
    Choices,
    Greeting,
    Message,
    Play,
    Played,
    Stage,
    Staged,
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


def opened(target: str, _pipe: Pipe) -> tuple[Greeting, Serve]:
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
    return _stages(made, claims) if hasattr(made, "carve") else _record(made, claims)


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
