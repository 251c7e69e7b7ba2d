"""A device beside the rules: each operation it yields is the one that the next step stands for.

The rule is executed on the oracle's state and says what the machine answers; the device is resumed
with that. What an SVSM does in its own memory between two operations are steps of the rules too;
they are taken at once, and then record and registries must agree.
"""

import struct
from collections import Counter
from typing import Any

from conformance.device import DeviceFault
from conformance.protocol import machines
from conformance.protocol.asked import TOLD_TO_TRY_AGAIN, Question
from conformance.protocol.device import Ended, SvsmDevice
from conformance.protocol.oracle import MOVES, can, inside
from spec.rule import Rule, Step, step
from spec.tables import BLOCK
from spec.validation import launch, migration, pvalidate, reboot, visibility, vmsa
from spec.validation.svsm import Cpu, Did, Pc, Svsm

Reached = Counter[tuple[str, str]]


class Differs(Exception):
    """The device is not where the rules are."""

    def __init__(self, field: str, expected: object, got: object) -> None:
        super().__init__(f"{field}: expected {expected}, got {got}")
        self.field, self.expected, self.got = field, expected, got


CALLS: dict[str, tuple[str, str]] = {
    vmsa.create.id: ("vmsa", "create_vcpu"),
    vmsa.delete.id: ("vmsa", "delete_vcpu"),
    visibility.share.id: ("visibility", "share"),
    visibility.unshare.id: ("visibility", "unshare"),
    launch.launch.id: ("launch", "launch"),
    reboot.reboot.id: ("reboot", "reboot"),
    migration.bring.id: ("migration", "bring"),
}
"""Rules that begin work on a vCPU, and what the device calls it."""
ASKED: dict[str, tuple[str, str]] = {
    launch.record.id: ("launch", "record"),
    launch.power_on.id: ("launch", "power_on"),
    launch.start.id: ("launch", "start"),
    migration.export.id: ("migration", "export"),
    migration.take.id: ("migration", "take"),
    migration.complete.id: ("migration", "complete"),
}
"""Rules that are done at once."""
WAITING = {
    Pc.VALIDATE: "validate",
    Pc.FILL: "fill",
    Pc.GRANT: "grant",
    Pc.REVOKE: "revoke",
    Pc.RESCIND: "rescind",
    Pc.RESTORE: "restore",
    Pc.FLUSH: "flush",
    Pc.PROMOTE: "promote",
    Pc.DEMOTE: "demote",
    Pc.ASK_PRIVATE: "ask_private",
    Pc.ASK_SHARED: "ask_shared",
}
"""The rule of the step that a vCPU takes next, where it is the same whatever happens meanwhile."""
BEFORE_ACCESS = frozenset(
    ("misaligned", "outside", "vmsa", "caa", "launch_vmsa", "not_claimed", "busy", "block_busy")
)
"""Refusals of a request before anything of it is read."""


