"""Walks that failed are kept, and tried first by whoever shares them."""

from importlib import import_module

import pytest
from hypothesis import Phase, given, seed
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase, MultiplexedDatabase

from conformance.defects import device
from conformance.example_database import NoDatabase, database, walking, whatever_is_loaded
from conformance.walk import walk
from spec.catalogue import rules

DEFECT = "claimed_page_is_claimed_again"
CLAIM = [rules()["validation.bitmap.claim_4k"]]


def test_a_walk_that_failed_is_tried_first(tmp_path):
    place = str(tmp_path / "examples")

    def walked(seed, examples):
        return walk(lambda: device(DEFECT), CLAIM, seed, examples, kept=place)

    first = walked(0, 200)
    assert first.findings
    again = walked(99, 1)
    assert again.findings
    assert again.examples == 1
    assert walk(lambda: device(DEFECT), CLAIM, 99, 1).findings == []


def test_nothing_is_kept_where_nobody_says_where():
    settings = walking(5, None)
    assert settings.database is None
    assert Phase.reuse not in settings.phases


def test_a_repository_is_read_and_what_fails_here_is_kept_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(database("github:owner/name"), MultiplexedDatabase)
    assert isinstance(database(str(tmp_path)), DirectoryBasedExampleDatabase)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("github:owner", "github:OWNER/REPOSITORY"),
        ("github:a/b/c", "github:OWNER/REPOSITORY"),
        ("redis://127.0.0.1:9/0", "redis"),
        (__file__, "is no directory"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line(place, said):
    with pytest.raises(NoDatabase, match=said) as told:
        database(place)
    assert "\n" not in str(told.value)


def test_what_is_drawn_does_not_hang_on_the_modules_that_are_loaded(tmp_path, monkeypatch):
    def drawn():
        seen = []

        def note(number):
            seen.append(number)

        with whatever_is_loaded():
            walking(300, None)(seed(3)(given(st.integers(0, 1 << 40))(note)))()
        return seen

    before = drawn()
    (tmp_path / "held_elsewhere.py").write_text(f"HELD = {[7919 * n for n in range(300)]}\n")
    monkeypatch.syspath_prepend(tmp_path)
    import_module("held_elsewhere")
    assert drawn() == before
