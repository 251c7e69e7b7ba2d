"""The variable headers of an IGVM file, one after another: what each adds to what is known.

Source: IGVM specification, IGVM_VHS_* (igvm_defs 0.5.0).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from conformance.formats import igvm_layout as layout
from conformance.formats.area import ENTRY_BYTES, PAGE_BYTES
from conformance.formats.igvm_layout import (
    Contents,
    Header,
    Insert,
    PageData,
    Parameter,
    ParameterArea,
    Platform,
    Required,
    VpContext,
)
from conformance.formats.source import Source

MAX_RUNS = 16384
MAX_ADDRESS = 1 << 52
REBUILD = "build the file again, or correct this field"
SMALLER = "give a file with fewer headers"


@dataclass(frozen=True, slots=True)
class Pages:
    """The bytes `[first, stop)`, which the file loads, all of one sort."""

    first: int
    stop: int
    mask: int
    sort: str


@dataclass(frozen=True, slots=True)
class MapPlace:
    """Where a loader puts the memory map.

    gpa: the address of the map, None where its area is not inserted. capacity: entries that fit.
    file_offset: where the area's first contents begin in the file, 0 where they are zeros.
    """

    area: int
    byte_offset: int
    capacity: int
    gpa: int | None
    mask: int
    file_offset: int


@dataclass(slots=True)
class Found:
    """What has been read so far; `live` are the areas that have not been inserted yet."""

    source: Source
    data_start: int
    platforms: list[Platform] = field(default_factory=list)
    areas: dict[int, ParameterArea] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    inserts: dict[int, Insert] = field(default_factory=dict)
    maps: list[Parameter] = field(default_factory=list)
    runs: list[Pages] = field(default_factory=list)
    required: list[Required] = field(default_factory=list)
    skipped: int = 0


def _platform(found: Found, at: int, header: Header, body: bytes) -> None:
    platform = Platform._make(layout.PLATFORM.unpack(body))
    if platform.mask.bit_count() != 1:
        what = f"the platform's mask {platform.mask:#x} has not exactly one bit"
        raise found.source.refusal(at + 8, what, REBUILD)
    if any(platform.mask == other.mask for other in found.platforms):
        what = f"the mask {platform.mask:#x} is another platform's as well"
        raise found.source.refusal(at + 8, what, REBUILD)
    found.platforms.append(platform)


def _area(found: Found, at: int, header: Header, body: bytes) -> None:
    area = ParameterArea._make(layout.AREA.unpack(body))
    if area.bytes == 0 or area.bytes % PAGE_BYTES or area.bytes > MAX_ADDRESS:
        what = f"a parameter area of {area.bytes:#x} bytes is not of whole pages below 2**52"
        raise found.source.refusal(at + 8, what, REBUILD)
    if area.number in found.areas:
        what = f"parameter area {area.number} has been declared before"
        raise found.source.refusal(at + 16, what, "give each area an index of its own")
    if len(found.areas) >= MAX_RUNS:
        raise found.source.refusal(at, f"has more than {MAX_RUNS} parameter areas", SMALLER)
    _check_data(found, at + 20, area.file_offset, area.bytes)
    found.areas[area.number] = area
    found.live.add(area.number)


def _check_data(found: Found, at: int, offset: int, length: int) -> None:
    """Data of a header lie behind the headers and inside the file; at 0 there are none."""
    if offset and not found.data_start <= offset <= found.source.size - length:
        what = f"its data, {length:#x} bytes at {offset:#x}, are not in the file's data"
        raise found.source.refusal(at, what, REBUILD)


def _check_gpa(found: Found, at: int, gpa: int, length: int, step: int = PAGE_BYTES) -> None:
    if gpa % step or gpa > MAX_ADDRESS - length:
        what = f"address {gpa:#x} is not a multiple of {step:#x} with {length:#x} bytes below 2**52"
        raise found.source.refusal(at, what, REBUILD)


def _page(found: Found, at: int, header: Header, body: bytes) -> None:
    page = PageData._make(layout.PAGE.unpack(body))
    length = layout.LARGE_BYTES if page.flags & layout.IS_LARGE else PAGE_BYTES
    _check_gpa(found, at + 8, page.gpa, length, length)
    if page.flags & ~layout.PAGE_FLAGS or page.reserved:
        raise found.source.refusal(at + 24, "reserved bits of page data are not 0", REBUILD)
    if page.sort not in layout.SORTS:
        raise found.source.refusal(at + 28, f"page data of type {page.sort}: unknown", REBUILD)
    _check_data(found, at + 20, page.file_offset, length)
    is_shared = page.flags & layout.IS_SHARED
    sort = "shared" if is_shared else layout.SORTS[page.sort]
    _add_run(found, at, Pages(page.gpa, page.gpa + length, page.mask, sort))


def _context(found: Found, at: int, header: Header, body: bytes) -> None:
    context = VpContext._make(layout.CONTEXT.unpack(body))
    # Where a platform keeps a vCPU's context in no page of the guest's, the address is 0.
    _check_gpa(found, at + 8, context.gpa, PAGE_BYTES)
    _check_data(found, at + 20, context.file_offset, 1)
    if context.gpa:
        pages = Pages(context.gpa, context.gpa + PAGE_BYTES, context.mask, "vCPU context")
        _add_run(found, at, pages)


def _add_run(found: Found, at: int, pages: Pages) -> None:
    """Keep the pages, as one run with those before where they touch and are alike."""
    last = found.runs[-1] if found.runs else None
    if last and (last.stop, last.mask, last.sort) == (pages.first, pages.mask, pages.sort):
        found.runs[-1] = Pages(last.first, pages.stop, last.mask, last.sort)
        return
    if len(found.runs) >= MAX_RUNS:
        raise found.source.refusal(at, f"loads more than {MAX_RUNS} runs of pages", SMALLER)
    found.runs.append(pages)


def _insert(found: Found, at: int, header: Header, body: bytes) -> None:
    insert = Insert._make(layout.INSERT.unpack(body))
    _check_live(found, at + 20, insert.area)
    length = found.areas[insert.area].bytes
    _check_gpa(found, at + 8, insert.gpa, length)
    found.live.remove(insert.area)
    found.inserts[insert.area] = insert
    _add_run(found, at, Pages(insert.gpa, insert.gpa + length, insert.mask, "parameters"))


def _parameter(found: Found, at: int, header: Header, body: bytes) -> None:
    parameter = Parameter._make(layout.PARAMETER.unpack(body))
    _check_live(found, at + 8, parameter.area)
    room = found.areas[parameter.area].bytes - parameter.offset
    is_map = header.kind == Contents.MEMORY_MAP
    least = ENTRY_BYTES if is_map else 1
    if room < least:
        what = f"offset {parameter.offset:#x} leaves no room in parameter area {parameter.area}"
        raise found.source.refusal(at + 12, what, REBUILD)
    if is_map:
        if len(found.maps) >= MAX_RUNS:
            raise found.source.refusal(at, f"places more than {MAX_RUNS} maps", SMALLER)
        found.maps.append(parameter)


def _check_live(found: Found, at: int, index: int) -> None:
    if index not in found.live:
        state = "been inserted already" if index in found.areas else "not been declared"
        what = f"parameter area {index} has {state}"
        raise found.source.refusal(at, what, "order them: area, its parameters, its insertion")


def _required(found: Found, at: int, header: Header, body: bytes) -> None:
    required = Required._make(layout.REQUIRED.unpack(body))
    if required.bytes == 0 or required.bytes % PAGE_BYTES:
        what = f"required memory of {required.bytes:#x} bytes is not of whole pages"
        raise found.source.refusal(at + 20, what, REBUILD)
    _check_gpa(found, at + 8, required.gpa, required.bytes)
    if required.flags & ~1 or required.reserved:
        raise found.source.refusal(at + 24, "reserved bits of required memory are set", REBUILD)
    if len(found.required) >= MAX_RUNS:
        raise found.source.refusal(at, f"requires more than {MAX_RUNS} ranges", SMALLER)
    found.required.append(required)


def carried_over(found: Found, at: int, header: Header, body: bytes) -> None:
    """A header that says nothing of the map: known, or at least optional."""
    if header.kind in layout.SIZES or header.kind in layout.OTHERS:
        return
    if not header.is_optional:
        what = f"a header of type {header.kind:#x} is not known and not optional"
        raise found.source.refusal(at, what, "build the file without it")
    found.skipped += 1


def place_of(found: Found, parameter: Parameter) -> MapPlace:
    """Where the map that a parameter stands for goes."""
    area = found.areas[parameter.area]
    insert = found.inserts.get(parameter.area)
    return MapPlace(
        parameter.area,
        parameter.offset,
        (area.bytes - parameter.offset) // ENTRY_BYTES,
        None if insert is None else insert.gpa + parameter.offset,
        0 if insert is None else insert.mask,
        area.file_offset,
    )


_Reader = Callable[[Found, int, Header, bytes], None]
READERS: dict[int, _Reader] = {
    Contents.SUPPORTED_PLATFORM: _platform,
    Contents.PARAMETER_AREA: _area,
    Contents.PAGE_DATA: _page,
    Contents.PARAMETER_INSERT: _insert,
    Contents.VP_CONTEXT: _context,
    Contents.REQUIRED_MEMORY: _required,
    **dict.fromkeys(layout.PARAMETERS, _parameter),
}
