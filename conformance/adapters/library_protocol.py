"""An SVSM in somebody's library, in the process that runs it; see `conformance.adapters.vcpus`."""

from collections.abc import Mapping
from typing import Any

from conformance.adapters.host_machine import lost
from conformance.adapters.library import FFI, Library
from conformance.adapters.vcpus import Ask, NoSvsm
from conformance.adapters.wire import Ranges, Svsm

SETS = {"claimed": "SVSM_CLAIMED", "vmsas": "SVSM_VMSAS", "caas": "SVSM_CAAS"} | {
    "shared": "SVSM_SHARED"
}
RANGES = (
    *("guest", "own", "ghcbs", "measured", "firmware", "stream", "stream_vmsas"),
    *("claimed", "caas", "shared"),
)
PLAIN = ("launch_vmsa", "one_lock", "heeds_ignore_cf", "by_msr", "refused", "nonce", "stage")
MOST_RANGES = 4096


class LibrarySvsm:
    """The SVSM of somebody's library."""

    def __init__(self, library: Library, ask: Ask) -> None:
        self.table, self._ask = library.tables.protocol, ask
        self._sets: Mapping[str, int] = FFI.typeof("enum svsm_set").relements
        self._platform = FFI.new("struct svsm_platform *")
        self._kept = self._functions()
        for name, function in self._kept.items():
            setattr(self._platform, name, function)
        self.self = FFI.NULL

    def begin(self, told: Svsm) -> None:
        """Be made anew, and take on a state.

        Raises: NoSvsm.
        """
        if self.self != FFI.NULL:
            self.table.drop(self.self)
        self.self = self.table.make(self._platform)
        if self.self == FFI.NULL:
            raise NoSvsm("protocol.make answered NULL")
        start, kept = FFI.new("struct svsm_start *"), []
        for name in RANGES:
            listed = getattr(told, name)
            held = FFI.new("struct svsm_range[]", listed or 1)
            kept.append(held)
            ranges = getattr(start, name)
            ranges.listed, ranges.count = held, len(listed)
        for name in PLAIN:
            setattr(start, name, getattr(told, name))
        vcpus = FFI.new("struct svsm_vcpu[]", told.vcpus or 1)
        start.vcpus, start.vcpu_count, start.halted = vcpus, len(told.vcpus), told.halted
        self.table.load(self.self, start)

    def call(self, name: str, *arguments: int) -> int:
        """The result of a call."""
        return int(getattr(self.table, name)(self.self, *arguments))

    def stage(self) -> int:
        """What it is doing as a whole."""
        return int(self.table.stage(self.self))

    def halted(self) -> bool:
        """Whether it has stopped for good."""
        return bool(self.table.halted(self.self))

    def frames(self, name: str) -> Ranges:
        """One of the sets that it shows."""
        room = FFI.new("struct svsm_range[]", MOST_RANGES)
        which = self._sets[SETS[name]]
        count = min(int(self.table.ranges(self.self, which, room, MOST_RANGES)), MOST_RANGES)
        return [(int(one.first), int(one.stop)) for one in room[0:count]]

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
