"""The fields of an IGVM file's headers: one table, from which files are read and written.

Source: IGVM specification (igvm_defs 0.5.0); numbers as there, little-endian.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

MAGIC = b"IGVM"
OPTIONAL = 1 << 31
ARCHITECTURES = {0: "x86-64", 1: "AArch64"}
PLATFORMS = {0: "native", 1: "VSM", 2: "SEV-SNP", 3: "TDX", 4: "SEV", 5: "SEV-ES", 6: "CCA"}
SORTS = {0: "page data", 1: "secrets", 2: "CPUID", 3: "CPUID, extended"}
IS_LARGE, IS_UNMEASURED, IS_SHARED = 1, 2, 4
PAGE_FLAGS = IS_LARGE | IS_UNMEASURED | IS_SHARED
LARGE_BYTES = 2 << 20

FIXED = struct.Struct("<4s5I")
SECOND_PART = struct.Struct("<2I")
HEADER = struct.Struct("<2I")


class Contents(IntEnum):
    """IGVM_VHT_*: what a variable header holds."""

    SUPPORTED_PLATFORM = 0x1
    GUEST_POLICY = 0x101
    RELOCATABLE_REGION = 0x102
    PAGE_TABLE_RELOCATION_REGION = 0x103
    CORIM_DOCUMENT = 0x104
    CORIM_SIGNATURE = 0x105
    CCA_POLICY = 0x106
    VERSION_STRING = 0x107
    PARAMETER_AREA = 0x301
    PAGE_DATA = 0x302
    PARAMETER_INSERT = 0x303
    VP_CONTEXT = 0x304
    REQUIRED_MEMORY = 0x305
    VP_COUNT_PARAMETER = 0x307
    SRAT = 0x308
    MADT = 0x309
    MMIO_RANGES = 0x30A
    SNP_ID_BLOCK = 0x30B
    MEMORY_MAP = 0x30C
    ERROR_RANGE = 0x30D
    COMMAND_LINE = 0x30E
    SLIT = 0x30F
    PPTT = 0x310
    VBS_MEASUREMENT = 0x311
    DEVICE_TREE = 0x312
    ENVIRONMENT_INFO_PARAMETER = 0x313


PARAMETERS = (
    Contents.VP_COUNT_PARAMETER,
    Contents.SRAT,
    Contents.MADT,
    Contents.MMIO_RANGES,
    Contents.MEMORY_MAP,
    Contents.COMMAND_LINE,
    Contents.SLIT,
    Contents.PPTT,
    Contents.DEVICE_TREE,
    Contents.ENVIRONMENT_INFO_PARAMETER,
)
"""Those that the loader writes into a parameter area."""


class Fixed(NamedTuple):
    """The fixed header. The first revision is of x86-64 and pages of 4 KiB."""

    revision: int
    header_offset: int
    header_bytes: int
    file_bytes: int
    checksum: int
    architecture: int = 0
    page_bytes: int = 4096


class Header(NamedTuple):
    """What stands before the body of a variable header."""

    kind: int
    length: int
    is_optional: bool = False


class Platform(NamedTuple):
    """IGVM_VHS_SUPPORTED_PLATFORM: a platform that the file can be loaded on."""

    mask: int
    highest_vtl: int
    kind: int
    version: int
    shared_boundary: int


class ParameterArea(NamedTuple):
    """IGVM_VHS_PARAMETER_AREA: room for parameters, of which the loader knows the number."""

    bytes: int
    number: int
    file_offset: int


class PageData(NamedTuple):
    """IGVM_VHS_PAGE_DATA: a page to load."""

    gpa: int
    mask: int
    file_offset: int
    flags: int
    sort: int
    reserved: int


class Insert(NamedTuple):
    """IGVM_VHS_PARAMETER_INSERT: where a parameter area goes in memory."""

    gpa: int
    mask: int
    area: int


class Parameter(NamedTuple):
    """IGVM_VHS_PARAMETER: where in an area a parameter goes."""

    area: int
    offset: int


class VpContext(NamedTuple):
    """IGVM_VHS_VP_CONTEXT: how a vCPU starts."""

    gpa: int
    mask: int
    file_offset: int
    vp_index: int
    reserved: int


class Required(NamedTuple):
    """IGVM_VHS_REQUIRED_MEMORY: memory without which the file cannot be loaded."""

    gpa: int
    mask: int
    bytes: int
    flags: int
    reserved: int


PLATFORM = struct.Struct("<IBBHQ")
AREA = struct.Struct("<QII")
PAGE = struct.Struct("<QIIIHH")
INSERT = struct.Struct("<QII")
PARAMETER = struct.Struct("<II")
CONTEXT = struct.Struct("<QIIHH")
REQUIRED = struct.Struct("<QIIII")

SIZES: dict[int, int] = {
    Contents.SUPPORTED_PLATFORM: PLATFORM.size,
    Contents.PARAMETER_AREA: AREA.size,
    Contents.PAGE_DATA: PAGE.size,
    Contents.PARAMETER_INSERT: INSERT.size,
    Contents.VP_CONTEXT: CONTEXT.size,
    Contents.REQUIRED_MEMORY: REQUIRED.size,
    Contents.GUEST_POLICY: 16,
    Contents.ERROR_RANGE: 16,
    **dict.fromkeys(PARAMETERS, PARAMETER.size),
}
OTHERS = frozenset(int(kind) for kind in Contents) - frozenset(SIZES)
"""Those that say nothing of the map and are passed over, whatever their size."""

# Platforms, initialization, directives: in this order, each in its range of types.
_RANGES = ((0x1, 0x100), (0x101, 0x200), (0x301, 0x400))
NO_STAGE = -1


def stage(kind: int) -> int:
    """The section of the headers in which a type belongs, or NO_STAGE."""
    inside = (number for number, (low, high) in enumerate(_RANGES) if low <= kind <= high)
    return next(inside, NO_STAGE)


def fixed_bytes(revision: int) -> int:
    """The size of the fixed header."""
    return FIXED.size + (SECOND_PART.size if revision == 2 else 0)


def unpack_fixed(data: bytes) -> Fixed:
    """The fixed header as the first revision has it."""
    _, revision, offset, size, total, checksum = FIXED.unpack(data)
    return Fixed(revision, offset, size, total, checksum)


def with_second_part(fixed: Fixed, data: bytes) -> Fixed:
    """The fixed header with what the second revision adds."""
    architecture, page_bytes = SECOND_PART.unpack(data)
    return fixed._replace(architecture=architecture, page_bytes=page_bytes)


def pack_fixed(fixed: Fixed, checksum: int) -> bytes:
    """The bytes of a fixed header with that checksum."""
    _, offset, size, total, _, architecture, page_bytes = fixed
    first = FIXED.pack(MAGIC, fixed.revision, offset, size, total, checksum)
    return first + (SECOND_PART.pack(architecture, page_bytes) if fixed.revision == 2 else b"")
