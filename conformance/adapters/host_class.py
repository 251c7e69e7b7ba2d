"""Somebody's class of Python behind messages; see `conformance.adapters.host`.

Whatever it raises is told with the step at which it did. What it is asked depends on the rules that
it claims: of a record of pages, of the stages of the handoff, of MMIO, of an SVSM, or of several.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

from conformance.adapters.class_protocol import ClassSvsm
from conformance.adapters.found import GROUPS, RECORDS
from conformance.adapters.host import Pipe, Serve
from conformance.adapters.host_machine import Bus, asking
from conformance.adapters.vcpus import NoSvsm, Vcpus
from conformance.adapters.wire import (
    VERSION,
    Answer,
    Begin,
    Call,
    Called,
    Choices,
    Greeting,
    Machine,
    Message,
    Now,
    Play,
    Played,
    Resume,
    Stage,
    Staged,
    Started,
    State,
    Svsm,
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


Failed = (DeviceFault, NoSvsm)
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
    claims, name = _claims(made), str(made.name)
    parts = [PARTS[group](made, claims, pipe) for group in _groups(claims) or ("record",)]
    told = {field: value for part in parts for field, value in part.told.items()}
    answers = {kind: answer for part in parts for kind, answer in part.answers.items()}

    def answer(asked: Any) -> Message:
        if type(asked) not in answers:
            raise DeviceFault(f"is not asked {type(asked).__name__} for what it claims")
        return answers[type(asked)](asked)

    return Greeting(VERSION, name, claims, **told, binary=True), answer


class Part(NamedTuple):
    """What a device is for one group of rules.

    told: what its greeting says of it. answers: what answers each kind of message.
    """

    told: Mapping[str, Any]
    answers: Mapping[type[Message], Callable[[Any], Message]]


def _groups(claims: list[str]) -> list[str]:
    """The groups that claims are of; bitmap and runs are one."""
    found = [group for group, begins in GROUPS.items() if any(i.startswith(begins) for i in claims)]
    return list(dict.fromkeys("record" if group in RECORDS else group for group in found))


def _claims(made: Any) -> list[str]:
    absent = [member for member in ("name", "claims") if not hasattr(made, member)]
    if absent:
        raise NotUsable(f"has no {', '.join(absent)}; see the README")
    return sorted(map(str, made.claims))


# A record of pages


def _record(made: Any, _claimed: list[str], _pipe: Pipe) -> Part:
    if not isinstance(made, Device):
        absent = [m for m in MEMBERS if not hasattr(made, m)]
        raise NotUsable(f"has no {', '.join(absent)}; see the README")
    device, policy, ids = guarded(made), made.policy, rules()
    as_runs = policy.most_runs != ANY_RUNS
    told = NAMES.get(policy.mixed_2m, str(policy.mixed_2m))
    choices = Choices(policy.cap_pages, told, policy.most_runs)
    group = "runs" if as_runs else "bitmap"

    def answer(asked: Play) -> Message:
        if asked.start is not None:
            edges = tuple(edge for run in asked.start.claimed for edge in run)
            chosen = replace(policy, most_runs=asked.start.most_runs)
            start = Bitmap(chosen, asked.start.base, asked.start.pages, ListedPages(edges))
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

    return Part({group: choices}, {Play: answer})


def _said(shown: Bitmap) -> State:
    claimed: Any = shown.claimed
    return State(shown.base, shown.pages, list(claimed.runs()), shown.policy.most_runs)


# The handoff


def _stages(made: Any, claims: list[str], _pipe: Pipe) -> Part:
    from conformance.handoff.calls import RULES

    needed = [stage for stage, ids in RULES.items() if set(ids) & set(claims)]
    absent = [stage for stage in needed if not hasattr(made, stage)]
    if absent:
        raise NotUsable(f"has no {', '.join(absent)}; see conformance/handoff/device.py")

    return Part({}, {Stage: lambda asked: _staged(made, asked.call)})


def _staged(made: Any, told: Any) -> Message:
    import msgspec

    from conformance.handoff.calls import Call
    from conformance.handoff.device import ask

    call: Call = msgspec.convert(told, Call)
    name, value = ask(made, call)
    return Staged(name, value)


# MMIO


def _machines(made: Any, _claimed: list[str], pipe: Pipe) -> Part:
    from conformance.mmio.world import SETTINGS, Setting
    from spec.mmio.state import Answer as Refusals

    absent = [member for member in ("backends", "start") if not hasattr(made, member)]
    if absent:
        raise NotUsable(f"has no {', '.join(absent)}; see conformance/mmio/device.py")
    settings = {s.backend: s for s in SETTINGS if not s.trapped}
    names = {-int(answer): answer.name for answer in Refusals}
    there: dict[int, Any] = {}
    ask = asking(pipe)

    def begun(asked: Machine) -> Message:
        like = settings[asked.backend].machine
        machine = replace(
            like, limit=asked.limit, buffer=asked.buffer_gpa, shared_bit=asked.shared_bit
        )
        there[asked.number] = _safely(
            "start", made.start, Setting(asked.backend, machine), Bus(ask, asked)
        )
        return Started()

    def called(asked: Call) -> Message:
        if asked.number not in there:
            raise DeviceFault(f"there is no machine {asked.number}")
        machine = there[asked.number]
        got = _safely(asked.name, lambda: getattr(machine, asked.name)(*asked.arguments))
        open_ = [(slot, *told) for slot, told in _safely("slots", machine.slots).items()]
        if isinstance(got, bytes | bytearray):
            return Called("OK", open_, bytes(got))
        if isinstance(got, bool) or not isinstance(got, int):
            raise DeviceFault(
                f"{asked.name} answered {got!r:.60}, which is neither number nor bytes"
            )
        return Called("OK", open_, got) if got >= 0 else Called(names.get(got, got), open_)

    backends = sorted(set(made.backends) & set(settings))
    return Part({"backends": backends}, {Machine: begun, Call: called})


# An SVSM


def _svsm(made: Any, _claimed: list[str], _pipe: Pipe) -> Part:
    if not hasattr(made, "svsm"):
        raise NotUsable("has no svsm; see conformance/adapters/class_protocol.py")
    vcpus = Vcpus(lambda ask: ClassSvsm(made, ask))
    return Part({}, dict.fromkeys((Svsm, Begin, Resume, Now), vcpus.answer))


PARTS: Mapping[str, Callable[[Any, list[str], Pipe], Part]] = {
    "record": _record,
    "handoff": _stages,
    "mmio": _machines,
    "protocol": _svsm,
}
"""What a device is for each group."""


def _safely(name: str, function: Any, *arguments: Any) -> Any:
    """What somebody's function answers.

    Raises: DeviceFault where it raises anything.
    """
    try:
        return function(*arguments)
    except Exception as error:
        raise DeviceFault(f"{name} raised {type(error).__name__}: {error}") from error
