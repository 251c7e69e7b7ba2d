"""OVMF firmware images: what the table at their end says of the memory that they need.

The table is walked from its last entry, the footer, 32 bytes before the end of the image; each
entry is its data, a length and a GUID. Entries of metadata point at a list elsewhere in the image.
An image without the table, or without an entry, is read as one: that is what a user asks about.

Source: edk2 OvmfPkg/ResetVector, Ia16/ResetVectorVtf0, X64/OvmfSevMetadata, X64/IgvmMetadata.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from conformance.formats.area import ENTRY_BYTES
from conformance.formats.source import Source

FOOTER = UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
SEV_METADATA = UUID("dc886566-984a-4798-a75e-5585a7bf67cc")
IGVM_METADATA = UUID("784fa70e-3176-4677-8a20-04b68699e374")
NAMES = {
    FOOTER: "footer",
    SEV_METADATA: "SEV metadata",
    IGVM_METADATA: "IGVM metadata",
    UUID("e47a6535-984a-4798-865e-4685a7bf8ec2"): "TDX metadata",
    UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e"): "SEV-ES reset vector",
    UUID("4c2eb361-7d9b-4cc3-8081-127c90d3d294"): "SEV secrets",
    UUID("7255371f-3a3b-4b04-927b-1da6efa8d454"): "SEV hashes",
}
SEV_SECTIONS = {1: "memory", 2: "secrets", 3: "CPUID", 4: "calling area", 16: "kernel hashes"}
PARAMETER_AREA, MEMORY_MAP, VP_COUNT, HOB_AREA = 0x100, 0x101, 0x102, 0x200
IGVM_SECTIONS = {
    PARAMETER_AREA: "parameter area",
    MEMORY_MAP: "memory map",
    VP_COUNT: "vCPU count",
    HOB_AREA: "HOB area",
}

BLOCK = struct.Struct("<H16s")
POINTER = struct.Struct("<I")
DESCRIPTOR = struct.Struct("<4s3I")
SECTION = struct.Struct("<3I")
TAIL_BYTES = 32
MAX_IMAGE_BYTES = 1 << 32
MAX_SECTIONS = 256
VOLUME_MARK, VOLUME_AT = b"_FVH", 40

_ADVICE = "give the image that the build made, whole and unchanged"


class Section(NamedTuple):
    """Memory that the image wants: `size` bytes from `base`, for what `kind` says."""

    base: int
    size: int
    kind: int


@dataclass(frozen=True, slots=True)
class Image:
    """What an image says of memory; None where it has no such list.

    blocks: the entries of the table, the footer first. start: where the image is loaded, so that
    it ends at 4 GiB.
    """

    place: str
    size: int
    blocks: tuple[UUID, ...]
    sev: tuple[Section, ...] | None
    igvm: tuple[Section, ...] | None

    @property
    def start(self) -> int:
        """The address of the image's first byte."""
        return MAX_IMAGE_BYTES - self.size

    @property
    def map_area(self) -> tuple[int, int] | None:
        """Address and size of the memory map's area; None where the image takes no map."""
        found = {section.kind: section for section in self.igvm or ()}
        if MEMORY_MAP not in found:
            return None
        return found[PARAMETER_AREA].base + found[MEMORY_MAP].base, found[MEMORY_MAP].size

    @property
    def slots(self) -> int:
        """The entries that the memory map's area has."""
        return self.map_area[1] // ENTRY_BYTES if self.map_area else 0


def read_image(source: Source) -> Image:
    """What the firmware image says of memory.

    Raises: FormatError naming the offset at fault, or where the file is no firmware at all.
    """
    if source.size > MAX_IMAGE_BYTES:
        raise source.refusal(MAX_IMAGE_BYTES, "an image has at most 4 GiB", _ADVICE)
    blocks = _blocks(source)
    if not blocks:
        mark = source.read(VOLUME_AT, len(VOLUME_MARK))
        if mark != VOLUME_MARK:
            what = "neither a firmware volume begins here nor a table of GUIDs ends the file"
            raise source.refusal(VOLUME_AT, what, "give a firmware image, such as OVMF.fd")
    lists = {SEV_METADATA: b"ASEV", IGVM_METADATA: b"IGVM"}
    read = {
        guid: _sections(source, at, data, lists[guid]) for guid, at, data in blocks if guid in lists
    }
    igvm = read.get(IGVM_METADATA)
    if igvm is not None:
        _check_map(source, next(at for guid, at, _ in blocks if guid == IGVM_METADATA), igvm)
    return Image(
        source.place,
        source.size,
        tuple(guid for guid, _, _ in blocks),
        read.get(SEV_METADATA),
        igvm,
    )


