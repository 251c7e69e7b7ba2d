"""A crate is built twice and run twice; what it lacks is told in one line."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.adapters import cargo, found
from conformance.adapters.skeleton import CRATE
from conformance.device import DeviceError

needs_cargo = pytest.mark.skipif(shutil.which("cargo") is None, reason="there is no cargo here")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Nothing is built into the tree, and logs are written into a folder of their own."""
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path / "target"))
    monkeypatch.chdir(tmp_path)
    cargo.built.cache_clear()


def crate(folder, body, manifest='[lib]\ncrate-type = ["cdylib"]\n'):
    (folder / "src").mkdir(parents=True)
    head = f'[package]\nname = "{folder.name}"\nversion = "0.1.0"\nedition = "2021"\n'
    needs = f'[dependencies]\nsvsm-conformance = {{ path = "{CRATE}" }}\n[workspace]\n'
    (folder / "Cargo.toml").write_text(head + manifest + needs)
    (folder / "src" / "lib.rs").write_text(body)
    return f"rust:{folder}"


def refused(spec):
    with pytest.raises(DeviceError) as told:
        found.specs(spec)
    assert "\n" not in str(told.value)
    return str(told.value)


@needs_cargo
def test_the_crate_is_as_the_header_and_answers_as_it_should(tmp_path):
    words = ["cargo", "test", "--offline", "-q", "-j1", "--manifest-path", CRATE / "Cargo.toml"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stdout + done.stderr


CLAIMED = """
use svsm_conformance::{Done, Record, Shown, State};
struct Nothing;
impl Record for Nothing {
    fn new() -> Self { Nothing }
    fn load(&mut self, _: &State<'_>) {}
    fn show(&self, _: &mut Shown<'_>) {}
    fn claim_4k(&mut self, gpa: u64) -> Done { assert!(gpa + 4096 > 0); Ok(()) }
}
svsm_conformance::export! { name: "nothing", bitmap: Nothing { claim_4k } }
"""


@needs_cargo
def test_both_builds_are_run(tmp_path):
    spec = crate(tmp_path / "mine", CLAIMED)
    target = spec.removeprefix("rust:")
    assert found.specs(spec) == [f"rust-debug:{target}", f"rust-release:{target}"]
    names = [found.greeting(one).name for one in found.specs(spec)]
    assert names == ["nothing (debug)", "nothing (release)"]
    assert "two builds of it are run; say which: rust-debug:" in told_of_one(spec)


def told_of_one(spec):
    with pytest.raises(DeviceError) as told:
        found.record(spec)
    return str(told.value)


@needs_cargo
def test_a_build_that_fails_says_where_the_words_of_the_compiler_are(tmp_path):
    said = refused(crate(tmp_path / "broken", CLAIMED.replace("Ok(())", "Okay(())")))
    assert "does not build (debug): error[E0425]" in said
    log = Path(said.rsplit(" is in ", 1)[1])
    assert "Okay" in log.read_text()


@needs_cargo
def test_a_crate_that_makes_no_shared_library_is_told_how(tmp_path):
    said = refused(crate(tmp_path / "plain", CLAIMED, manifest=""))
    assert 'builds no shared library; put crate-type = ["cdylib"] under [lib]' in said


def test_what_is_no_crate_is_told_how_to_begin_one(tmp_path):
    assert "is no crate (it has no Cargo.toml); begin one with: " in refused(f"rust:{tmp_path}")
    assert "adapter new --lang rust NAME" in refused("rust:nowhere")


def test_without_cargo_a_built_library_is_asked_for(tmp_path, monkeypatch):
    spec = crate(tmp_path / "mine", CLAIMED)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert "there is no cargo to build it; install Rust, or give a built library" in refused(spec)
