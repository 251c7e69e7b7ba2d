"""An SVSM in the process that runs somebody's code: each vCPU is a thread.

Only one of them runs at a time. A call that asks something of the platform rests there, and the
process goes on to what it is asked next; whoever answers lets that thread go on.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from conformance.adapters.wire import Begin, Now, Ranges, Resume, Svsm, Waits

GO_ON, FAULT, STOPPED = 0, 1, 2
SETS = ("claimed", "vmsas", "caas", "shared")
Ask = Callable[..., Resume]
"""Asks something of the platform, on a vCPU, by its name; meanwhile the thread rests."""


class NoSvsm(Exception):
    """What was asked makes no sense here, or the SVSM raised something; one line."""


class Held(Protocol):
    """Somebody's SVSM."""

    def begin(self, start: Svsm) -> None:
        """Take on a state, or be made anew in it."""

    def call(self, name: str, *arguments: int) -> int:
        """The result of a call, by the name that the header gives it.

        Raises: NoSvsm.
        """

    def stage(self) -> int:
        """What it is doing as a whole."""

    def halted(self) -> bool:
        """Whether it has stopped for good."""

    def frames(self, name: str) -> Ranges:
        """One of the sets that it shows."""


class Vcpu:
    """One call on one vCPU: what it waits for."""

    def __init__(self) -> None:
        self.answers: queue.Queue[Resume] = queue.Queue()
        self.stopped = False


class Vcpus:
    """The vCPUs of somebody's SVSM."""

    def __init__(self, make: Callable[[Ask], Held]) -> None:
        self._happens: queue.Queue[tuple[str, list[Any], int | NoSvsm]] = queue.Queue()
        self._there: dict[int, Vcpu] = {}
        self.held = make(self._ask)

    def answer(self, asked: Any) -> Waits:
        """What comes of a message.

        Raises: NoSvsm.
        """
        match asked:
            case Svsm():
                for vcpu in tuple(self._there):
                    self._resumed(Resume(vcpu, STOPPED))
                self.held.begin(asked)
                return self._shown()
            case Begin():
                return self._begun(asked)
            case Resume():
                return self._resumed(asked)
            case Now():
                return self._shown(result=self.held.call(asked.name, *asked.arguments))
        raise NoSvsm(f"an SVSM is not asked {type(asked).__name__}")

    def _begun(self, asked: Begin) -> Waits:
        vcpu = self._there[asked.vcpu] = Vcpu()

        def work() -> None:
            result: int | NoSvsm
            try:
                result = self.held.call(asked.name, asked.vcpu, *asked.arguments)
            except NoSvsm as error:
                result = error
            self._there.pop(asked.vcpu, None)
            self._happens.put(("", [], result))

        threading.Thread(target=work, daemon=True, name=f"vcpu {id(vcpu)}").start()
        return self._next()

    def _resumed(self, asked: Resume) -> Waits:
        vcpu = self._there.get(asked.vcpu)
        if vcpu is None:
            raise NoSvsm(f"vCPU {asked.vcpu} waits for nothing")
        vcpu.answers.put(asked)
        return self._next()

    def _next(self) -> Waits:
        """Where the thread that runs comes to."""
        what, arguments, result = self._happens.get()
        if isinstance(result, NoSvsm):
            raise result
        return self._shown(what, arguments, result)

    def _shown(
        self, what: str = "", arguments: list[Any] | tuple[()] = (), result: int = 0
    ) -> Waits:
        sets = {name: self.held.frames(name) for name in SETS}
        stage, halted = self.held.stage(), self.held.halted()
        return Waits(stage, halted, **sets, what=what, arguments=list(arguments), result=result)

    def _ask(self, vcpu: int, what: str, *arguments: Any) -> Resume:
        """Let the suite answer; meanwhile this thread rests.

        A call that was stopped, and asks again, is stopped again, and nobody hears of it.
        """
        here = self._there.get(vcpu)
        if here is None:
            raise NoSvsm(f"{what} was asked on vCPU {vcpu}, on which nothing was called")
        if here.stopped:
            return Resume(vcpu, STOPPED)
        self._happens.put((what, list(arguments), 0))
        told = here.answers.get()
        here.stopped = told.status == STOPPED
        return told
