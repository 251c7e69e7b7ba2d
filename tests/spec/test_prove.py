"""The prover tells a proof from a refutation, from not knowing, and from proving nothing."""

import pytest
import z3

from spec.prove import obligation as proving
from spec.prove.lemma import Demands, Lemmas, must
from spec.prove.obligation import Obligation, prove, texts
from spec.prove.run import PROFILES, Effort, NoSuchObligation, catalogue, matching, prove_many
from spec.prove.solvers import ASK, NAMES, Answer, Budget, MissingSolver, require
from spec.prove.verdict import Verdict
from spec.sources import definition
from spec.terms import all_of, at_most, below, plus

ALL = tuple(NAMES)


def stated(ask, method="pointwise"):
    return Obligation("test", "a claim", definition("a test"), ask, method=method)


def proved(ask, solvers=("z3",), method="pointwise", budget=None):
    return prove(stated(ask, method), solvers, budget or Budget())


def a_truth(world):
    x = world.word("x")
    return must([below(x, 10)], at_most(x, 9))


def a_falsehood(world):
    x = world.word("x")
    return must([at_most(x, 10)], at_most(x, 9))


def nothing(world):
    x = world.word("x")
    return must([below(x, 0)], x == 7)


def hard(world):
    x, y = world.word("x"), world.word("y")
    wide = [z3.ZeroExt(64, t) for t in (x, y)] if isinstance(x, z3.ExprRef) else [x, y]
    return must([below(1, x), below(1, y)], wide[0] * wide[1] != (1 << 61) - 1)


@pytest.mark.parametrize("solver", NAMES)
def test_each_solver_proves_what_is_true_and_refutes_what_is_not(solver):
    assert proved(a_truth, (solver,)).verdict == Verdict.PROVED
    refuted = proved(a_falsehood, (solver,))
    assert refuted.verdict == Verdict.REFUTED
    assert refuted.witness.replays
    assert refuted.witness.values == {"x": "0xa"}


def test_what_supposes_the_impossible_is_vacuous():
    assert proved(nothing).verdict == Verdict.VACUOUS


def test_what_is_too_hard_is_unknown_and_says_why():
    result = proved(hard, budget=Budget(z3_rlimit=2000, seconds=1))
    assert result.verdict == Verdict.UNKNOWN
    assert result.reason


def test_two_solvers_must_agree_where_two_are_asked(monkeypatch):
    monkeypatch.setitem(ASK, "cvc5", lambda _text, _budget: Answer("unknown: tired"))
    result = proved(a_truth, ("z3", "cvc5"))
    assert result.verdict == Verdict.UNKNOWN
    assert result.solvers == {"z3": "PROVED", "cvc5": "UNKNOWN: tired"}


def test_solvers_that_disagree_are_told(monkeypatch):
    monkeypatch.setitem(ASK, "cvc5", lambda _text, _budget: Answer("sat"))
    assert proved(a_truth, ("z3", "cvc5")).verdict == Verdict.DISAGREE


def test_a_refutation_that_does_not_replay_is_an_error_of_ours():
    def lies(world):
        x = world.word("x")
        is_symbolic = isinstance(x, z3.ExprRef)
        return must([], below(x, 5) if is_symbolic else True)

    assert proved(lies).verdict == Verdict.ERROR


def test_a_case_that_is_reached_is_shown_by_values_that_replay():
    def reached(world):
        x = world.word("x")
        return must([all_of(below(3, x), below(x, 5))])

    assert proved(reached, ALL, "witness").verdict == Verdict.PROVED
    assert proved(nothing, ALL, "witness").verdict == Verdict.VACUOUS


def test_a_verdict_is_not_a_truth_value():
    with pytest.raises(TypeError, match="not a truth value"):
        bool(Verdict.PROVED)


def test_a_set_in_a_refutation_replays_as_a_set():
    def shrinks(world):
        pages = world.pages("pages", (0, 100))
        p, q = world.word("p"), world.word("q")
        return must([below(p, 100), below(q, 100), pages.has(p)], pages.has(q))

    result = proved(shrinks)
    assert result.verdict == Verdict.REFUTED
    assert result.witness.replays


def test_each_demand_of_a_kernel_is_an_obligation_of_its_own():
    lemmas = Lemmas("area")

    @lemmas.kernel()
    def adds(world, demands: Demands):
        """It adds."""
        x = world.word("x")
        demands.demand("sum", at_most(x, 100))
        demands.demand("shift", below(x, 64))
        return must([below(x, 64)], plus(x, 1) != 0)

    ids = [o.id for o in lemmas.found]
    assert ids == ["area/adds", "area/adds.sum-1", "area/adds.shift-2"]
    assert {prove(o, ("z3",), Budget()).verdict for o in lemmas.found} == {"PROVED"}


def test_a_demand_that_is_not_met_is_refuted():
    lemmas = Lemmas("area")

    @lemmas.kernel()
    def shifts(world, demands: Demands):
        """It shifts."""
        x = world.word("x")
        demands.demand("shift", below(x, 64))
        return must([at_most(x, 64)], at_most(x, 64))

    assert prove(lemmas.found[1], ("z3",), Budget()).verdict == Verdict.REFUTED


def test_texts_are_smt_lib_that_says_what_it_expects():
    found = texts(stated(a_truth))
    assert list(found) == ["possible", "goal-0"]
    for label, text in found.items():
        assert text.startswith("(set-logic QF_UFBV)")
        for solver in NAMES:
            assert ASK[solver](text, Budget()).word == ("sat" if label == "possible" else "unsat")


def test_ids_are_unique_and_globs_choose_among_them():
    assert len(matching(["validation.bitmap.claim_4k.*"])) > 10
    assert matching([]) == list(catalogue())
    with pytest.raises(NoSuchObligation, match="no obligation matches"):
        matching(["validation.nothing*"])


def test_a_missing_solver_is_named_with_its_package(monkeypatch):
    from spec.prove import solvers

    monkeypatch.setattr(solvers, "_is_installed", lambda name: name != "bitwuzla")
    with pytest.raises(MissingSolver, match="package bitwuzla is not installed"):
        require(["z3", "bitwuzla"])
    with pytest.raises(MissingSolver):
        prove_many(matching(["*claim_4k.wraps*"]), PROFILES["ci"], Budget(), 1)


def test_seeds_change_no_verdict():
    ids = matching(["*claim_4k.unclaimed/*"])
    results = prove_many(ids, Effort(("z3",), seeds=3), Budget(), 1)
    assert {r.verdict for r in results} == {"PROVED"}


def test_the_worst_answer_of_an_obligation_counts():
    assert proving._worse("unsat", "sat") == "sat"
    assert proving._worse("sat", "unknown: x") == "sat"
    assert proving._worse("unknown: x", "unsat") == "unknown: x"
