"""The handoff's rules: written without branches, proved, and noticed where they are broken."""

import ast
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec.catalogue import HANDOFF, handoff_rules, parts
from spec.handoff import bytes_lemmas, carve, read, reserve, size, view, words, write
from spec.handoff.reserve_lemmas import is_place, may_still_be
from spec.handoff.words import NONE, Answer, Kind, Piece, Spans, listing, rounded_down, rounded_up
from spec.prove.matrix import matrix, situation
from spec.prove.obligation import Cache, prove
from spec.prove.solvers import Budget
from spec.prove.verdict import Verdict
from spec.prove.world import Symbolic
from spec.rule import step

PAGE = Path(__file__).parents[3] / "docs" / "handoff.md"
subjects = pytest.mark.parametrize("subject", HANDOFF, ids=lambda subject: subject.id)


def named(subject):
    return [
        (rule, case) for rule in subject.rules for case in situation(subject, rule, Symbolic())[2]
    ]


@subjects
def test_every_case_ends_in_one_that_is_always_taken(subject):
    for rule in subject.rules:
        cases = situation(subject, rule, Symbolic())[2]
        assert cases[-1].when is True
        assert len({case.name for case in cases}) == len(cases)


def test_refusals_are_those_of_the_page_and_cases_bear_their_names():
    text = PAGE.read_text()
    refused = [case for s in HANDOFF for _, case in named(s) if case.outcome]
    # Where two cases are refused alike, the first bears the name.
    told = {case.outcome.name: case for case in reversed(refused)}
    del told["NOT_TAKEN"]
    for name, case in told.items():
        assert f"`{name}`" in text
        assert case.name == name.lower()
    listed = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert listed | {"NO_MEMORY"} == set(told)


def test_a_subject_is_a_rule_and_is_found_by_its_id():
    assert [s.id for s in HANDOFF] == [rule.id for s in HANDOFF for rule in s.rules]
    assert set(handoff_rules()) <= set(parts())


@subjects
def test_nothing_is_bounded_and_every_loop_says_that_it_leans_on_induction(subject):
    found = list(matrix(subject))
    assert all("bounded" not in o.method for o in found)
    assert all("serial-steps" not in {a.name for a in o.assumptions} for o in found)
    joined = [o for o in found if o.method == "induction"]
    assert joined
    assert all("induction" in {a.name for a in o.assumptions} for o in joined)


@subjects
def test_a_stage_is_proved_by_z3_for_every_number_of_entries(subject):
    asked = Cache({})
    results = [prove(o, ("z3",), Budget(), asked) for o in matrix(subject)]
    assert {r.id: r.verdict for r in results if r.verdict != Verdict.PROVED} == {}


# Rules are branch-free, as all of them are


BANNED = (ast.If, ast.IfExp, ast.While, ast.For, ast.BoolOp, ast.Assert, ast.Try, ast.Match)
ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot)


@pytest.mark.parametrize(
    "module", [read, size, reserve, carve, write, view], ids=lambda m: m.__name__
)
def test_rules_are_branch_free(module):
    found = []
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, BANNED) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            found.append((node.lineno, type(node).__name__))
        if isinstance(node, ast.Compare) and (len(node.ops) > 1 or isinstance(node.ops[0], ORDER)):
            found.append((node.lineno, "comparison"))
        if (
            isinstance(node, ast.BinOp)
            and not constant(node)
            and not isinstance(node.op, ast.BitOr)
        ):
            found.append((node.lineno, "arithmetic"))
    assert found == []


def constant(node):
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name.isupper()
        case ast.BinOp(left=left, right=right):
            return constant(left) and constant(right)
    return False


# Lists, and the definitions that stages are made of


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9), st.integers(0, 5)), max_size=8))
def test_a_list_holds_what_was_put_and_its_memory_is_that_of_its_entries(parts_):
    at, ranges = 0, []
    for gap, length, kind in parts_:
        ranges.append((at + gap, at + gap + length, kind))
        at += gap + length
    made = listing(ranges)
    assert made.listed() == ranges
    inside = {p for a, b, k in ranges if k == Kind.MEMORY for p in range(a, b)}
    assert {p for p in range(at + 2) if made.memory.has(p)} == inside
    assert all(made.in_order(i) and made.is_filled(i) for i in range(-1, len(ranges) + 1))


