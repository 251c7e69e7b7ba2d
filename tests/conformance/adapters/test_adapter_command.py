"""An adapter is begun in one line, and one that hides what its device does is found out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.adapters import crooked_record, found, skeleton
from conformance.oracle import Oracle

ROOT = Path(__file__).parents[3]


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "conformance.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        timeout=600,
        check=False,
    )


SKELETONS = {
    "c": ("c:mine/mine.so", ["make", "-C", "mine"]),
    "python": ("mine:Mine", []),
    "rust": ("rust:mine", []),
}


@pytest.mark.parametrize("language", SKELETONS)
def test_a_skeleton_builds_and_claims_nothing_yet(language, tmp_path):
    if language == "rust" and shutil.which("cargo") is None:
        pytest.skip("there is no cargo here")
    device, build = SKELETONS[language]
    made = run("adapter", "new", "--lang", language, "mine", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    told = made.stdout.splitlines()[-1]
    assert told.endswith(f"svsm-conformance conform --device {device}")
    if build:
        subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    done = run("conform", "--device", device, cwd=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "NOTHING COMPARED" in done.stdout
    if language == "c":
        done = run("adapter", "check", device, cwd=tmp_path)
        assert done.returncode == 3
        assert "claims nothing yet: nothing was compared" in done.stdout


def test_the_skeleton_in_python_names_every_group_that_a_class_may_claim(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    skeleton.write("python", Path("mine"))
    text = (tmp_path / "mine" / "__init__.py").read_text()
    for begins in found.GROUPS.values():
        assert all(f"\n    {begin}*" in text for begin in begins)


BAD = [
    (["adapter", "new", "--lang", "c", "My"], 2, "small letters"),
    (["adapter", "new", "--lang", "python", "my-own"], 2, "is imported by its name"),
    (["adapter", "new", "--lang", "cobol", "mine"], 2, "cobol"),
    (["adapter", "check", "impl:pure"], 2, "is built in"),
    (["adapter", "check", "c:absent.so"], 5, "build the library first"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input_is_one_clear_line_and_its_exit_code(arguments, code, says, tmp_path):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1
    assert says in lines[0]
    assert not list(tmp_path.iterdir())


def test_nothing_that_is_there_is_written_over(tmp_path):
    (tmp_path / "mine").mkdir()
    done = run("adapter", "new", "--lang", "c", "mine", cwd=tmp_path)
    assert (done.returncode, list((tmp_path / "mine").iterdir())) == (2, [])
    assert "is there already" in done.stderr


def test_every_wrong_step_of_an_honest_adapter_is_seen(compiled):
    device = found.record(f"c:{compiled('flat.c')}")
    device.claims = {i for i in device.claims if i.endswith(("claim_4k", "count", "fill"))}
    looked = list(crooked_record.look(device))
    device.link.end()
    results = {(one.rule.rpartition(".")[2], one.bent): one.result for one in looked}
    assert set(results.values()) == {"seen", "not tried"}
    # Filling overwrites what was there, so a start that is wrong is not to be seen.
    assert [at for at, result in results.items() if result == "not tried"] == [("fill", "start")]


class FromTheRules(Oracle):
    """An adapter that never asks its device, and answers what the rules would."""

    link = None


def test_an_adapter_that_answers_without_its_device_is_found_out(compiled):
    honest = found.record(f"c:{compiled('flat.c')}")
    honest.link.end()
    device = FromTheRules(honest.policy)
    device.claims = {"validation.bitmap.claim_4k"}
    looked = list(crooked_record.look(device))
    assert {one.result for one in looked} == {"HIDDEN"}
    assert [one.bent for one in looked] == ["start", "operands", "answer", "state"]


def test_a_device_that_differs_is_not_said_to_hide_anything(compiled):
    device = found.record(f"c:{compiled('flat.c', ALREADY='77')}")
    device.claims = {"validation.bitmap.claim_4k"}
    looked = list(crooked_record.look(device))
    device.link.end()
    assert {one.result for one in looked} == {"differs as it is"}
