"""The smallest map for each way in which the contract with OVMF is broken.

The proof of the contract names what it needs of image and policy. Each need is left out here, and
maps are tried from the smallest on until OVMF sees something else than what was carved. They are
kept in `data/handoff_breaks.json`; `python -m conformance.handoff.breaks FILE` finds them again.
"""

import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec

from conformance.files import write_atomically
from conformance.handoff.calls import Entry, Range
from conformance.handoff.whole import Seen, Version, Way, seen
from spec.handoff.view import HOLE_STOP

FILE = "handoff_breaks.json"
LENGTHS = (1, 2, HOLE_STOP, HOLE_STOP + 1, HOLE_STOP + 2)
MOST_ENTRIES = 9
FEW = 2
"""So many entries are tried in all lengths and gaps; more of them only as single pages."""


@dataclass(frozen=True)
class Need:
    """What the proof needs, and a way without it; entries, kernel aside."""

    name: str
    without: str
    way: Way


NEEDS = (
    Need(
        "takes_map",
        "the image reads no IGVM map: it asks QEMU, which knows nothing of what the SVSM keeps",
        Way((), (0, 0), version=Version(takes_map=False)),
    ),
    Need(
        "low_from_base",
        "the image takes all below the highest end below 4 GiB as one block of low memory",
        Way((), (0, 0), version=Version(low_from_base=False)),
    ),
    Need(
        "with_terminator",
        "no terminator is written: what stands behind a full area is read as an entry",
        Way((), (0, 0), with_terminator=False, behind=((1 << 20, (1 << 20) + 1, 0),)),
    ),
    Need(
        "low_memory",
        "less low memory is asked for than 1 MiB: OVMF takes the first 640 KiB all the same",
        Way((), (0, 0), low_pages=0),
    ),
)


class Break(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The smallest map that breaks the contract without something that the proof needs."""

    need: str
    without: str
    way: Way
    seen: Seen


def kept() -> tuple[Break, ...]:
    """The maps that are kept."""
    data = (files("conformance") / "data" / FILE).read_bytes()
    return msgspec.json.decode(data, type=tuple[Break, ...])


def maps() -> Iterator[tuple[tuple[Entry, ...], Range]]:
    """Maps of memory, each with a kernel of one page in it: fewer entries and pages first."""
    for count in range(1, MOST_ENTRIES + 1):
        choices = LENGTHS if count <= FEW else (1,)
        lengths = itertools.product(LENGTHS, *[choices] * (count - 1))
        for listed in sorted(lengths, key=sum):
            entries = _apart(listed)
            for first, stop, _ in entries:
                for base in dict.fromkeys((first, first + (stop - first) // 2, stop - 1)):
                    yield entries, (base, base + 1)


def _apart(lengths: tuple[int, ...]) -> tuple[Entry, ...]:
    """Entries of some lengths from page 0 on, a page between any two."""
    ends = list(itertools.accumulate(lengths, lambda at, more: at + 1 + more))
    return tuple((b - n, b, 0) for b, n in zip(ends, lengths, strict=True))


def search(need: Need) -> Break | None:
    """The first map that breaks the contract without a need."""
    for entries, kernel in maps():
        way = msgspec.structs.replace(need.way, entries=entries, kernel=kernel)
        found = seen(way, Counter())
        if not found.keeps_contract:
            return Break(need.name, need.without, way, found)
    return None


def main(arguments: list[str]) -> int:
    """Search the maps and write them."""
    found = [one for one in map(search, NEEDS) if one is not None]
    data = msgspec.json.format(msgspec.json.encode(found), indent=1)
    write_atomically(Path(arguments[0]), data + b"\n")
    return 0 if len(found) == len(NEEDS) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
