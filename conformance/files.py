"""Files that are whole or not there."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


class WriteError(OSError):
    """A file could not be written; one line that names it."""


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`, which then holds all of it or what it held before.

    Raises: WriteError where there is no room or no right to write.
    """
    if path.exists() and not path.is_file():
        # A device such as /dev/full or /dev/stdout: there is nothing to rename onto it.
        _write_through(path, data)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        with suppress(OSError):
            Path(name).unlink()
        raise WriteError(f"{path}: {error.strerror or error}") from error


def _write_through(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror or error}") from error


def has_schema(path: Path, schema: str) -> bool:
    """Whether a file names a schema in its first mebibyte; one that cannot be read does not."""
    try:
        with path.open("rb") as file:
            return schema.encode() in file.read(1 << 20)
    except OSError:
        return False
