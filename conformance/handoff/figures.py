"""All figures of a map's way, as they are written: ranges of pages, half-open."""

from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from conformance.formats.area import MEMORY, MapEntry
from conformance.formats.ovmf import Image
from conformance.handoff.calls import Entry, Range
from conformance.handoff.map_picture import Row, Span
from conformance.handoff.plan import Asked, Plan, Stranger
from conformance.handoff.whole import Version
from spec.handoff.words import Kind

SCHEMA = "svsm-conformance/handoff/1"


class AskedFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked; see `conformance.handoff.plan.Asked`. host: entries of the host's map."""

    host: list[tuple[int, int, int, int, int]]
    kernel: tuple[int, int, int]
    area: tuple[int, int, bool]
    limit: int
    cap: int
    low_pages: int
    version: Version
    tracks: bool
    with_terminator: bool
    excluded: list[Range]


class PlanFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of it; see `conformance.handoff.plan.Plan`."""

    refused: tuple[str, str] | None
    host: list[Entry]
    sizes: Range
    kernel: Range
    region: Range
    guest: list[Range]
    takes_map: bool
    ram: list[Range]
    strangers: list[Stranger]
    differing: list[str]
    well: bool


class Firmware(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An OVMF image: where it takes a map, if at all, and of how many entries."""

    place: str
    map_area: tuple[int, int] | None
    slots: int


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One map's way. notes: on where it is from, and what would go wrong."""

    schema: str = SCHEMA
    source: str
    form: str
    notes: list[str]
    asked: AskedFigures
    plan: PlanFigures
    firmware: Firmware | None

    def to_json(self) -> bytes:
        """The figures as JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @property
    def is_well(self) -> bool:
        """Nothing is refused, and OVMF sees what was meant; computed, not believed."""
        plan = self.plan
        broken = bool(plan.refused or plan.strangers or plan.differing)
        return not broken and not any(note.startswith("WRONG") for note in self.notes)


def figures(
    source: tuple[str, str],
    entries: Sequence[MapEntry],
    asked: Asked,
    plan: Plan,
    words: Sequence[str],
    image: Image | None,
) -> Figures:
    """The figures of a map's way. source: the file and its form."""
    host = [[e.first, e.pages, e.kind, e.flags, e.reserved] for e in entries]
    firmware = None
    if image is not None:
        firmware = Firmware(image.place, image.map_area, image.slots)
    return Figures(
        source=source[0],
        form=source[1],
        notes=list(words),
        asked=msgspec.convert({**asdict(asked), "host": host}, AskedFigures),
        plan=msgspec.convert({**asdict(plan), "well": plan.is_well}, PlanFigures),
        firmware=firmware,
    )


def rows(found: Figures) -> list[Row]:
    """The rows of the picture, as far as the map came."""
    asked, plan = found.asked, found.plan
    sorts = {MEMORY: "memory", int(Kind.HIDDEN): "hidden"}
    host = [Span(e[0], e[0] + e[1], sorts.get(e[2], "reserved")) for e in asked.host]
    kernel = plan.kernel if plan.kernel[1] else (asked.kernel[0], asked.kernel[0] + asked.kernel[1])
    kept = [Span(*kernel, "kernel")]
    kept += [Span(*plan.region, "bitmaps")] if plan.region[1] else []
    end = max((span.stop for span in (*host, *kept)), default=0)
    # What is excluded far above all memory, such as the launch VMSA, would only take room.
    excluded = [Span(*one, "excluded") for one in asked.excluded if one[0] < end]
    made = [Row("host", tuple(host)), Row("excluded", tuple(excluded)), Row("SVSM", tuple(kept))]
    if plan.refused is None:
        strange = [Span(s.first, s.stop, "not meant") for s in plan.strangers if s.is_taken]
        ram = [Span(*one, "memory") for one in plan.ram]
        made.append(Row("guest map", tuple(Span(*one, "memory") for one in plan.guest)))
        made.append(Row("OVMF RAM", (*ram, *strange)))
    return made
