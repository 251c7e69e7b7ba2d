"""Any file that holds a memory map, read as the map that a host would give an SVSM.

The form is told from the bytes where it can be; where two forms fit, the reader says so and asks.
What another form of the map calls a range becomes an IGVM type as QEMU makes one.

Source: QEMU backends/igvm.c and target/i386/igvm.c (which type of e820 becomes which of IGVM's).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

from conformance import memmap
from conformance.formats.area import (
    ENTRY_BYTES,
    KINDS,
    MEMORY,
    PAGE_BYTES,
    PERSISTENT,
    PLATFORM_RESERVED,
    SPECIFIC_PURPOSE,
    MapEntry,
    read_area,
)
from conformance.formats.e820 import ENTRY_BYTES as E820_BYTES
from conformance.formats.e820 import read_e820
from conformance.formats.igvm import Igvm, initial_map, read_igvm
from conformance.formats.igvm_layout import MAGIC
from conformance.formats.ovmf import BLOCK, FOOTER, TAIL_BYTES, VOLUME_AT, VOLUME_MARK
from conformance.formats.source import FormatError, Source, opened

Form = Literal["auto", "text", "e820", "area", "igvm"]
FORMS: tuple[Form, ...] = get_args(Form)

LOOK_BYTES = 4096
ISA_HOLE = (0xA0000, 0x100000)
ISA_FLOOR = 0x80000

# The first word that a kind contains, and its IGVM type; what has none is reserved.
_TYPES = (
    ("soft reserved", SPECIFIC_PURPOSE),
    ("persistent", PERSISTENT),
    ("non-volatile", PERSISTENT),
    ("nvs", PERSISTENT),
)


@dataclass(frozen=True, slots=True)
class HostMap:
    """The map that a host gives, ascending; `igvm` is what the file says beside it, if it is one.

    entries: None where an IGVM file leaves the map to its loader.
    """

    place: str
    form: str
    entries: tuple[MapEntry, ...] | None
    notes: tuple[str, ...] = ()
    igvm: Igvm | None = None


def read_host_map(path: Path | None = None, form: Form = "auto") -> HostMap:
    """The map at `path`, or this machine's, or failing that the one shipped here.

    Raises: FormatError, and nothing else.
    """
    if path is None:
        return _from_memory_map(memmap.read(), "this machine's memmap")
    if form == "text" or (form == "auto" and _is_directory(path)):
        return _from_memory_map(memmap.read(path), "text")
    with opened(path) as source:
        found = _told(source) if form == "auto" else form
        if found != "text":
            return READERS[found](source)
    return _from_memory_map(memmap.read(path), "text")


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False  # such as a NUL in it; opening it says so


def _told(source: Source) -> Form:
    """The form that the bytes have.

    Raises: FormatError where they are a firmware image's, or fit two forms or none.
    """
    head = source.read(0, LOOK_BYTES)
    if head.startswith(MAGIC):
        return "igvm"
    footer = source.read(max(0, source.size - TAIL_BYTES - BLOCK.size), BLOCK.size)
    is_volume = head[VOLUME_AT : VOLUME_AT + len(VOLUME_MARK)] == VOLUME_MARK
    if is_volume or footer[2:] == FOOTER.bytes_le:
        raise source.refusal(0, "is a firmware image, not a map", "give it with --firmware")
    if b"\0" not in head:
        return "text"
    fitting = [form for form, fits in _FITS.items() if fits(source)]
    if len(fitting) == 1:
        return fitting[0]
    said = " and ".join(fitting) or "no form of a memory map"
    what = f"the bytes fit {said}"
    raise source.refusal(0, what, f"say what it is: --form {'|'.join(FORMS[1:])}")


def _fits_e820(source: Source) -> bool:
    try:
        return bool(read_e820(source).entries)
    except FormatError:
        return False


def _fits_area(source: Source) -> bool:
    """Whole entries of known types, ascending in memory, nothing where nothing should be."""
    if source.size % ENTRY_BYTES and source.size % PAGE_BYTES:
        return False
    try:
        entries = read_area(source).entries
    except FormatError:
        return False
    plain = all(e.kind < len(KINDS) and e.flags == e.reserved == 0 for e in entries)
    plain = plain and all(entry.stop <= memmap.MAX_ADDRESS // PAGE_BYTES for entry in entries)
    ascending = all(low.first < high.first for low, high in pairwise(entries))
    return bool(entries) and plain and ascending


_FITS: dict[Form, Callable[[Source], bool]] = {"e820": _fits_e820, "area": _fits_area}


def _from_e820(source: Source) -> HostMap:
    return _from_memory_map(read_e820(source), f"fw_cfg e820, {source.size // E820_BYTES} entries")


def _from_area(source: Source) -> HostMap:
    area = read_area(source)
    notes = () if area.terminated else ("no entry ends the map: the area is full",)
    form = f"IGVM map area, {area.capacity} entries of {ENTRY_BYTES} bytes"
    return HostMap(source.place, form, area.entries, notes)


def _from_igvm(source: Source) -> HostMap:
    igvm = read_igvm(source)
    form = f"IGVM file, revision {igvm.revision}, {igvm.architecture}"
    notes: tuple[str, ...] = ()
    for place in igvm.maps:
        if place.byte_offset:
            said = f"the map begins at byte {place.byte_offset:#x} of its area"
            notes = (*notes, f"{said}: QEMU's loader is known to ignore that and to write at 0")
    areas = [initial_map(source, place) for place in igvm.maps]
    filled = [area for area in areas if area is not None and area.entries]
    if not filled:
        return HostMap(source.place, form, None, notes, igvm)
    return HostMap(source.place, form, filled[0].entries, notes, igvm)


READERS: dict[Form, Callable[[Source], HostMap]] = {
    "e820": _from_e820,
    "area": _from_area,
    "igvm": _from_igvm,
}


def _from_memory_map(found: memmap.MemoryMap, form: str) -> HostMap:
    regions, notes = memmap.ram(found)
    entries = [MapEntry(region.base // PAGE_BYTES, region.pages) for region in regions]
    others = (entry for entry in found.entries if entry.kind.casefold() not in memmap.RAM_KINDS)
    stop = 0
    for entry in others:
        # Rounded outwards, where RAM is rounded inwards; a page that two of them share is the
        # first one's.
        first = max(entry.first // PAGE_BYTES, stop)
        stop = max(-(-entry.stop // PAGE_BYTES), first)
        if first < stop:
            entries.append(MapEntry(first, stop - first, _type(entry.kind)))
    entries.sort()
    return HostMap(found.source, form, tuple(entries), (*found.notes, *notes))


def _type(kind: str) -> int:
    said = kind.casefold()
    return next((number for word, number in _TYPES if word in said), PLATFORM_RESERVED)


def without_isa_hole(found: HostMap) -> HostMap:
    """The map as a host gives it: RAM also below 1 MiB, where a PC's own map has a hole.

    What firmware tells the kernel leaves out the end of low memory and the ISA hole; a host's map
    has RAM there, and OVMF leaves it out itself. Unchanged where the map has no such hole.
    """
    entries = found.entries or ()
    low = next((e for e in entries if e.first == 0 and e.kind == MEMORY), None)
    top = ISA_HOLE[1] // PAGE_BYTES
    high = next((e for e in entries if e.first == top and e.kind == MEMORY), None)
    if low is None or high is None or not ISA_FLOOR <= low.stop * PAGE_BYTES <= ISA_HOLE[0]:
        return found
    kept = [e for e in entries if e.first >= high.stop]
    note = (
        f"{low.stop * PAGE_BYTES:#x}-{ISA_HOLE[1] - 1:#x} is a PC's ISA hole: taken to be RAM, "
        "as in a host's map"
    )
    filled = (MapEntry(0, high.stop), *kept)
    return replace(found, entries=filled, notes=(*found.notes, note))
