"""What a judge of an SVSM is told once a step is taken, by the rules; and a way that was gone.

From these it is known which changes of what is said the rules would see.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import z3

from conformance.adapters.protocol import FAULT, GO_ON, STOPPED
from conformance.adapters.wire import Begin, Message, Now, Resume, Waits
from conformance.protocol import machines
from conformance.protocol.asked import Question
from conformance.protocol.calls import ASKED, BEFORE_ACCESS, CALLS, UNASKED, WAITING
from conformance.protocol.judge import HEADER
from conformance.protocol.oracle import inside
from conformance.protocol.places import Drawn
from spec.prove.world import Symbolic, record
from spec.rule import Rule, Step, changed, step, taken
from spec.terms import truth
from spec.validation import pvalidate
from spec.validation.svsm import Cpu, Did, Svsm

UNTOLD = -1
"""A refusal of which the rules do not say with which result."""


class Shown(NamedTuple):
    """What is to be seen of a step.

    kept: the stage and all that is remembered; None of a halted SVSM. read: what a request reads
    first. waits: what the vCPU asks next, where that leaves no choice. ended: the result of a call
    that is at its end. refused: whether a call was refused, where it tells.
    """

    kept: Any
    read: tuple[int, int] | None = None
    waits: tuple[Any, ...] | None = None
    ended: int | None = None
    refused: bool | None = None


def shown(rule: Rule, op: Any, did: Step) -> Shown:
    """What is to be seen of a step, and of those in the SVSM's own memory that follow."""
    state, vcpu, ended = did.state, getattr(op, "vcpu", None), _ended(rule, did)
    for _rule, _op, within in inside(state, vcpu) if vcpu is not None else ():
        state = within.state
        ended = int(within.value) if within.case == "by_itself" else ended
    if state.halted:
        return Shown(None)
    sets = (list(getattr(state, name).runs()) for name in ("claimed", "vmsas", "caas", "shared"))
    tells_it = rule.id in ASKED or rule.id in CALLS
    reads = rule.id == pvalidate.call.id and did.case not in BEFORE_ACCESS
    return Shown(
        kept=(int(state.stage), *sets),
        read=(op.rcx, HEADER.size) if reads else None,
        waits=None if vcpu is None else _waits(state, vcpu),
        ended=ended,
        refused=did.outcome == Did.REFUSED or bool(ended) if tells_it else None,
    )


def _ended(rule: Rule, did: Step) -> int | None:
    """The result with which a call comes to its end at a step, if it does."""
    refused = did.outcome == Did.REFUSED
    if rule.id == pvalidate.answer.id:
        return int(did.value) if refused or did.outcome == Did.DONE else None
    if refused and rule.id in (*CALLS, pvalidate.call.id):
        return int(did.value) or UNTOLD
    return None


def _waits(state: Svsm, vcpu: int) -> tuple[Any, ...] | None:
    name, here = WAITING.get(state.pc(vcpu), ""), machines.of(state)
    if name not in here.asks:
        return None
    op = here.silent(vcpu) if name.startswith("ask_") else Cpu(vcpu)
    question = here.asks[name](state, op)
    return question.kind, *question.arguments


def tells(right: Shown, other: Shown) -> bool:
    """Whether a judge who expects one thing sees another."""
    if right.kept is None or other.kept is None or right.kept != other.kept:
        return bool(right.kept != other.kept)
    if right.refused and not other.refused:
        return True
    if right.ended not in (None, UNTOLD):
        return other.ended not in (right.ended, UNTOLD)
    told = ((right.read, other.read), (right.waits, other.waits))
    return any(one is not None and one != another for one, another in told)


def answers(rule: Rule, before: Svsm, op: Any) -> Iterator[Step]:
    """What a step does in each case that some machine's answer would lead to from a state."""
    machine = record(Symbolic(), type(before.hw), "hw")
    on_any = rule(changed(before, hw=machine), op)
    for case in rule(before, op):
        if not z3.is_false(z3.simplify(truth(taken(on_any, case.name)))):
            yield Step(case.name, int(case.outcome), int(case.value), case.after)


@dataclass(frozen=True)
class Way:
    """Steps from a start to a case, and all that was said on it, with what was answered.

    before: the state before the last step. begun: the number of the first message of that.
    """

    start: Svsm
    steps: tuple[Drawn, ...]
    before: Svsm
    said: tuple[tuple[Message, Waits], ...]
    begun: int

    @property
    def rule(self) -> Rule:
        """The rule of the last step."""
        return self.steps[-1][0]

    @property
    def op(self) -> Any:
        """The operands of the last step."""
        return self.steps[-1][1]

    @cached_property
    def taken(self) -> Step:
        """What the last step does."""
        return step(self.rule, self.before, self.op)

    @cached_property
    def shown(self) -> Shown:
        """What is to be seen of the last step."""
        return shown(self.rule, self.op, self.taken)

    def question(self, op: Any) -> Question | None:
        """What the machine is asked for the last step, with some operands."""
        if self.rule.id == pvalidate.call.id:
            data = op.header.to_bytes(HEADER.size, "little")
            return Question("Read", (op.rcx, HEADER.size), lambda _step: data)
        if self.rule.id == pvalidate.answer.id:
            return Question("Write", ())
        ask = machines.of(self.before).asks.get(self.rule.name)
        return ask(self.before, op) if ask is not None else None

    # Numbers of messages; None where there is none

    @property
    def call(self) -> int | None:
        """That by which the last step was called."""
        return self._last(lambda one: isinstance(one, Begin | Now), self.begun)

    @property
    def told(self) -> int | None:
        """That by which the last step was told what came of what it asked."""
        return self._last(
            lambda one: isinstance(one, Resume) and one.status in (GO_ON, FAULT), self.begun
        )

    @property
    def asked(self) -> int | None:
        """That whose answer was the question that the last step stands for."""
        if self.rule.id == pvalidate.call.id:
            return self.call if self.shown.read or self.taken.case not in BEFORE_ACCESS else None
        silent = self.taken.outcome == Did.REFUSED and (self.rule.id, self.taken.case) in UNASKED
        gone = self.rule.id == pvalidate.answer.id and self.taken.case == "gone"
        if self.question(self.op) is None or silent or gone:
            return None
        return self._last(self._is_its, 0, self.begun)

    @property
    def latest(self) -> int | None:
        """The last one to the vCPU of the last step, or to the SVSM as a whole."""
        return self._last(self._is_its)

    def _is_its(self, message: Any) -> bool:
        if isinstance(message, Resume) and message.status == STOPPED:
            return False
        of = getattr(message, "vcpu", None)
        return isinstance(message, Begin | Resume | Now) and of == getattr(self.op, "vcpu", None)

    def _last(self, wanted: Any, first: int = 0, stop: int | None = None) -> int | None:
        listed = range(first, len(self.said) if stop is None else stop)
        return next((n for n in reversed(listed) if wanted(self.said[n][0])), None)
