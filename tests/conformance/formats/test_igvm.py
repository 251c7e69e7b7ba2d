"""IGVM files are read as far as they place and describe the map, and refused by offset."""

import struct

import pytest
from targets import mend_igvm

from conformance.formats import igvm_layout as layout
from conformance.formats.area import MapEntry
from conformance.formats.igvm import Igvm, MapPlace, Pages, initial_map, read_igvm
from conformance.formats.igvm_layout import Contents, Insert, PageData, ParameterArea, Required
from conformance.formats.igvm_write import SNP, Draft, Loaded, Raw, parameter, svsm_draft
from conformance.formats.igvm_write import write_igvm as written
from conformance.formats.source import FormatError, of_bytes

ENTRIES = (MapEntry(0, 0x80000), MapEntry(0x100000, 0x80000))
AREA, INSERT = ParameterArea(0x2000, 7, 0), Insert(0x820000, 1, 7)
FIXED_BYTES = {1: 24, 2: 32}


def read(draft: Draft) -> Igvm:
    return read_igvm(of_bytes(written(draft), "file"))


def refusal(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        read_igvm(of_bytes(data, "file"))
    assert str(caught.value).isprintable()
    assert "; " in str(caught.value), "says what to do"
    return str(caught.value)


def refused(*headers: object) -> str:
    return refusal(written(Draft((SNP, *headers))))  # type: ignore[arg-type]


@pytest.mark.parametrize("revision", [1, 2])
def test_file_like_an_svsms_says_where_the_map_goes(revision: int) -> None:
    data = written(svsm_draft(ENTRIES, revision=revision))
    found = read_igvm(of_bytes(data, "file"))
    assert (found.revision, found.architecture, found.platforms) == (revision, "x86-64", (SNP,))
    (place,) = found.maps
    assert (place.gpa, place.capacity, place.mask) == (0x820000, 170, 1)
    assert found.required == (Required(0x8000000, 1, 0x1000000, 0, 0),)
    assert Pages(0x8000000, 0x8002000, 1, "page data") in found.pages, "touching pages are one run"
    assert [pages.sort for pages in found.pages][-2:] == ["secrets", "CPUID"]
    area = initial_map(of_bytes(data), place)
    assert area is not None
    assert area.entries == ENTRIES
    assert area.terminated


def test_file_whose_area_starts_as_zeros_has_no_map() -> None:
    data = written(svsm_draft(()))
    (place,) = read_igvm(of_bytes(data)).maps
    assert initial_map(of_bytes(data), place) is None


def test_map_at_an_offset_has_the_room_behind_it() -> None:
    found = read(Draft((SNP, AREA, parameter(Contents.MEMORY_MAP, 7, 0x1F00), INSERT)))
    assert found.maps == (MapPlace(7, 0x1F00, 10, 0x821F00, 1, 0),)


def test_area_that_is_not_inserted_has_a_map_without_address() -> None:
    found = read(Draft((SNP, AREA, parameter(Contents.MEMORY_MAP, 7, 0))))
    assert found.maps[0].gpa is None


def test_data_of_an_area_are_found_behind_the_headers() -> None:
    filled = Loaded(AREA, bytes(0x100) + struct.pack("<QQHHI", 5, 6, 1, 0, 0).ljust(0x1F00, b"\0"))
    data = written(Draft((SNP, filled, parameter(Contents.MEMORY_MAP, 7, 0x100), INSERT)))
    source = of_bytes(data)
    area = initial_map(source, read_igvm(source).maps[0])
    assert area is not None
    assert area.entries == (MapEntry(5, 6, 1),)


def test_large_pages_and_contexts_are_loaded_too() -> None:
    large = PageData(0x200000, 1, 0, layout.IS_LARGE, 0, 0)
    context = layout.VpContext(0xFFFFFFFFF000, 1, 0, 0, 0)
    found = read(Draft((SNP, large, context)))
    assert found.pages == (
        Pages(0x200000, 0x400000, 1, "page data"),
        Pages(0xFFFFFFFFF000, 0x1000000000000, 1, "vCPU context"),
    )


def test_padding_to_eight_bytes_is_stepped_over() -> None:
    context = layout.VpContext(0x1000, 1, 0, 0, 0)
    assert layout.CONTEXT.size % 8 == 4
    assert len(read(Draft((SNP, context, context, AREA))).areas) == 1


def test_headers_that_say_nothing_of_the_map_are_passed_over() -> None:
    policy, block = Raw(Contents.GUEST_POLICY, bytes(16)), Raw(Contents.SNP_ID_BLOCK, bytes(9))
    unknown = Raw(0x333 | layout.OPTIONAL, bytes(5))
    others = [parameter(kind, 7, 0x10) for kind in layout.PARAMETERS]
    found = read(Draft((SNP, policy, AREA, *others, unknown, block, INSERT)))
    assert found.skipped == 1
    assert len(found.maps) == 1


def test_areas_of_revision_2_may_be_of_another_architecture() -> None:
    assert read(Draft((SNP,), revision=2, architecture=1)).architecture == "AArch64"


# What is wrong with the fixed header; the number is the field's offset.


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (0, 0x4D564748, "begins with b'HGVM', not b'IGVM'; give an IGVM file"),
        (4, 0, "format version 0 is not known"),
        (4, 3, "format version 3 is not known"),
        (8, 28, "the variable headers cannot start at 0x1c"),
        (8, 16, "the variable headers cannot start at 0x10"),
        (8, 0xFFFFFFF8, "the variable headers end at"),
        (12, 0xFFFFFFF8, "the variable headers end at"),
        (12, 4, "variable headers of 4 bytes: not of 8"),
        (16, 5, "says that the file has 5 bytes, but it has"),
        (24, 2, "the architecture is not known"),
        (28, 16384, "pages of 16384 bytes: only 4096 is"),
    ],
)
def test_wrong_fixed_header_is_refused_by_field(at: int, value: int, said: str) -> None:
    data = bytearray(written(svsm_draft(ENTRIES, revision=2)))
    struct.pack_into("<I", data, at, value)
    wanted = 12 if "headers end at" in said else at
    assert refusal(bytes(data)).startswith(f"file: at {wanted:#x}: {said}")


