"""Which encodings have been compared with a processor, each with the code of one of its kind.

The list is kept in `data/encodings.txt`; a test runs each line of it on a processor and by the
rules, and fails where an audited object holds one that is not in the list.
"""

from functools import cache
from importlib import resources


@cache
def compared() -> dict[str, str]:
    """The encodings that a test compares, with code."""
    text = resources.files("conformance").joinpath("data/encodings.txt").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: code for code, name in rows}


def told(met: set[str]) -> str:
    """How many of the encodings that were met have been compared, and which have not."""
    rest = sorted(met - compared().keys())
    if not rest:
        return f"{len(met)} encodings met, each compared with a processor"
    return f"{len(met)} encodings met, not compared with a processor: {', '.join(rest)}"
