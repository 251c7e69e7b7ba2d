"""A walk to each case of each rule on each machine, kept as a seed and a length.

Walks draw from the rules' state alone, so a seed leads to the same steps whatever the device. They
are kept in `data/svsm_doors.json`, since it takes many walks to come to every case. One that leads
to its case no longer, since rules or draws have changed, leaves the case unreached, and the run
tells so.

`python -m conformance.protocol.doors` finds them anew.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from conformance.files import write_atomically
from conformance.protocol import machines
from conformance.protocol.device import SvsmDevice
from conformance.protocol.judge import Joint, Reached
from conformance.protocol.walk import drawn
from conformance.protocol.world import starts

FILE = "svsm_doors.json"
MOST_WALKS = 3000


@dataclass(frozen=True)
class Door:
    """The walk with a seed comes to a case with its step number `length`, the first being 1.

    machine: on which the walk is.
    """

    rule: str
    case: str
    seed: int
    length: int
    machine: str = ""


@cache
def cases(machine: str = "") -> tuple[tuple[str, str], ...]:
    """Every case of every rule on a machine that a device can be seen to take."""
    found: list[tuple[str, str]] = []
    for rule in machines.MACHINES[machine].rules:
        found += [(rule.id, name) for name in machines.names(machine, rule.id)]
    return tuple(found)


@cache
def doors(machine: str = "") -> tuple[Door, ...]:
    """The way to each case on a machine, as it is kept."""
    place = files("conformance") / "data" / FILE
    kept = msgspec.json.decode(place.read_bytes(), type=tuple[Door, ...])
    return tuple(door for door in kept if door.machine == machine)


def find(machine: str) -> tuple[Door, ...]:
    """The shortest way that is met to each case; a case that none leads to is missing."""
    best: dict[tuple[str, str], Door] = {}
    wanted = set(cases(machine))
    begins, idle = starts(machine), SvsmDevice()
    for seed in range(MOST_WALKS):
        if wanted <= best.keys():
            break
        reached: Reached = Counter()
        joint = Joint(idle, begins[seed % len(begins)], reached)
        for length, (rule, op) in enumerate(drawn(seed, joint), 1):
            reached.clear()
            joint.do(rule, op)
            for key in reached:
                if key not in best or length < best[key].length:
                    best[key] = Door(*key, seed, length, machine)
    return tuple(best[key] for key in cases(machine) if key in best)


def main() -> None:
    """Find every door and write them."""
    found: list[Door] = []
    for machine in machines.MACHINES:
        found += find(machine)
        print(f"{machine or 'snp'}: {len(found)} doors so far", file=sys.stderr, flush=True)
    data = b",\n".join(msgspec.json.encode(door) for door in found)
    write_atomically(Path(str(files("conformance") / "data" / FILE)), b"[\n" + data + b"\n]\n")


if __name__ == "__main__":
    main()
