"""Traces that once showed a defect, kept: an SVSM that passes them has not that fault.

They are what walks found and reduced, one for each known-bad variant, in `data/svsm_vectors.json`.
What is expected is derived from the rules again and never taken from the file.

`python -m conformance.protocol.vectors` makes them anew.
"""

import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from conformance.files import write_atomically
from conformance.protocol.places import Drawn
from conformance.protocol.trace import ProtocolTrace, decoded, encoded
from conformance.protocol.world import starts
from spec.validation.svsm import Svsm

FILE = "svsm_vectors.json"


@dataclass(frozen=True)
class Kept:
    """A trace and the defect that it showed."""

    defect: str
    start: Svsm
    steps: tuple[Drawn, ...]


@cache
def kept(machine: str = "") -> tuple[Kept, ...]:
    """Every trace that is kept of a machine.

    Raises: TraceError where the file does not make sense.
    """
    place = files("conformance") / "data" / FILE
    listed = msgspec.json.decode(place.read_bytes(), type=list[ProtocolTrace])
    found = []
    for trace in listed:
        if trace.machine != machine:
            continue
        start, steps = decoded(trace, f"{FILE}: {trace.device}")
        found.append(Kept(trace.device, start, tuple(steps)))
    return tuple(found)


def make() -> bytes:
    """The file anew, from the walks that find each defect."""
    from conformance.protocol import defects
    from conformance.protocol.judge import Reached
    from conformance.protocol.walk import reduced, walk

    traces = []
    for defect in defects.all_defects():
        ids = range(defects.WALKS * 4)
        bad = defects.maker(defect.id)
        found = next(f for seed in ids if (f := walk(bad(), seed, Reached(), defect.machine)[1]))
        small = reduced(bad, found)
        print(f"{defect.id}: {len(small.steps)} steps", file=sys.stderr)
        number = starts(defect.machine).index(small.start)
        traces.append(
            ProtocolTrace(
                machine=defect.machine,
                device=defect.id,
                made_by="walk",
                seed=0,
                start=number,
                steps=encoded(small.steps),
            )
        )
    return b"[\n" + b",\n".join(msgspec.json.encode(trace) for trace in traces) + b"\n]\n"


if __name__ == "__main__":
    write_atomically(Path(str(files("conformance") / "data" / FILE)), make())
