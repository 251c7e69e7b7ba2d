"""Proof that the bitmap's kernels, as compiled, do what is said of them, for every input.

A path is followed by the executor of `audit` over words that nobody knows. A loop is summed up
(`loops`), so that it stands for any number of turns. At the end of each path every claim of
`kernel_rules` is put to the solver, of one arbitrary page; that the paths cover every input is
shown at last. What is left open is NOT PROVED, never PROVED.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import z3

from conformance.audit import bits, execute
from conformance.audit.elf import ElfFile
from conformance.audit.emulate import NotPlaced
from conformance.audit.externals import COUNT_ONES
from conformance.audit.faults import NotModelled, UnreadableObject
from conformance.audit.flow import loops_of
from conformance.audit.image import Function, Image, load
from conformance.audit.kernel_calls import prove_count_of_ones
from conformance.audit.kernel_proof import Proof, Word
from conformance.audit.kernel_replay import replay
from conformance.audit.kernel_rules import PAGE, RULES, WORDS_AT, KernelRule, word_of
from conformance.audit.kernel_world import WORDS, KernelWorld
from conformance.audit.linear import canonical
from conformance.audit.loops import Loops, where
from conformance.audit.replay import DoesNotReplay
from conformance.audit.state import State
from conformance.audit.verdict import covers_all
from conformance.audit.world import HOME, apart

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
# Where the words of a counterexample lie, if they may: how far in, and how many at most.
LOW, FEW = 1 << 12, 32
OUTSIDE = "no word outside the range is touched"


class Refuted(Exception):
    """A claim that does not hold at the end of a path. model: the values of all that is on it."""

    def __init__(self, claim: str, witness: dict[str, int], path: State, model: Any) -> None:
        super().__init__(claim)
        self.claim, self.witness, self.path, self.model = claim, witness, path, model


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
                model = self._plainest(s, (*suppose, case), holds)
                values = {
                    name: model.eval(one, model_completion=True).as_long()
                    for name, one in (
                        ("words", WORDS_AT),
                        *self.rule.arguments.items(),
                        ("p", PAGE),
                    )
                }
                raise Refuted(claim, values, s, model)

    def _plainest(self, s: State, suppose: tuple[Any, ...], holds: Any) -> Any:
        """Values of the last question, and if there are such, those of few words that lie low."""
        found, rule = self.world.model(), self.rule
        few = z3.And(z3.ULT(rule.low, LOW), z3.ULT(rule.stop - rule.low, FEW), WORDS_AT == HOME)
        sums = self.world.sums(s, rule.adds) if rule.adds is not None else ()
        meant = (*sums, *self.world.meanings((*suppose, holds, *sums)))
        for wish in ((few, *meant), meant):
            try:
                if self.world.check((*suppose, *wish), z3.Not(holds)):
                    return self.world.model()
            except NotModelled:
                # It need not be found; whether the one found before is one is seen when it is run.
                continue
        return found

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
    against: Refuted | None = None
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
        against = found
    except (NotModelled, z3.Z3Exception) as found:
        word, reason = Word.NOT_PROVED, str(found)
        against = _searched(prover, start)
    if against is not None:
        word, reason = _tried(prover, start, against)
        witness = against.witness
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


def _tried(prover: Prover, start: State, against: Refuted) -> tuple[Word, str]:
    """What is said of a kernel against which there is a counterexample, once it was run."""
    try:
        replay(prover.rule, prover.world, start, against)
    except NotPlaced as why:
        return Word.REFUTED, f"not so: {against.claim} (not replayed: {why})"
    except DoesNotReplay as why:
        if prover.rule.adds is not None or prover.world.facts:
            # Values of a function of which not everything is said need be those of no words.
            return Word.NOT_PROVED, f"not shown: {against.claim}; what speaks against it: {why}"
        return Word.ERROR, f"the counterexample does not replay: {why}; not so: {against.claim}"
    return Word.REFUTED, f"not so: {against.claim}; a processor does it wrong as well"


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
    """Prove each kernel that the objects hold; one that is missing is NOT PROVED.

    What they call by contract is proved as well, where its code is there.
    """
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
    if COUNT_ONES in named:
        note(COUNT_ONES)
        found.append(prove_count_of_ones(image, named[COUNT_ONES]))
    return found
