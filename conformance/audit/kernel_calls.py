"""Functions that kernels call by contract, proved from their own code where it is at hand.

A compiler that has no instruction for it calls `__popcountdi2` of its library to count ones. Where
the object holds that function, it is followed like any other, and what the contract says of it is
put to solvers for every word. Where it does not, the contract stays an assumption.
"""

import time
from collections.abc import Iterator
from typing import Any

import z3

from conformance.audit import bits, execute
from conformance.audit.decode import RAX, RBP, RBX
from conformance.audit.faults import NotModelled
from conformance.audit.image import Function, Image
from conformance.audit.kernel_proof import Proof, Word
from conformance.audit.state import State
from conformance.audit.verdict import covers_all
from conformance.audit.world import World
from spec.prove.solvers import ASK, Budget

SAYS = "ones of a word, as its callers are told"
VALUE = z3.BitVec("value", 64)
KEPT = (RBX, RBP, 12, 13, 14, 15)
"""What a callee gives back as it was, besides the stack pointer, which is looked at anyway."""
SECONDS = 120
WITNESS_MS = 20_000


def _claims(s: State, start: State) -> Iterator[tuple[str, Any]]:
    """What the contract says, at the end of a path."""
    wanted = bits.count_ones(VALUE, 64)
    yield "the answer is how many bits are set", bits.term(s.regs[RAX], 64) == wanted
    kept = [bits.term(s.regs[n], 64) == bits.term(start.regs[n], 64) for n in KEPT]
    yield "registers are kept", z3.And(*kept)
    same = [s.memory.get(key) == piece for key, piece in start.memory.items()]
    yield "memory is left alone", z3.BoolVal(all(same) and len(s.memory) == len(start.memory))


def _against(s: State, holds: Any) -> int | None:
    """A word for which a claim does not hold on a path.

    Raises: NotModelled where no solver knows.
    """
    solver = z3.SolverFor("QF_BV")
    solver.set("timeout", WITNESS_MS)
    solver.set("random_seed", 0)
    solver.add(z3.Not(holds), *(one for one in s.suppose if one is not True))
    # The one that is quick at sums of bits says no; a word is told by the one that has terms.
    if ASK["bitwuzla"](solver.to_smt2(), Budget(seconds=SECONDS)).word == "unsat":
        return None
    if solver.check() != z3.sat:
        raise NotModelled("no solver finds an answer")
    return int(solver.model().eval(VALUE, model_completion=True).as_long())


def prove_count_of_ones(image: Image, function: Function) -> Proof:
    """Prove the contract of a function that counts ones, from its code."""
    began = time.monotonic()
    world = World(image, {}, began + SECONDS)
    start = execute.entry(world, function.address, [VALUE])
    paths, claims = execute.Paths(), 0
    word, reason, witness = Word.PROVED, "", dict[str, int]()
    try:
        execute.follow(start.fork(True), lambda s: None, False, paths)
        if paths.undecided:
            s, why = paths.undecided[0]
            raise NotModelled(f"{why}, at {image.where(s.at)}")
        for s in paths.ended:
            if s.ended != execute.RETURNS:
                raise NotModelled(f"a path that {s.ended}")
            for claim, holds in _claims(s, start):
                claims += 1
                value = _against(s, holds)
                if value is not None and word is Word.PROVED:
                    word, reason, witness = Word.REFUTED, f"not so: {claim}", {"value": value}
        if not paths.ended or not covers_all(world, start.suppose, paths.ended):
            raise NotModelled("the paths that were followed do not cover every input")
    except (NotModelled, z3.Z3Exception) as found:
        word, reason = Word.NOT_PROVED, str(found)
    return Proof(
        function.name,
        SAYS,
        word,
        reason,
        len(paths.ended),
        claims,
        0,
        len(paths.instructions),
        world.queries,
        round(time.monotonic() - began, 3),
        dict(sorted((i.encoding, i.code.hex()) for i in paths.instructions.values())),
        witness,
    )
