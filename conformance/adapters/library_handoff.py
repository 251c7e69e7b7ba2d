"""The stages of the handoff in somebody's library, in the process that runs it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from conformance.adapters.library import FFI, Library
from conformance.adapters.wire import Staged
from conformance.device import DeviceFault
from conformance.handoff.calls import Validate
from conformance.handoff.machine import Machine

GUARD = 0xA5
"""What stands behind the memory that a stage may write to, and must still stand there."""
GUARD_BYTES = 64
SPARE = 8
"""Entries there is room for beyond what any map can have."""


class WroteBeyond(Exception):
    """A stage wrote past the end of what it was given."""


def staged(library: Library, call: Mapping[str, Any]) -> Staged:
    """What a library makes of one call, which is as in a saved trace.

    Raises: WroteBeyond.
    """
    return STAGES[call["stage"]](library, call)


def _outcome(library: Library, status: int) -> str | int:
    return library.outcome("handoff", status)


def _entries(listed: Sequence[Sequence[int]]) -> Any:
    return FFI.new("struct svsm_entry[]", [tuple(one) for one in listed] or 1)


def _ranges(listed: Sequence[Sequence[int]]) -> Any:
    return FFI.new("struct svsm_range[]", [tuple(one) for one in listed] or 1)


def _range(one: Any) -> tuple[int, int]:
    return int(one.first), int(one.stop)


def _read(library: Library, call: Mapping[str, Any]) -> Staged:
    area: bytes = call["area"]
    room = len(area) // 24 + SPARE
    entries, count = FFI.new("struct svsm_entry[]", room), FFI.new("uint64_t *")
    held = FFI.new("uint8_t[]", area or 1)
    table = library.tables.handoff
    status = int(table.read(held, len(area), call["limit"], entries, room, count))
    made = [(int(e.first), int(e.stop), int(e.type)) for e in entries[0 : min(count[0], room)]]
    return Staged(_outcome(library, status), made if status == 0 else None)


def _size(library: Library, call: Mapping[str, Any]) -> Staged:
    entries, listed = _entries(call["entries"]), call["entries"]
    made = FFI.new("uint64_t[2]")
    size = library.tables.handoff.size
    status = int(size(entries, len(listed), call["cap"], call["tracks"], made, made + 1))
    return Staged(_outcome(library, status), list(made) if status == 0 else None)


def _reserve(library: Library, call: Mapping[str, Any]) -> Staged:
    listed, excluded = call["entries"], call["excluded"]
    made = FFI.new("struct svsm_range[2]")
    status = int(
        library.tables.handoff.reserve(
            _entries(listed),
            len(listed),
            *call["kernel"],
            _ranges(excluded),
            len(excluded),
            call["bitmaps"],
            call["limit"],
            made,
            made + 1,
        )
    )
    return Staged(_outcome(library, status), [_range(one) for one in made] if not status else None)


def _carve(library: Library, call: Mapping[str, Any]) -> Staged:
    listed = call["entries"]
    room = 3 * len(listed) + SPARE
    guest, count = FFI.new("struct svsm_range[]", room), FFI.new("uint64_t *")
    kernel, region = _ranges([call["kernel"]]), _ranges([call["region"]])
    carve = library.tables.handoff.carve
    low = call["low_pages"]
    status = int(carve(_entries(listed), len(listed), kernel, region, low, guest, room, count))
    made = [_range(one) for one in guest[0 : min(count[0], room)]]
    return Staged(_outcome(library, status), made if status == 0 else None)


def _write(library: Library, call: Mapping[str, Any]) -> Staged:
    memory: bytes = call["memory"]
    guest = call["guest"]
    held = FFI.new("uint8_t[]", len(memory) + GUARD_BYTES)
    FFI.buffer(held)[:] = memory + bytes([GUARD]) * GUARD_BYTES
    validated = FFI.new("struct svsm_range *")
    status = int(
        library.tables.handoff.write(
            held,
            call["address"],
            call["size"],
            call["prevalidated"],
            _ranges(guest),
            len(guest),
            call["with_terminator"],
            call["published"],
            validated,
        )
    )
    after = bytes(FFI.buffer(held))
    if any(byte != GUARD for byte in after[len(memory) :]):
        raise WroteBeyond("write wrote past the end of the area's pages")
    left = after[: len(memory)]
    made = (_range(validated), left) if status == 0 else None
    return Staged(_outcome(library, status), made, left)


def _validate(library: Library, call: Mapping[str, Any]) -> Staged:
    machine = Machine(msgspec.convert(call, Validate))
    faults: list[DeviceFault] = []

    def noted(ask: Callable[..., Any], otherwise: Any) -> Callable[..., Any]:
        def asked(_host: Any, *operands: Any) -> Any:
            # What is raised cannot pass through the library: it is told when that comes back.
            try:
                return ask(*operands)
            except DeviceFault as fault:
                faults.append(fault)
                return otherwise

        return asked

    def pvalidate(page: int, large: bool, carry: Any) -> int:
        code, carry[0] = machine.pvalidate(page, large)
        return code

    calls = [
        FFI.callback("bool(void *, uint64_t, bool)", noted(machine.make_private, False)),
        FFI.callback("int64_t(void *, uint64_t, bool, bool *)", noted(pvalidate, -1)),
        FFI.callback("void(void *, uint64_t, bool)", noted(machine.zero, None)),
    ]
    made = FFI.new("struct svsm_machine *", [FFI.NULL, *calls])
    region = _ranges([call["region"]])
    status = int(library.tables.handoff.validate(region, call["shared"], made))
    if faults:
        raise faults[0]
    return Staged(_outcome(library, status), machine.done() if status == 0 else None)


def _view(library: Library, call: Mapping[str, Any]) -> Staged:
    page: bytes = call["page"]
    room = len(page) // 24 + SPARE
    lists = [FFI.new("struct svsm_range[]", room) for _ in range(2)]
    counts = [FFI.new("uint64_t *") for _ in range(2)]
    version = [call[name] for name in ("takes_map", "checks_first", "low_from_base")]
    held = FFI.new("uint8_t[]", page or 1)
    listed = [part for pair in zip(lists, counts, strict=True) for part in pair]
    view = library.tables.handoff.view
    status = int(view(held, len(page), *version, call["told"], *listed, room))
    made = [
        [_range(one) for one in ranges[0 : min(count[0], room)]]
        for ranges, count in zip(lists, counts, strict=True)
    ]
    return Staged(_outcome(library, status), made if status == 0 else None)


Staging = Callable[[Library, Mapping[str, Any]], Staged]
STAGES: Mapping[str, Staging] = {
    "read": _read,
    "size": _size,
    "reserve": _reserve,
    "carve": _carve,
    "write": _write,
    "validate": _validate,
    "view": _view,
}
