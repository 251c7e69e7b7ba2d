"""Vectors of a record of pages as lines of numbers, for whoever has no reader of JSON at hand.

A line is words apart by spaces: id, then decimal numbers. Wherever there may be several of
something, their count stands before them. docs/vectors.md tells what they are, with a reader
in C and one in Rust.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from conformance.files import write_atomically
from conformance.vectors import Vector
from spec.catalogue import rules
from spec.rule import hints
from spec.validation.bitmap import Policy

HEAD = "# svsm-conformance vector lines 1: id; start; step; code; value; state (docs/vectors.md)\n"


def fill(folder: Path, made: Sequence[Vector]) -> int:
    """Write the vectors, one file for each rule, each vector a line; how many."""
    for rule in dict.fromkeys(vector.rule for vector in made):
        lines = [line(vector) for vector in made if vector.rule == rule]
        write_atomically(folder / f"{rule}.txt", (HEAD + "\n".join(lines) + "\n").encode())
    return len(made)


def line(vector: Vector) -> str:
    """One vector."""
    value = vector.expected.value
    words = list(value) if isinstance(value, tuple) else [value]
    operands = hints(rules()[vector.rule].operands)
    asked = [number for name in operands for number in _numbers(vector.step[name])]
    numbers = [
        *_state(vector.start),
        *(len(asked), *asked),
        vector.expected.code,
        *(len(words), *words),
        *_state(vector.expected.state),
    ]
    return f"{vector.id} {' '.join(map(str, numbers))}"


def _state(state: dict[str, Any]) -> Iterator[int]:
    """Base, pages, the policy's choices in the order of its fields, then the runs of frames."""
    yield from (state["base"], state["pages"], *(state["policy"][name] for name in hints(Policy)))
    yield len(state["claimed"])
    yield from (edge for run in state["claimed"] for edge in run)


def _numbers(value: Any) -> Iterator[int]:
    """A number or a flag as it is; a list as its count and what is in it."""
    if isinstance(value, list):
        yield len(value)
        yield from (number for one in value for number in one)
    else:
        yield int(value)
