"""The shipped maps are what QEMU gives, where QEMU is there to be asked."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import qemu_e820

MAPS = Path(__file__).parents[2] / "conformance" / "data" / "maps"
ASKED = [m for m in qemu_e820.MACHINES if m.mebibytes in (4096, 24 << 10)]


@pytest.mark.skipif(
    shutil.which(qemu_e820.QEMU) is None,
    reason=f"no {qemu_e820.QEMU}; Debian's package qemu-system-x86 has it",
)
@pytest.mark.parametrize("machine", ASKED, ids=lambda machine: machine.name)
def test_shipped_map_is_what_qemu_gives(machine: qemu_e820.Machine) -> None:
    assert qemu_e820.e820_of(machine) == (MAPS / f"{machine.name}.e820").read_bytes()
