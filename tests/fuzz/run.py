"""Run every reader on changed inputs and count: `python tests/fuzz/run.py --inputs 10000000`.

The inputs follow from the seed alone. An input that makes a reader do what it may not is written
to the folder of findings, and the run ends with 1. Memory is the process's own peak.
"""

import argparse
import json
import resource
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import FrameType

import mutate
from targets import Target, targets

SECONDS_EACH = 10
SHARES = {"area": 0.2, "e820": 0.2, "igvm": 0.3, "ovmf": 0.2, "file": 0.05, "text": 0.05}
MAX_GROWTH_KIB = 64 << 10
KEPT_INPUTS = 200


@dataclass
class Count:
    """What came of the inputs to one reader."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


class HungError(Exception):
    """A reader took too long."""


def hung(number: int, frame: FrameType | None) -> None:
    """Stop the reader."""
    raise HungError(f"no answer within {SECONDS_EACH} s")


def fuzz(target: Target, inputs: int, draw: Random, findings: Path) -> Count:
    """Give one reader that many inputs.

    What was read without a refusal becomes a seed at times, so that changes add up.
    """
    count, pool = Count(), list(target.seeds)
    began = time.monotonic()
    for number in range(inputs):
        seed = draw.choice(pool)
        data = mutate.mutated(seed, draw, target.hot(seed))
        if target.mend is not None and draw.random() < 0.9:
            target.mend(data, len(data) - len(seed))
        given = bytes(data)
        signal.setitimer(signal.ITIMER_REAL, SECONDS_EACH)
        at = time.monotonic()
        try:
            is_read = target.read(given)
        except Exception:
            findings.mkdir(parents=True, exist_ok=True)
            (findings / f"{target.name}-{number}").write_bytes(given)
            print(f"{target.name}: input {number} of {len(given)} bytes", file=sys.stderr)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        count.slowest = max(count.slowest, time.monotonic() - at)
        count.inputs += 1
        count.read += is_read
        count.refused += not is_read
        if is_read and draw.random() < 0.05 and len(given) < 4 * len(target.seeds[0]):
            place = draw.randrange(len(target.seeds), KEPT_INPUTS)
            pool[place : place + 1] = [given]
    count.seconds = time.monotonic() - began
    return count


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", choices=tuple(SHARES), default=tuple(SHARES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path(".svsm-conformance/fuzz"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    signal.signal(signal.SIGALRM, hung)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: dict[str, Count] = {}
    whole = sum(SHARES[name] for name in asked.only)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as home:
        for target in (one for one in targets(Path(home)) if one.name in asked.only):
            draw = Random(f"{asked.seed} {target.name}")
            inputs = round(asked.inputs * SHARES[target.name] / whole)
            one = found[target.name] = fuzz(target, inputs, draw, asked.findings)
            print(
                f"{target.name}: {one.inputs} inputs, {one.read} read, {one.refused} refused, "
                f"{one.inputs / one.seconds:.0f}/s, slowest {one.slowest * 1000:.1f} ms",
                flush=True,
            )
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    total = sum(one.inputs for one in found.values())
    print(f"{total} inputs, no crash, no hang; memory grew by {growth} KiB")
    if asked.json is not None:
        counts = {name: asdict(one) for name, one in found.items()}
        result = {"inputs": total, "seed": asked.seed, "growth_kib": growth, "readers": counts}
        asked.json.write_text(json.dumps(result, indent=1))
    return int(growth > MAX_GROWTH_KIB)


if __name__ == "__main__":
    sys.exit(main())
