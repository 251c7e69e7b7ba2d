"""Building a crate of somebody's: each way that it is to be run, and what is said where it fails.

A crate is built twice, since arithmetic that overflows panics in a debug build and goes on with a
wrong number in a release build. Cargo is run offline: what a crate needs is fetched by its owner.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from conformance.device import DeviceError
from conformance.files import write_atomically

PROFILES = {"debug": (), "release": ("--release",)}
LOGS = Path(".svsm-conformance/build")
MOST_SECONDS = 1800.0
CDYLIB = 'put crate-type = ["cdylib"] under [lib] in its Cargo.toml'


@cache
def built(spec: str, target: str, profile: str) -> Path:
    """The shared library of a crate, built as `profile` says, where cargo puts it.

    Raises: DeviceError, one line that says what to do, and where cargo's words are.
    """
    manifest = _manifest(spec, Path(target))
    if shutil.which("cargo") is None:
        raise DeviceError(
            f"device {spec!r}: there is no cargo to build it; install Rust, or give a built "
            "library as c:LIB.so"
        )
    call = ["cargo", "build", "--offline", "--lib", "--manifest-path", str(manifest)]
    call += ["--message-format=json-render-diagnostics", *PROFILES[profile]]
    env = {**os.environ, "CARGO_TERM_COLOR": "never"}
    try:
        done = subprocess.run(call, capture_output=True, env=env, timeout=MOST_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"device {spec!r}: cargo did not end in {MOST_SECONDS:.0f} s") from error
    if done.returncode:
        raise DeviceError(_failed(spec, manifest, profile, done.stderr))
    found = list(_libraries(done.stdout, manifest))
    if not found:
        raise DeviceError(f"device {spec!r}: builds no shared library; {CDYLIB}")
    return found[0]


def _manifest(spec: str, folder: Path) -> Path:
    manifest = (folder / "Cargo.toml" if folder.is_dir() else folder).resolve()
    if manifest.name != "Cargo.toml" or not manifest.is_file():
        raise DeviceError(
            f"device {spec!r}: {folder} is no crate (it has no Cargo.toml); begin one with: "
            "svsm-conformance adapter new --lang rust NAME"
        )
    return manifest


def _failed(spec: str, manifest: Path, profile: str, words: bytes) -> str:
    """One line on a build that failed; all that cargo said goes into a file."""
    path = LOGS / f"{manifest.parent.name}-{profile}.log"
    write_atomically(path, words)
    lines = words.decode(errors="replace").splitlines()
    first = next((one.strip() for one in lines if one.startswith("error")), "cargo failed")
    hint = "; run cargo fetch first, it is built offline" if "offline" in "".join(lines) else ""
    return f"device {spec!r}: does not build ({profile}): {first}{hint}; all of it is in {path}"


def _libraries(said: bytes, manifest: Path) -> Iterator[Path]:
    """The shared libraries of the crate itself among what cargo says that it has made."""
    for row in said.splitlines():
        try:
            told = msgspec.json.decode(row)
        except msgspec.DecodeError:
            # What a build script prints is no message.
            continue
        if not isinstance(told, dict) or told.get("reason") != "compiler-artifact":
            continue
        is_own = Path(told["manifest_path"]) == manifest
        if is_own and "cdylib" in told["target"]["crate_types"]:
            yield from (Path(name) for name in told["filenames"] if name.endswith(".so"))
