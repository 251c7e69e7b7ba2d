"""Building samples, and copies of them with something changed, by the compilers alone.

Cargo would build the crate of the interface again for each; here it is built once.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.adapters import header
from conformance.device import DeviceError

HERE = Path(__file__).parent
CRATE = Path(__file__).parent.parent / "adapters" / "rust" / "src" / "lib.rs"
SOURCES = {
    "bitmap-rust": HERE / "bitmap-rust" / "src" / "lib.rs",
    "runs-rust": HERE / "runs-rust" / "src" / "lib.rs",
    "mmio-rust": HERE / "mmio-rust" / "src" / "lib.rs",
    "handoff-c": HERE / "handoff-c" / "handoff.c",
}
"""The source of each sample."""
RUSTC = {
    "debug": ("-C", "overflow-checks=on", "-C", "debug-assertions=on"),
    "release": ("-C", "opt-level=1"),
    "abort": ("-C", "opt-level=1", "-C", "panic=abort"),
}
CC = ("-std=c11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden")
MOST_SECONDS = 300.0


@dataclass(frozen=True)
class Workshop:
    """A folder in which things are built."""

    folder: Path

    def sample(self, sample: str, profile: str = "release") -> Path:
        """The library that a sample makes."""
        return self.changed(sample, sample, SOURCES[sample].read_text(), profile)

    def changed(self, name: str, sample: str, text: str, profile: str = "release") -> Path:
        """The library that another text of a sample makes.

        Raises: DeviceError where it does not build.
        """
        source = self.folder / f"{name}-{profile}{SOURCES[sample].suffix}"
        library = source.with_suffix(".so")
        source.write_text(text)
        if source.suffix == ".c":
            where = ("-I", str(header().parent))
            self._run("cc", (*CC, *where, "-o", str(library), str(source)))
        else:
            crate = f"svsm_conformance={self._crate(profile)}"
            kind = ("--crate-type", "cdylib", "--crate-name", name.replace("-", "_"))
            self._rustc(profile, (*kind, "--extern", crate, "-o", str(library), str(source)))
        return library

    def _crate(self, profile: str) -> Path:
        """The crate of the interface, built once."""
        made = self.folder / f"crate-{profile}" / "libsvsm_conformance.rlib"
        if not made.exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            kind = ("--crate-type", "rlib", "--crate-name", "svsm_conformance")
            self._rustc(profile, (*kind, "-o", str(made), str(CRATE)))
        return made

    def _rustc(self, profile: str, words: Sequence[str]) -> None:
        # A twin that does not use something any more is not to be told so.
        self._run("rustc", ("--edition", "2021", "--cap-lints", "allow", *RUSTC[profile], *words))

    def _run(self, compiler: str, words: Sequence[str]) -> None:
        if shutil.which(compiler) is None:
            raise DeviceError(f"there is no {compiler} to build samples with; install it")
        done = subprocess.run(
            [compiler, *words], capture_output=True, text=True, timeout=MOST_SECONDS, check=False
        )
        if done.returncode:
            first = next((row for row in done.stderr.splitlines() if "error" in row), "it failed")
            raise DeviceError(f"{words[-1]} does not build: {first.strip()}")
