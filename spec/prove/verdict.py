"""What is said of an obligation; only `PROVED` counts as proved."""

from enum import StrEnum
from typing import NoReturn

import msgspec


class Verdict(StrEnum):
    """The verdict words. None of them is true or false: compare, do not test."""

    PROVED = "PROVED"
    BOUNDED = "BOUNDED"
    REFUTED = "REFUTED"
    UNKNOWN = "UNKNOWN"
    VACUOUS = "VACUOUS"
    DISAGREE = "DISAGREE"
    ERROR = "ERROR"

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a verdict is not a truth value: compare it, as in `verdict is {self!r}`")


class Witness(msgspec.Struct, frozen=True):
    """The values that refute an obligation, by name, and whether they replay in the oracle."""

    values: dict[str, str]
    replays: bool


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one obligation.

    seconds: wall clock, formula building included. rlimit: z3's own count of work.
    method: how it was shown (`pointwise`, `witness`, `induction`, `unrolled`, ...).
    """

    id: str
    verdict: str
    method: str
    solvers: dict[str, str]
    rlimit: int
    seconds: float
    solver_seconds: float
    citation: str
    assumptions: list[str]
    claim: str
    reason: str = ""
    witness: Witness | None = None
