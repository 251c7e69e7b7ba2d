"""IGVM files, as far as they place and describe the memory map; both revisions.

An IGVM file holds no map of the machine: it says where the loader is to put one (a parameter
area, the map's offset in it, the address at which it is inserted), what else is loaded, and what
memory has to be there. Only the headers are read, so a file of 4 GiB costs no more than a small
one.

Source: IGVM specification, IGVM_FIXED_HEADER, IGVM_FIXED_HEADER_V2 and IGVM_VHS_* (igvm_defs
0.5.0).
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from conformance.formats import igvm_layout as layout
from conformance.formats.area import ENTRY_BYTES, PAGE_BYTES, Area, read_area
from conformance.formats.igvm_headers import (
    READERS,
    REBUILD,
    SMALLER,
    Found,
    MapPlace,
    Pages,
    carried_over,
    place_of,
)
from conformance.formats.igvm_layout import Header, ParameterArea, Platform, Required
from conformance.formats.source import Source

MAX_HEADER_BYTES = 8 << 20
MAX_HEADERS = 1 << 18
"""Headers of a file that loads 1 GiB, a page at a time."""


@dataclass(frozen=True, slots=True)
class Igvm:
    """What a file says of memory. Ranges are of bytes; a mask has a bit for each platform."""

    place: str
    revision: int
    architecture: str
    platforms: tuple[Platform, ...]
    areas: tuple[ParameterArea, ...]
    maps: tuple[MapPlace, ...]
    pages: tuple[Pages, ...]
    required: tuple[Required, ...]
    skipped: int = 0
    """Optional headers of an unknown type, which a reader may pass over."""


def read_igvm(source: Source) -> Igvm:
    """What the IGVM file says of memory.

    Raises: FormatError naming the offset of the field at fault.
    """
    fixed, start = _fixed(source)
    headers = source.take(start, fixed.header_bytes, "the variable headers", REBUILD)
    _check_sum(source, fixed, headers)
    found = Found(source, start + len(headers))
    stage = 0
    for at, header, body in _split(source, start, headers):
        here = layout.stage(header.kind)
        if here < stage:
            what = f"a header of type {header.kind:#x} stands behind one of a later section"
            raise source.refusal(at, what, "order them: platforms, initialization, directives")
        stage = here
        READERS.get(header.kind, carried_over)(found, at, header, body)
    return Igvm(
        source.place,
        fixed.revision,
        layout.ARCHITECTURES[fixed.architecture],
        tuple(found.platforms),
        tuple(found.areas.values()),
        tuple(place_of(found, parameter) for parameter in found.maps),
        tuple(found.runs),
        tuple(found.required),
        found.skipped,
    )


def initial_map(source: Source, place: MapPlace) -> Area | None:
    """The map with which the file fills its area before the host writes one; None for zeros.

    Raises: FormatError where it does not end soon enough.
    """
    if place.file_offset == 0:
        return None
    offset = place.file_offset + place.byte_offset
    return read_area(source, offset, place.capacity * ENTRY_BYTES)


def _fixed(source: Source) -> tuple[layout.Fixed, int]:
    """The fixed header, checked, and where the variable headers start."""
    head = source.take(0, 4, "the magic", "give an IGVM file")
    if head != layout.MAGIC:
        raise source.refusal(0, f"begins with {head!r}, not {layout.MAGIC!r}", "give an IGVM file")
    fixed = layout.unpack_fixed(source.take(0, layout.FIXED.size, "the fixed header", REBUILD))
    if fixed.revision not in (1, 2):
        raise source.refusal(4, f"format version {fixed.revision} is not known", "use 1 or 2")
    if fixed.revision == 2:
        more = source.take(layout.FIXED.size, 8, "the fixed header's second part", REBUILD)
        fixed = layout.with_second_part(fixed, more)
    size = layout.fixed_bytes(fixed.revision)
    start, stop = fixed.header_offset, fixed.header_offset + fixed.header_bytes
    checks = (
        (fixed.architecture not in layout.ARCHITECTURES, 24, "the architecture is not known"),
        (fixed.page_bytes != PAGE_BYTES, 28, f"pages of {fixed.page_bytes} bytes: only 4096 is"),
        (start < size or start % 8, 8, f"the variable headers cannot start at {start:#x}"),
        (fixed.header_bytes % 8, 12, f"variable headers of {fixed.header_bytes} bytes: not of 8"),
        (stop > source.size, 12, f"the variable headers end at {stop:#x}, behind the file"),
        (
            fixed.file_bytes != source.size,
            16,
            f"says that the file has {fixed.file_bytes} bytes, but it has {source.size}",
        ),
    )
    for is_wrong, at, what in checks:
        if is_wrong:
            raise source.refusal(at, what, REBUILD)
    if fixed.header_bytes > MAX_HEADER_BYTES:
        what = f"{fixed.header_bytes} bytes of variable headers are more than {MAX_HEADER_BYTES}"
        raise source.refusal(12, what, SMALLER)
    return fixed, start


def _check_sum(source: Source, fixed: layout.Fixed, headers: bytes) -> None:
    right = zlib.crc32(headers, zlib.crc32(layout.pack_fixed(fixed, checksum=0)))
    if fixed.checksum != right:
        what = f"the checksum is {fixed.checksum:#010x}, but the headers give {right:#010x}"
        raise source.refusal(20, what, "build the file again: its headers were changed")


def _split(source: Source, start: int, headers: bytes) -> Iterator[tuple[int, Header, bytes]]:
    """Each variable header with its place in the file and its body."""
    position, count = 0, 0
    while position < len(headers):
        at, count = start + position, count + 1
        if count > MAX_HEADERS:
            raise source.refusal(at, f"has more than {MAX_HEADERS} headers", SMALLER)
        kind, length = layout.HEADER.unpack_from(headers, position)
        header = Header(kind & ~layout.OPTIONAL, length, bool(kind & layout.OPTIONAL))
        body = position + layout.HEADER.size
        if length > len(headers) - body:
            what = f"a header of type {kind:#x} has {length} bytes, but the section ends before"
            raise source.refusal(at + 4, what, REBUILD)
        if layout.stage(header.kind) == layout.NO_STAGE:
            raise source.refusal(at, f"type {kind:#x} is in no section of the headers", REBUILD)
        size = layout.SIZES.get(header.kind)
        if size not in (None, length):
            what = f"a header of type {kind:#x} has {length} bytes in place of {size}"
            raise source.refusal(at + 4, what, REBUILD)
        yield at, header, headers[body : body + length]
        position = body + (length + 7) // 8 * 8
