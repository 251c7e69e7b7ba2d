"""A machine's memory map as text: how Linux prints it, and how its sysfs holds it.

The reader of both is `conformance.memmap`; here are the writers.
"""

from collections.abc import Sequence
from pathlib import Path

from conformance.memmap import Entry

# What the kernel's print calls the types that sysfs calls otherwise.
PRINTED = {
    "System RAM": "usable",
    "Reserved": "reserved",
    "ACPI Tables": "ACPI data",
    "ACPI Non-volatile Storage": "ACPI NVS",
    "Unusable memory": "unusable",
    "Persistent Memory": "persistent (type 7)",
    "Soft Reserved": "soft reserved",
}


def write_plain(entries: Sequence[Entry]) -> str:
    """Lines of START END TYPE, where END is the last byte."""
    return "".join(f"{entry.first:#x} {entry.stop - 1:#x} {entry.kind}\n" for entry in entries)


def write_e820_print(entries: Sequence[Entry]) -> str:
    """The lines with which a kernel prints the map while it starts."""
    return "".join(
        f"BIOS-e820: [mem {entry.first:#018x}-{entry.stop - 1:#018x}] "
        f"{PRINTED.get(entry.kind, entry.kind)}\n"
        for entry in entries
    )


def write_directory(folder: Path, entries: Sequence[Entry]) -> None:
    """A directory in the form of /sys/firmware/memmap."""
    for number, entry in enumerate(entries):
        home = folder / str(number)
        home.mkdir(parents=True, exist_ok=True)
        texts = {"start": f"{entry.first:#x}", "end": f"{entry.stop - 1:#x}", "type": entry.kind}
        for name, text in texts.items():
            (home / name).write_text(f"{text}\n")
