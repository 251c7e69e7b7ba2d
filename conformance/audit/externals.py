"""What is known of functions that are defined elsewhere, or that never come back.

A contract says what memory such a function changes, not with which accesses: the C library's
memcpy may copy a register of 4 bytes as one access, as four, or as two that overlap, and which it
is may change with the processor. To a device that is an access of a width that nobody states.
"""

import fnmatch
from functools import cache

from conformance.audit import bits
from conformance.audit.decode import RAX, RCX, RDI, RDX, RSI
from conformance.audit.faults import NotModelled
from conformance.audit.flags import decide
from conformance.audit.image import Image
from conformance.audit.state import UNDEFINED, State
from conformance.audit.world import DEVICE, MAX_COPY

NO_RETURN = (
    "abort",
    "exit",
    "_exit",
    "__assert_fail",
    "__stack_chk_fail",
    "__chk_fail",
    "__fortify_fail",
    "*4core9panicking*",
    "*4core5slice*_fail*",
    "*4core3str*_fail*",
    "*4core6result*unwrap_failed*",
    "*4core6option*_failed*",
    "*4core4cell*panic_already*",
    "*3std9panicking*",
    "*3std7process5abort*",
    "*handle_alloc_error*",
    "rust_begin_unwind",
    "__rust_start_panic",
)
"""Functions that by their declaration do not come back, and do not touch a device on the way."""

COPIES = ("memcpy", "memmove", "__memcpy_chk", "__memmove_chk")
FILLS = ("memset", "__memset_chk")
COUNT_ONES = "__popcountdi2"


@cache
def never_returns(name: str) -> bool:
    """Whether the function is one that never comes back."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in NO_RETURN)


@cache
def has_contract(name: str) -> bool:
    """Whether the function is taken at its word, even where its code is at hand."""
    return name in COPIES or name in FILLS or name == COUNT_ONES


def contracts_of(image: Image, start: int) -> dict[int, str]:
    """The functions that are not followed, by their addresses; the one at `start` is."""
    held = {
        f.address: f.name
        for f in image.functions
        if f.address != start and (has_contract(f.name) or never_returns(f.name))
    }
    return {**image.imports, **held}


def run(s: State, name: str) -> None:
    """Do what the contract of `name` says, and return to the caller.

    Raises: NotModelled where there is no contract; Split, with nothing changed.
    """
    if never_returns(name):
        s.ended = f"stops in {name}"
        return
    if name in COPIES:
        _copy(s)
    elif name in FILLS:
        _fill(s)
    elif name == COUNT_ONES:
        s.regs[RDI] = s.world.count_ones(s.regs[RDI], 64)
    else:
        raise NotModelled(f"a call of {name}, which is defined elsewhere")
    s.regs[RAX] = s.regs[RDI]
    _clobber(s)
    s.rip = s.world.concrete(s, s.pop())


def _copy(s: State) -> None:
    count = s.regs[RDX]
    if decide(s, bits.equal(count, 0, 64)):
        return
    target, source = s.world.place(s, s.regs[RDI]), s.world.place(s, s.regs[RSI])
    for place, kind in ((source, "R"), (target, "W")):
        if place.region == DEVICE:
            s.world.touch(s, place, kind)
            raise NotModelled("what memcpy makes of a device")
    size = s.world.concrete(s, count, "the length of a copy")
    if size > MAX_COPY:
        raise NotModelled(f"a copy of {size} bytes")
    pieces = [s.world.byte(s, source.region, source.offset + n) for n in range(size)]
    for n, piece in enumerate(pieces):
        s.memory[target.region, target.offset + n] = piece


def _fill(s: State) -> None:
    count = s.regs[RDX]
    if decide(s, bits.equal(count, 0, 64)):
        return
    target = s.world.place(s, s.regs[RDI])
    if target.region == DEVICE:
        s.world.touch(s, target, "W")
        raise NotModelled("what memset makes of a device")
    s.world.fill(s, target, bits.part(s.regs[RSI], 0, 8, 64), count)


def _clobber(s: State) -> None:
    # What a callee need not keep is unknown afterwards; rax is its answer.
    for index in (RCX, RDX, RSI, RDI, 8, 9, 10, 11):
        s.regs[index] = s.world.fresh("left", 64)
    for index in range(16):
        s.wide[index] = s.world.fresh("left_wide", 128)
    s.left = (*s.left, (tuple(s.regs), tuple(s.wide)))
    s.set_flags(**dict.fromkeys(("cf", "zf", "sf", "of", "pf"), UNDEFINED))
