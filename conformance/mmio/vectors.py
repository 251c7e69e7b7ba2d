"""Ways to each case on each machine, and traces that once showed a defect, kept as files.

What is expected is derived from the rules again and never taken from a file; a way that no longer
leads to its case is told as a case that is not reached.

`python -m conformance.mmio.vectors` makes them anew.
"""

import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from itertools import count
from pathlib import Path

import msgspec

from conformance.files import write_atomically
from conformance.mmio.calls import Call
from conformance.mmio.trace import MmioTrace, decoded, encoded
from conformance.mmio.walk import doors, reduced, walk, way

WAYS, KEPT = "mmio_ways.json", "mmio_vectors.json"


@dataclass(frozen=True)
class Vector:
    """Calls, and what they are for: a case that they lead to, or a defect that they show."""

    name: str
    calls: tuple[Call, ...]


@cache
def ways() -> tuple[Vector, ...]:
    """A way to each case on each machine."""
    return _read(WAYS)


@cache
def kept() -> tuple[Vector, ...]:
    """A trace for each known-bad variant."""
    return _read(KEPT)


def _read(name: str) -> tuple[Vector, ...]:
    place = files("conformance") / "data" / name
    listed = msgspec.json.decode(place.read_bytes(), type=list[MmioTrace])
    return tuple(Vector(one.device, tuple(decoded(one, f"{name}: {one.device}"))) for one in listed)


def _written(name: str, traces: list[MmioTrace]) -> None:
    data = b"[\n" + b",\n".join(msgspec.json.encode(trace) for trace in traces) + b"\n]\n"
    write_atomically(Path(str(files("conformance") / "data" / name)), data)


def _trace(name: str, made_by: str, calls: tuple[Call, ...]) -> MmioTrace:
    return MmioTrace(device=name, made_by=made_by, seed=0, steps=encoded(calls))


def make_ways() -> None:
    """The ways anew: the shortest that walks come to each case by."""
    found = [(f"{d.rule}.{d.case}", tuple(way(d))) for d in doors()]
    _written(WAYS, [_trace(name, "way", calls) for name, calls in found])


def make_kept() -> None:
    """The traces anew, from the walks that find each defect."""
    defects = import_module("conformance.mmio.defects")
    traces = []
    for defect in defects.all_defects():
        make = defects.maker(defect.id)
        found = next(f for seed in count() if (f := walk(make(), seed, defects.Reached())))
        small = reduced(make, found)
        print(f"{defect.id}: {len(small.calls)} calls", file=sys.stderr)
        traces.append(_trace(defect.id, "walk", small.calls))
    _written(KEPT, traces)


if __name__ == "__main__":
    make_ways()
    make_kept()
