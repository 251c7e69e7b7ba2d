"""A concrete set of pages is a set of pages; a symbolic one says the same of one page."""

import z3
from hypothesis import given
from hypothesis import strategies as st

from spec.pages import Book, ListedPages, ListedWords, SymbolicPages

PLACES = st.integers(0, 200)
UPDATES = st.lists(st.tuples(PLACES, PLACES, st.booleans()), max_size=8)


def built(updates):
    pages, plain = ListedPages(), set()
    for first, stop, value in updates:
        pages = pages.with_range(first, stop, value)
        span = set(range(first, stop))
        plain = plain | span if value else plain - span
    return pages, plain


@given(updates=UPDATES, first=PLACES, stop=PLACES)
def test_a_listed_set_answers_as_a_set_does(updates, first, stop):
    pages, plain = built(updates)
    span = range(first, stop)
    assert {p for p in range(210) if pages.has(p)} == plain
    assert pages.none(first, stop) == plain.isdisjoint(span)
    assert pages.all(first, stop) == plain.issuperset(span)
    assert pages.count(first, stop) == len(plain.intersection(span))
    missing = [p for p in span if p not in plain]
    if missing:
        assert pages.lowest_missing(first, stop) == missing[0]


@given(updates=UPDATES)
def test_boundaries_are_canonical(updates):
    pages, plain = built(updates)
    rebuilt = ListedPages()
    for page in sorted(plain, reverse=True):
        rebuilt = rebuilt.with_range(page, page + 1, True)
    assert rebuilt == pages
    assert list(pages.bounds) == sorted(set(pages.bounds))


@given(updates=UPDATES, origin=st.integers(0, 100), count=st.integers(0, 200))
def test_packed_words_unpack_to_the_same_pages(updates, origin, count):
    pages, plain = built(updates)
    words = -(-count // 64)
    packed = pages.packed(origin)
    listed = packed.first(words)
    assert listed == tuple(packed.at(i) for i in range(words))
    for place in range(64 * words):
        assert bool(listed[place // 64] >> (place % 64) & 1) == (origin + place in plain)
    back = ListedPages().unpacked(ListedWords.of(listed), origin, count)
    assert {p for p in range(500) if back.has(p)} == {
        p for p in plain if origin <= p < origin + count
    }


@given(words=st.lists(st.integers(0, (1 << 64) - 1), max_size=5))
def test_listed_words_answer_by_index(words):
    table = ListedWords.of(words)
    assert table.first(len(words)) == tuple(words)
    assert table.at(len(words)) == 0


def symbolic():
    book = Book()
    function = z3.Function("f", z3.BitVecSort(64), z3.BoolSort())
    return book, SymbolicPages(function, book)


def follows(hypotheses, goal):
    solver = z3.Solver()
    solver.add(*hypotheses, z3.Not(goal))
    return solver.check() == z3.unsat


def test_a_symbolic_update_changes_its_range_only():
    _, pages = symbolic()
    p, first, stop = z3.BitVecs("p first stop", 64)
    after = pages.with_range(first, stop, True).has(p)
    inside = z3.And(z3.ULE(first, p), z3.ULT(p, stop))
    assert follows([inside], after)
    assert follows([z3.Not(inside)], after == pages.has(p))
    assert not follows([], after)


def test_what_is_said_of_many_pages_holds_of_each_and_its_refusal_has_a_witness():
    book, pages = symbolic()
    p, first, stop = z3.BitVecs("p first stop", 64)
    inside = z3.And(z3.ULE(first, p), z3.ULT(p, stop))
    every, none = pages.all(first, stop), pages.none(first, stop)
    facts = book.instances([p])
    assert follows([*facts, every, inside], pages.has(p))
    assert follows([*facts, none, inside], z3.Not(pages.has(p)))
    assert follows([*facts, every, none], z3.UGE(first, stop))
    assert not follows([*facts, z3.Not(every), inside], z3.Not(pages.has(p)))
    missing = pages.lowest_missing(first, stop)
    below = z3.And(inside, z3.ULT(p, missing))
    assert follows([*facts, z3.Not(every)], z3.Not(pages.has(missing)))
    assert follows([*facts, z3.Not(every), below], pages.has(p))


def test_the_same_question_is_asked_once():
    book, pages = symbolic()
    first, stop = z3.BitVecs("first stop", 64)
    assert pages.all(first, stop) is pages.all(first, stop)
    assert len(book.facts) == 1
