"""A device beside the rules: each operation it yields is the one that the next step stands for.

The rule is executed on the oracle's state and says what the machine answers; the device is resumed
with that. What an SVSM does in its own memory between two operations are steps of the rules too;
they are taken at once, and then record and registries must agree.
"""

import struct
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from conformance.device import DeviceFault
from conformance.protocol import compiled, machines
from conformance.protocol.asked import TOLD_TO_TRY_AGAIN, Question
from conformance.protocol.calls import ASKED, BEFORE_ACCESS, CALLS, UNASKED, WAITING
from conformance.protocol.compiled import Program, Programs, own
from conformance.protocol.device import Ended, SvsmDevice
from conformance.protocol.oracle import MOVES, can
from spec.rule import Rule, Step
from spec.tables import BLOCK
from spec.validation import pvalidate, reboot
from spec.validation.svsm import Cpu, Did, Svsm

Reached = Counter[tuple[str, str]]
HEADER = struct.Struct("<HHI")
DONE, REFUSED, EXIT, HALTED = map(int, Did)
"""What a step did. Plain numbers: a member of an enumeration is slow to come by."""


class Differs(Exception):
    """The device is not where the rules are."""

    def __init__(self, field: str, expected: object, got: object) -> None:
        super().__init__(f"{field}: expected {expected}, got {got}")
        self.field, self.expected, self.got = field, expected, got


class Joint:
    """The oracle's state and the device, step by step.

    state: a copy of the joint's own, which each step changes.
    """

    def __init__(
        self,
        device: SvsmDevice,
        start: Svsm,
        reached: Reached | None = None,
        programs: Programs = compiled.program,
    ) -> None:
        """programs: how a rule comes to be executed on a state that is changed."""
        self.device, self.state = device, own(start)
        self.machine = machines.of(start)
        self.plans = plans(self.machine.name, programs)
        self.reached: Reached = Counter() if reached is None else reached
        self.header: dict[int, int] = {}
        self.last = Step("", 0, 0, start)
        self._call("reset", start)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.device, method)(*arguments)
        except Exception as error:
            raise DeviceFault(f"{method}: {type(error).__name__}: {error}") from error

    def can(self, rule: Rule, op: Any) -> bool:
        """Whether a step can be taken now."""
        return can(self.state, rule, op)

    def do(self, rule: Rule, op: Any) -> Step:
        """Take one step, which can be taken, on both.

        Raises: Differs, DeviceFault.
        """
        program, asks, begins, is_move = self.plans[rule.id]
        question = asks(self, op) if asks is not None else None
        taken = self.last = program(self.state, op)
        self.reached[rule.id, taken.case] += 1
        if is_move:
            return taken
        if question is not None:
            self._operated(rule, op.vcpu, taken, question)
        elif begins is not None:
            begins(self, rule, op, taken)
        self._settle(getattr(op, "vcpu", None))
        return taken

    def _same(self, field: str, expected: object, got: object) -> None:
        if expected != got:
            raise Differs(field, expected, got)

    # What begins

    def _called(self, _rule: Rule, op: Any, taken: Step) -> None:
        self._begin(op.vcpu, "pvalidate", "pvalidate", op.rcx)
        if taken.case in BEFORE_ACCESS:
            self._ended(op.vcpu, taken.value)
            return
        self._expect(op.vcpu, "Read", (op.rcx, 8))
        if taken.outcome == EXIT:
            self._call("drop", op.vcpu)
        elif taken.outcome == HALTED:
            self._call("fault", op.vcpu)
        else:
            self.header[op.vcpu] = op.header
            self._call("resume", op.vcpu, op.header.to_bytes(8, "little"))
            if taken.outcome == REFUSED:
                self._ended(op.vcpu, taken.value)

    def _begun(self, rule: Rule, op: Any, taken: Step) -> None:
        vcpu, *arguments = vars(op).values()
        if rule.id == reboot.reboot.id and taken.outcome == DONE:
            for other in tuple(self.device.work):
                self._call("drop", other)
        self._begin(vcpu, *CALLS[rule.id], *arguments)
        if taken.outcome == REFUSED:
            got = self.device.pending[vcpu]
            self._same("refused", True, isinstance(got, Ended) and got.result != 0)
            if taken.value:
                self._ended(vcpu, taken.value)

    def _begin(self, vcpu: int, *what: Any) -> None:
        """Begin work on a vCPU, which forgets what it was about to do."""
        if vcpu in self.device.work:
            self._call("drop", vcpu)
        self._call("begin", vcpu, *what)

    def _done_at_once(self, rule: Rule, op: Any, taken: Step) -> None:
        refused = self._call("ask", *ASKED[rule.id], *vars(op).values()) != 0
        self._same("refused", taken.outcome != DONE, refused)

    # What is asked of the machine

    def _expect(self, vcpu: int, kind: str, arguments: tuple[Any, ...]) -> None:
        pending = self.device.pending.get(vcpu)
        if pending != arguments or type(pending).__name__ != kind:
            raise Differs("operation", (kind, *arguments), _shown(pending))

    def _ended(self, vcpu: int, result: int) -> None:
        pending = self.device.pending.get(vcpu)
        got = pending.result if isinstance(pending, Ended) else pending
        self._same("result", result, got)

    def _operated(self, rule: Rule, vcpu: int, taken: Step, question: Question) -> None:
        if taken.outcome == REFUSED and (rule.id, taken.case) in UNASKED:
            return
        answers = rule.id == pvalidate.answer.id
        if answers and taken.case == "gone":
            self._ended(vcpu, taken.value)
            return
        self._expect(vcpu, question.kind, question.arguments)
        self._told(vcpu, taken, question)
        if answers and taken.outcome == DONE:
            self._ended(vcpu, taken.value)

    def _told(self, vcpu: int, taken: Step, question: Question) -> None:
        """Have the device know what came of what it asked."""
        if taken.outcome == EXIT:
            if question.kind in TOLD_TO_TRY_AGAIN:
                self._call("resume", vcpu, question.answer(taken))
                self._expect(vcpu, question.kind, question.arguments)
            return
        # An instruction that is run, and says what only tampering explains, is answered so; an
        # access that cannot be made faults.
        if taken.outcome == HALTED and taken.case != "unchanged":
            self._call("fault", vcpu)
        else:
            self._call("resume", vcpu, question.answer(taken))

    def _written_back(self, op: Any) -> Question:
        """The header is written back, with what was reserved in it as it was."""
        cpus, reserved = self.state.cpus, self.header.get(op.vcpu, 0) >> 32
        counts = cpus.entries.at(op.vcpu), cpus.next.at(op.vcpu)
        return Question("Write", (cpus.block.at(op.vcpu), HEADER.pack(*counts, reserved)))

    # What is remembered

    def _settle(self, vcpu: int | None) -> None:
        """Take the steps in the SVSM's own memory that follow, then compare what is remembered."""
        state, svsm = self.state, self.device.svsm
        works = vcpu is not None and not state.halted
        touched = state.cpus.first.at(vcpu) if works else 0
        if works and state.cpus.pc.at(vcpu) in self.machine.inside:
            self._take_inside(vcpu)
        if state.halted != svsm.halted:
            raise Differs("halted", bool(state.halted), bool(svsm.halted))
        if state.stage != svsm.stage:
            raise Differs("stage", state.stage, int(svsm.stage))
        if works and not state.halted:
            large = state.cpus.large.has(vcpu)
            for frame in (touched, touched + BLOCK - 1) if large else (touched,):
                mine = state.claimed.has(frame)
                if mine != svsm.record.has(frame):
                    raise Differs(f"claimed[{frame:#x}]", mine, not mine)

    def _take_inside(self, vcpu: Any) -> None:
        state, memory = self.state, self.machine.inside
        while not state.halted and (next_of := memory.get(state.pc(vcpu))) is not None:
            found = next_of(state, vcpu)
            if found is None:
                return
            rule, op = found
            taken = self.plans[rule.id].program(state, op)
            self.reached[rule.id, taken.case] += 1
            if taken.case == "by_itself":
                self._ended(vcpu, taken.value)

    def about_to(self, vcpu: int) -> None:
        """Compare the operation that a vCPU waits for, where its next step leaves no choice.

        Raises: Differs.
        """
        name = WAITING.get(self.state.pc(vcpu))
        ask = self.machine.asks.get(name) if name else None
        if ask is not None:
            op = self.machine.silent(vcpu) if str(name).startswith("ask_") else Cpu(vcpu)
            question = ask(self.state, op)
            self._expect(vcpu, question.kind, question.arguments)

    def compare(self) -> None:
        """Compare all that is remembered, and what each vCPU is about to do.

        Raises: Differs.
        """
        svsm, state = self.device.svsm, self.state
        if state.halted:
            return
        for vcpu in self.device.pending:
            self.about_to(vcpu)
        self._same("claimed", state.claimed.bounds, self._call("claimed").bounds)
        for name in ("vmsas", "caas", "shared"):
            mine = {f for a, b in getattr(state, name).runs() for f in range(a, b)}
            self._same(name, mine, set(getattr(svsm, name)))


