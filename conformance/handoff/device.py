"""What the suite asks of an implementation of the handoff.

A device says which rules it claims, and has a method for each stage. Each answers the name of a
refusal, or `OK` and what was made, as plain numbers and bytes. What is no such answer is a fault.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from conformance.device import DeviceFault
from conformance.handoff import calls
from conformance.handoff.calls import Call, Entry, Range
from spec.handoff.words import Answer

Answered = tuple[str | int, Any]
"""The name or number of a refusal or of OK, and what was made where it is OK."""


@runtime_checkable
class HandoffDevice(Protocol):
    """One implementation of the handoff's stages."""

    name: str
    claims: frozenset[str]
    """The ids of the rules it says it implements."""

    def read(self, area: bytes, limit: int) -> Answered:
        """Stage 1; made are the entries: first page, the page past the last, type."""

    def size(self, entries: Sequence[Entry], cap: int, tracks: bool) -> Answered:
        """Stage 2; made are the pages tracked, and the pages of the bitmaps."""

    def reserve(
        self,
        entries: Sequence[Entry],
        kernel: tuple[int, int, int],
        excluded: Sequence[Range],
        bitmaps: int,
        limit: int,
    ) -> Answered:
        """Stage 3; made are the kernel's range and the region's."""

    def carve(
        self, entries: Sequence[Entry], kernel: Range, region: Range, low_pages: int
    ) -> Answered:
        """Stage 4; made are the guest's ranges."""

    def write(
        self,
        memory: bytearray,
        area: tuple[int, int, bool],
        guest: Sequence[Range],
        with_terminator: bool,
        published: bool,
    ) -> Answered:
        """Stage 5; made are the range of pages that were validated, and what the pages hold."""


def ask(device: HandoffDevice, call: Call) -> tuple[str, Any]:
    """What a device answers to a call, in the form that the oracle has.

    Raises: DeviceFault where it raises, answers what is no answer, or writes and yet refuses.
    """
    memory = bytearray()
    asked = getattr(device, "asked", None)
    if asked is not None:
        return heard(asked(call), calls.stage_of(call))
    try:
        match call:
            case calls.Read(area, limit):
                told = device.read(area, limit)
            case calls.Size(entries, cap, tracks):
                told = device.size(list(entries), cap, tracks)
            case calls.Reserve(entries, kernel, excluded, bitmaps, limit):
                told = device.reserve(list(entries), kernel, list(excluded), bitmaps, limit)
            case calls.Carve(entries, kernel_range, region, low_pages):
                told = device.carve(list(entries), kernel_range, region, low_pages)
            case calls.Write(held, address, size, prevalidated, guest):
                memory = bytearray(held)
                where = (address, size, prevalidated)
                asked = call.with_terminator, call.published
                told = device.write(memory, where, list(guest), *asked)
    except DeviceFault:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise DeviceFault(f"{calls.stage_of(call)} raised {said}") from error
    name, made = heard(told, calls.stage_of(call))
    if name != Answer.OK.name and isinstance(call, calls.Write) and memory != call.memory:
        raise DeviceFault(f"write answered {name}, but what the area's pages hold has changed")
    return name, made


NAMES = {answer.name: answer.value for answer in Answer}
MOST_RANGES = 1 << 16


def heard(told: object, stage: str) -> tuple[str, Any]:
    """An answer in the form that the oracle has.

    Raises: DeviceFault where it is no answer of that stage.
    """
    if not isinstance(told, tuple) or len(told) != 2:
        raise DeviceFault(f"{stage} answered {_short(told)}, not a name and what was made")
    word, made = told
    if isinstance(word, bool) or not isinstance(word, str | int):
        raise DeviceFault(f"{stage} answered {_short(word)}, which names no refusal")
    name = word if isinstance(word, str) else _numbered(word, stage)
    if name not in NAMES:
        raise DeviceFault(f"{stage} answered {_short(name)}, which names no refusal")
    return name, FORMS[stage](made) if name == Answer.OK.name else None


def _numbered(number: int, stage: str) -> str:
    known = {value: name for name, value in NAMES.items()}
    if number not in known:
        raise DeviceFault(f"{stage} answered {number}, which is the number of no refusal")
    return known[number]


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _numbers(made: object, count: int, what: str) -> tuple[int, ...]:
    """So many numbers, not below zero."""
    listed = tuple(made) if isinstance(made, tuple | list) else ()
    plain = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in listed)
    if len(listed) != count or not plain:
        raise DeviceFault(f"{what}: {_short(made)} is not {count} numbers")
    return tuple(int(n) for n in listed)


def _list(made: object, count: int, what: str) -> list[tuple[int, ...]]:
    if not isinstance(made, tuple | list) or len(made) > MOST_RANGES:
        raise DeviceFault(f"{what}: {_short(made)} is not a list of ranges")
    return [_numbers(one, count, what) for one in made]


def _pair(made: object, what: str) -> tuple[Any, Any]:
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise DeviceFault(f"{what}: {_short(made)} is not two things")
    return made[0], made[1]


def _reserved(made: object) -> tuple[tuple[int, ...], tuple[int, ...]]:
    kernel, region = _pair(made, "what was reserved")
    return _numbers(kernel, 2, "the kernel's range"), _numbers(region, 2, "the region")


def _written(made: object) -> tuple[tuple[int, ...], bytes]:
    validated, memory = _pair(made, "what was written")
    if not isinstance(memory, bytes | bytearray):
        raise DeviceFault(f"what the area's pages hold: {_short(memory)} is not bytes")
    return _numbers(validated, 2, "the validated pages"), bytes(memory)


FORMS: dict[str, Any] = {
    "read": lambda made: _list(made, 3, "the entries"),
    "size": lambda made: _numbers(made, 2, "the sizes"),
    "reserve": _reserved,
    "carve": lambda made: _list(made, 2, "the guest's ranges"),
    "write": _written,
}
"""The form of what each stage makes."""
