"""Ask QEMU what memory map it would give a guest: `python tests/reference/qemu_e820.py FOLDER`.

No guest runs: each machine is started with its CPUs stopped, and the fw_cfg file `etc/e820` is
read through its I/O ports over the qtest socket. The blobs are written to the folder, with a list
of what was asked and which QEMU answered.

Source: QEMU docs/devel/testing/qtest.rst; docs/specs/fw_cfg.rst (selector 0x510, data 0x511, the
directory at key 0x19).
"""

import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-system-x86_64"
SELECTOR, DATA, DIRECTORY = 0x510, 0x511, 0x19
FILE = struct.Struct(">IHH56s")
START_SECONDS = 20.0


@dataclass(frozen=True)
class Machine:
    """A machine to ask: its type, its memory in MiB, and the CPU where that makes a difference."""

    kind: str
    mebibytes: int
    cpu: str = "qemu64,phys-bits=46"

    @property
    def name(self) -> str:
        """The blob's file name, without its suffix."""
        size = self.mebibytes
        amount = f"{size >> 10}g" if size % 1024 == 0 else f"{size}m"
        cpu = "-epyc" if "EPYC" in self.cpu else ""
        return f"{self.kind}-{amount}{cpu}"


SIZES = (512, 2048, 3072, 4096, 24 << 10, 1 << 20)
MACHINES = (
    *(Machine(kind, size) for kind in ("q35", "pc") for size in SIZES),
    *(Machine("microvm", size) for size in (512, 4096, 24 << 10)),
    # Above 1 TiB less 12 GiB this CPU has its hole.
    Machine("q35", 1 << 20, "EPYC,phys-bits=48"),
)


def command(machine: Machine, path: Path) -> list[str]:
    """The QEMU that is asked; its memory is only promised, so that any size can be asked for."""
    ram = f"memory-backend-ram,id=ram,size={machine.mebibytes}M,reserve=off"
    return [
        *(QEMU, "-machine", f"{machine.kind},memory-backend=ram", "-accel", "tcg", "-S"),
        *("-m", f"{machine.mebibytes}M", "-object", ram, "-cpu", machine.cpu),
        *("-display", "none", "-nodefaults", "-qtest", f"unix:{path},server=on,wait=off"),
        *("-qtest-log", "none"),
    ]


@contextmanager
def started(machine: Machine) -> Iterator[socket.socket]:
    """A machine, as the socket over which it answers."""
    with tempfile.TemporaryDirectory() as home, socket.socket(socket.AF_UNIX) as link:
        path = Path(home) / "qtest"
        process = subprocess.Popen(command(machine, path), stderr=subprocess.PIPE)
        try:
            link.settimeout(START_SECONDS)
            connect(link, path, process)
            yield link
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def connect(link: socket.socket, path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait for the machine to listen."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            link.connect(str(path))
            return
        except OSError as error:
            if process.poll() is not None:
                said = process.stderr.read().decode(errors="replace").strip()
                raise RuntimeError(f"{QEMU} did not start: {said}") from error
            if time.monotonic() > until:
                raise RuntimeError(f"{QEMU} does not listen") from error
            time.sleep(0.05)


def ask(link: socket.socket, lines: list[str]) -> list[str]:
    """The answers to that many commands."""
    link.sendall("".join(f"{line}\n" for line in lines).encode())
    data = b""
    while data.count(b"\n") < len(lines):
        more = link.recv(1 << 16)
        if not more:
            raise RuntimeError("the machine ended in the middle of an answer")
        data += more
    answers = data.decode().splitlines()
    wrong = next((answer for answer in answers if not answer.startswith("OK")), None)
    if wrong is not None:
        raise RuntimeError(f"the machine answered {wrong!r}")
    return answers


def read_key(link: socket.socket, key: int, size: int, offset: int = 0) -> bytes:
    """`size` bytes of what fw_cfg has under a key."""
    answers = ask(link, [f"outw {SELECTOR:#x} {key:#x}", *[f"inb {DATA:#x}"] * (offset + size)])
    return bytes(int(answer.split()[1], 16) for answer in answers[1 + offset :])


def fw_cfg_file(link: socket.socket, name: str) -> bytes:
    """The fw_cfg file of that name."""
    (count,) = struct.unpack(">I", read_key(link, DIRECTORY, 4))
    for fields in FILE.iter_unpack(read_key(link, DIRECTORY, count * FILE.size, 4)):
        if fields[3].rstrip(b"\0").decode() == name:
            return read_key(link, fields[1], fields[0])
    raise RuntimeError(f"fw_cfg has no file {name}")


def e820_of(machine: Machine) -> bytes:
    """The bytes of `etc/e820`."""
    with started(machine) as link:
        return fw_cfg_file(link, "etc/e820")


def version() -> str:
    """What this QEMU calls itself."""
    said = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (.+)", said)
    return found[1] if found else said.splitlines()[0]


def main() -> int:
    """The command."""
    if len(sys.argv) != 2 or shutil.which(QEMU) is None:
        print(f"usage: {sys.argv[0]} FOLDER, with {QEMU} installed", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"fw_cfg etc/e820 of QEMU {version()}, by tests/reference/qemu_e820.py:"]
    for machine in MACHINES:
        blob = e820_of(machine)
        (folder / f"{machine.name}.e820").write_bytes(blob)
        asked = f"-machine {machine.kind} -m {machine.mebibytes}M -cpu {machine.cpu}"
        lines.append(f"{machine.name}.e820  {asked}  ({len(blob) // 20} entries)")
    (folder / "PROVENANCE").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
