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

from conformance.audit import bits, execute
from conformance.audit.elf import ElfFile
from conformance.audit.faults import NotModelled, UnreadableObject
from conformance.audit.flow import loops_of
from conformance.audit.image import Function, Image, load
from conformance.audit.kernel_rules import PAGE, RULES, WORDS_AT, KernelRule, word_of
from conformance.audit.kernel_world import WORDS, KernelWorld
from conformance.audit.linear import canonical
from conformance.audit.loops import Loops, where
from conformance.audit.state import State
from conformance.audit.verdict import covers_all
from conformance.audit.world import apart

SECONDS = 600.0
ASSUMED = (
    "pointers_disjoint",
    "stack_aligned",
    "direction_clear",
    "panics_do_not_return",
    "words_cover_every_page",
    "words_on_a_boundary_of_8_below_2**47",
    "memset_contract",
    "popcount_contract",
)


# An address of a user's memory; were it higher, an address behind the words might wrap.
WORDS_LIE = (z3.Extract(2, 0, WORDS_AT) == 0, z3.Extract(63, 47, WORDS_AT) == 0)
# Turns of a loop that a search for a counterexample goes.
TURNS = 3
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
    loops: Loops
    claims: int = 0

    def end(self, s: State) -> None:
        """Raises: Refuted, NotModelled"""
        if s.ended not in (execute.RETURNS, execute.CLOSED):
            raise NotModelled(f"a path that {s.ended}")
        ended = s.ended == execute.RETURNS
        lemmas = self.loops.of_last_turn(s) if ended else ()
        self._judge(s, lemmas, self._cases(s))

    def judge(self, s: State) -> None:
        """The same, of a path on which no loop was cut.

        Raises: Refuted, NotModelled
        """
        if s.ended == execute.RETURNS:
            self._judge(s, (), (True,))

    def _judge(self, s: State, lemmas: tuple[Any, ...], cases: tuple[Any, ...]) -> None:
        suppose, ended = (*s.suppose, *lemmas), s.ended == execute.RETURNS
        touched = {access.offset.get_id(): access.offset for access in s.trace}.values()
        low, stop = self.rule.low, self.rule.stop
        inside = [z3.And(z3.ULE(low, at), z3.ULT(at, stop)) for at in touched]
        for claim, holds in (
            *(self.rule.claims(self.world, s) if ended else ()),
            *([(OUTSIDE, z3.And(*inside))] if inside else ()),
        ):
            self.claims += 1
            for case in cases if self.world.speaks_of(holds, PAGE) else (True,):
                if self.world.shows((*suppose, case), holds):
                    continue
                if s.generalised:
                    raise NotModelled(f"after a loop it is not shown that {claim}")
                model = self.world.model()
                values = {
                    name: model.eval(one, model_completion=True).as_long()
                    for name, one in (
                        ("words", WORDS_AT),
                        *self.rule.arguments.items(),
                        ("p", PAGE),
                    )
                }
                raise Refuted(claim, values)

    def _cases(self, s: State) -> tuple[Any, ...]:
        # Where the page is matters to most claims, and a solver is quicker when it is told.
        mine, low, last = word_of(PAGE), self.rule.low, canonical(self.rule.stop - 1)
        ends = [mine == low, mine == last, z3.ULT(mine, low), z3.ULT(last, mine)]
        found, rest = list[Any](), True
        for one in (*ends, *where(s, mine)):
            found.append(bits.both(rest, one))
            rest = bits.both(rest, z3.Not(one))
        return (*found, rest)


def prove(image: Image, function: Function, rule: KernelRule, seconds: float = SECONDS) -> Proof:
    """Prove what is said of a kernel, or tell what stands against it."""
    began = time.monotonic()
    world = KernelWorld(image, WORDS_AT, began + seconds)
    summed = Loops(world, rule, loops_of(image, function.address))
    prover = Prover(world, rule, summed)
    paths = execute.Paths()
    start = execute.entry(world, function.address, [WORDS_AT, *rule.arguments.values()])
    start.suppose = (*apart({WORDS: WORDS_AT}), *WORDS_LIE, *rule.given)
    word, reason, witness = Word.PROVED, "", dict[str, int]()
    try:
        execute.follow(
            start.fork(True), prover.end, False, paths, cuts=summed.heads, on_cut=summed.arrive
        )
        if paths.undecided:
            s, why = paths.undecided[0]
            raise NotModelled(f"{why}, at {image.where(s.at)}")
        if not prover.claims or not _covered(world, [start, *summed.after], paths, summed):
            raise NotModelled("the paths that were followed do not cover every input")
    except Refuted as found:
        word, reason, witness = Word.REFUTED, f"not so: {found.claim}", found.witness
    except (NotModelled, z3.Z3Exception) as found:
        word, reason = Word.NOT_PROVED, str(found)
        against = _searched(prover, start)
        if against is not None:
            word, reason, witness = Word.REFUTED, f"not so: {against.claim}", against.witness
    return Proof(
        rule.name,
        rule.says,
        word,
        reason,
        len(paths.ended),
        prover.claims,
        len(summed.after),
        len(paths.instructions),
        world.queries,
        round(time.monotonic() - began, 3),
        dict(sorted((i.encoding, i.code.hex()) for i in paths.instructions.values())),
        witness,
    )


def _searched(prover: Prover, start: State) -> Refuted | None:
    """A counterexample on a path that goes round its loops a few times, turn by turn.

    Nothing is forgotten on such a path, so what is wrong at its end is wrong of the kernel.
    """

    def on_cut(s: State) -> list[State] | None:
        s.heads[s.rip] = s.heads.get(s.rip, 0) + 1
        return [] if s.heads[s.rip] > TURNS else None

    paths = execute.Paths()
    try:
        execute.follow(
            start.fork(True), prover.judge, False, paths, cuts=prover.loops.heads, on_cut=on_cut
        )
    except Refuted as found:
        return found
    except (NotModelled, z3.Z3Exception):
        return None
    return None


def _covered(world: KernelWorld, roots: list[State], paths: execute.Paths, summed: Loops) -> bool:
    """Whether every input takes a path, from the start and from each loop that was cut.

    A path that comes to such a loop is at its end there, and what stands for the loop is a start.
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
