"""Every path through a function, from its first instruction to where it comes back.

Paths are followed one after another, the deepest first. A path ends by coming back, by stopping
(a trap, a panic), by running in a circle that nothing can end, or undecided, when it meets
something that is not modelled. A loop that asks the device again and again is followed once around;
then what has changed on the way round is forgotten, so that what is shown of the next turn holds
for every later one, and the path is closed when it comes back to where it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conformance.audit import externals, step
from conformance.audit.bits import Value
from conformance.audit.decode import RSP, Instruction, decode
from conformance.audit.faults import NotModelled
from conformance.audit.state import FLAGS, UNDEFINED, Split, State
from conformance.audit.world import RETURN_TO, STACK_TOP, World

MAX_STEPS = 20_000
MAX_PATHS = 2_000
MAX_TURNS = 8
MAX_ROUNDS = 64
ARGUMENTS = (7, 6, 2, 1, 8, 9)
"""The registers of the first six arguments: rdi, rsi, rdx, rcx, r8, r9."""

CLOSED = "closes a loop"
RETURNS = "returns"
CIRCLES = "never returns"


@dataclass
class Paths:
    """What following every path gave. undecided: paths that met what is not modelled."""

    ended: list[State] = field(default_factory=list)
    undecided: list[tuple[State, str]] = field(default_factory=list)
    instructions: dict[int, Instruction] = field(default_factory=dict)
    steps: int = 0


@dataclass(frozen=True)
class Head:
    """The state in which a path came to the head of a loop."""

    regs: tuple[Value, ...]
    wide: tuple[Value, ...]
    memory: dict[Any, Any]
    flags: dict[str, Any]
    suppose: int
    accesses: int
    turns: int
    forgotten: "Changes"
    rounds: int


def entry(world: World, address: int, arguments: list[Value]) -> State:
    """The state in which a caller leaves a function at its first instruction."""
    regs: list[Value] = [world.named(f"entry_{n}", 64) for n in range(16)]
    wide: list[Value] = [world.named(f"entry_wide_{n}", 128) for n in range(16)]
    for register, value in zip(ARGUMENTS, arguments, strict=False):
        regs[register] = value
    regs[RSP] = STACK_TOP - 8
    made = State(world, address, regs, wide, dict.fromkeys(FLAGS, UNDEFINED))
    made.store(STACK_TOP - 8, RETURN_TO, 64)
    return made


def follow(
    start: State,
    at_end: Callable[[State], None],
    repeats: bool,
    found: Paths,
    max_steps: int = MAX_STEPS,
    cuts: frozenset[int] = frozenset(),
    on_cut: Callable[[State], list[State] | None] | None = None,
) -> None:
    """Follow every path from `start` into `found`; `at_end` judges each that ended.

    repeats: a loop that reads the device may go round any number of times. on_cut: what becomes of
    a path that comes to one of `cuts`; other paths in its place, or None: it goes on, or has ended.
    Then nothing else is said of loops.

    Raises: whatever the judge raises, which ends the search.
    """
    work = [start]
    contracts = externals.contracts_of(start.world.image, start.rip)
    while work:
        s = work.pop()
        try:
            work += _follow_one(s, found, contracts, repeats, max_steps, cuts, on_cut)
            if len(work) + len(found.ended) > MAX_PATHS:
                raise NotModelled(f"more than {MAX_PATHS} paths")
            if s.ended:
                found.ended.append(s)
                at_end(s)
        except NotModelled as reason:
            found.undecided.append((s, str(reason)))
            if len(found.undecided) > 32 or found.steps >= max_steps:
                break
        except RecursionError:
            found.undecided.append((s, "terms nested too deep"))
            break


def _follow_one(
    s: State,
    found: Paths,
    contracts: dict[int, str],
    repeats: bool,
    max_steps: int,
    cuts: frozenset[int],
    on_cut: Callable[[State], list[State] | None] | None,
) -> list[State]:
    world = s.world
    while not s.ended:
        if found.steps >= max_steps:
            raise NotModelled(f"more than {max_steps} steps")
        found.steps += 1
        at, trace = s.rip, s.trace
        if at == RETURN_TO:
            if s.regs[RSP] != STACK_TOP:
                raise NotModelled("the stack pointer is not given back as it was")
            s.ended = RETURNS
            break
        name = contracts.get(at)
        try:
            if name is not None:
                # What is wrong with a contract is wrong with the call.
                externals.run(s, name)
                continue
            instruction = found.instructions.get(at)
            if instruction is None:
                instruction = found.instructions[at] = _fetch(world, at)
            s.at = at
            step.run(s, instruction)
        except Split as split:
            s.rip, s.trace = at, trace
            return _children(s, split)
        instead = None
        if on_cut:
            instead = on_cut(s) if s.rip in cuts else None
        elif s.rip <= at and instruction.op not in ("call", "ret") and not instruction.repeat:
            instead = _head(s, repeats)
        if instead is not None:
            return instead
    return []


def _fetch(world: World, address: int) -> Instruction:
    found = decode(world.image.code(address), address)
    if found is None:
        raise NotModelled(f"no instruction is known at {world.image.where(address)}")
    return found


def _children(s: State, split: Split) -> list[State]:
    made = []
    for condition, value in split.cases:
        if s.world.feasible(s.suppose, condition):
            child = s.fork(condition)
            child.known[split.term.get_id()] = (split.term, value)
            made.append(child)
    return made


def _head(s: State, repeats: bool) -> list[State] | None:
    for name in FLAGS:
        if s.flags.get(name, UNDEFINED) is not UNDEFINED:
            s.flag(name)
    before = s.heads.get(s.rip)
    if before is None:
        s.heads[s.rip] = _as_head(s, 0, NOTHING)
        return None
    changed = _changes(s, before)
    quiet = len(s.trace) == before.accesses
    fresh = any(new - old for new, old in zip(changed, before.forgotten, strict=True))
    if quiet and not any(changed):
        s.ended = CIRCLES
    elif before.turns and quiet:
        raise NotModelled("a loop in a poll that may not end")
    elif before.turns and not fresh:
        s.ended = CLOSED
    elif repeats and not quiet:
        if before.turns >= MAX_TURNS:
            raise NotModelled("a loop whose state keeps changing in new ways")
        everything = tuple(a | b for a, b in zip(changed, before.forgotten, strict=True))
        _forget(s, before, everything)
        s.heads[s.rip] = _as_head(s, before.turns + 1, everything)
    else:
        # A count that is known may be long; one that is not has no end.
        rounds = before.rounds + (len(s.suppose) > before.suppose)
        if rounds > MAX_ROUNDS:
            raise NotModelled(f"a loop that may go round more than {MAX_ROUNDS} times")
        s.heads[s.rip] = _as_head(s, before.turns, before.forgotten, rounds)
    return None


def _as_head(s: State, turns: int, forgotten: "Changes", rounds: int = 0) -> Head:
    return Head(
        tuple(s.regs),
        tuple(s.wide),
        dict(s.memory),
        dict(s.flags),
        len(s.suppose),
        len(s.trace),
        turns,
        forgotten,
        rounds,
    )


Changes = tuple[frozenset[Any], ...]
"""Of the integer registers, the wide ones, memory and the flags: which differ."""
NOTHING: Changes = (frozenset(),) * 4


def _changes(s: State, before: Head) -> Changes:
    keys = s.memory.keys() | before.memory.keys()
    return (
        frozenset(n for n in range(16) if not _same(s.regs[n], before.regs[n])),
        frozenset(n for n in range(16) if not _same(s.wide[n], before.wide[n])),
        frozenset(k for k in keys if not _same_piece(s.memory.get(k), before.memory.get(k))),
        frozenset(n for n in FLAGS if not _same(s.flags.get(n), before.flags.get(n))),
    )


def _same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if isinstance(left, int) or isinstance(right, int):
        return isinstance(left, int) and isinstance(right, int) and left == right
    return hasattr(left, "eq") and hasattr(right, "eq") and bool(left.eq(right))


def _same_piece(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    return _same(left[0], right[0]) and left[1:] == right[1:]


def _forget(s: State, before: Head, changed: Changes) -> None:
    regs, wide, memory, flags = changed
    if RSP in regs:
        raise NotModelled("a loop that moves the stack pointer")
    for n in regs:
        s.regs[n] = s.world.fresh("turn", 64)
    for n in wide:
        s.wide[n] = s.world.fresh("turn_wide", 128)
    for key in memory:
        s.memory[key] = (s.world.fresh("turn_byte", 8), 1, 0)
    for name in flags:
        s.set_flags(**{name: s.world.fresh_truth(name)})
    s.flags.pop("lt", None)
    s.flags.pop("be", None)
    s.suppose = s.suppose[: before.suppose]
    s.known = {}
    s.generalised = True
