"""Verdicts as they are marked: a shape and the word, so that no colour has to be told apart."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """How a word is shown. tone: good, bad, open (neither), or none (nothing was asked)."""

    shape: str
    tone: str


GOOD, BAD = Mark("✓", "good"), Mark("✕", "bad")
OPEN, NONE = Mark("?", "open"), Mark("–", "none")
MARKS = {
    "PROVED": GOOD,
    "CONFORMS": GOOD,
    "WELL": GOOD,
    "FOUND": GOOD,
    "REACHED": GOOD,
    "REFUTED": BAD,
    "DISAGREE": Mark("≠", "bad"),
    "ERROR": Mark("!", "bad"),
    "VACUOUS": Mark("∅", "bad"),
    "UNKNOWN": OPEN,
    "BOUNDED": Mark("≤", "open"),
    "INTERRUPTED": OPEN,
    "NOTHING COMPARED": OPEN,
    "DIVERGES (not seen again)": OPEN,
    "MEASURED": Mark("•", "none"),
    "NOT RUN": NONE,
    "NOT CLAIMED": NONE,
}


def mark(word: str) -> Mark:
    """How a word is shown; one that is not known here is no pass."""
    return MARKS.get(word.partition("(")[0] if word.startswith("BOUNDED") else word, BAD)
