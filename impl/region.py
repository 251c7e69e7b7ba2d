"""The bitmaps' region, made ready before the bitmaps are put into it.

Like the rest of the SVSM this does no I/O: it yields what it asks of the machine, see
`impl.platform`. It runs after the map has been carved, so nobody but the SVSM is given these pages.
"""

from enum import IntEnum

from impl.handoff_abi import LARGE_PAGES, Span
from impl.platform import Fill, Fillings, Platform, Tampered, Work


class Unready(IntEnum):
    """Why a region cannot be made ready; DONE: it is."""

    DONE = 0
    NOT_PRIVATE = 1
    NOT_VALIDATED = 2


def make_ready(region: Span, platform: Platform, shared: bool) -> Work:
    """Validate and zero the pages of a region, each once; answers an `Unready`.

    region: first page and the one past the last, both multiples of LARGE_PAGES; may be empty.
    shared: whether the host holds the pages shared until it is asked to make them private.

    Refuses: NOT_PRIVATE where the host does not make a page private, NOT_VALIDATED where a page
    does not become validated or has been already. The VM cannot go on then: pages before it stay
    validated, and nobody knows of them.

    Raises: ValueError for a region that is not in whole blocks.
    """
    first, stop = region
    if first % LARGE_PAGES or stop % LARGE_PAGES or not 0 <= first <= stop:
        raise ValueError(f"region is {first} to {stop}, must be multiples of {LARGE_PAGES}")
    if shared:
        for frame in range(first, stop):
            if not (yield from platform.change_state(frame, True)):
                return Unready.NOT_PRIVATE
    try:
        for block in range(first, stop, LARGE_PAGES):
            yield from _bring_in(block, platform)
    except Tampered:
        return Unready.NOT_VALIDATED
    return Unready.DONE


def _bring_in(block: int, platform: Platform) -> Work:
    """Validate a block at one go, or page by page where the machine's pages are smaller."""
    if (yield from platform.validate(block, True)):
        yield Fill(block, True, Fillings.ZERO)
        return Unready.DONE
    for frame in range(block, block + LARGE_PAGES):
        # Nothing is smaller than 4 KiB: a mismatch of sizes here is no honest answer.
        if not (yield from platform.validate(frame, False)):
            raise Tampered
        yield Fill(frame, False, Fillings.ZERO)
    return Unready.DONE
