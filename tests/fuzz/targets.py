"""What is fuzzed: each reader, its seeds, and what must hold of whatever it does.

Each input ends in a reading or in a `FormatError` of one line that names the place and the offset
(or the line, in a text). Anything else that is raised is a defect of the reader.
"""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from conformance import memmap
from conformance.formats import area, e820, host, igvm, igvm_layout, igvm_write, ovmf, source, text
from conformance.formats.area import MapEntry
from conformance.memmap import Entry

ENTRIES = (MapEntry(0, 0x8000), MapEntry(0x8000, 0x1000, 5), MapEntry(0x100000, 0x80000))
PC = (
    Entry(0x0, 0x9FC00, "System RAM"),
    Entry(0x9FC00, 0x100000, "Reserved"),
    Entry(0x100000, 0xC0000000, "System RAM"),
    Entry(0x100000000, 0x140000000, "System RAM"),
)
SEV = (
    ovmf.Section(0x800000, 0x9000, 1),
    ovmf.Section(0x80D000, 0x1000, 2),
    ovmf.Section(0x80E000, 0x1000, 3),
)
IGVM = (
    ovmf.Section(0x812000, 0x1000, ovmf.PARAMETER_AREA),
    ovmf.Section(0, 192, ovmf.MEMORY_MAP),
    ovmf.Section(192, 16, ovmf.VP_COUNT),
)
ONE_LINE = re.compile(r".+: at 0x[0-9a-f]+: .+; .+")


class DefectError(Exception):
    """A reader did what no input may make it do."""


@dataclass(frozen=True)
class Target:
    """A reader under test.

    read: takes the bytes, and returns True for a reading, False for a refusal. hot: how many bytes
    at the front of an input are most worth a change. mend: makes a changed input pass the first
    checks again, such as a checksum, given by how many bytes it grew.
    """

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes], bool]
    hot: Callable[[bytes], int] = lambda data: 0
    mend: Callable[[bytearray, int], None] | None = None


def refused(error: source.FormatError, form: re.Pattern[str] = ONE_LINE) -> bool:
    """False, for a refusal in one clear line.

    Raises: DefectError where it is not one.
    """
    said = str(error)
    if not said.isprintable() or form.fullmatch(said) is None:
        raise DefectError(f"not one line that names the offset: {said!r}")
    return False


def read_area(data: bytes) -> bool:
    """The map's area, which gives back the bytes it was read from."""
    try:
        found = area.read_area(source.of_bytes(data))
    except source.FormatError as error:
        return refused(error)
    whole = area.write_area(found.entries, len(found.entries) * area.ENTRY_BYTES)
    if not data.startswith(whole) or found.terminated != (len(found.entries) < found.capacity):
        raise DefectError("what was read is not what was there")
    return True


def read_e820(data: bytes) -> bool:
    """The fw_cfg blob: entries ascending and disjoint, as many as there are."""
    try:
        found = e820.read_e820(source.of_bytes(data))
    except source.FormatError as error:
        return refused(error)
    stops = [0, *(entry.stop for entry in found.entries)]
    ascending = all(a <= entry.first for a, entry in zip(stops, found.entries, strict=False))
    if not ascending or len(found.entries) * e820.ENTRY_BYTES != len(data):
        raise DefectError("what was read is not what was there")
    return True


def read_igvm(data: bytes) -> bool:
    """The IGVM file and the maps that it carries; places of maps lie in memory and in areas."""
    given = source.of_bytes(data)
    try:
        found = igvm.read_igvm(given)
        for place in found.maps:
            igvm.initial_map(given, place)
    except source.FormatError as error:
        return refused(error)
    sizes = {one.number: one.bytes for one in found.areas}
    for place in found.maps:
        if place.byte_offset + place.capacity * area.ENTRY_BYTES > sizes[place.area]:
            raise DefectError("a map leaves its area")
    if any(not 0 <= pages.first < pages.stop <= 1 << 52 for pages in found.pages):
        raise DefectError("pages outside memory")
    return True


