"""Damaged objects: whatever is in the file, an audit ends with a verdict or with one clear line.

As a script: `python tests/conformance/audit/mutate_objects.py COUNT [SEED]` builds objects, damages
them COUNT times, and tells how each ended; any other end is printed, with the seed that repeats it,
and makes the exit code 1.
"""

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from built import OBJECTS, cases_of

from conformance.audit.audit import Question, audit, functions_of
from conformance.audit.elf import read_objects
from conformance.audit.faults import UnreadableObject
from conformance.audit.inlined import inlined_away

SOURCE = OBJECTS / "small.c"
LIMIT_SECONDS = 10.0
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63, 2**64 - 1)


def originals(folder: Path) -> list[bytes]:
    """An object, one with debug information, a library and an archive."""
    made = []
    for name, flags in (
        ("plain.o", ("-O2", "-c")),
        ("debug.o", ("-O1", "-g", "-c")),
        ("library.so", ("-O2", "-shared", "-fPIC", "-nostdlib")),
    ):
        command = ["gcc", "-std=gnu11", "-w", *flags, "-o", folder / name, SOURCE]
        subprocess.run(command, check=True)
        made.append((folder / name).read_bytes())
    subprocess.run(["ar", "rcs", folder / "archive.a", folder / "plain.o"], check=True)
    return [*made, (folder / "archive.a").read_bytes()]


def damaged(draw: random.Random, data: bytes) -> bytes:
    """The file with some of it changed, cut, doubled or moved."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        at = draw.randrange(len(made)) if draw.random() < 0.6 else draw.randrange(64)
        at = min(at, len(made) - 1)
        match draw.randrange(8):
            case 0 | 1:
                made[at] ^= 1 << draw.randrange(8)
            case 2:
                made[at] = draw.randrange(256)
            case 3 | 4:
                size = draw.choice((1, 2, 4, 8))
                value = draw.choice(NUMBERS) & (1 << 8 * size) - 1
                made[at : at + size] = value.to_bytes(size, "little")
            case 5:
                del made[draw.randrange(len(made)) + 1 :]
            case 6:
                other = draw.randrange(len(made))
                made[at : at + 24] = made[other : other + 24]
            case 7:
                del made[at : at + draw.randrange(1, 9)]
                made = made or bytearray(b"\x7f")
    return bytes(made)


def end_of(data: bytes, number: int) -> str:
    """How the audit of a damaged object ends."""
    case = cases_of(SOURCE)[number % 3]
    question = Question(case.args, case.expect, case.assume, seconds=3, max_steps=200)
    try:
        objects = read_objects(data, "damaged")
        if number % 16 == 0:
            for elf in objects:
                inlined_away(elf.data)
        found = functions_of(objects, case.function)
        if not found:
            return "no such function"
        elf, function = found[0]
        return audit(objects, elf, function.name, question).verdict.value
    except UnreadableObject:
        return "unreadable"


def run(count: int, seed: int, tell=lambda line: None) -> tuple[Counter[str], list[str]]:
    """How many ended how, and what should not have happened."""
    ends, faults = Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        sources = originals(Path(folder))
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        data = damaged(draw, sources[number % len(sources)])
        began = time.monotonic()
        try:
            ends[end_of(data, number)] += 1
        except Exception as error:
            ends["fault"] += 1
            faults.append(f"seed {seed} number {number}: {error!r}")
            tell(faults[-1])
        if time.monotonic() - began > LIMIT_SECONDS:
            faults.append(f"seed {seed} number {number}: {time.monotonic() - began:.0f} s")
            tell(faults[-1])
        if number % 5000 == 4999:
            tell(f"{number + 1}: {dict(ends)}")
    return ends, faults


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    wanted = int(sys.argv[1])
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    found, wrong = run(wanted, first, lambda line: print(line, flush=True))
    print(f"{sum(found.values())} damaged objects: {dict(found)}; {len(wrong)} faults")
    sys.exit(1 if wrong else 0)
