"""Accessors in Rust, as rustc builds them at two levels, alone and through the crates safe-mmio
and virtio-drivers: right ones PASS, wrong ones FAIL, and nothing is left undecided."""

import ctypes
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from built import cases_of

from conformance.audit.audit import Question, audit
from conformance.audit.elf import read_objects
from conformance.audit.encodings import compared, told
from conformance.audit.verdict import Verdict

CRATE = Path(__file__).parents[2] / "reference" / "mmio_rust"
CASES = cases_of(CRATE / "src" / "lib.rs")
PROFILES = {"dev": "debug", "release": "release"}

# What any caller of these functions in Rust promises; the unoptimized build checks some of it, and
# panics where it is not so.
POINTERS = ("mmio", "data")
PROMISES = "{0} % 16 == 0 and {0} != 0 and {0} < 0xffffffffffff0000"


@pytest.fixture(scope="module")
def built():
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("no cargo on this machine, so there is no Rust object to audit")
    folder = Path(os.environ.get("CARGO_TARGET_DIR") or CRATE / "target")
    made = {}

    def objects(profile):
        if profile not in made:
            command = [cargo, "build", "--quiet", "--locked", "--profile", profile]
            done = subprocess.run(
                [*command, "--manifest-path", CRATE / "Cargo.toml", "--target-dir", folder],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode and "failed to" in done.stderr and "error[" not in done.stderr:
                pytest.skip(f"cargo cannot fetch the crates: {done.stderr.splitlines()[-1]}")
            assert done.returncode == 0, done.stderr
            path = folder / PROFILES[profile] / "libmmio_rust.so"
            made[profile] = read_objects(path.read_bytes(), str(path)), layout_of(path)
        return made[profile]

    return objects


def layout_of(path):
    tell = ctypes.CDLL(str(path)).transport_layout
    tell.restype = ctypes.c_uint64
    header, space, length = tell().to_bytes(8, "little")[:3]
    assert max(header, space, length) < 32
    return f"{{{header}:mmio;{space}:mmio + 256;{length}:256}}"


def judged(built, case, profile):
    objects, layout = built(profile)
    args = case.args.replace("transport", f"transport{layout}")
    promises = tuple(PROMISES.format(name) for name in POINTERS if name in args)
    return audit(objects, objects[0], case.function, Question(args, case.expect, promises))


def test_there_are_right_and_wrong_ones():
    rights = sum(case.function.startswith("right") for case in CASES)
    assert rights > 15 and len(CASES) - rights > 8
    assert any("safe" in case.function for case in CASES)
    assert any("virtio" in case.function for case in CASES)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.function)
def test_right_ones_pass_and_wrong_ones_fail(built, case, profile):
    found = judged(built, case, profile)
    assert found.verdict is (Verdict.PASS if case.is_right(profile) else Verdict.FAIL), found
    if found.verdict is Verdict.FAIL:
        assert found.line and found.accesses, found
    assert found.encodings.keys() - {"ud2"} <= compared().keys(), told(set(found.encodings))


def test_a_dispatch_through_a_jump_table_is_audited_in_a_second(built):
    case = next(case for case in CASES if case.function == "right_dispatch")
    for profile in PROFILES:
        judged(built, case, profile)
        began = time.process_time()
        found = judged(built, case, profile)
        assert time.process_time() - began < 1
        assert found.paths == 9
    assert any("jmp r64" in one for one in judged(built, case, "release").encodings)
