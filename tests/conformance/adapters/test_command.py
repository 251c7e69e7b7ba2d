"""`conform --device` with devices of somebody else's: verdicts, exit codes, one line where none."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SPEAKER = Path(__file__).with_name("speaker.py")
PROGRAM = f"program:{shlex.join([sys.executable, str(SPEAKER)])}"


def conform(folder, *arguments):
    command = [sys.executable, "-m", "conformance.cli", "conform", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_library_and_a_program_that_conform_are_told_to(compiled, tmp_path):
    only = ("--only", "validation.bitmap.fill", "--budget", "0.3s")
    done = conform(tmp_path, "--device", f"c:{compiled('flat.c')}", PROGRAM, *only)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("CONFORMS") == 2


@pytest.mark.slow
def test_a_library_that_dies_is_told_and_the_run_comes_to_its_end(compiled, tmp_path):
    lib = compiled("misdeeds.c", DEED="abort()")
    only = ("--only", "validation.bitmap.claim_range", "--budget", "2s")
    done = conform(tmp_path, "--device", f"c:{lib}", *only)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAULTS" in done.stdout
    assert "died of SIGABRT" in done.stdout
    trace = next((tmp_path / ".svsm-conformance/traces").glob("*.json"))
    replay = subprocess.run(
        [sys.executable, "-m", "conformance.cli", "replay", trace],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert replay.returncode == 1
    assert "died of SIGABRT" in replay.stdout


@pytest.mark.parametrize(
    ("macros", "says"),
    [
        ({"VERSION": 7}, "built against version 7"),
        ({"NO_SYMBOLS": 1}, "exports no svsm_conformance_version"),
        ({"CLAIM_2M": "NULL"}, "bitmap.claim_2m is NULL"),
        (
            {"CLAIMS": '"validation.pvalidate.call"'},
            "but has no table protocol; add it, or drop the claim",
        ),
    ],
)
def test_a_library_that_cannot_be_used_is_exit_5_and_one_line(compiled, tmp_path, macros, says):
    done = conform(tmp_path, "--device", f"c:{compiled('flat.c', **macros)}")
    assert done.returncode == 5
    assert says in done.stderr
    assert len(done.stderr.strip().split("\n")) == 1
    assert done.stdout == ""


def test_a_program_that_exits_at_once_is_exit_5_and_one_line(tmp_path):
    done = conform(tmp_path, "--device", "program:true")
    assert done.returncode == 5
    assert "ended with exit code 0; see docs/adapters.md" in done.stderr
    assert len(done.stderr.strip().split("\n")) == 1


def test_a_journal_that_is_none_is_exit_2(tmp_path):
    done = conform(tmp_path, "--resume", tmp_path / "absent.jsonl")
    assert done.returncode == 2
    assert "No such file" in done.stderr
