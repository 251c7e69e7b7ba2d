"""Walks that failed are kept, and tried first by whoever shares them."""

import pytest
from hypothesis import Phase
from hypothesis.database import DirectoryBasedExampleDatabase, MultiplexedDatabase

from conformance.defects import device
from conformance.example_database import NoDatabase, database, walking
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
