"""Proof that the bitmap's kernels, as compiled, do what is said of them, for every input.

A path is followed by the executor of `audit` over words that nobody knows. A loop is summed up
(`loops`), so that it stands for any number of turns. At the end of each path every claim of
`kernel_rules` is put to the solver, of one arbitrary page; that the paths cover every input is
shown at last. What is left open is NOT PROVED, never PROVED.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import z3

from conformance.audit import execute, loops
from conformance.audit.elf import ElfFile
from conformance.audit.faults import NotModelled, UnreadableObject
from conformance.audit.image import Function, Image, load
from conformance.audit.kernel_rules import FIRST, PAGE, RULES, WORDS_AT, KernelRule
from conformance.audit.kernel_world import WORDS, KernelWorld
from conformance.audit.state import State
from conformance.audit.verdict import covers_all
from conformance.audit.world import apart

SECONDS = 60.0
ASSUMED = (
    "pointers_disjoint",
    "stack_aligned",
    "direction_clear",
    "words_cover_every_page",
    "words_on_a_boundary_of_8_below_2**47",
    "memset_contract",
    "popcount_contract",
)


# An address of a user's memory; were it higher, an address behind the words might wrap.
WORDS_LIE = (z3.Extract(2, 0, WORDS_AT) == 0, z3.Extract(63, 47, WORDS_AT) == 0)
OUTSIDE = "no word outside the range is touched"


class Word(StrEnum):
    """What is said of a kernel."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    NOT_PROVED = "NOT PROVED"


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


class Refuted(Exception):
    """A claim that does not hold at the end of a path."""

    def __init__(self, claim: str, witness: dict[str, int]) -> None:
        super().__init__(claim)
        self.claim, self.witness = claim, witness


@dataclass
class Prover:
    """Puts the claims of a kernel to the solver at the end of each path."""

    world: KernelWorld
    rule: KernelRule
    claims: int = 0

    def end(self, s: State) -> None:
        """Raises: Refuted, NotModelled"""
        if s.ended not in (execute.RETURNS, execute.CLOSED):
            raise NotModelled(f"a path that {s.ended}")
        left, last = z3.LShR(FIRST, 6), z3.LShR(self.rule.stop - 1, 6)
        # Where the page is matters to most claims, and a solver is quicker when it is told.
        mine = z3.LShR(PAGE, 6)
        cases = (
            mine == left,
            z3.And(mine == last, last != left),
            z3.And(z3.ULT(left, mine), z3.ULT(mine, last)),
            z3.Or(z3.ULT(mine, left), z3.ULT(last, mine)),
        )
        touched = {access.offset.get_id(): access.offset for access in s.trace}.values()
        for claim, holds in (
            *(self.rule.claims(self.world, s) if s.ended == execute.RETURNS else ()),
            *((OUTSIDE, z3.And(z3.ULE(left, at), z3.ULE(at, last))) for at in touched),
        ):
            self.claims += 1
            for case in cases if claim != OUTSIDE else (True,):
                if not self.world.check(s.suppose, case, z3.Not(holds)):
                    continue
                if s.generalised:
                    raise NotModelled(f"after a loop it is not shown that {claim}")
                model = self.world.model()
                values = {
                    _named(one): model.eval(one, model_completion=True).as_long()
                    for one in (*self.rule.arguments, PAGE)
                }
                raise Refuted(claim, values)


def _named(one: Any) -> str:
    return str(one.arg(0) if one.num_args() else one)


def prove(image: Image, function: Function, rule: KernelRule, seconds: float = SECONDS) -> Proof:
    """Prove what is said of a kernel, or tell what stands against it."""
    began = time.monotonic()
    world = KernelWorld(image, WORDS_AT, began + seconds)
    prover = Prover(world, rule)
    paths = execute.Paths()
    start = execute.entry(world, function.address, list(rule.arguments))
    start.suppose = (*apart({WORDS: WORDS_AT}), *WORDS_LIE, *rule.given)
    summed = loops.Loops(world, rule)
    word, reason, witness = Word.PROVED, "", dict[str, int]()
    try:
        execute.follow(start, prover.end, False, paths, on_loop=summed.arrive)
        if paths.undecided:
            s, why = paths.undecided[0]
            raise NotModelled(f"{why}, at {image.where(s.at)}")
        if not prover.claims or not _covered(world, [start, *summed.sums], paths, summed):
            raise NotModelled("the paths that were followed do not cover every input")
    except Refuted as found:
        word, reason, witness = Word.REFUTED, f"not so: {found.claim}", found.witness
    except (NotModelled, z3.Z3Exception) as found:
        word, reason = Word.NOT_PROVED, str(found)
    return Proof(
        rule.name,
        rule.says,
        word,
        reason,
        len(paths.ended),
        prover.claims,
        summed.count,
        len(paths.instructions),
        world.queries,
        round(time.monotonic() - began, 3),
        dict(sorted((i.encoding, i.code.hex()) for i in paths.instructions.values())),
        witness,
    )


def _covered(
    world: KernelWorld, roots: list[State], paths: execute.Paths, summed: loops.Loops
) -> bool:
    """Whether every input takes a path, from the start and from each loop that was summed up.

    A path that enters such a loop is at its end there, and what stands for the loop is a start.
    """
    ends = [*paths.ended, *summed.entered]
    return all(
        covers_all(world, root.suppose, [s for s in ends if _descends(s, root)]) for root in roots
    )


def _descends(s: State, root: State) -> bool:
    shared = s.suppose[: len(root.suppose)]
    return len(shared) == len(root.suppose) and all(
        a is b for a, b in zip(shared, root.suppose, strict=True)
    )


def built_object() -> Path:
    """The compiled twin of the built-in implementation.

    Raises: UnreadableObject where it is not built.
    """
    found = find_spec("impl._fast")
    if found is None or found.origin is None:
        raise UnreadableObject("the compiled kernels are not built, so there is nothing to prove")
    return Path(found.origin)


def prove_all(objects: list[ElfFile], note: Callable[[str], None] = lambda _: None) -> list[Proof]:
    """Prove each kernel that the objects hold; one that is missing is NOT PROVED."""
    image = load(objects, objects[:1])
    named: dict[str, Any] = {function.name: function for function in image.functions}
    found = []
    for rule in RULES:
        note(rule.name)
        if rule.name in named:
            found.append(prove(image, named[rule.name], rule))
        else:
            why = "no function of that name in the object"
            found.append(Proof(rule.name, rule.says, Word.NOT_PROVED, why, 0, 0, 0, 0, 0, 0.0))
    return found
