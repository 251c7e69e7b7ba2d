"""Firmware images are read from the table at their end; those without one are told so."""

import struct
from pathlib import Path
from uuid import UUID

import pytest

from conformance.formats import ovmf
from conformance.formats.ovmf import NAMES, Section, read_image, write_image
from conformance.formats.source import FormatError, of_bytes, opened

DEBIAN = Path("/usr/share/OVMF/OVMF_CODE.fd")
SEV = (Section(0x800000, 0x9000, 1), Section(0x80D000, 0x1000, 2))
IGVM = (
    Section(0x812000, 0x1000, ovmf.PARAMETER_AREA),
    Section(0, 192, ovmf.MEMORY_MAP),
    Section(192, 16, ovmf.VP_COUNT),
    Section(0x813000, 0x2000, ovmf.HOB_AREA),
)


def refusal(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        read_image(of_bytes(data, "image"))
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_image_with_both_lists_says_where_the_map_goes() -> None:
    found = read_image(of_bytes(write_image(SEV, IGVM)))
    assert (found.sev, found.igvm) == (SEV, IGVM)
    assert found.map_area == (0x812000, 192)
    assert found.slots == 8
    assert found.start == (4 << 30) - 4096
    assert [NAMES[guid] for guid in found.blocks] == ["footer", "IGVM metadata", "SEV metadata"]


def test_map_need_not_begin_its_area() -> None:
    moved = (IGVM[0], Section(0x40, 0x40, ovmf.MEMORY_MAP))
    found = read_image(of_bytes(write_image(igvm=moved)))
    assert (found.map_area, found.slots) == ((0x812040, 0x40), 2)


@pytest.mark.parametrize("igvm", [None, (), IGVM[:1], IGVM[3:]])
def test_image_that_takes_no_map_is_read_as_one(igvm: tuple[Section, ...] | None) -> None:
    found = read_image(of_bytes(write_image(SEV, igvm)))
    assert (found.map_area, found.slots, found.igvm) == (None, 0, igvm)


def test_image_without_a_table_is_read_as_one() -> None:
    found = read_image(of_bytes(write_image(table=False)))
    assert (found.blocks, found.sev, found.igvm, found.map_area) == ((), None, None, None)


def test_unknown_entries_of_the_table_are_passed_over() -> None:
    other = UUID(int=5)
    found = read_image(of_bytes(write_image(SEV, IGVM, other=((other, b"whatever"),))))
    assert found.blocks[1] == other
    assert found.map_area is not None


@pytest.mark.parametrize("data", [b"", b"x" * 44, bytes(4096), b"\x7fELF" + bytes(8192)])
def test_file_that_is_no_firmware_is_refused(data: bytes) -> None:
    assert refusal(data).startswith("image: at 0x28: neither a firmware volume begins here nor a")


def changed(data: bytes, at: int, form: str, *values: int) -> bytes:
    """The data with other values at an offset, counted from the end where it is negative."""
    made = bytearray(data)
    struct.pack_into(form, made, at % len(data), *values)
    return bytes(made)


IMAGE = write_image(SEV, IGVM)
# From the end: 32 bytes, the footer of 18, the IGVM entry of 22, the SEV entry of 22.
FOOTER, POINTER, LENGTH = -50, -72, -68
SEV_LIST = 64
IGVM_LIST = SEV_LIST + 16 + 24


@pytest.mark.parametrize(
    ("at", "form", "value", "where", "said"),
    [
        (FOOTER, "<H", 17, 0xFCE, "the table of GUIDs has 17 bytes"),
        (FOOTER, "<H", 0xFFFF, 0xFCE, "the table of GUIDs has 65535 bytes"),
        (FOOTER, "<H", 19, 0xFCD, "1 bytes are no entry of the table"),
        (LENGTH, "<H", 17, 0xFBC, "an entry of the table has 17 bytes"),
        (LENGTH, "<H", 63, 0xFBC, "an entry of the table has 63 bytes"),
        (POINTER, "<I", 15, 0xFB8, "metadata IGVM, 0xf before the end: not there"),
        (POINTER, "<I", 4097, 0xFB8, "metadata IGVM, 0x1001 before the end: not there"),
        (POINTER, "<I", 4096, 0x0, "metadata begin with b'\\x00\\x00\\x00\\x00', not b'IGVM'"),
        (IGVM_LIST + 4, "<I", 65, IGVM_LIST + 4, "metadata IGVM of 65 bytes with 4 sections"),
        (IGVM_LIST + 12, "<I", 5, IGVM_LIST + 4, "metadata IGVM of 64 bytes with 5 sections"),
        (IGVM_LIST + 12, "<I", 1 << 31, IGVM_LIST + 4, "metadata IGVM of 64 bytes with 2147"),
        (IGVM_LIST + 24, "<I", 0x101, 0xFB8, "more than one memory map"),
        (IGVM_LIST + 36, "<I", 0x100, 0xFB8, "more than one parameter area"),
        (IGVM_LIST + 24, "<I", 0x300, 0xFB8, "a memory map without a parameter area before it"),
        (IGVM_LIST + 28, "<I", 0xF41, 0xFB8, "the memory map, 0xc0 bytes at 0xf41, leaves its"),
        (IGVM_LIST + 32, "<I", 23, 0xFB8, "a memory map of 23 bytes at 0x812000 holds no entry"),
    ],
)
def test_wrong_table_is_refused_by_offset(
    at: int, form: str, value: int, where: int, said: str
) -> None:
    assert refusal(changed(IMAGE, at, form, value)).startswith(f"image: at {where:#x}: {said}")


def test_table_with_an_entry_twice_is_refused() -> None:
    twice = write_image(SEV, IGVM, other=((UUID(int=5), b""), (UUID(int=5), b"")))
    assert "has 00000000-0000-0000-0000-000000000005 twice" in refusal(twice)


def test_pointer_of_another_size_is_refused() -> None:
    said = refusal(write_image(other=((ovmf.SEV_METADATA, b"abc"),)))
    assert said.startswith("image: at 0xfb9: a pointer to metadata of 3 bytes")


def test_image_of_more_than_4_gib_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate((4 << 30) + 1)
    with opened(path) as source, pytest.raises(FormatError, match="at 0x100000000: an image has"):
        read_image(source)


def test_debians_image_is_read_and_takes_no_map() -> None:
    if not DEBIAN.is_file():
        pytest.skip(f"{DEBIAN} is not installed; Debian's package ovmf has it")
    with opened(DEBIAN) as source:
        found = read_image(source)
    assert "SEV-ES reset vector" in [NAMES.get(guid) for guid in found.blocks]
    assert found.sev is not None
    secrets = [section for section in found.sev if ovmf.SEV_SECTIONS[section.kind] == "secrets"]
    assert secrets == [Section(0x80D000, 0x1000, 2)]
    # edk2 of 2022 knows nothing of IGVM; a newer image would have its map where this suite puts it.
    assert found.map_area in (None, (0x812000, 192))
