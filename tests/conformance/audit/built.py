"""Objects that tests build with this machine's compilers, and what is expected of what is in them.

A source says of each function, in a line of its own, how it is called and what is right:
`EXPECT right_write32(mmio,value): W32`. What is called right_* must PASS, what is called wrong_*
must FAIL; `UNLESS -O0` names levels at which the compiler happens to make it right.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

OBJECTS = Path(__file__).parent / "objects"
LEVELS = ("-O0", "-O2", "-O3", "-Os")
LINE = re.compile(
    r"EXPECT (\w+)\((.*?)\): (.*?)(?: ASSUME (.*?))?(?: UNLESS (.*?))?\s*(?:\*/)?$", re.M
)


@dataclass(frozen=True)
class Case:
    """One function and what is said of it."""

    function: str
    args: str
    expect: str
    assume: tuple[str, ...]
    right_at: tuple[str, ...]

    def is_right(self, level: str) -> bool:
        return self.function.startswith("right") or level in self.right_at


def cases_of(source: Path) -> list[Case]:
    return [
        Case(name, args, expect, (assume,) if assume else (), tuple(unless.split()))
        for name, args, expect, assume, unless in LINE.findall(source.read_text())
    ]


def gcc(source: Path, target: Path, *flags: str) -> Path:
    """The source as built; skips the test where there is no compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc on this machine, so there is no object to audit")
    subprocess.run([compiler, "-std=gnu11", "-w", *flags, "-o", target, source], check=True)
    return target