def read_image(data: bytes) -> bool:
    """The firmware image; a map that it takes lies in its area."""
    try:
        found = ovmf.read_image(source.of_bytes(data))
    except source.FormatError as error:
        return refused(error)
    if found.map_area is not None and not (
        found.slots >= 1 and sum(found.map_area) <= ovmf.MAX_IMAGE_BYTES
    ):
        raise DefectError("a map without room")
    return True


def read_file(path: Path) -> Callable[[bytes], bool]:
    """Any file, read for a map, whatever its form turns out to be."""
    form = re.compile(r".+?(: at 0x[0-9a-f]+|:\d+|: ).+; .+")

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            found = host.without_isa_hole(host.read_host_map(path))
        except source.FormatError as error:
            return refused(error, form)
        entries = found.entries or ()
        made = found.igvm is None and not found.form.startswith("IGVM")
        if made and any(a.stop > b.first for a, b in pairwise(entries)):
            raise DefectError("a map whose entries overlap was made")
        return True

    return read


def igvm_headers(data: bytes) -> int:
    """Where the headers of an IGVM file end."""
    return sum(struct.unpack_from("<II", data, 8)) if len(data) >= 16 else 0


def mend_igvm(data: bytearray, grown: int) -> None:
    """Make sizes and checksum fit again, as far as the header says where they belong."""
    if len(data) < igvm_layout.FIXED.size:
        return
    (size,) = struct.unpack_from("<I", data, 12)
    if grown % 8 == 0:
        struct.pack_into("<I", data, 12, (size + grown) % (1 << 32))
    struct.pack_into("<I", data, 16, len(data))
    fixed = igvm_layout.unpack_fixed(bytes(data[:24]))
    size = igvm_layout.fixed_bytes(fixed.revision)
    if fixed.revision == 2 and len(data) >= size:
        fixed = igvm_layout.with_second_part(fixed, bytes(data[24:32]))
    headers = bytes(data[fixed.header_offset : fixed.header_offset + fixed.header_bytes])
    right = zlib.crc32(headers, zlib.crc32(igvm_layout.pack_fixed(fixed, checksum=0)))
    struct.pack_into("<I", data, 20, right)


def igvm_seeds() -> tuple[bytes, ...]:
    """Files of both revisions, with and without a map in them, short of their zero pages."""
    drafts = [
        igvm_write.svsm_draft(entries, revision=revision)
        for entries in (ENTRIES, ())
        for revision in (1, 2)
    ]
    return tuple(igvm_write.write_igvm(draft) for draft in drafts)


def targets(scratch: Path) -> tuple[Target, ...]:
    """Every reader; `scratch` is a folder for the file that those of files are given."""
    blobs = (e820.write_e820(PC), e820.write_e820(PC[::-1]))
    areas = (area.write_area(ENTRIES, 192), area.write_area(ENTRIES * 3, 216))
    images = (
        ovmf.write_image(SEV, IGVM, size=272),
        ovmf.write_image(SEV, size=192),
        ovmf.write_image(size=96, table=False),
    )
    texts = (text.write_plain(PC).encode(), text.write_e820_print(PC).encode())
    seeds = igvm_seeds()
    path = scratch / "input"
    memmap_seeds = (*texts, *blobs, *areas, seeds[0], images[0])
    return (
        Target("area", areas, read_area),
        Target("e820", blobs, read_e820),
        Target("igvm", seeds, read_igvm, igvm_headers, mend_igvm),
        Target("ovmf", images, read_image),
        Target("file", memmap_seeds, read_file(path)),
        Target("text", texts, read_text(path)),
    )


def read_text(path: Path) -> Callable[[bytes], bool]:
    """A text, named by line where it is refused."""
    form = re.compile(r".+?: ?.+; .+")

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            return bool(memmap.read(path).entries)
        except source.FormatError as error:
            return refused(error, form)

    return read
