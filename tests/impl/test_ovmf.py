"""OVMF's reading of a map, by the versions that docs/handoff.md tells apart."""

import struct

from impl.ovmf import GIB_4, Image, Memory, view

NEW = Image(takes_map=True, checks_first=True, low_from_base=True)
OLD = Image(takes_map=True, checks_first=False, low_from_base=False)
LOW = (0, 0xA0)


def page(*entries: tuple[int, ...]) -> bytes:
    rows = [(*one, 0, 0, 0)[:5] for one in entries]
    return b"".join(struct.pack("<QQHHI", *row) for row in rows).ljust(4096, b"\0")


def test_low_memory_is_the_entry_at_page_0_in_newer_images() -> None:
    split = page((0, 0x800), (0x900, 0x700))
    assert view(split, NEW, 7) == Memory([LOW, (0x100, 0x800), (0x900, 0x1000)], [])


def test_older_images_take_all_below_the_highest_end() -> None:
    split = page((0, 0x800), (0x900, 0x700))
    assert view(split, OLD, 7) == Memory([LOW, (0x100, 0x1000)], [])


def test_an_end_at_4_gib_is_not_low() -> None:
    assert view(page((0x100, GIB_4 - 0x100)), OLD, 0x200) == Memory(
        [LOW, (0x100, 0x200), (0x100, GIB_4)], []
    )


def test_the_length_of_low_memory_has_32_bits() -> None:
    assert view(page((0, GIB_4 + 0x300)), NEW, 7) == Memory(
        [LOW, (0x100, 0x300), (0, GIB_4 + 0x300)], []
    )


def test_what_qemu_tells_is_low_memory_where_no_entry_is() -> None:
    assert view(page((0x400, 0x100)), NEW, 0x180) == Memory(
        [LOW, (0x100, 0x180), (0x400, 0x500)], []
    )
    assert view(page((0x400, 0x100, 1)), NEW, 0x100) == Memory([LOW], [(0x400, 0x500)])


def test_entries_end_where_one_has_no_pages_or_the_page_does() -> None:
    assert view(page((0, 0x200), (5, 0), (0x400, 0x100)), NEW, 7) == Memory(
        [LOW, (0x100, 0x200)], []
    )
    full = page(*[(0x1000 * i, 0x200) for i in range(170)])
    seen = view(full, NEW, 7)
    assert seen is not None
    assert len(seen.ram) == 171


def test_a_map_that_looks_like_none_is_not_taken() -> None:
    assert view(page(), NEW, 7) is None
    assert view(page((0, 0x200)), NEW._replace(takes_map=False), 7) is None
    for entry in ((0, 0x200, 16), (0, 0x200, 0, 0, 1)):
        assert view(page(entry), NEW, 7) is None
        assert view(page(entry), OLD, 7) is not None
