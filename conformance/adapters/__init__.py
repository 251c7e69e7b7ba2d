"""Implementations of others: libraries in C's terms, programs that speak, classes of Python."""

from importlib.resources import as_file, files
from pathlib import Path


def header() -> Path:
    """The header that libraries are built against; its folder is what a compiler is told."""
    with as_file(files(__name__) / "include" / "svsm_conformance.h") as path:
        return path
