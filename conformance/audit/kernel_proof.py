"""What is said of a kernel, or of a function that kernels call, and why."""

from dataclasses import dataclass, field
from enum import StrEnum


class Word(StrEnum):
    """What is said of a kernel."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    NOT_PROVED = "NOT PROVED"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Proof:
    """What became of one kernel."""

    kernel: str
    says: str
    word: Word
    reason: str
    paths: int
    claims: int
    loops: int
    instructions: int
    queries: int
    seconds: float
    encodings: dict[str, str] = field(default_factory=dict)
    witness: dict[str, int] = field(default_factory=dict)
