"""What is read of IGVM files is what the `igvm` crate reads, in its files and in ours."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conformance.formats.area import MapEntry
from conformance.formats.igvm import initial_map, read_igvm
from conformance.formats.igvm_layout import ParameterArea
from conformance.formats.igvm_write import SNP, Draft, parameter, svsm_draft, write_igvm
from conformance.formats.source import FormatError, of_bytes

HOME = Path(__file__).parent / "igvm"
ENTRIES = (MapEntry(0, 0x80000), MapEntry(0xF0000, 0x10000, 1), MapEntry(0x100000, 0x80000))


@pytest.fixture(scope="module")
def crate() -> Path:
    """The program that asks the crate, built."""
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("no cargo, so the igvm crate cannot be asked")
    words = [cargo, "build", "--quiet", "--locked"]
    built = subprocess.run(words, cwd=HOME, capture_output=True, text=True, check=False)
    if built.returncode and "failed to download" in built.stderr:
        pytest.skip("cargo reaches no registry, so the igvm crate cannot be asked")
    assert built.returncode == 0, built.stderr
    return HOME / "target" / "debug" / "igvm-reference"


def told(crate: Path, *words: object) -> Any:
    done = subprocess.run(
        [str(crate), *map(str, words)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def ours(data: bytes) -> Any:
    """What this suite reads, in the program's words; single pages, not runs of them."""
    source = of_bytes(data)
    found = read_igvm(source)
    sorts = {"page data": 0, "secrets": 1, "CPUID": 2}
    filled = {place.area: initial_map(source, place) for place in found.maps}
    listed = {number: area.entries if area else () for number, area in filled.items()}
    return {
        "platforms": [[one.mask, one.kind] for one in found.platforms],
        "areas": [
            [one.bytes, one.number, [list(e) for e in listed.get(one.number, ())]]
            for one in found.areas
        ],
        "maps": [[one.area, one.byte_offset] for one in found.maps],
        "inserts": [[(one.gpa or 0) - one.byte_offset, one.area] for one in found.maps],
        "pages": [
            [gpa, sorts[run.sort]]
            for run in found.pages
            if run.sort in sorts
            for gpa in range(run.first, run.stop, 4096)
        ],
        "required": [[one.gpa, one.bytes] for one in found.required],
    }


@pytest.mark.parametrize("revision", [1, 2])
def test_file_of_the_crate_is_read_alike(crate: Path, tmp_path: Path, revision: int) -> None:
    told(crate, "write", tmp_path / "file", revision)
    data = (tmp_path / "file").read_bytes()
    assert read_igvm(of_bytes(data)).revision == revision
    found = ours(data)
    assert found == told(crate, "read", tmp_path / "file")
    assert found["areas"] == [[4096, 3, [list(entry) for entry in ENTRIES]]]


@pytest.mark.parametrize("revision", [1, 2])
@pytest.mark.parametrize("entries", [ENTRIES, ()], ids=["filled", "empty"])
def test_file_of_ours_is_read_alike_by_the_crate(
    crate: Path, tmp_path: Path, revision: int, entries: tuple[MapEntry, ...]
) -> None:
    data = write_igvm(svsm_draft(entries, revision=revision))
    (tmp_path / "file").write_bytes(data)
    assert ours(data) == told(crate, "read", tmp_path / "file")


def test_file_that_the_crate_refuses_is_refused(crate: Path, tmp_path: Path) -> None:
    area, at = ParameterArea(4096, 0, 0), parameter(0x30C, 1, 0)
    good = write_igvm(svsm_draft(ENTRIES))
    wrong = [good[:-1], good[:12], b"X" + good[1:], good[:20] + b"\0" + good[21:]]
    wrong.append(write_igvm(Draft((SNP, area, at))) + bytes(8))
    for data in wrong:
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(FormatError):
            read_igvm(of_bytes(data))
        with pytest.raises(subprocess.CalledProcessError):
            told(crate, "read", tmp_path / "file")
