"""Run one reader under atheris, led by coverage: `python tests/fuzz/guided.py igvm -runs=1000000`.

Needs the package `atheris` from PyPI, which nothing else does. What follows the reader's name is
libFuzzer's.
"""

import sys
import tempfile
from importlib import import_module
from pathlib import Path


def main() -> int:
    """The command."""
    try:
        atheris = import_module("atheris")
    except ImportError:
        print("atheris is not installed: pip install atheris", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["conformance.formats", "conformance.memmap"]):
        targets = import_module("targets")
    with tempfile.TemporaryDirectory() as home:
        made = {target.name: target for target in targets.targets(Path(home))}
        if len(sys.argv) < 2 or sys.argv[1] not in made:
            print(f"usage: {sys.argv[0]} {'|'.join(made)} [OPTION...]", file=sys.stderr)
            return 2
        target = made[sys.argv[1]]
        corpus = Path(home) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(target.seeds):
            (corpus / str(number)).write_bytes(seed)

        def one(data: bytes) -> None:
            given = bytearray(data)
            if target.mend is not None:
                target.mend(given, 0)
            target.read(bytes(given))

        atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus)], one)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
