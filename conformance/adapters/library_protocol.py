"""An SVSM in somebody's library, in the process that runs it: each vCPU is a thread.

Only one of them runs at a time. A call that asks something of the platform rests there, and the
process goes on to what it is asked next; whoever answers lets that thread go on.
"""

import queue
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from conformance.adapters.host_machine import lost
from conformance.adapters.library import FFI, Library
from conformance.adapters.wire import Begin, Now, Resume, Svsm, Waits

SETS = {"claimed": "SVSM_CLAIMED", "vmsas": "SVSM_VMSAS", "caas": "SVSM_CAAS"} | {
    "shared": "SVSM_SHARED"
}
RANGES = (
    *("guest", "own", "ghcbs", "measured", "firmware", "stream", "stream_vmsas"),
    *("claimed", "caas", "shared"),
)
PLAIN = ("launch_vmsa", "one_lock", "heeds_ignore_cf", "by_msr", "refused", "nonce", "stage")
MOST_RANGES = 4096
STOPPED = 2


class NoSvsm(Exception):
    """What was asked makes no sense here."""


class Vcpu:
    """One call on one vCPU: a thread, and what it waits for."""

    def __init__(self) -> None:
        self.answers: queue.Queue[Resume] = queue.Queue()
        self.stopped = False


class Svsms:
    """The SVSM of somebody's library."""

    def __init__(self, library: Library) -> None:
        self.table = library.tables.protocol
        self._happens: queue.Queue[tuple[str, list[Any], int]] = queue.Queue()
        self._there: dict[int, Vcpu] = {}
        self._platform = FFI.new("struct svsm_platform *")
        self._kept = self._functions()
        for name, function in self._kept.items():
            setattr(self._platform, name, function)
        self.self = FFI.NULL

    def answer(self, asked: Any) -> Waits:
        """What comes of a message.

        Raises: NoSvsm.
        """
        match asked:
            case Svsm():
                return self._started(asked)
            case Begin():
                return self._begun(asked)
            case Resume():
                return self._resumed(asked)
            case Now():
                return self._shown(
                    result=int(getattr(self.table, asked.name)(self.self, *asked.arguments))
                )
        raise NoSvsm(f"an SVSM is not asked {type(asked).__name__}")

    def _started(self, asked: Svsm) -> Waits:
        for vcpu in tuple(self._there):
            self._resumed(Resume(vcpu, STOPPED))
        if self.self != FFI.NULL:
            self.table.drop(self.self)
        self.self = self.table.make(self._platform)
        if self.self == FFI.NULL:
            raise NoSvsm("protocol.make answered NULL")
        start, kept = FFI.new("struct svsm_start *"), []
        for name in RANGES:
            listed = getattr(asked, name)
            held = FFI.new("struct svsm_range[]", listed or 1)
            kept.append(held)
            ranges = getattr(start, name)
            ranges.listed, ranges.count = held, len(listed)
        for name in PLAIN:
            setattr(start, name, getattr(asked, name))
        vcpus = FFI.new("struct svsm_vcpu[]", asked.vcpus or 1)
        start.vcpus, start.vcpu_count, start.halted = vcpus, len(asked.vcpus), asked.halted
        self.table.load(self.self, start)
        return self._shown()

    def _begun(self, asked: Begin) -> Waits:
        function = getattr(self.table, asked.name)
        vcpu = self._there[asked.vcpu] = Vcpu()

        def work() -> None:
            result = int(function(self.self, asked.vcpu, *asked.arguments))
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
        return self._shown(what, arguments, result)

    def _shown(self, what: str = "", arguments: Sequence[Any] = (), result: int = 0) -> Waits:
        names = FFI.typeof("enum svsm_set").relements
        sets = {name: self._ranges(names[number]) for name, number in SETS.items()}
        stage, halted = int(self.table.stage(self.self)), bool(self.table.halted(self.self))
        return Waits(stage, halted, **sets, what=what, arguments=list(arguments), result=result)

    def _ranges(self, which: int) -> list[tuple[int, int]]:
        room = FFI.new("struct svsm_range[]", MOST_RANGES)
        count = min(int(self.table.ranges(self.self, which, room, MOST_RANGES)), MOST_RANGES)
        return [(int(one.first), int(one.stop)) for one in room[0:count]]

    # What the library asks of the platform

    def _ask(self, vcpu: int, what: str, *arguments: Any) -> Resume:
        """Let the suite answer; meanwhile this thread rests.

        A call that was stopped, and asks again, is stopped again, and nobody hears of it.
        """
        here = self._there[vcpu]
        if here.stopped:
            return Resume(vcpu, STOPPED)
        self._happens.put((what, list(arguments), 0))
        told = here.answers.get()
        here.stopped = told.status == STOPPED
        return told

    def _functions(self) -> Mapping[str, Any]:
        def plain(what: str) -> Any:
            return lambda _host, vcpu, *told: self._ask(vcpu, what, *map(int, told)).status

        def valued(what: str, count: int) -> Any:
            def asked(_host: Any, vcpu: int, *told: Any) -> int:
                answer = self._ask(vcpu, what, *map(int, told[:-count]))
                for place, one in zip(told[-count:], answer.answer, strict=False):
                    if isinstance(one, bytes):
                        FFI.buffer(place, len(one))[:] = one
                    else:
                        place[0] = one
                return answer.status

            return asked

        def read(_host: Any, vcpu: int, gpa: int, data: Any, size: int) -> int:
            answer = self._ask(vcpu, "read", gpa, size)
            for one in answer.answer:
                FFI.buffer(data, size)[:] = bytes(one)[:size]
            return answer.status

        def write(_host: Any, vcpu: int, gpa: int, data: Any, size: int) -> int:
            return self._ask(vcpu, "write", gpa, bytes(FFI.buffer(data, size))).status

        made = {
            "read": read,
            "write": write,
            "fill": plain("fill"),
            "flush": plain("flush"),
            "pvalidate": valued("pvalidate", 2),
            "rmpadjust": valued("rmpadjust", 1),
            "promote": valued("promote", 1),
            "demote": plain("demote"),
            "page_state": valued("page_state", 2),
            "page_state_msr": valued("page_state_msr", 1),
        }
        fields = dict(FFI.typeof("struct svsm_platform").fields)
        return {
            name: FFI.callback(fields[name].type, function, onerror=lost)
            for name, function in made.items()
        }
