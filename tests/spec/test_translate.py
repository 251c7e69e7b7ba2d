"""What bitwuzla is told is what its own parser reads in z3's text."""

import pytest
import z3

from spec.prove.run import find
from spec.prove.solvers import module
from spec.prove.translate import Translator, Unreadable
from spec.prove.world import Symbolic
from spec.terms import negate, truth

IDS = (
    "validation.pvalidate.claim.claimed/what_is_validated_is_claimed",
    "validation.any.migration.bring.locked/stages_fit_modes",
    "validation.tdx.pvalidate.validate.validated/is_reached",
    "validation.bitmap.import_words.imported/each_page_is_its_imported_bit",
    "validation.bitmap.words/a_scan_finds_the_lowest",
    "validation.runs.claim_range.unclaimed/the_runs_fit",
)


def parsed(translator, terms):
    """The terms as bitwuzla's parser reads them, under the translator's own symbols."""
    bitwuzla = module("bitwuzla")
    parser = bitwuzla.Parser(translator.manager, bitwuzla.Options())
    solver = z3.SimpleSolver()
    solver.add(*terms)
    names = sorted({line for line in solver.sexpr().splitlines() if "declare-" in line})
    parser.parse("(set-logic QF_UFBV)\n" + "\n".join(names), True, False)
    # The parser's symbols are terms of their own: what was made is renamed to them.
    theirs = {name: parser.parse_term(name) for name in translator.symbols}
    return [parser.parse_term(term.sexpr()) for term in terms], theirs


@pytest.mark.parametrize("name", IDS)
def test_terms_are_those_that_bitwuzla_reads_in_their_text(name):
    query = find(name).ask(Symbolic())
    terms = [truth(t) for t in (*query.hypotheses, query.given, query.plain) if t is not True]
    terms += [truth(negate(goal)) for goal in query.then]
    bitwuzla = module("bitwuzla")
    translator = Translator(bitwuzla, bitwuzla.TermManager())
    made = [translator.of(term) for term in terms]
    read, theirs = parsed(translator, terms)
    renamed = {translator.symbols[symbol]: theirs[symbol] for symbol in translator.symbols}
    made = [translator.manager.substitute_term(term, renamed) for term in made]
    # z3 prints nested sums and disjunctions as one; whether the two differ, the solver is asked.
    solver = bitwuzla.Bitwuzla(translator.manager, bitwuzla.Options())
    differ = [pair for pair in zip(made, read, strict=True) if pair[0] != pair[1]]
    told = [translator.manager.mk_term(bitwuzla.Kind.DISTINCT, list(pair)) for pair in differ]
    assert [term for term in told if solver.check_sat(term) != bitwuzla.Result.UNSAT] == []
    assert len(differ) < len(made) / 2


def test_numbers_and_unknown_operations_are_not_read():
    bitwuzla = module("bitwuzla")
    translator = Translator(bitwuzla, bitwuzla.TermManager())
    with pytest.raises(Unreadable, match="neither words nor truth values"):
        translator.of(z3.Int("n") == z3.Int("m"))
    with pytest.raises(Unreadable, match="must be one of"):
        translator.of(z3.BitVec("x", 8) % 3 == 0)


def test_a_model_has_the_values_that_were_found():
    bitwuzla = module("bitwuzla")
    translator = Translator(bitwuzla, bitwuzla.TermManager())
    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    solver = bitwuzla.Bitwuzla(translator.manager, options)
    sort = z3.BitVecSort(64)
    x, f, odd = z3.BitVec("x", 64), z3.Function("f", sort, sort), z3.Bool("odd")
    said = z3.And(f(x) == 7, f(f(x)) == x + 2, x != 7, odd, z3.UGT(x, 1 << 63))
    solver.assert_formula(translator.of(said))
    assert solver.check_sat() == bitwuzla.Result.SAT
    assert z3.is_true(translator.model(solver).eval(said, model_completion=True))


def test_what_functions_imply_is_told_and_true_of_every_function():
    bitwuzla = module("bitwuzla")
    translator = Translator(bitwuzla, bitwuzla.TermManager())
    sort = z3.BitVecSort(64)
    x, y, f = z3.BitVec("x", 64), z3.BitVec("y", 64), z3.Function("f", sort, sort)
    translator.of(f(x) + f(y) + f(z3.BitVecVal(1, 64)) + f(z3.BitVecVal(2, 64)) == 0)
    # Of six pairs of places that of two numbers can never be one.
    assert len(translator.alike) == 5
    solver = bitwuzla.Bitwuzla(translator.manager, bitwuzla.Options())
    told = [translator.manager.mk_term(bitwuzla.Kind.NOT, [one]) for one in translator.alike]
    assert {solver.check_sat(one) for one in told} == {bitwuzla.Result.UNSAT}


def test_what_has_a_product_in_it_is_known_of_terms_made_before_too():
    bitwuzla = module("bitwuzla")
    translator = Translator(bitwuzla, bitwuzla.TermManager())
    a, b, c = (z3.BitVec(name, 64) for name in "abc")
    plain, small = a - b == c, z3.simplify(a - b == c)
    for term in (plain, small, z3.And(c != 0, small), z3.And(c != 0, plain)):
        translator.of(term)
    assert not translator.multiplies(plain)
    assert translator.multiplies(small)
    assert translator.multiplies(z3.And(c != 0, small))
    assert not translator.multiplies(z3.And(c != 0, plain))
