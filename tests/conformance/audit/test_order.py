"""Conditions told in whole numbers: what is impossible there is impossible in bits."""

import random

import z3

from conformance.audit.linear import built, canonical, divided, linear
from conformance.audit.order import Order

A, B = z3.BitVec("a", 64), z3.BitVec("b", 64)
NARROW = z3.BitVec("n", 35)
WIDE = z3.ZeroExt(29, NARROW)
HELD = z3.Function("held", z3.BitVecSort(64), z3.BitVecSort(64))
LEAVES = (A, B, WIDE, HELD(WIDE), HELD(A + 1), z3.Concat(NARROW, z3.BitVecVal(0, 29)))
COMPARED = (
    z3.ULE,
    z3.ULT,
    z3.UGE,
    z3.UGT,
    *(lambda x, y, n=n: (x <= y, x < y, x == y)[n] for n in range(3)),
)


def drawn_term(draw, depth):
    if depth == 0:
        return draw.choice(
            (*LEAVES, z3.BitVecVal(draw.choice((0, 1, 7, 64, 2**63, 2**64 - 8)), 64))
        )
    x, y = drawn_term(draw, depth - 1), drawn_term(draw, depth - 1)
    return draw.choice((x + y, x - y, 8 * x, x << 3, z3.LShR(x, 6), -x, z3.If(z3.ULT(x, y), x, y)))


def drawn_condition(draw, depth=2):
    if depth == 0 or draw.random() < 0.4:
        x, y = drawn_term(draw, draw.randrange(3)), drawn_term(draw, draw.randrange(2))
        if draw.random() < 0.2:
            x, y = z3.Extract(34, 0, x), z3.Extract(34, 0, y)
        return draw.choice(COMPARED)(x, y)
    x, y = drawn_condition(draw, depth - 1), drawn_condition(draw, depth - 1)
    return draw.choice((z3.And(x, y), z3.Or(x, y), z3.Not(x), z3.Implies(x, y)))


def test_what_is_impossible_in_numbers_is_impossible_in_bits():
    draw, seen = random.Random(5), 0
    for _ in range(250):
        parts = [z3.simplify(drawn_condition(draw)) for _ in range(3)]
        if Order(200_000).impossible(parts):
            seen += 1
            solver = z3.SolverFor("QF_UFBV")
            solver.set("timeout", 20_000)
            solver.add(*parts)
            assert solver.check() == z3.unsat, parts
    assert seen > 20


def test_what_is_decided_is_so_in_bits():
    parts = [z3.ULE(A, 9), z3.ULT(B, A), z3.Implies(z3.ULT(B, A), HELD(A) == 1), A == WIDE]
    settled = Order(200_000).settled(parts)
    assert [z3.simplify(one).eq(z3.simplify(HELD(A) == 1)) for one in settled] == [True]


def test_a_condition_does_not_decide_itself_away():
    parts = [z3.Not(HELD(A) == 0)]
    assert Order(200_000).settled(parts)[0].eq(parts[0])


def test_one_sum_looks_one_way():
    shifted = z3.Concat(z3.Extract(60, 0, WIDE + 1), z3.BitVecVal(0, 3))
    assert canonical(shifted - 8).eq(canonical(8 * WIDE))
    assert built(divided(linear(shifted), 8)).eq(canonical(1 + WIDE))
    assert divided(linear(shifted + 4), 8) is None


def test_a_canonical_term_is_the_same_term():
    draw = random.Random(6)
    for _ in range(60):
        term = drawn_term(draw, 2)
        solver = z3.SolverFor("QF_UFBV")
        solver.set("timeout", 20_000)
        solver.add(canonical(term) != term)
        assert solver.check() == z3.unsat, term
