"""IGVM files made by hand: what a test or an example needs, no more than it asks for.

Nothing is checked, so that files that no loader takes can be written as well.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from conformance.formats import igvm_layout as layout
from conformance.formats.area import MapEntry, write_area
from conformance.formats.igvm_layout import (
    Contents,
    Fixed,
    Insert,
    PageData,
    Parameter,
    ParameterArea,
    Platform,
    Required,
    VpContext,
)

KINDS = {
    Platform: (Contents.SUPPORTED_PLATFORM, layout.PLATFORM),
    ParameterArea: (Contents.PARAMETER_AREA, layout.AREA),
    PageData: (Contents.PAGE_DATA, layout.PAGE),
    Insert: (Contents.PARAMETER_INSERT, layout.INSERT),
    VpContext: (Contents.VP_CONTEXT, layout.CONTEXT),
    Required: (Contents.REQUIRED_MEMORY, layout.REQUIRED),
}
SNP = Platform(mask=1, highest_vtl=2, kind=2, version=1, shared_boundary=0)

Record = Platform | ParameterArea | PageData | Insert | VpContext | Required


@dataclass(frozen=True, slots=True)
class Loaded:
    """Data that the file carries, and the header that points at them by its `file_offset`."""

    header: ParameterArea | PageData | VpContext
    data: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """A variable header given as its type and its bytes."""

    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """What a file is to hold, in order."""

    headers: Sequence[Record | Loaded | Raw] = field(default_factory=tuple)
    revision: int = 1
    architecture: int = 0
    page_bytes: int = 4096


def parameter(kind: int, area: int, offset: int) -> Raw:
    """The header of a parameter, which says by its type what it is of."""
    return Raw(kind, layout.PARAMETER.pack(*Parameter(area, offset)))


def write_igvm(draft: Draft) -> bytes:
    """The file: headers, checksum, and the data behind them."""
    size = sum(_size(header) for header in draft.headers)
    start = layout.fixed_bytes(draft.revision)
    headers, data = bytearray(), bytearray()
    for header in draft.headers:
        record: Record | Raw
        match header:
            case Loaded(record, carried):
                record = record._replace(file_offset=start + size + len(data))
                data += carried
            case _:
                record = header
        headers += _bytes(record)
    total = start + size + len(data)
    fixed = Fixed(draft.revision, start, size, total, 0, draft.architecture, draft.page_bytes)
    checksum = zlib.crc32(headers, zlib.crc32(layout.pack_fixed(fixed, 0)))
    return layout.pack_fixed(fixed, checksum) + bytes(headers + data)


def _bytes(record: Record | Raw) -> bytes:
    match record:
        case Raw(kind, body):
            pass
        case _:
            contents, form = KINDS[type(record)]
            kind, body = int(contents), form.pack(*record)
    return layout.HEADER.pack(kind, len(body)) + body.ljust((len(body) + 7) // 8 * 8, b"\0")


def _size(header: Record | Loaded | Raw) -> int:
    return len(_bytes(header.header if isinstance(header, Loaded) else header))


def svsm_draft(
    entries: Sequence[MapEntry],
    *,
    kernel: tuple[int, int] = (0x8000000, 0x1000000),
    parameters: int = 0x820000,
    revision: int = 1,
) -> Draft:
    """A file like an SVSM's: a kernel, a page for the map, the memory that the kernel requires.

    entries: the map with which the area is filled in the file, where there is one.
    """
    base, size = kernel
    area = ParameterArea(4096, 0, 0)
    return Draft(
        (
            SNP,
            Loaded(area, write_area(entries)) if entries else area,
            parameter(Contents.MEMORY_MAP, 0, 0),
            Insert(parameters, SNP.mask, 0),
            Required(base, SNP.mask, size, 0, 0),
            Loaded(PageData(base, SNP.mask, 0, 0, 0, 0), b"\xf4" * 4096),
            PageData(base + 4096, SNP.mask, 0, 0, 0, 0),
            PageData(0x80D000, SNP.mask, 0, 0, 1, 0),
            PageData(0x80E000, SNP.mask, 0, 0, 2, 0),
        ),
        revision,
    )
