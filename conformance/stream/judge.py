"""A reader of streams beside the rules: it takes what they take, and refuses for their reason."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from random import Random
from types import ModuleType
from typing import Any

from conformance.stream.made import NONCE, Made, bytes_of, contents, drawn
from conformance.stream.oracle import steps
from spec.rule import changed
from spec.validation.stream import FRAME_BYTES, PAGE_BYTES, Why, record_at

Reached = Counter[tuple[str, str]]


class StreamDevice:
    """The built-in reader and writer, or a changed copy of them."""

    def __init__(self, module: ModuleType | None = None, name: str = "impl:stream") -> None:
        self.module, self.name = module or import_module("impl.stream"), name

    def read(self, made: Made, data: bytes) -> tuple[int, Any]:
        """Why a stream is refused, 0 if it is not, and then what is taken of it."""
        why, taken = self.module.read(data, NONCE, made.cap)
        return int(why), taken

    def write(self, runs: Any, vmsas: Any) -> bytes:
        """The stream of some claimed frames."""
        return b"".join(self.module.write(runs, vmsas, NONCE, contents))


Make = Callable[[], StreamDevice]
Compared = Iterator[tuple[str, Any, Any]]
REASONS = {why.value: why.name for why in Why}


@dataclass(frozen=True)
class Parting:
    """Where a device and the rules part on a stream: rule and case, and what differs."""

    made: Made
    rule: str
    case: str
    field: str
    expected: str
    got: str


def judged(device: StreamDevice, made: Made, reached: Reached) -> Parting | None:
    """What a device makes of a stream, held to the rules."""
    data = bytes_of(made)
    went = list(steps(data, NONCE, made.cap))
    reached.update((rule.id, case) for rule, case, _, _ in went)
    rule, case, why, last = went[-1]

    def parted(field: str, expected: object, got: object) -> Parting:
        return Parting(made, rule.id, case, field, f"{expected}", f"{got}")

    try:
        said, taken = device.read(made, data)
        if said != why:
            return parted("refusal", why.name, REASONS.get(said, said))
        for field, expected, got in _taken(device, data, last, taken) if why == Why.NONE else ():
            if expected != got:
                return parted(field, _short(expected), _short(got))
    except Exception as error:
        return parted("fault", "an answer", f"{type(error).__name__}: {error}")
    return None


def _taken(device: StreamDevice, data: bytes, last: Any, taken: Any) -> Compared:
    """Of a stream that is taken: what is compared, by name, as it should be and as it is."""
    runs = tuple(last.claimed.runs())
    vmsas = tuple(frame for a, b in last.special.runs() for frame in range(a, b))
    yield "runs", runs, taken.runs
    yield "vmsas", vmsas, taken.vmsas
    frames = [frame for first, stop in runs for frame in range(first, stop)]
    for number, frame in enumerate(frames):
        at = record_at(changed(last, seen_records=number)) + FRAME_BYTES
        yield f"page[{frame:#x}]", data[at : at + PAGE_BYTES], taken.page(data, number)
    yield "written", bytes_of(Made(runs, vmsas)), device.write(runs, vmsas)


def _short(value: object) -> str:
    return f"{len(value)} bytes, {value[:8].hex()}" if isinstance(value, bytes) else f"{value}"


def tried(make: Make, made: Made) -> Parting | None:
    """What a fresh device makes of a stream."""
    return judged(make(), made, Counter())


def walk(device: StreamDevice, seed: int, reached: Reached) -> Parting | None:
    """What a device makes of a stream that is drawn."""
    return judged(device, drawn(Random(seed)), reached)


def reduced(make: Make, found: Parting) -> Parting:
    """A parting of the same kind on a stream of which less is unusual."""
    best, plain = found, Made()
    for name, value in vars(plain).items():
        seen = tried(make, replace(best.made, **{name: value}))
        if seen and (seen.rule, seen.field) == (found.rule, found.field):
            best = seen
    return best