class Joint:
    """The oracle's state and the device, step by step."""

    def __init__(self, device: SvsmDevice, start: Svsm, reached: Reached | None = None) -> None:
        self.device, self.state = device, start
        self.machine = machines.of(start)
        self.asks = self.machine.asks
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
        before = self.state
        taken = step(rule, before, op)
        self.reached[rule.id, taken.case] += 1
        self.state, self.last = taken.state, taken
        if rule.id == pvalidate.call.id:
            self._called(op, taken)
        elif rule.id in CALLS:
            self._begun(rule, op, taken)
        elif rule.id in ASKED:
            arguments = tuple(vars(op).values())
            refused = self._call("ask", *ASKED[rule.id], *arguments) != 0
            self._same("refused", taken.outcome != Did.DONE, refused)
        elif rule.id == pvalidate.answer.id:
            self._answered(op, taken, before)
        elif rule.name in self.asks:
            self._operated(rule, op, taken, before)
        if rule.id.startswith(MOVES):
            return taken
        self._settle(getattr(op, "vcpu", None))
        return taken

    def _same(self, field: str, expected: object, got: object) -> None:
        if expected != got:
            raise Differs(field, expected, got)

    # What begins

    def _called(self, op: Any, taken: Step) -> None:
        self._call("drop", op.vcpu)
        self._call("begin", op.vcpu, "pvalidate", "pvalidate", op.rcx)
        if taken.case in BEFORE_ACCESS:
            self._ended(op.vcpu, taken.value)
            return
        self._expect(op.vcpu, ("Read", op.rcx, 8))
        if taken.outcome == Did.EXIT:
            self._call("drop", op.vcpu)
        elif taken.outcome == Did.HALTED:
            self._call("fault", op.vcpu)
        else:
            self.header[op.vcpu] = op.header
            self._call("resume", op.vcpu, op.header.to_bytes(8, "little"))
            if taken.outcome == Did.REFUSED:
                self._ended(op.vcpu, taken.value)

    def _begun(self, rule: Rule, op: Any, taken: Step) -> None:
        self._call("drop", op.vcpu)
        if rule.id == reboot.reboot.id and taken.outcome == Did.DONE:
            for vcpu in tuple(self.device.work):
                self._call("drop", vcpu)
        arguments = tuple(value for name, value in vars(op).items() if name != "vcpu")
        self._call("begin", op.vcpu, *CALLS[rule.id], *arguments)
        if taken.outcome == Did.REFUSED:
            got = self.device.pending[op.vcpu]
            self._same("refused", True, isinstance(got, Ended) and got.result != 0)
            if taken.value:
                self._ended(op.vcpu, taken.value)

    # What is asked of the machine

    def _expect(self, vcpu: int, wanted: tuple[Any, ...]) -> None:
        pending = self.device.pending.get(vcpu)
        shown = (type(pending).__name__, *pending) if isinstance(pending, tuple) else _said(pending)
        self._same("operation", wanted, shown)

    def _ended(self, vcpu: int, result: int) -> None:
        pending = self.device.pending.get(vcpu)
        got = pending.result if isinstance(pending, Ended) else pending
        self._same("result", result, got)

    def _operated(self, rule: Rule, op: Any, taken: Step, before: Svsm) -> None:
        if rule.id == pvalidate.entry.id and taken.case in ("not_claimed", "block_busy"):
            return
        if rule.id == reboot.reboot_end.id and taken.outcome == Did.REFUSED:
            return
        question = self.asks[rule.name](before, op, taken)
        self._expect(op.vcpu, (question.kind, *question.arguments))
        self._told(op.vcpu, taken, question)

    def _told(self, vcpu: int, taken: Step, question: Question) -> None:
        """Have the device know what came of what it asked."""
        if taken.outcome == Did.EXIT:
            if question.kind in TOLD_TO_TRY_AGAIN:
                self._call("resume", vcpu, question.answer)
                self._expect(vcpu, (question.kind, *question.arguments))
            return
        # An instruction that is run, and says what only tampering explains, is answered so; an
        # access that cannot be made faults.
        if taken.outcome == Did.HALTED and taken.case != "unchanged":
            self._call("fault", vcpu)
        else:
            self._call("resume", vcpu, question.answer)

    def _answered(self, op: Any, taken: Step, before: Svsm) -> None:
        """The header is written back, with what was reserved in it as it was."""
        if taken.case == "gone":
            self._ended(op.vcpu, taken.value)
            return
        reserved = self.header.get(op.vcpu, 0) >> 32
        counts = before.cpus.entries.at(op.vcpu), before.cpus.next.at(op.vcpu)
        written = before.cpus.block.at(op.vcpu), struct.pack("<HHI", *counts, reserved)
        self._expect(op.vcpu, ("Write", *written))
        self._told(op.vcpu, taken, Question("Write", written))
        if taken.outcome == Did.DONE:
            self._ended(op.vcpu, taken.value)

    # What is remembered

    def _settle(self, vcpu: int | None) -> None:
        """Take the steps in the SVSM's own memory that follow, then compare what is remembered."""
        touched: int | None = None
        if vcpu is not None and not self.state.halted:
            touched = self.state.cpus.first.at(vcpu)
            for rule, _op, taken in inside(self.state, vcpu):
                self.reached[rule.id, taken.case] += 1
                self.state = taken.state
                if taken.case == "by_itself":
                    self._ended(vcpu, taken.value)
        svsm = self.device.svsm
        self._same("halted", bool(self.state.halted), bool(svsm.halted))
        self._same("stage", self.state.stage, int(svsm.stage))
        if touched is not None and not self.state.halted:
            large = self.state.cpus.large.has(vcpu)
            for frame in (touched, touched + BLOCK - 1) if large else (touched,):
                mine = self.state.claimed.has(frame)
                if mine != svsm.record.has(frame):
                    raise Differs(f"claimed[{frame:#x}]", mine, not mine)

    def about_to(self, vcpu: int) -> None:
        """Compare the operation that a vCPU waits for, where its next step leaves no choice.

        Raises: Differs.
        """
        name = WAITING.get(Pc(self.state.pc(vcpu)))
        ask = self.asks.get(name) if name else None
        if ask is not None:
            op = self.machine.silent(vcpu) if str(name).startswith("ask_") else Cpu(vcpu)
            question = ask(self.state, op, Step("", 0, 0, self.state))
            self._expect(vcpu, (question.kind, *question.arguments))

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


def _said(pending: Any) -> str:
    if isinstance(pending, Ended):
        return f"ended with {pending.result:#x}"
    return "nothing" if pending is None else repr(pending)
