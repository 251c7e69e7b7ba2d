"""One map through the whole handoff, by the rules and by the built-in implementation.

The rules say what is to happen; the implementation is asked the same, stage by stage, and where it
answers otherwise the plan says so.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from conformance.handoff import calls, oracle
from conformance.handoff.calls import Call, Entry, Range
from conformance.handoff.device import HandoffDevice
from conformance.handoff.judge import judge
from conformance.handoff.whole import Version, low_told
from spec.handoff.view import HOLE_FIRST, HOLE_STOP
from spec.handoff.words import PAGE_BYTES, listing


@dataclass(frozen=True, slots=True)
class Asked:
    """All that decides what becomes of a map. Numbers are pages, but those of the guest's area.

    host: the bytes of the host's map. kernel: base, least and greatest size. area: address and
    size in bytes, and whether its pages are prevalidated.
    """

    host: bytes
    kernel: tuple[int, int, int]
    area: tuple[int, int, bool]
    limit: int
    cap: int
    low_pages: int
    version: Version
    tracks: bool = True
    with_terminator: bool = True
    excluded: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Stranger:
    """Pages of which OVMF and the SVSM do not think the same; `is_taken`: OVMF takes them."""

    first: int
    stop: int
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a map, as far as it comes; `refused` names the stage and its reason."""

    refused: tuple[str, str] | None = None
    host: tuple[Entry, ...] = ()
    sizes: Range = (0, 0)
    kernel: Range = (0, 0)
    region: Range = (0, 0)
    guest: tuple[Range, ...] = ()
    takes_map: bool = False
    ram: tuple[Range, ...] = ()
    strangers: tuple[Stranger, ...] = ()
    differing: tuple[str, ...] = ()
    """Stages at which the implementation answers otherwise than the rules."""

    @property
    def is_well(self) -> bool:
        """Nothing is refused, and OVMF sees what was meant."""
        return self.refused is None and not self.strangers and not self.differing


class _RefusedError(Exception):
    """A stage refuses the map."""


def follow(asked: Asked, device: HandoffDevice) -> Plan:
    """What becomes of a map, by the rules; the device is asked the same beside them."""
    made: dict[str, Any] = {}
    differing: list[str] = []

    def told(call: Call) -> Any:
        said = oracle.answer(call, Counter())
        finding = judge(call, device, Counter())
        if finding is not None:
            what = f"{finding.field}: the rules say {finding.expected[:60]}"
            differing.append(f"{calls.stage_of(call)}: {what}, {device.name} {finding.got[:60]}")
        if not said.is_ok:
            made["refused"] = calls.stage_of(call), said.answer.name
            raise _RefusedError
        return _plain(said.value)

    with suppress(_RefusedError):
        _stages(asked, told, made)
    page = made.pop("page", None)
    if page is not None:
        made |= _seen(asked, page, made)
    return Plan(**made, differing=tuple(differing))


def _stages(asked: Asked, told: Any, made: dict[str, Any]) -> None:
    made["host"] = host = told(calls.Read(asked.host, asked.limit))
    made["sizes"] = sizes = told(calls.Size(host, asked.cap, asked.tracks))
    reserve = calls.Reserve(host, asked.kernel, asked.excluded, sizes[1], asked.limit)
    made["kernel"], made["region"] = told(reserve)
    made["guest"] = guest = told(calls.Carve(host, made["kernel"], made["region"], asked.low_pages))
    told(calls.Validate(made["region"], shared=True))
    address, size, prevalidated = asked.area
    first, stop = calls.pages_of(address, size)
    pages = bytes((stop - first) * PAGE_BYTES)
    flags = asked.with_terminator, False
    _, made["page"] = told(calls.Write(pages, address, size, prevalidated, guest, *flags))


def _plain(value: Any) -> Any:
    """Numbers, bytes and tuples of them, whatever the sequences were."""
    if isinstance(value, list | tuple):
        return tuple(_plain(one) for one in value)
    return value if isinstance(value, bytes) or value is None else int(value)


def _seen(asked: Asked, page: bytes, made: dict[str, Any]) -> dict[str, Any]:
    """What OVMF makes of the page that was written, and where that is not what was meant."""
    offset = asked.area[0] % PAGE_BYTES
    told = oracle.view(page[offset:], asked.version.flags, low_told(made["host"]), Counter())
    ram = told.value.ram if told.is_ok else listing(made["host"]).memory
    runs = tuple((int(a), int(b)) for a, b in ram.runs())
    strangers = _strangers((*runs, (HOLE_FIRST, HOLE_STOP)), made["guest"])
    return {"takes_map": told.is_ok, "ram": runs, "strangers": strangers}


def _strangers(seen: tuple[Range, ...], meant: tuple[Range, ...]) -> tuple[Stranger, ...]:
    """The ranges that are in one of the two and not in the other."""
    edges = sorted({edge for one in (*seen, *meant) for edge in one})

    def has(ranges: tuple[Range, ...], page: int) -> bool:
        return any(first <= page < stop for first, stop in ranges)

    return tuple(
        Stranger(first, stop, has(seen, first))
        for first, stop in pairwise(edges)
        if has(seen, first) != has(meant, first)
    )
