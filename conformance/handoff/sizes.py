"""Sizes and ranges as people write them on a command line."""

import re

from conformance.formats.source import FormatError
from spec.handoff.words import PAGE_BYTES

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MAX_BYTES = 1 << 52


def size(option: str, text: str) -> int:
    """Bytes, from such as 0x8000000, 4096, 16M or 1T.

    Raises: FormatError naming the option.
    """
    found = re.fullmatch(r"(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})([KMGT]?)(?:i?B)?", text)
    number = int(found[1], 0 if found[1][:2] in ("0x", "0X") else 10) if found else -1
    made = number * UNITS[found[2]] if found else -1
    if not 0 <= made <= MAX_BYTES:
        raise FormatError(f"{option} {text[:40]!a}: no size; write bytes up to 2**52, as in 16M")
    return made


def pages(option: str, text: str) -> int:
    """Whole pages, from a size.

    Raises: FormatError naming the option.
    """
    made = size(option, text)
    if made % PAGE_BYTES:
        raise FormatError(f"{option} {text[:40]!a}: no whole pages; write a multiple of 4096 bytes")
    return made // PAGE_BYTES


def span(option: str, text: str) -> tuple[int, int]:
    """Address and size in bytes, from ADDRESS:SIZE.

    Raises: FormatError naming the option.
    """
    parts = text.split(":")
    if len(parts) != 2:
        raise FormatError(f"{option} {text[:40]!a}: no range; write ADDRESS:SIZE")
    return size(option, parts[0]), size(option, parts[1])


def kernel(option: str, text: str) -> tuple[int, int, int]:
    """Base, least and greatest size in pages, from BASE:SIZE or BASE:LEAST:GREATEST.

    Raises: FormatError naming the option.
    """
    parts = [pages(option, part) for part in text.split(":")]
    if len(parts) not in (2, 3):
        raise FormatError(f"{option} {text[:40]!a}: write BASE:SIZE or BASE:LEAST:GREATEST")
    return parts[0], parts[1], parts[-1]
