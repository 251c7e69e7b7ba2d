"""Any file of a map is read as a host's map, its form told from its bytes, or asked for."""

import os
from pathlib import Path

import pytest

from conformance.formats import host, igvm_write, ovmf, text
from conformance.formats.area import MapEntry, write_area
from conformance.formats.e820 import write_e820
from conformance.formats.host import HostMap, read_host_map, without_isa_hole
from conformance.formats.source import FormatError
from conformance.memmap import Entry, read

MAPS = Path(host.__file__).parents[1] / "data" / "maps"
HOST = (MapEntry(0, 0x80000), MapEntry(0xF0000, 0x10000, 1), MapEntry(0x100000, 0x80000))
PC = (
    Entry(0x0, 0x80000000, "System RAM"),
    Entry(0xF0000000, 0x100000000, "Reserved"),
    Entry(0x100000000, 0x180000000, "System RAM"),
)
ODD = (
    Entry(0x0, 0x80000, "Reserved"),
    Entry(0x80000000, 0x80001000, "ACPI Tables"),
    Entry(0x80001000, 0x80002000, "ACPI Non-volatile Storage"),
    Entry(0x80002000, 0x80003000, "Unusable memory"),
    Entry(0x80003000, 0x80004000, "Persistent Memory"),
    Entry(0x80004000, 0x80005000, "Soft Reserved"),
)


