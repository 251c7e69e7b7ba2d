"""The solver opens a door to every case of every rule, and every door leads where it says."""

import hashlib
import subprocess
import sys
from importlib.resources import files

import msgspec
import pytest

from conformance import door_file
from conformance.aims import SMALL_CREATE_PAGES, SMALL_PAGES, SMALL_WORDS, asked
from conformance.builtin import RUNS_POLICY
from conformance.doors import doors, found
from spec.catalogue import SUBJECTS
from spec.prove.matrix import situation
from spec.prove.world import Symbolic
from spec.rule import step
from spec.validation import bitmap
from spec.validation.bitmap import PAGE_4K, Policy, gfn
from spec.validation.outcomes import Outcome
from tests.conformance.broken import POLICY


def all_cases():
    for subject in SUBJECTS:
        for rule in subject.rules:
            for case in situation(subject, rule, Symbolic())[2]:
                yield rule.id, case.name


def test_doors_open_every_case_of_every_rule():
    both = (*doors(POLICY), *doors(RUNS_POLICY))
    opened = {(door.rule.id, door.case) for door in both}
    assert opened == set(all_cases())


def test_doors_take_the_case_that_they_are_named_for():
    for door in doors(POLICY):
        assert step(door.rule, door.start, door.op).case == door.case
        assert door.id.startswith(f"{door.rule.id}.{door.case}#")


def test_doors_have_well_formed_starts_of_the_policy():
    for door in doors(POLICY):
        edges = door.start.claimed.bounds
        near = {max(0, edge + d) for edge in (0, *edges) for d in (-1, 0)}
        for sentence in SUBJECTS[0].well_formed:
            assert all(sentence(door.start, page) for page in near), door.id
        assert door.start.policy == POLICY


def test_doors_are_small_enough_to_be_run():
    for door in doors(POLICY):
        assert door.start.pages <= SMALL_PAGES
        assert getattr(door.op, "length", 0) <= SMALL_WORDS
        if door.case == "created":
            assert door.op.pages <= SMALL_CREATE_PAGES


def test_doors_differ_in_start_or_operands():
    made = [(door.rule.id, door.case, door.start, door.op) for door in doors(POLICY)]
    assert len(set(made)) == len(made) > 1000
    assert len({door.id for door in doors(POLICY)}) == len(made)


def test_doors_hand_over_no_word_past_the_length():
    tables = [door.op for door in doors(POLICY) if door.rule.name == "import_words"]
    assert all(index < op.length for op in tables for index, _ in op.words.listed)
    assert any(len(op.words.listed) > 2 for op in tables)


def test_doors_have_the_corners_of_the_layout():
    named = {(door.rule.name, door.aim) for door in doors(POLICY)}
    for rule in ("claim_range", "release_range", "count"):
        assert (rule, "a range of two words") in named
        assert (rule, "a range of many words") in named
        assert (rule, "what is asked ends with the region") in named
    assert ("claim_2m", "what is asked starts in an odd bit") in named
    assert ("claim_2m", "claimed from the last page of those asked") in named


def test_doors_meet_their_aim_on_plain_numbers():
    for door in doors(POLICY):
        s = door.start
        if door.aim.startswith("pages modulo 64 is "):
            assert s.pages % 64 == int(door.aim.split()[-1])
        if door.aim == "what is asked starts in bit 63":
            first, _ = asked(door.rule, door.op)
            assert (gfn(first) - gfn(s.base)) % 64 == 63
        if door.aim == "a range of one page":
            assert door.op.stop - door.op.first == PAGE_4K
        if door.aim == "claimed from the last page of those asked":
            first, stop = map(gfn, asked(door.rule, door.op))
            assert s.claimed.has(stop - 1), door.id


def test_doors_follow_the_policy():
    other = Policy(cap_pages=4096, mixed_2m=int(Outcome.SIZE_MISMATCH))
    mixed = [d for d in doors(other) if d.rule.name == "claim_2m" and d.case == "mixed"]
    assert mixed
    assert {step(d.rule, d.start, d.op).outcome for d in mixed} == {int(Outcome.SIZE_MISMATCH)}
    created = [d for d in doors(other) if d.case == "created"]
    assert max(d.op.pages for d in created) <= 4096


def test_doors_that_are_kept_are_those_that_are_found():
    for rule in (bitmap.claim_4k, bitmap.query):
        there = tuple(door for door in doors(POLICY) if door.rule is rule)
        assert there == found(rule, POLICY)


def test_nothing_is_taken_from_a_file_that_follows_from_something_else(monkeypatch):
    assert list(door_file.kept(bitmap.query, POLICY))
    monkeypatch.setattr(door_file, "digest", lambda: "0" * 64)
    door_file._kept.cache_clear()
    try:
        assert not list(door_file.kept(bitmap.query, POLICY))
    finally:
        door_file._kept.cache_clear()


def test_the_file_is_of_these_rules():
    data = (files("conformance") / "data" / door_file.FILE).read_bytes()
    said = msgspec.json.decode(data, type=door_file.DoorFile).digest
    assert said == door_file.digest(), "python -m conformance.door_file makes it anew"


@pytest.mark.slow
def test_doors_are_the_same_in_a_process_that_used_the_solver_before():
    script = (
        "import z3, hashlib\n"
        "from spec.prove.run import Effort, matching, prove_many\n"
        "from spec.prove.solvers import Budget\n"
        "x, y = z3.BitVecs('op_stop s_base', 64)\n"
        "z3.solve(z3.LShR(y, 12) + x == 7, x != y)\n"
        "prove_many(matching(['*count*']), Effort(('z3',)), Budget(), 1)\n"
        "from conformance.doors import found\n"
        "from spec.validation.bitmap import RULES\n"
        "from tests.conformance.broken import POLICY\n"
        "made = [(d.id, d.aim, d.start, d.op) for rule in RULES for d in found(rule, POLICY)]\n"
        "print(hashlib.sha256(repr(made).encode()).hexdigest())"
    )
    made = [(d.id, d.aim, d.start, d.op) for d in doors(POLICY)]
    here = hashlib.sha256(repr(made).encode()).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == here
