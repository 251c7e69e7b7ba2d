"""Where the loops of a function are, read off its jumps before anything is run.

A wrong answer here cannot make a proof wrong, since what is shown of a loop is shown of every turn
that the executor takes: a loop that is not seen is followed turn by turn until there are too many.
"""

from dataclasses import dataclass

from conformance.audit.decode import Immediate, Instruction, decode
from conformance.audit.faults import NotModelled
from conformance.audit.image import Image

ENDS = frozenset({"ret", "ud2", "int3", "hlt"})
MAX_INSTRUCTIONS = 20_000


@dataclass(frozen=True)
class Loop:
    """A loop: its first instruction, all of them, and where it is left to."""

    head: int
    body: frozenset[int]
    exits: frozenset[int]


def loops_of(image: Image, address: int) -> dict[int, Loop]:
    """The loops of a function and of those that it calls, by their heads."""
    follow, calls = dict[int, tuple[int, ...]](), [address]
    while calls:
        calls += _walk(image, calls.pop(), follow)
    back = _back_edges(follow)
    return {head: _loop(head, [a for a, b in back if b == head], follow) for _, head in back}


def _walk(image: Image, start: int, follow: dict[int, tuple[int, ...]]) -> list[int]:
    """Note what follows each instruction; the functions that are called."""
    work, calls = [start], []
    while work:
        at = work.pop()
        if at in follow or len(follow) >= MAX_INSTRUCTIONS:
            continue
        follow[at] = ()
        found = _decoded(image, at)
        if found is None:
            continue
        target = _target(found)
        if found.op == "call":
            calls += [target] if target is not None else []
            follow[at] = (found.following,)
        elif found.op == "jmp":
            follow[at] = (target,) if target is not None else ()
        elif found.op not in ENDS:
            follow[at] = (found.following, *([target] if target is not None else []))
        work += follow[at]
    return calls


def _decoded(image: Image, at: int) -> Instruction | None:
    try:
        return decode(image.code(at), at)
    except NotModelled:
        return None


def _target(found: Instruction) -> int | None:
    jumps = found.op == "call" or found.op.startswith("j")
    first = found.operands[0] if jumps and found.operands else None
    return first.value if isinstance(first, Immediate) else None


def _back_edges(follow: dict[int, tuple[int, ...]]) -> list[tuple[int, int]]:
    """Edges that lead to an instruction from which one has come."""
    found, done = list[tuple[int, int]](), set[int]()
    for root, onwards in follow.items():
        path, open_ones = [(root, iter(onwards))], {root}
        while path and root not in done:
            at, rest = path[-1]
            onward = next(rest, None)
            if onward is None:
                path.pop()
                open_ones.discard(at)
                done.add(at)
            elif onward in open_ones:
                found.append((at, onward))
            elif onward not in done:
                open_ones.add(onward)
                path.append((onward, iter(follow.get(onward, ()))))
    return found


def _loop(head: int, sources: list[int], follow: dict[int, tuple[int, ...]]) -> Loop:
    """All instructions from which a source is reached without passing the head."""
    before = dict[int, list[int]]()
    for at, onward in follow.items():
        for one in onward:
            before.setdefault(one, []).append(at)
    body, work = {head}, list(sources)
    while work:
        at = work.pop()
        if at not in body:
            body.add(at)
            work += before.get(at, [])
    exits = {one for at in body for one in follow.get(at, ())} - body
    return Loop(head, frozenset(body), frozenset(exits))
