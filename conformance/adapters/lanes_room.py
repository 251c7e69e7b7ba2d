"""Where the traces of a batch lie in memory that the suite and a library's process share."""

import mmap
import os
import weakref
from typing import NamedTuple

WORD = 8
DONE_WORDS = 2


class Places(NamedTuple):
    """Offsets in bytes: the step that is being done, what goes in, and what comes out; the end."""

    done: int
    starts: int
    ops: int
    words: int
    answers: int
    shown: int
    end: int


def places(lanes: int, steps: int, width: int, room: int) -> Places:
    """Where the parts of a batch of some shape lie."""
    sizes = (
        DONE_WORDS,
        lanes * (3 + width),
        lanes * steps * 4,
        lanes * room,
        lanes * steps * 2,
        lanes * steps * (2 + width),
    )
    found = [0]
    for size in sizes:
        found.append(found[-1] + WORD * size)
    return Places(*found)


class Room:
    """Shared memory that grows as batches need; the other side finds its size by looking."""

    def __init__(self, descriptor: int | None = None) -> None:
        """descriptor: that of the other side's; a fresh one where it is left out."""
        made = os.memfd_create("svsm-conformance") if descriptor is None else descriptor
        self.descriptor = made
        self._held: mmap.mmap | None = None
        self.close = weakref.finalize(self, os.close, made)

    def of(self, size: int) -> mmap.mmap:
        """The memory, with room for so many bytes."""
        if os.fstat(self.descriptor).st_size < size:
            os.ftruncate(self.descriptor, size)
        if self._held is None or len(self._held) < size:
            self._held = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
        return self._held
