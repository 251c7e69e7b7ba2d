"""No file makes a reader use more than 64 MiB, or more than a few seconds, however large it is."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from conformance.formats import igvm_layout as layout
from conformance.formats import igvm_write, ovmf
from conformance.formats.area import ENTRY
from conformance.formats.e820 import ENTRY as E820_ENTRY
from conformance.formats.igvm_layout import PageData, ParameterArea, Required
from conformance.formats.igvm_write import SNP, Draft, Raw, parameter

MAX_GROWTH_KIB = 64 << 10
MAX_SECONDS = 30
SPARSE_BYTES = 4 << 30

# Reads one file in a process of its own, and tells what it came to and what it cost.
CHILD = """
import json, resource, sys, time
from pathlib import Path
from conformance.formats.host import read_host_map
from conformance.formats.ovmf import read_image
from conformance.formats.source import FormatError, opened
path = Path(sys.argv[2])
def image():
    with opened(path) as source:
        return read_image(source)
# The most pages that the process had before are let go by the time it reads.
peak = lambda: int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
open("/proc/self/clear_refs", "w").write("5")
before, began = peak(), time.monotonic()
try:
    found = image() if sys.argv[1] == "image" else read_host_map(path, sys.argv[1])
    said = "read"
except FormatError as error:
    said = str(error)
print(json.dumps([said, peak() - before, time.monotonic() - began]))
"""


def cost(form: str, path: Path) -> str:
    """What reading came to; that it was cheap is checked."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, form, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=2 * MAX_SECONDS,
    )
    said, growth, seconds = json.loads(done.stdout)
    assert growth < MAX_GROWTH_KIB, f"{growth} KiB"
    assert seconds < MAX_SECONDS, f"{seconds} s"
    return str(said)


def sparse(path: Path, head: bytes, tail: bytes = b"", size: int = SPARSE_BYTES) -> Path:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
        file.seek(size - len(tail))
        file.write(tail)
    return path


@pytest.mark.parametrize("form", ["auto", "text", "e820", "area", "igvm", "image"])
def test_empty_file_of_4_gib_is_refused_in_constant_memory(tmp_path: Path, form: str) -> None:
    said = cost(form, sparse(tmp_path / "file", b""))
    assert said.startswith(f"{tmp_path}/file: ") or (form == "area" and said == "read")


def test_igvm_file_of_4_gib_is_refused_by_its_size(tmp_path: Path) -> None:
    said = cost("auto", sparse(tmp_path / "file", igvm_write.write_igvm(Draft((SNP,)))))
    assert "at 0x10: says that the file has 48 bytes, but it has 4294967296" in said


def test_image_of_4_gib_is_read_from_its_end(tmp_path: Path) -> None:
    image = ovmf.write_image((ovmf.Section(0, 1, 1),))
    assert cost("image", sparse(tmp_path / "file", b"", image)) == "read"


def large_igvm(*headers: object, count: int) -> bytes:
    made = igvm_write.write_igvm(Draft((SNP, *headers[:-1])))
    more = igvm_write.write_igvm(Draft((SNP, *headers[:-1], headers[-1])))
    once = len(more) - len(made)
    count = min(count, ((8 << 20) - len(made)) // once)
    return igvm_write.write_igvm(Draft((SNP, *headers[:-1], *[headers[-1]] * count)))


AREA = ParameterArea(4096, 0, 0)
UNKNOWN = Raw(0x333 | layout.OPTIONAL, b"")
LARGEST: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "optional headers": ("igvm", lambda: large_igvm(UNKNOWN, count=300_000), "262144 headers"),
    "pages": (
        "igvm",
        lambda: large_igvm(PageData(0, 1, 0, 0, 0, 0), count=300_000),
        "more than 16384 runs",
    ),
    "required": (
        "igvm",
        lambda: large_igvm(Required(0, 1, 4096, 0, 0), count=300_000),
        "more than 16384 ranges",
    ),
    "maps": (
        "igvm",
        lambda: large_igvm(AREA, parameter(0x30C, 0, 0), count=300_000),
        "more than 16384 maps",
    ),
    "areas": (
        "igvm",
        lambda: igvm_write.write_igvm(
            Draft((SNP, *(ParameterArea(4096, n, 0) for n in range(17000))))
        ),
        "more than 16384 parameter areas",
    ),
    "entries": (
        "area",
        lambda: b"".join(ENTRY.pack(n, 1, 0, 0, 0) for n in range(65537)),
        "more than 65536 entries",
    ),
    "e820": (
        "e820",
        lambda: b"".join(E820_ENTRY.pack(n << 12, 1, 1) for n in range(65536)),
        "read",
    ),
    "text": (
        "text",
        lambda: "".join(f"{n << 12:#x} {(n << 12) + 9:#x} usable\n" for n in range(65536)).encode(),
        "read",
    ),
    "wide text": ("text", lambda: ("#" + "\U0001f600" * 1000 + "\n").encode() * 1047, "no memory-"),
    "one line": ("text", lambda: b"0" * (4 << 20), "longer than"),
    "guids": (
        "image",
        lambda: ovmf.write_image(
            size=1 << 17, other=tuple((UUID(int=n), b"") for n in range(3600))
        ),
        "read",
    ),
}


@pytest.mark.parametrize("name", LARGEST)
def test_largest_input_is_cheap(tmp_path: Path, name: str) -> None:
    form, make, said = LARGEST[name]
    (tmp_path / "file").write_bytes(make())
    assert said in cost(form, tmp_path / "file")