Begins = Callable[[Joint, Rule, Any, Step], None]
Asks = Callable[[Joint, Any], Question]
_BEGINS: Mapping[str, Begins] = {
    pvalidate.call.id: Joint._called,
    **dict.fromkeys(CALLS, Joint._begun),
    **dict.fromkeys(ASKED, Joint._done_at_once),
}
"""How a device is told of a step for which the machine is asked nothing, by the rule's id."""


class Plan(NamedTuple):
    """What becomes of a rule's steps.

    program: its own. asks: what the machine is asked for it. begins: how the device is told of it
    where nothing is. is_move: it is the host's or the guest's own.
    """

    program: Program
    asks: Asks | None
    begins: Begins | None
    is_move: bool


class Plans(dict[str, Plan]):
    """The plan of each rule on a machine, by its id, made when it is first looked for."""

    def __init__(self, machine: str, programs: Programs) -> None:
        super().__init__()
        self.here, self.programs = machines.MACHINES[machine], programs

    def __missing__(self, rule_id: str) -> Plan:
        rule = next(rule for rule in self.here.rules if rule.id == rule_id)
        begins, is_move = _BEGINS.get(rule_id), rule_id.startswith(MOVES)
        program = self.programs(rule, self.here.state)
        made = self[rule_id] = Plan(program, _asks(self.here, rule), begins, is_move)
        return made


@cache
def plans(machine: str, programs: Programs) -> Plans:
    """The plans for a machine: the same ones whenever they are looked for."""
    return Plans(machine, programs)


def _asks(here: machines.Machine, rule: Rule) -> Asks | None:
    if rule.id == pvalidate.answer.id:
        return Joint._written_back
    ask = here.asks.get(rule.name)
    return (lambda joint, op: ask(joint.state, op)) if ask is not None else None


def _shown(pending: Any) -> object:
    if isinstance(pending, tuple):
        return (type(pending).__name__, *pending)
    if isinstance(pending, Ended):
        return f"ended with {pending.result:#x}"
    return "nothing" if pending is None else repr(pending)
