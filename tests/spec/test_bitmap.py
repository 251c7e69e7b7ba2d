"""The bitmap's rules: every obligation is proved, and the oracle does what the manual says."""

import pytest

from spec.catalogue import SUBJECTS, rules
from spec.invariant import Claim, moment
from spec.pages import ListedPages, ListedWords
from spec.prove.run import Effort, matching, prove_many
from spec.prove.solvers import Budget
from spec.rule import step
from spec.validation import bitmap as b
from spec.validation.bitmap_claims import INVARIANTS, WELL_FORMED
from spec.validation.outcomes import Outcome

POLICY = b.Policy(1 << 28, Outcome.MIXED)
EMPTY = b.Bitmap(POLICY, 0, 0, ListedPages())


def region(base=0x1000, pages=1000, runs=()):
    claimed = ListedPages()
    for first, stop in runs:
        claimed = claimed.with_range((base >> 12) + first, (base >> 12) + stop, True)
    return b.Bitmap(POLICY, base, pages, claimed)


def test_every_obligation_is_proved_for_every_number_of_pages():
    ids = matching(["validation.bitmap.*", "validation.bitmap/*"])
    results = prove_many(ids, Effort(("z3",)), Budget())
    assert len(results) > 600
    assert [r.id for r in results if r.verdict != "PROVED"] == []


def test_no_obligation_is_bounded():
    assert all("bounded" not in r.method for r in SUBJECTS[0].lemmas())


STEPS = [
    (b.create, b.Create(0x1001, 1, True), "misaligned"),
    (b.create, b.Create(0x1000, 0, True), "empty"),
    (b.create, b.Create(0x1000, 1 << 52, True), "wraps"),
    (b.create, b.Create(0, (1 << 40) + 1, True), "above_limit"),
    (b.create, b.Create(0, 1 << 40, True), "over_cap"),
    (b.create, b.Create(0x1000, 65, True), "created"),
    (b.claim_4k, b.At(0x1800), "misaligned"),
    (b.claim_4k, b.At((1 << 64) - 4096), "wraps"),
    (b.claim_4k, b.At(0), "outside"),
    (b.claim_4k, b.At(0x1000 + 1000 * 4096), "outside"),
    (b.claim_4k, b.At(0x1000 + 10 * 4096), "already_claimed"),
    (b.claim_4k, b.At(0x1000 + 999 * 4096), "unclaimed"),
    (b.release_4k, b.At(0x1000), "not_claimed"),
    (b.release_4k, b.At(0x1000 + 19 * 4096), "claimed"),
    (b.claim_2m, b.At(0x1000), "misaligned"),
    (b.claim_2m, b.At((1 << 64) - (1 << 21)), "wraps"),
    (b.claim_2m, b.At(0), "outside"),
    (b.claim_2m, b.At(0x200000), "outside"),
    (b.claim_range, b.Between(0x1000, 0x1000 + 1000 * 4096), "mixed"),
    (b.claim_range, b.Between(0x1000 + 10 * 4096, 0x1000 + 20 * 4096), "all_claimed"),
    (b.claim_range, b.Between(0x3000, 0x2000), "reversed"),
    (b.claim_range, b.Between(0x2000, 0x2000), "empty"),
    (b.claim_range, b.Between(0x2000, 0x3000), "unclaimed"),
    (b.release_range, b.Between(0x1000, 0x2000), "none_claimed"),
    (b.test_range, b.Between(0x1000, 0x1000 + 1000 * 4096), "mixed"),
    (b.first_unclaimed, b.Between(0x1000 + 10 * 4096, 0x1000 + 20 * 4096), "all_claimed"),
    (b.export_words, b.Export(15), "wrong_length"),
    (b.export_words, b.Export(16), "exported"),
    (b.import_words, b.Import(16, ListedWords(((15, 1 << 40),))), "slack_set"),
    (b.import_words, b.Import(16, ListedWords(((15, 1 << 39),))), "imported"),
]


@pytest.mark.parametrize(("rule", "op", "case"), STEPS, ids=lambda v: getattr(v, "name", None))
def test_a_step_takes_the_case_that_the_manual_names(rule, op, case):
    assert step(rule, region(runs=[(10, 20)]), op).case == case


def test_a_mixed_2m_is_told_as_the_policy_says():
    for told in (Outcome.MIXED, Outcome.SIZE_MISMATCH):
        s = b.Bitmap(b.Policy(1 << 28, told), 0, 1024, ListedPages((3, 4)))
        assert step(b.claim_2m, s, b.At(0)).outcome == told
        assert step(b.claim_range, s, b.Between(0, 0x200000)).outcome == Outcome.MIXED


def test_the_size_of_a_terabyte_is_32_mebibytes():
    assert step(b.create, EMPTY, b.Create(0, 1 << 28, False)).value == 32 << 20


def test_a_found_page_is_an_address():
    s = region(runs=[(0, 70)])
    found = step(b.first_unclaimed, s, b.Between(0x1000, 0x1000 + 100 * 4096))
    assert found.value == 0x1000 + 70 * 4096


@pytest.mark.parametrize(("rule", "op", "case"), STEPS, ids=lambda v: getattr(v, "name", None))
def test_the_sentences_hold_of_steps_that_are_executed(rule, op, case):
    s = region(runs=[(10, 20)])
    taken = next(c for c in rule(s, op) if c.when)
    m = moment(rule, s, op, taken)
    spoken = [inv for inv in INVARIANTS if inv.speaks_of(rule, taken) and inv.suppose is None]
    assert spoken
    for p in (0, 1, 2, 10, 11, 20, 21, 1000, 1001):
        assert all(sentence(taken.state, p) for sentence in WELL_FORMED)
        for inv in spoken:
            said = inv.sentence(m, p)
            holds = (not said.given or all(said.conclusions)) if isinstance(said, Claim) else said
            assert holds, f"{inv.name} at page {p}"


def test_rules_are_found_by_id():
    assert rules()["validation.bitmap.claim_4k"] is b.claim_4k
    assert {rule.id for rule in b.RULES} <= set(rules())
