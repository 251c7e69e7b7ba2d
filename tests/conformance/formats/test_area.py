"""Map areas and fw_cfg blobs are read as they were written, and refused by offset."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.formats.area import MapEntry, read_area, write_area
from conformance.formats.e820 import KINDS, read_e820, write_e820
from conformance.formats.source import FormatError, of_bytes
from conformance.memmap import Entry

PC = (
    Entry(0x0, 0xA0000, "System RAM"),
    Entry(0xF0000, 0x100000, "Reserved"),
    Entry(0x100000, 0x80000000, "System RAM"),
)

fields = st.tuples(
    st.integers(0, (1 << 64) - 1),
    st.integers(1, (1 << 64) - 1),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
).map(MapEntry._make)


def refusal(read: Callable[..., Any], data: bytes, *args: int) -> str:
    with pytest.raises(FormatError) as caught:
        read(of_bytes(data, "blob"), *args)
    assert str(caught.value).isprintable()
    return str(caught.value)


@given(entries=st.lists(fields, max_size=20), spare=st.integers(0, 60))
def test_area_gives_back_what_was_written(entries: list[MapEntry], spare: int) -> None:
    found = read_area(of_bytes(write_area(entries, 24 * len(entries) + 24 + spare)))
    assert found.entries == tuple(entries)
    assert found.terminated
    assert found.capacity == len(entries) + 1 + spare // 24


def test_bytes_of_an_entry_are_where_the_specification_has_them() -> None:
    data = bytes(range(24))
    (entry,) = read_area(of_bytes(data)).entries
    assert entry == (0x0706050403020100, 0x0F0E0D0C0B0A0908, 0x1110, 0x1312, 0x17161514)


def test_page_has_room_for_170_entries_and_a_full_one_is_not_terminated() -> None:
    entries = [MapEntry(2 * n, 1) for n in range(170)]
    found = read_area(of_bytes(write_area(entries)))
    assert (found.capacity, found.terminated, len(found.entries)) == (170, False, 170)
    with pytest.raises(ValueError, match="171 entries: an area of 4096 bytes holds fewer"):
        write_area([*entries, MapEntry(999, 1)])


def test_what_stands_behind_the_end_is_not_read() -> None:
    data = write_area([MapEntry(0, 1)], 48) + b"\xff" * 48
    assert read_area(of_bytes(data)).entries == (MapEntry(0, 1),)


def test_area_in_the_middle_of_a_file_is_read_from_its_offset() -> None:
    data = bytes(7) + write_area([MapEntry(1, 2, 5)], 72)
    assert read_area(of_bytes(data), 7, 72).entries == (MapEntry(1, 2, 5),)
    assert refusal(read_area, data, 7, 96).startswith("blob: at 0x7: the memory map needs 96 bytes")


@pytest.mark.parametrize("size", [0, 1, 23])
def test_area_without_room_is_refused(size: int) -> None:
    said = refusal(read_area, bytes(size))
    assert said.startswith(f"blob: at 0x0: an area of {size} bytes holds no entry; give")


def test_map_that_does_not_end_is_refused_at_the_entry_that_is_too_many() -> None:
    said = refusal(read_area, struct.pack("<QQHHI", 0, 1, 0, 0, 0) * 70000)
    assert said.startswith(f"blob: at {65536 * 24:#x}: the map has more than 65536 entries")


@given(kinds=st.lists(st.sampled_from(sorted(KINDS.values())), min_size=1, max_size=20))
def test_e820_gives_back_what_was_written_in_any_order(kinds: list[str]) -> None:
    entries = [Entry(n << 20, (n << 20) + 4096, kind) for n, kind in enumerate(kinds)]
    assert read_e820(of_bytes(write_e820(entries))).entries == tuple(entries)
    turned = read_e820(of_bytes(write_e820(entries[::-1])))
    assert turned.entries == tuple(entries)
    assert turned.notes == (() if len(kinds) == 1 else (turned.notes[0],))


def test_e820_bytes_are_address_length_type() -> None:
    assert write_e820(PC[:1]) == bytes(8) + bytes([0, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "at 0x0: 0 bytes are no whole number of entries"),
        (write_e820(PC) + b"\0", "at 0x3c: 61 bytes are no whole number of entries"),
        (struct.pack("<QQI", 0, 4096, 6), "at 0x10: type 6 is none that e820 knows"),
        (struct.pack("<QQI", 0, 0, 1), "at 0x8: the entry is empty"),
        (struct.pack("<QQI", 1 << 52, 1, 1), "at 0x0: end 0x10000000000000 is past"),
        (struct.pack("<QQI", 4096, (1 << 64) - 1, 1), "at 0x0: end 0x1000000000000"),
        (write_e820([*PC, PC[0]]), "at 0x3c: 0x0-0x9ffff overlaps the entry at 0x0"),
        (write_e820(PC[:1]) * 65537, "at 0x140000: the map has more than 65536 entries"),
    ],
)
def test_wrong_e820_is_refused_by_offset(data: bytes, said: str) -> None:
    assert refusal(read_e820, data).startswith(f"blob: {said}")
