"""One function of one object, against what is expected of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import z3

from conformance.audit import execute
from conformance.audit.arguments import Arguments, read_arguments
from conformance.audit.elf import ElfFile
from conformance.audit.emulate import NotPlaced
from conformance.audit.expect import Clause, parse
from conformance.audit.expressions import Expression, whole_truth
from conformance.audit.faults import NotModelled, UnreadableObject
from conformance.audit.image import Function, Image, is_function, load, matching
from conformance.audit.replay import DoesNotReplay, replay
from conformance.audit.verdict import DATA, Judge, Verdict, Violation, covers_all
from conformance.audit.world import World, apart

SECONDS = 30.0
ASSUMED = ("pointers_disjoint", "stack_aligned", "direction_clear", "panics_do_not_return")


@dataclass(frozen=True)
class Question:
    """What is asked. assume: what a caller promises of the arguments."""

    args: str
    expect: str
    assume: tuple[str, ...] = ()
    seconds: float = SECONDS
    max_steps: int = execute.MAX_STEPS


@dataclass(frozen=True)
class Finding:
    """What became of one function. encodings: those met, each with the code of one of its kind.

    replayed: the accesses that a processor makes of the witness, which break what is expected too;
    or why it could not be tried.
    """

    function: str
    verdict: Verdict
    reason: str
    paths: int
    instructions: int
    steps: int
    queries: int
    seconds: float
    encodings: dict[str, str]
    where: str = ""
    line: str = ""
    witness: dict[str, int] = field(default_factory=dict)
    accesses: tuple[str, ...] = ()
    replayed: tuple[str, ...] = ()
    not_replayed: str = ""


def functions_of(objects: Sequence[ElfFile], pattern: str) -> list[tuple[ElfFile, Function]]:
    """The functions that a name or a pattern means, each with its object."""
    found = []
    for elf in objects:
        if any(is_function(symbol, elf) for symbol in elf.symbols):
            found += [(elf, one) for one in matching(_named(elf), pattern)]
    return found


def _named(elf: ElfFile) -> list[Function]:
    # By section and value: no address is needed to tell names apart.
    return [
        Function(
            s.name, s.section << 48 | s.value & (1 << 48) - 1, s.size, s.bind != 0, s.kind == 10
        )
        for s in elf.symbols
        if is_function(s, elf)
    ]


@dataclass(frozen=True)
class Asked:
    """A question that was understood."""

    arguments: Arguments
    clauses: tuple[Clause, ...]
    assume: tuple[Expression, ...]


def understand(question: Question) -> Asked:
    """Read the little languages of a question.

    Raises: UnreadableObject
    """
    arguments = read_arguments(question.args)
    names = frozenset(arguments.names)
    assume = tuple(whole_truth(text, names) for text in question.assume)
    return Asked(arguments, parse(question.expect, names), assume)


def audit(objects: Sequence[ElfFile], elf: ElfFile, name: str, question: Question) -> Finding:
    """Judge a function on every path.

    Raises: UnreadableObject
    """
    began = time.monotonic()
    image = load(list(objects), [elf])
    function = next((one for one in image.functions if one.name == name), None)
    if function is None:
        raise UnreadableObject(f"{elf.name}: no function {name}")
    return audit_image(image, function, understand(question), question, began)


def audit_image(
    image: Image, function: Function, asked: Asked, question: Question, began: float
) -> Finding:
    """As `audit`, of an image that is at hand."""
    world = World(image, asked.arguments.regions, began + question.seconds)
    names = asked.arguments.names
    judge = Judge(world, asked.clauses, names, DATA in names)
    world.on_access = judge.access
    start = execute.entry(world, function.address, asked.arguments.values)
    asked.arguments.put_records(start)
    start.suppose = (*apart(asked.arguments.regions), *(one(names) for one in asked.assume))
    paths = execute.Paths()
    where = line = ""
    witness: dict[str, int] = {}
    accesses: tuple[str, ...] = ()
    replayed: tuple[str, ...] = ()
    not_replayed = ""
    try:
        if function.indirect:
            raise NotModelled(f"{function.name} is chosen when the object is loaded (ifunc)")
        if not world.check(start.suppose):
            raise UnreadableObject(f"no input is as assumed: {'; '.join(question.assume)}")
        # What the paths start from is kept: a witness is run from there.
        whole = start.fork(True)
        execute.follow(whole, judge.end, judge.repeats, paths, question.max_steps)
        verdict, reason = _closing(world, start, paths)
    except Violation as found:
        verdict, reason, witness = Verdict.FAIL, found.why, found.witness
        accesses = tuple(found.done)
        where = image.where(found.address)
        at = paths.instructions.get(found.address)
        line = f"{found.address:#x}: {at.text}" if at else f"{found.address:#x}: {where}"
        try:
            replayed = replay(found, start, judge, paths.steps)
        except NotPlaced as why:
            not_replayed = str(why)
        except DoesNotReplay as why:
            verdict, reason = Verdict.ERROR, f"the witness does not replay: {why}"
    except NotModelled as found:
        verdict, reason = Verdict.INCONCLUSIVE, str(found)
    except z3.Z3Exception as found:
        verdict, reason = Verdict.INCONCLUSIVE, f"the solver gave up: {found}"
    return Finding(
        function=function.name,
        verdict=verdict,
        reason=reason,
        paths=len(paths.ended),
        instructions=len(paths.instructions),
        steps=paths.steps,
        queries=world.queries,
        seconds=round(time.monotonic() - began, 4),
        encodings=dict(sorted((i.encoding, i.code.hex()) for i in paths.instructions.values())),
        where=where,
        line=line,
        witness=witness,
        accesses=accesses,
        replayed=replayed,
        not_replayed=not_replayed,
    )


def _closing(world: World, start: Any, paths: execute.Paths) -> tuple[Verdict, str]:
    if paths.undecided:
        s, reason = paths.undecided[0]
        more = f" (and {len(paths.undecided) - 1} more paths)" if len(paths.undecided) > 1 else ""
        return Verdict.INCONCLUSIVE, f"{reason}, at {world.image.where(s.at)}{more}"
    if not paths.ended:
        return Verdict.INCONCLUSIVE, "no path was followed to its end"
    if not any(s.ended == execute.RETURNS for s in paths.ended):
        return Verdict.INCONCLUSIVE, f"no path comes back: {paths.ended[0].ended}"
    if not covers_all(world, start.suppose, paths.ended):
        return Verdict.INCONCLUSIVE, "the paths that were followed do not cover every input"
    return Verdict.PASS, ""
