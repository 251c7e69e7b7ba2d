"""Options that stand in a file count where the command line says nothing."""

import subprocess
import sys

import pytest

from conformance.settings import SettingsError, check_files


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    command = [sys.executable, "-m", "conformance.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("name", "table"),
    [("svsm-conformance.toml", "prove"), ("pyproject.toml", "tool.svsm-conformance.prove")],
)
def test_an_option_of_a_file_counts_and_the_command_line_comes_first(here, name, table):
    (here / name).write_text(f'[{table}]\nsolver = ["cvc5"]\njobs = 1\n')
    glob = "handoff.size.over_cap/is_reached"
    told = run("prove", glob)
    assert told.returncode == 0, told.stderr
    assert "cvc5" in told.stdout
    assert "z3" not in told.stdout.partition("slowest")[0]
    other = run("prove", glob, "--solver", "z3")
    assert "cvc5" not in other.stdout


def test_files_above_are_found(here, monkeypatch):
    (here / "svsm-conformance.toml").write_text("[prove]\nno_such_option = 1\n")
    inside = here / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    told = run("prove", "handoff.size.over_cap/is_reached")
    assert told.returncode == 2
    assert "no_such_option" in told.stderr.replace("-", "_")
    assert told.stderr.count("\n") == 1


def test_a_file_that_cannot_be_read_is_named_in_one_line(here):
    (here / "pyproject.toml").write_text("x = [\n")
    with pytest.raises(SettingsError, match=r"pyproject\.toml: .*end of document"):
        check_files()
    told = run("doctor")
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1


def test_no_file_is_no_fault(here):
    check_files()