def put(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def refusal(path: Path, form: host.Form = "auto") -> str:
    with pytest.raises(FormatError) as caught:
        read_host_map(path, form)
    assert str(caught.value).isprintable()
    return str(caught.value)


FORMS = {
    "plain": text.write_plain(PC),
    "print": text.write_e820_print(PC),
    "e820": write_e820(PC),
    "area": write_area(HOST),
    "igvm": igvm_write.write_igvm(igvm_write.svsm_draft(HOST)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_one_map_gives_the_same_entries(tmp_path: Path, form: str) -> None:
    assert read_host_map(put(tmp_path / "map", FORMS[form])).entries == HOST


def test_directory_gives_the_same_entries(tmp_path: Path) -> None:
    text.write_directory(tmp_path / "map", PC)
    assert read_host_map(tmp_path / "map").entries == HOST


@pytest.mark.parametrize("kind", [PC, ODD], ids=["pc", "odd"])
def test_what_is_written_as_text_is_read_back(tmp_path: Path, kind: tuple[Entry, ...]) -> None:
    assert read(put(tmp_path / "map", text.write_plain(kind))).entries == kind
    printed = read(put(tmp_path / "map", text.write_e820_print(kind))).entries
    assert [(one.first, one.stop) for one in printed] == [(one.first, one.stop) for one in kind]
    both = [read_host_map(put(tmp_path / "map", write(kind))).entries for write in (
        text.write_plain, text.write_e820_print)]  # fmt: skip
    assert both[0] == both[1], "a type means the same in both"


def test_types_become_igvms_as_qemu_has_them(tmp_path: Path) -> None:
    found = read_host_map(put(tmp_path / "map", text.write_plain(ODD))).entries
    assert [entry.kind for entry in found or ()] == [1, 1, 2, 1, 2, 4]


def test_ranges_in_mid_page_are_rounded_and_stay_disjoint(tmp_path: Path) -> None:
    lines = ["0x0 0x17ff usable", "0x1800 0x20ff x", "0x2100 0x21ff y", "0x2200 0x3fff usable"]
    found = read_host_map(put(tmp_path / "map", "\n".join(lines)))
    assert found.entries == (MapEntry(0, 1), MapEntry(1, 2, 1), MapEntry(3, 1))
    assert any("rounded inwards" in note for note in found.notes)


def test_igvm_file_without_a_map_leaves_it_open(tmp_path: Path) -> None:
    data = igvm_write.write_igvm(igvm_write.svsm_draft(()))
    found = read_host_map(put(tmp_path / "file", data))
    assert found.entries is None
    assert found.igvm is not None


def test_igvm_map_at_an_offset_comes_with_a_warning(tmp_path: Path) -> None:
    area, at = igvm_write.ParameterArea(4096, 0, 0), igvm_write.parameter(0x30C, 0, 24)
    data = igvm_write.write_igvm(igvm_write.Draft((igvm_write.SNP, area, at)))
    (note,) = read_host_map(put(tmp_path / "file", data)).notes
    assert "QEMU's loader is known to ignore that" in note


def test_firmware_image_is_no_map(tmp_path: Path) -> None:
    path = put(tmp_path / "image", ovmf.write_image())
    assert (
        refusal(path) == f"{path}: at 0x0: is a firmware image, not a map; give it with --firmware"
    )


def test_bytes_that_fit_no_form_are_asked_about(tmp_path: Path) -> None:
    said = refusal(put(tmp_path / "none", b"\0" * 17))
    assert said.endswith(
        "at 0x0: the bytes fit no form of a memory map; say what it is: --form text|e820|area|igvm"
    )


def test_bytes_that_fit_two_forms_are_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_FITS", dict.fromkeys(("e820", "area"), lambda source: True))
    assert "the bytes fit e820 and area; say" in refusal(put(tmp_path / "both", FORMS["area"]))


@pytest.mark.parametrize("name", sorted(path.name for path in MAPS.glob("*.e820")))
def test_blobs_of_qemu_do_not_pass_for_areas(name: str) -> None:
    assert read_host_map(MAPS / name).form.startswith("fw_cfg e820")


def test_form_that_is_named_is_not_guessed(tmp_path: Path) -> None:
    path = put(tmp_path / "map", FORMS["area"])
    assert read_host_map(path, "area").entries == HOST
    assert "are no whole number of entries" in refusal(path, "e820")
    assert "begins with" in refusal(path, "igvm")
    assert "is not a text file" in refusal(path, "text")


@pytest.mark.parametrize("name", ["nothing", "nul\0", "new\nline", "x" * 5000])
def test_path_that_leads_nowhere_is_refused(tmp_path: Path, name: str) -> None:
    assert "at 0x0: cannot be read" in refusal(tmp_path / name)


def test_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo").endswith(
        "at 0x0: is not a regular file; give a regular file that can be read"
    )


def test_machine_without_a_source_is_this_one_or_the_shipped_one() -> None:
    assert read_host_map().notes


# A PC's hole below 1 MiB


def isa(low: int) -> HostMap:
    return HostMap("x", "x", (MapEntry(0, low), MapEntry(low, 256 - low, 1), MapEntry(256, 99)))


@pytest.mark.parametrize("low", [0x80, 0x9F, 0xA0])
def test_isa_hole_is_filled_with_a_note(low: int) -> None:
    found = without_isa_hole(isa(low))
    assert found.entries == (MapEntry(0, 355),)
    assert "is a PC's ISA hole" in found.notes[0]


@pytest.mark.parametrize(
    "given",
    [isa(0x7F), isa(0xA1), HostMap("x", "x", HOST), HostMap("x", "x", None)],
    ids=["low", "high", "none", "open"],
)
def test_other_maps_are_left_as_they_are(given: HostMap) -> None:
    assert without_isa_hole(given) is given


# QEMU's own maps, shipped; tests/reference/qemu_e820.py makes them again.


def shipped() -> dict[str, str]:
    lines = (MAPS / "PROVENANCE").read_text().splitlines()[1:]
    return {line.split()[0]: line for line in lines}


def test_every_shipped_map_has_its_provenance() -> None:
    assert sorted(shipped()) == sorted(path.name for path in MAPS.glob("*.e820"))


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_map_holds_the_memory_that_was_asked_for(name: str) -> None:
    words = shipped()[name].split()
    mebibytes = int(words[words.index("-m") + 1].removesuffix("M"))
    found = read_host_map(MAPS / name)
    pages = sum(entry.pages for entry in found.entries or () if entry.kind == 0)
    assert pages == mebibytes << 8
    assert without_isa_hole(found) is found, "a host's map has no ISA hole"
