"""Bytes with a name, read where they are asked for, and the one error with which they are refused.

A file is never read whole and never waited for: a device is not opened, a FIFO does not hang.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class FormatError(ValueError):
    """A file cannot be used; one line: the file, the place in it, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """`size` bytes, called `place` in messages; `read(offset, length)` gives fewer at their end."""

    place: str
    size: int
    read: Callable[[int, int], bytes]

    def refusal(self, offset: int, what: str, advice: str) -> FormatError:
        """The error that says what is wrong at the byte `offset`, and what to do about it."""
        return FormatError(f"{self.place}: at {offset:#x}: {what}; {advice}")

    def take(self, offset: int, length: int, what: str, advice: str) -> bytes:
        """The `length` bytes at `offset`, which hold `what`.

        Raises: FormatError where the file ends before.
        """
        if not 0 <= offset <= self.size - length:
            short = f"{what} needs {length} bytes, but the file ends at {self.size:#x}"
            raise self.refusal(offset, short, advice)
        data = self.read(offset, length)
        if len(data) != length:
            raise self.refusal(offset + len(data), f"the file ended while {what} was read", advice)
        return data


def of_bytes(data: bytes, place: str = "the bytes given") -> Source:
    """Bytes in memory as a source."""
    return Source(place, len(data), lambda offset, length: data[offset : offset + length])


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The regular file at `path` as a source.

    Raises: FormatError where there is none, or it cannot be read, also later on.
    """
    place, advice = printable(path), "give a regular file that can be read"
    try:
        handle = open_regular(path)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise FormatError(f"{place}: at 0x0: cannot be read ({reason}); {advice}") from error
    if handle is None:
        raise FormatError(f"{place}: at 0x0: is not a regular file; {advice}")

    def read(offset: int, length: int) -> bytes:
        try:
            return os.pread(handle, length, offset)
        except OSError as error:
            failed = f"at {offset:#x}: cannot be read ({reason_of(error)})"
            raise FormatError(f"{place}: {failed}; {advice}") from error

    try:
        yield Source(place, os.fstat(handle).st_size, read)
    finally:
        os.close(handle)


def open_regular(path: Path) -> int | None:
    """A descriptor of the regular file at `path`; None where something else is there.

    Raises: OSError or ValueError where the path leads nowhere or cannot be one.
    """
    # Looked at first, because opening a device can act on it; opened without waiting, because a
    # FIFO may take the name in between.
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def reason_of(error: OSError | ValueError) -> str:
    """Why a path cannot be read, in the system's words."""
    return getattr(error, "strerror", None) or "not a usable path"  # such as a NUL in it


def printable(path: Path) -> str:
    """The path on one line, on any terminal: any byte but NUL and "/" can be in one."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))
