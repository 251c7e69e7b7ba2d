"""The built-in SVSM as a device: started with a call, resumed with the machine's answers."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from conformance.protocol.machines import of
from spec.pages import ListedPages
from spec.validation.svsm import Svsm

MODULES = ("pvalidate", "vmsa", "visibility", "launch", "reboot", "migration")
Modules = Callable[[str], ModuleType]
"""Finds a module of the implementation, or a changed copy of it, by its last name."""


class Ended:
    """What a vCPU has in hand when its work has come to an end: the result."""

    def __init__(self, result: int) -> None:
        self.result = result


def real(name: str) -> ModuleType:
    """The module of the implementation."""
    return import_module(f"impl.{name}")


class SvsmDevice:
    """One SVSM under test.

    pending: by vCPU, the operation that it waits for an answer to, or `Ended`.
    """

    def __init__(self, modules: Modules = real, name: str = "impl", most_runs: int = 0) -> None:
        """most_runs: runs that its record has room for before it becomes a bitmap; 0: is one."""
        self.name, self.modules, self.most_runs = name, modules, most_runs
        self.kind = {n: modules(n) for n in MODULES}
        self.home, self.platform = modules("svsm"), modules("platform")
        self.frames = modules("record").Frames
        self.vc = self.platform.Vc()
        self.svsm: Any = None
        self.work: dict[int, Any] = {}
        self.pending: dict[int, Any] = {}

    def reset(self, start: Svsm) -> None:
        """Take on a state in which every vCPU is at rest, on its machine."""
        layout = start.layout
        home = self.home
        made = home.Layout(
            guest=tuple(layout.guest.runs()),
            own=tuple(layout.own.runs()),
            ghcbs=tuple(layout.ghcbs.runs()),
            measured=tuple(layout.measured.runs()),
            firmware=tuple(layout.firmware.runs()),
            launch_vmsa=layout.launch_vmsa,
        )
        policy = start.policy
        options = home.Options(**vars(policy), most_runs=self.most_runs)
        stream = home.Stream(
            self.frames(start.stream.runs()), self.frames(start.stream_vmsas.runs()), start.nonce
        )
        machine = of(start).name
        platform = self.modules(machine).PLATFORM if machine else None
        svsm = self.svsm = home.Svsm(made, options, stream, platform)
        for first, stop in start.claimed.runs():
            svsm.record.mark(first, stop - first)
        svsm.vmsas = {f: start.caa_of.at(f) for a, b in start.vmsas.runs() for f in range(a, b)}
        svsm.caas = {f for a, b in start.caas.runs() for f in range(a, b)}
        svsm.shared = {f for a, b in start.shared.runs() for f in range(a, b)}
        svsm.stage, svsm.halted = home.Stage(start.stage), start.halted
        self.work, self.pending = {}, {}

    def ask(self, module: str, name: str, *arguments: Any) -> int:
        """The result of something that needs no operation."""
        return int(getattr(self.kind[module], name)(self.svsm, *arguments))

    def begin(self, vcpu: int, module: str, name: str, *arguments: Any) -> None:
        """Start work on a vCPU; what it waits for is then pending."""
        work = getattr(self.kind[module], name)(self.svsm, *arguments)
        self.work[vcpu] = self.svsm.guarded(work)
        self._advance(vcpu, self.work[vcpu].__next__)

    def resume(self, vcpu: int, answer: Any) -> None:
        """Answer what a vCPU waits for."""
        self._advance(vcpu, self.work[vcpu].send, answer)

    def fault(self, vcpu: int) -> None:
        """Raise #VC in the access that a vCPU waits for."""
        self._advance(vcpu, self.work[vcpu].throw, self.platform.Vc())

    def drop(self, vcpu: int) -> None:
        """Forget what a vCPU was about to do: the call has not begun, or the guest is stopped."""
        work = self.work.pop(vcpu, None)
        if work is not None:
            work.close()
        self.pending.pop(vcpu, None)

    def _advance(self, vcpu: int, go_on: Callable[..., Any], *arguments: Any) -> None:
        try:
            self.pending[vcpu] = go_on(*arguments)
        except StopIteration as end:
            self.work.pop(vcpu, None)
            self.pending[vcpu] = Ended(int(end.value))

    def claimed(self) -> ListedPages:
        """Its record, as a set."""
        made = ListedPages()
        for first, stop in self.svsm.record.runs():
            made = made.with_range(first, stop, True)
        return made