@pytest.mark.parametrize("size", range(0, 32, 3))
def test_file_that_ends_in_its_fixed_header_is_refused(size: int) -> None:
    data = written(svsm_draft(ENTRIES, revision=2))[:size]
    assert "the file ends at" in refusal(data)


@pytest.mark.parametrize("revision", [1, 2])
def test_every_changed_bit_of_the_headers_is_noticed(revision: int) -> None:
    data = written(svsm_draft(ENTRIES, revision=revision))
    (size,) = struct.unpack_from("<I", data, 12)
    for at in range(8 * (FIXED_BYTES[revision] + size)):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        assert refusal(bytes(changed)).startswith("file: at 0x")


def test_too_many_headers_are_refused_before_they_are_read() -> None:
    data = written(Draft((SNP, *[Raw(0x333 | layout.OPTIONAL, bytes(1 << 20))] * 9)))
    assert refusal(data).startswith("file: at 0xc: 9437280 bytes of variable headers")


# What is wrong with the variable headers; the first of them, SNP's, has 24 bytes.

FIRST = 24 + 24


@pytest.mark.parametrize(
    ("headers", "at", "said"),
    [
        ([SNP], 8, "the mask 0x1 is another platform's as well"),
        ([SNP._replace(mask=6)], 8, "the platform's mask 0x6 has not exactly one bit"),
        ([Raw(0x0, b"")], 0, "type 0x0 is in no section of the headers"),
        ([Raw(0x201, b"")], 0, "type 0x201 is in no section of the headers"),
        ([Raw(0x333, b"")], 0, "a header of type 0x333 is not known and not optional"),
        ([AREA, Raw(0x101, bytes(16))], 24, "a header of type 0x101 stands behind one of a later"),
        ([Raw(Contents.PARAMETER_AREA, bytes(8))], 4, "a header of type 0x301 has 8 bytes in"),
        ([AREA._replace(bytes=0)], 8, "a parameter area of 0x0 bytes is not of whole pages"),
        ([AREA._replace(bytes=0x1001)], 8, "a parameter area of 0x1001 bytes is not"),
        ([AREA._replace(bytes=1 << 63)], 8, "a parameter area of 0x8000000000000000 bytes is not"),
        ([AREA, AREA], 24 + 16, "parameter area 7 has been declared before"),
        ([AREA._replace(file_offset=8)], 20, "its data, 0x2000 bytes at 0x8, are not in the"),
        ([AREA._replace(file_offset=1 << 31)], 20, "its data, 0x2000 bytes at 0x80000000, are"),
        ([INSERT], 20, "parameter area 7 has not been declared"),
        ([AREA, INSERT, INSERT], 48 + 20, "parameter area 7 has been inserted already"),
        ([AREA, INSERT._replace(gpa=8)], 24 + 8, "address 0x8 is not a multiple of 0x1000"),
        ([AREA, INSERT._replace(gpa=(1 << 52) - 4096)], 24 + 8, "address 0xffffffffff000 is not"),
        ([parameter(0x30C, 7, 0)], 8, "parameter area 7 has not been declared"),
        ([AREA, INSERT, parameter(0x30C, 7, 0)], 48 + 8, "parameter area 7 has been inserted"),
        ([AREA, parameter(0x30C, 7, 0x1FE9)], 24 + 12, "offset 0x1fe9 leaves no room in"),
        ([AREA, parameter(0x309, 7, 0x2000)], 24 + 12, "offset 0x2000 leaves no room in"),
        ([PageData(1, 1, 0, 0, 0, 0)], 8, "address 0x1 is not a multiple of 0x1000"),
        ([PageData(4096, 1, 0, 1, 0, 0)], 8, "address 0x1000 is not a multiple of 0x200000"),
        ([PageData(0, 1, 0, 8, 0, 0)], 24, "reserved bits of page data are not 0"),
        ([PageData(0, 1, 0, 0, 0, 1)], 24, "reserved bits of page data are not 0"),
        ([PageData(0, 1, 0, 0, 4, 0)], 28, "page data of type 4: unknown"),
        ([Required(0, 1, 0, 0, 0)], 20, "required memory of 0x0 bytes is not of whole pages"),
        ([Required(0, 1, 4096, 2, 0)], 24, "reserved bits of required memory are set"),
        ([Required(1 << 52, 1, 4096, 0, 0)], 8, "address 0x10000000000000 is not a multiple"),
    ],
)  # fmt: skip
def test_wrong_variable_header_is_refused_by_field(
    headers: list[object], at: int, said: str
) -> None:
    assert refused(*headers).startswith(f"file: at {FIRST + at:#x}: {said}")


def test_edges_that_are_right_are_read() -> None:
    found = read(Draft((SNP, AREA, parameter(0x30C, 7, 0x1FE8), PageData((1 << 52) - 4096, 1,
                        0, 7 & ~1, 3, 0), Required((1 << 52) - 4096, 1, 4096, 1, 0))))  # fmt: skip
    assert found.maps[0].capacity == 1


def test_header_that_leaves_the_section_is_refused() -> None:
    data = bytearray(written(Draft((SNP, AREA))))
    struct.pack_into("<I", data, FIRST + 4, 1 << 20)
    mend_igvm(data, 0)
    assert refusal(bytes(data)).startswith(
        f"file: at {FIRST + 4:#x}: a header of type 0x301 has 1048576 bytes, but the section ends"
    )


def test_runs_of_pages_are_bounded() -> None:
    pages = [PageData(n << 13, 1, 0, 0, 0, 0) for n in range(16385)]
    said = refused(*pages)
    assert "loads more than 16384 runs of pages" in said
    assert said.startswith(f"file: at {FIRST + 16384 * 32:#x}: ")
