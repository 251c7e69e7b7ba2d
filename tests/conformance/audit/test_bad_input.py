"""Bad input: one clear line, the right exit code, bounded time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from built import OBJECTS, gcc
from mutate_objects import run

ROOT = Path(__file__).parents[3]
GOOD = ("--args", "mmio,value", "--expect", "W32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("bad")
    good = gcc(OBJECTS / "small.c", made / "good.o", "-O2", "-c", "-g").read_bytes()
    (made / "empty.o").write_bytes(b"")
    (made / "text.o").write_text("not an object")
    (made / "short.o").write_bytes(good[:40])
    (made / "cut.o").write_bytes(good[: len(good) // 2])
    other = bytearray(good)
    other[18] = 183
    (made / "arm.o").write_bytes(other)
    other[18], other[4] = 62, 1
    (made / "narrow.o").write_bytes(other)
    (made / "empty.a").write_bytes(b"!<arch>\n")
    (made / "cut.a").write_bytes(b"!<arch>\n" + b"x" * 70)
    (made / "core").write_bytes(good[:16] + b"\x04\x00" + good[18:])
    gcc(OBJECTS / "small.c", made / "stripped.so", "-O2", "-shared", "-fPIC", "-s")
    subprocess.run(["strip", "--strip-all", "-o", made / "bare.o", made / "good.o"], check=False)
    gcc(OBJECTS / "odd.c", made / "odd.o", "-O2", "-c", "-g")
    return made


def audit(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "conformance.cli", "audit", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )


UNREADABLE = [
    ("missing.o", "right_call", "No such file"),
    ("empty.o", "right_call", "not an ELF file"),
    ("text.o", "right_call", "not an ELF file"),
    ("short.o", "right_call", "truncated"),
    ("cut.o", "right_call", "truncated"),
    ("arm.o", "right_call", "for AArch64"),
    ("narrow.o", "right_call", "not a 64-bit"),
    ("empty.a", "right_call", "without an object"),
    ("cut.a", "right_call", "damaged archive"),
    ("core", "right_call", "neither an object nor a library"),
    ("good.o", "right_cal", "did you mean right_call"),
    ("stripped.so", "helper", "stripped"),
    ("odd.o", "gone", "inlined away; audit what it went into: right_caller"),
]


@pytest.mark.parametrize("name, function, said", UNREADABLE)
def test_what_cannot_be_read_is_one_line_and_exit_2(folder, name, function, said):
    done = audit(folder, folder / name, "--function", function, *GOOD)
    assert done.returncode == 2, done
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == ""


USAGE = [
    (["--expect", "W32"], "needs --function and --expect"),
    (["--function", "right_call", "--args", "value", "--expect", "W32"], "none of them is mmio"),
    (["--function", "right_call", "--args", "mmio,9", "--expect", "W32"], "is not a name"),
    (["--function", "right_call", "--args", "mmio,mmio", "--expect", "W32"], "named twice"),
    (["--function", "right_call", "--args", "mmio,a,b,c,d,e,f", "--expect", "W32"], "more than 6"),
    (["--function", "right_call", "--expect", "W24"], "not 24"),
    (["--function", "right_call", "--expect", "W32 if"], "at the end"),
    (["--function", "right_call", "--expect", "W32 if mmio == 4"], "expected `else`"),
    (["--function", "right_call", "--expect", "W{size} if 1 == 1 else none"], "one of"),
    (["--function", "right_call", "--expect", "$"], "nothing starts with"),
    (["--function", "right_call", "--expect", "W32", "--assume", "mmio"], "a comparison"),
    (["--function", "right_call", "--expect", "W32", "--assume", "1 == 2"], "no input is as"),
]


@pytest.mark.parametrize("arguments, said", USAGE)
def test_a_call_without_sense_is_one_line_and_exit_2(folder, arguments, said):
    done = audit(folder, folder / "good.o", *arguments)
    assert done.returncode == 2, done
    assert said in done.stderr and done.stderr.count("\n") == 1


UNDECIDED = [
    ("odd_float", "mmio,value", "`cvttsd2si", "W32"),
    ("odd_thread", "mmio,value", "relocation type", "W32"),
    ("odd_elsewhere", "mmio,value", "a call of elsewhere", "none"),
    ("odd_long", "mmio,value", "more than", "W32"),
    ("odd_trap", "mmio,value", "no path comes back", "none"),
    ("odd_pointer", "mmio,value", "where nothing is", "none"),
]


@pytest.mark.parametrize("function, args, said, expect", UNDECIDED)
def test_what_is_not_modelled_is_inconclusive_and_exit_3(folder, function, args, said, expect):
    began = time.monotonic()
    done = audit(
        folder, folder / "odd.o", "--function", function, "--args", args, "--expect", expect
    )
    assert done.returncode == 3, done
    assert "INCONCLUSIVE" in done.stdout and said in done.stdout.replace("\n", " ")
    assert done.stderr == ""
    assert time.monotonic() - began < 60


def test_a_function_that_never_returns_fails(folder):
    done = audit(folder, folder / "odd.o", "--function", "odd_circle", *GOOD)
    assert done.returncode == 1 and "loops here for ever" in done.stdout


def test_the_list_tells_what_was_inlined_away(folder):
    done = audit(folder, folder / "odd.o", "--list")
    assert done.returncode == 0
    assert "inlined away: gone, into right_caller" in done.stdout and "odd_float" in done.stdout


def test_damaged_objects_end_in_a_verdict_or_a_line():
    ends, faults = run(400, seed=0)
    assert faults == []
    assert sum(ends.values()) == 400 and ends["unreadable"] > 100 and ends["PASS"] > 20
