"""What memcpy does to a register: never undecoded, and not what a register wants."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from trapped import needs_trap

from conformance.trap import Access, copies

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/memcpy-of-a-register.md"


def covered(accesses: tuple[Access, ...]) -> set[int]:
    return {a.offset + i for a in accesses for i in range(a.width)}


@needs_trap
@pytest.mark.parametrize("size", copies.SIZES)
def test_each_byte_is_copied_and_no_other(size: int) -> None:
    read, written = copies.reads(size), copies.writes(size)
    assert covered(read) == covered(written) == set(range(size))
    assert not any(access.write for access in read)
    assert all(access.write for access in written)
    assert copies.taken_from_a_fifo(size) == sum(access.offset < 8 for access in read)


@needs_trap
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunables are glibc's")
def test_the_byte_wise_copy_takes_a_value_a_byte() -> None:
    tunables = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=Prefer_ERMS"}
    told = subprocess.run(
        [sys.executable, "-m", "conformance.trap.copies"],
        cwd=ROOT, env=os.environ | tunables, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert told[5] == (
        "| 4 | R8 +0x0, R8 +0x1, R8 +0x2, R8 +0x3 | 4 | W8 +0x0, W8 +0x1, W8 +0x2, W8 +0x3 |"
    )


@needs_trap
def test_the_page_tells_what_is_counted_where_the_copy_is_the_same() -> None:
    told = re.findall(r"^\| \d+ \|.*$", PAGE.read_text(), re.M)
    here = copies.table()[2:]
    assert len(told) == len(here) == 16
    # Which copy serves is the processor's and the library's choice, so elsewhere the table differs.
    flags = set(Path("/proc/cpuinfo").read_text().split())
    same = platform.libc_ver() == ("glibc", "2.36") and "avx2" in flags
    if not same or flags & {"erms", "rtm", "avx512f"}:
        pytest.skip("another copy serves here than the one that the page is about")
    assert told == here
