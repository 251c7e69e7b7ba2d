"""The same call means the same on plain numbers, on Z3 terms and on arrays."""

import numpy as np
import pytest
import z3
from hypothesis import example, given
from hypothesis import strategies as st

from spec import terms

WORDS = st.integers(0, terms.MASK) | st.sampled_from([0, 1, 63, 64, 65, 4095, 4096, 1 << 63])
ARITHMETIC = (
    terms.plus,
    terms.minus,
    terms.bits_and,
    terms.bits_or,
    terms.shift_left,
    terms.shift_right,
)
ORDER = (terms.below, terms.at_most)
LOGIC = (terms.all_of, terms.any_of, terms.implies)


def number(term: z3.BitVecRef) -> int:
    return z3.simplify(term).as_long()


@pytest.mark.parametrize("function", ARITHMETIC, ids=lambda f: f.__name__)
@given(left=WORDS, right=WORDS)
@example(left=0, right=1)
@example(left=terms.MASK, right=terms.MASK)
@example(left=1, right=64)
def test_arithmetic_agrees_on_all_three_kinds(function, left, right):
    plain = function(left, right)
    symbolic = number(function(z3.BitVecVal(left, 64), z3.BitVecVal(right, 64)))
    arrays = function(np.array([left], np.uint64), np.array([right], np.uint64))
    assert 0 <= plain <= terms.MASK
    assert plain == symbolic == int(arrays[0])


@pytest.mark.parametrize("function", ORDER, ids=lambda f: f.__name__)
@given(left=WORDS, right=WORDS)
@example(left=1 << 63, right=1)
def test_order_is_unsigned_on_all_three_kinds(function, left, right):
    plain = function(left, right)
    symbolic = z3.is_true(z3.simplify(function(z3.BitVecVal(left, 64), right)))
    arrays = function(np.array([left], np.uint64), np.array([right], np.uint64))
    assert plain == symbolic == bool(arrays[0])


@pytest.mark.parametrize("function", LOGIC, ids=lambda f: f.__name__)
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
def test_logic_agrees_on_all_three_kinds(function, left, right):
    plain = function(left, right)
    assert isinstance(plain, bool)
    assert plain == z3.is_true(z3.simplify(function(z3.BoolVal(left), right)))
    assert plain == bool(function(np.array([left]), np.array([right]))[0])


@given(value=WORDS)
def test_bits_not_is_the_complement(value):
    assert terms.bits_not(value) == terms.MASK ^ value
    assert number(terms.bits_not(z3.BitVecVal(value, 64))) == terms.MASK ^ value


@given(value=WORDS, place=st.integers(0, 70))
def test_bit_is_the_bit_at_its_place(value, place):
    wanted = bool(value >> place & 1)
    assert terms.bit(value, place) == wanted
    assert z3.is_true(z3.simplify(terms.bit(z3.BitVecVal(value, 64), place))) == wanted
    variable = terms.bit(z3.BitVecVal(value, 64), z3.BitVecVal(place, 64))
    assert z3.is_true(z3.simplify(variable)) == wanted


@given(left=WORDS, right=WORDS)
def test_exact_sums_and_products_do_not_wrap(left, right):
    total = terms.exact(z3.BitVecVal(left, 64)) + 4096 * terms.exact(z3.BitVecVal(right, 64))
    assert number(total) == terms.exact(left) + 4096 * terms.exact(right)
    assert number(terms.remainder(total, 4096)) == (left + 4096 * right) % 4096
    assert number(terms.quotient(total, 4096)) == (left + 4096 * right) // 4096


def test_pick_takes_the_branch_of_its_condition():
    assert terms.pick(True, 1, 2) == 1
    assert terms.pick(False, 1, 2) == 2
    assert number(terms.pick(z3.BoolVal(False), 1, 2)) == 2
    assert list(terms.pick(np.array([True, False]), 1, 2)) == [1, 2]


@pytest.mark.parametrize("place", [0, 5, 9, 10, 11])
def test_within_is_half_open(place):
    assert terms.within(place, 5, 10) == (5 <= place < 10)


def test_what_is_chosen_of_constants_is_no_constant():
    chosen = terms.pick(z3.Bool("b"), 1, 2)
    assert not isinstance(chosen, z3.BitVecNumRef)
    assert type(chosen) is z3.BitVecRef