def _blocks(source: Source) -> list[tuple[UUID, int, bytes]]:
    """The table's entries from the footer back, with their places in the file and their data."""
    stop = source.size - TAIL_BYTES
    if stop < BLOCK.size:
        return []
    at = stop - BLOCK.size
    size, guid = BLOCK.unpack(source.take(at, BLOCK.size, "the table's footer", _ADVICE))
    if guid != FOOTER.bytes_le:
        return []
    if not BLOCK.size <= size <= stop:
        raise source.refusal(at, f"the table of GUIDs has {size} bytes", _ADVICE)
    start = stop - size
    table = source.take(start, size - BLOCK.size, "the table of GUIDs", _ADVICE)
    blocks, seen = [(FOOTER, at, b"")], {FOOTER}
    while table:
        if len(table) < BLOCK.size:
            raise source.refusal(start, f"{len(table)} bytes are no entry of the table", _ADVICE)
        at = start + len(table) - BLOCK.size
        length, guid = BLOCK.unpack_from(table, len(table) - BLOCK.size)
        if not BLOCK.size <= length <= len(table):
            raise source.refusal(at, f"an entry of the table has {length} bytes", _ADVICE)
        key = UUID(bytes_le=guid)
        if key in seen:
            raise source.refusal(at, f"the table has {key} twice", _ADVICE)
        seen.add(key)
        begin = len(table) - length
        blocks.append((key, start + begin, table[begin : -BLOCK.size]))
        table = table[:begin]
    return blocks


def _sections(source: Source, at: int, data: bytes, signature: bytes) -> tuple[Section, ...]:
    """The list that an entry of metadata points at, counted from the end of the image."""
    if len(data) != POINTER.size:
        raise source.refusal(at, f"a pointer to metadata of {len(data)} bytes", _ADVICE)
    (back,) = POINTER.unpack(data)
    start, name = source.size - back, signature.decode()
    if not DESCRIPTOR.size <= back <= source.size:
        raise source.refusal(at, f"metadata {name}, {back:#x} before the end: not there", _ADVICE)
    head = source.take(start, DESCRIPTOR.size, f"metadata {name}", _ADVICE)
    found, length, _, count = DESCRIPTOR.unpack(head)
    if found != signature:
        raise source.refusal(start, f"metadata begin with {found!r}, not {signature!r}", _ADVICE)
    size = DESCRIPTOR.size + count * SECTION.size
    if count > MAX_SECTIONS or size > back or length != size:
        what = f"metadata {name} of {length} bytes with {count} sections"
        raise source.refusal(start + 4, what, _ADVICE)
    body = source.take(start + DESCRIPTOR.size, count * SECTION.size, f"metadata {name}", _ADVICE)
    return tuple(Section._make(fields) for fields in SECTION.iter_unpack(body))


def _check_map(source: Source, at: int, sections: tuple[Section, ...]) -> None:
    """The map lies in the parameter area, which comes before it; there is one of each."""
    kinds = [section.kind for section in sections]
    for kind in (PARAMETER_AREA, MEMORY_MAP):
        if kinds.count(kind) > 1:
            raise source.refusal(at, f"more than one {IGVM_SECTIONS[kind]}", _ADVICE)
    if MEMORY_MAP not in kinds:
        return
    if PARAMETER_AREA not in kinds[: kinds.index(MEMORY_MAP)]:
        raise source.refusal(at, "a memory map without a parameter area before it", _ADVICE)
    area, inner = sections[kinds.index(PARAMETER_AREA)], sections[kinds.index(MEMORY_MAP)]
    if inner.base + inner.size > area.size:
        what = f"the memory map, {inner.size:#x} bytes at {inner.base:#x}, leaves its area"
        raise source.refusal(at, what, _ADVICE)
    if inner.size < ENTRY_BYTES or area.base + area.size > MAX_IMAGE_BYTES:
        what = f"a memory map of {inner.size} bytes at {area.base + inner.base:#x} holds no entry"
        raise source.refusal(at, what, _ADVICE)


def write_image(
    sev: tuple[Section, ...] | None = None,
    igvm: tuple[Section, ...] | None = None,
    *,
    size: int = 4096,
    table: bool = True,
    other: tuple[tuple[UUID, bytes], ...] = (),
) -> bytes:
    """An image of `size` bytes with these lists in its table, or with no table at all.

    Raises: ValueError where the lists do not fit.
    """
    lists = [(SEV_METADATA, b"ASEV", sev), (IGVM_METADATA, b"IGVM", igvm)]
    given = [(guid, mark, sections) for guid, mark, sections in lists if sections is not None]
    metadata, places = b"", list[tuple[UUID, int]]()
    for guid, mark, sections in given:
        places.append((guid, len(metadata)))
        body = b"".join(SECTION.pack(*section) for section in sections)
        length = DESCRIPTOR.size + len(body)
        metadata += DESCRIPTOR.pack(mark, length, 1, len(sections)) + body
    blocks = [(guid, POINTER.pack(size - 64 - at)) for guid, at in places] + list(other)
    entries = b"".join(
        data + BLOCK.pack(len(data) + BLOCK.size, guid.bytes_le) for guid, data in blocks
    )
    footer = BLOCK.pack(len(entries) + BLOCK.size, FOOTER.bytes_le)
    end = (entries + footer if table else b"") + bytes(TAIL_BYTES)
    head = bytes(VOLUME_AT) + VOLUME_MARK + bytes(64 - VOLUME_AT - len(VOLUME_MARK)) + metadata
    if len(head) + len(end) > size:
        raise ValueError(f"size is {size}: {len(head) + len(end)} bytes are needed")
    return head + bytes(size - len(head) - len(end)) + end
