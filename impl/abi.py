"""The numbers of the bitmap's interface: sizes, limits, refusals and batch opcodes.

They are stated here for `impl` alone; nothing is shared with the specification.
"""

from enum import IntEnum
from typing import Final

# AMD64 Architecture Programmer's Manual, volume 2, 5.3 "Long-Mode Page Translation":
# a page is 4 KiB, or 2 MiB where a page-directory entry maps it directly.
PAGE_4K: Final = 4096
PAGE_2M: Final = 512 * PAGE_4K

# AMD64 APM, volume 2, 5.3: physical addresses have at most 52 bits.
ADDRESS_LIMIT: Final = 2**52
MAX_PAGES: Final = ADDRESS_LIMIT // PAGE_4K

# The default cap on one region: 1 TiB of guest, 32 MiB of bitmap.
DEFAULT_MAX_PAGES: Final = 2**28
# The default cap on a tracker's runs: less than 3 MiB of memory.
DEFAULT_MAX_RUNS: Final = 2**17
MAX_RUNS: Final = 2**40

WORD_BITS: Final = 64
# What `test_range` answers: no page is claimed, every page is, some are.
RANGE_NONE: Final = 0
RANGE_ALL: Final = 1
RANGE_MIXED: Final = 2


class Status(IntEnum):
    """Why a step is refused; a method returns it negated, and 0 or more on success."""

    OK = 0
    MISALIGNED = 1
    WRAPS = 2
    OUTSIDE = 3
    EMPTY = 4
    REVERSED = 5
    ALREADY_CLAIMED = 6
    NOT_CLAIMED = 7
    MIXED = 8
    SIZE_MISMATCH = 9
    NONE_UNCLAIMED = 10
    WRONG_LENGTH = 11
    SLACK_SET = 12
    ABOVE_LIMIT = 13
    OVER_CAP = 14
    OUT_OF_RUNS = 15


class Opcode(IntEnum):
    """The first column of a batch: which method a row calls."""

    CREATE = 0
    FILL = 1
    CLAIM_4K = 2
    CLAIM_2M = 3
    CLAIM_RANGE = 4
    RELEASE_4K = 5
    RELEASE_2M = 6
    RELEASE_RANGE = 7
    QUERY = 8
    TEST_RANGE = 9
    COUNT = 10
    FIRST_UNCLAIMED = 11
    EXPORT_WORDS = 12
    IMPORT_WORDS = 13
