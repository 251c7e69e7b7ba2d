"""Libraries compiled for a test, from sources beside it, with what is wrong said by macros."""

import os
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from conformance.adapters import header

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Compile a source of this folder with some macros; the library's path."""
    folder = tmp_path_factory.mktemp("libraries")
    made = {}

    def build(source, **macros):
        key = source, tuple(macros.items())
        if key not in made:
            told = [f"-D{name}={value}" for name, value in macros.items()]
            made[key] = folder / f"{Path(source).stem}{len(made)}.so"
            flags = ["-O1", "-shared", "-fPIC", "-I", header().parent, *told]
            subprocess.run(["cc", *flags, HERE / source, "-o", made[key]], check=True)
        return made[key]

    return build


@pytest.fixture
def left_running(monkeypatch):
    """What tells the processes of devices that this test has started and that are still there."""
    name = f"SVSM_TEST={uuid.uuid4().hex}"
    monkeypatch.setenv(*name.split("="))

    def look():
        there = set()
        for one in Path("/proc").iterdir():
            with suppress(OSError):
                held = (one / "environ").read_bytes()
                if name.encode() in held and int(one.name) != os.getpid():
                    there.add(int(one.name))
        return there

    return look