def test_an_empty_range_meets_nothing():
    for first in range(5):
        assert not words.meets(2, 2, first, first + 3)
        assert not words.meets(first, first + 3, 3, 2)
    assert words.meets(0, 2, 1, 2)
    assert not words.meets(0, 2, 2, 3)


@given(st.integers(0, 1 << 60))
def test_rounding_is_to_the_multiples_next_to_a_page(page):
    low, high = rounded_down(page), rounded_up(page)
    assert low % 512 == high % 512 == 0
    assert low <= page <= high
    assert high - low in (0, 512)


@given(st.tuples(*(st.integers(0, (1 << 8 * w) - 1) for w in bytes_lemmas.WIDTHS)))
def test_the_rules_bytes_are_those_of_the_struct(fields):
    from conformance.handoff.calls import LAYOUT

    assert bytes(bytes_lemmas.packed(fields)) == LAYOUT.pack(*fields)
    assert tuple(bytes_lemmas.unpacked(LAYOUT.pack(*fields))) == fields


# The search beside a slow and obvious one


def obvious(runs, taken, need):
    """Every aligned place, looked at one by one."""
    places = [p for a, b in runs for p in range(-(-a // 512) * 512, b - need + 1, 512)]
    free = [p for p in places if not any(words.meets(p, p + need, *one) for one in taken)]
    return max(free, default=None)


@pytest.mark.parametrize("seed", range(60))
def test_the_search_finds_the_highest_place_and_ends(seed):
    draw = random.Random(seed)
    at, runs = 0, []
    for _ in range(draw.randint(1, 4)):
        first = at + draw.choice((1, 100, 512, 700))
        at = first + draw.choice((300, 512, 1024, 2000, 3000))
        runs.append((first, at))
    excluded = [(p, p + draw.choice((0, 1, 300, 900))) for p in draw.sample(range(at), 4)]
    kernel = draw.choice(runs)[0], draw.choice(runs)[0] + 5
    state = reserve.search(draw.choice((1, 512, 513)), listing(runs), listing(excluded), kernel)
    measures = [state.measure]
    answer = Answer.OK
    while answer == Answer.OK and not state.found:
        done = step(reserve.reserve, state, reserve.Look())
        state, answer = done.state, done.outcome
        measures.append(state.measure)
    wanted = obvious(runs, [*excluded, kernel], state.need)
    assert (answer == Answer.NO_ROOM) == (wanted is None)
    assert wanted is None or (state.first, state.stop) == (wanted, wanted + state.need)
    going_on = measures[:-1] if answer == Answer.OK else measures[:-2]
    assert all(later < earlier for earlier, later in pairwise(going_on))


def test_a_place_that_is_passed_over_is_known_as_such():
    runs = listing([(0, 1024)])
    state = reserve.search(1, runs, NONE, (0, 1))
    assert all(is_place(state, 512, 0))
    assert may_still_be(state, 512, 0)
    assert not may_still_be(words.changed(state, ceiling=1023), 512, 0)


# A claim that cannot fail is none: each stage with one thing wrong


def folded(rule, state, ops):
    for op in ops:
        state = step(rule, state, op).state
    return state


def test_a_conserving_sentence_is_false_where_a_page_is_given_away():
    from spec.handoff.carve_claims import a_page_is_left_if_it_is_not_cut_out as conserved

    state = folded(carve.carve, carve.start((2, 4), 0), [Piece(False, 0, 8, 0)])
    assert all(conserved(state, q) for q in range(10))
    given_away = words.changed(state, left=state.left.put(2, 3))
    assert not all(conserved(given_away, q) for q in range(10))


def test_runs_that_touch_are_noticed():
    from spec.handoff.size_claims import runs_do_not_touch

    state = folded(size.size, size.start(9, True), [Piece(False, 0, 2, 0), Piece(False, 2, 3, 0)])
    assert state.runs.listed() == [(0, 3, 0)]
    apart = words.changed(state, runs=listing([(0, 2), (2, 3)]))
    assert not runs_do_not_touch(apart, 0)


def test_the_bitmaps_of_a_map_are_those_of_its_runs():
    for pages, wanted in ((1, 1), (32768, 1), (32769, 2), (1 << 28, 8192)):
        ops = [Piece(False, 0, pages, 0), Piece(True, 0, 0, 0)]
        state = folded(size.size, size.start(1 << 28, True), ops)
        assert step(size.size, state, ops[1]).value == (pages, wanted)


def test_an_empty_list_is_empty():
    assert isinstance(NONE, Spans)
    assert NONE.listed() == []
    assert not NONE.memory.has(0)
