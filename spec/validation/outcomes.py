"""What a step on the validation record answers."""

from enum import IntEnum, unique


@unique
class Outcome(IntEnum):
    """The answer of one step; all but `OK` are refusals, and a refusal changes nothing."""

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


@unique
class Extent(IntEnum):
    """What a test of many pages answers."""

    NONE = 0
    ALL = 1
    MIXED = 2
