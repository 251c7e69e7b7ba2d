"""Vectors are the same bytes for the same rules, are read strictly, and find what is wrong."""

import json

import pytest

from conformance import vectors
from conformance.doors import doors
from conformance.vectors import VectorError
from spec.catalogue import rules
from spec.validation.bitmap import Policy
from spec.validation.outcomes import Outcome
from tests.conformance.broken import ONE_STEP, POLICY, Faithful


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("vectors")
    assert 0 < vectors.fill(made, POLICY) <= len(doors(POLICY))
    return made


def test_vectors_are_one_file_for_each_rule(folder):
    assert sorted(path.stem for path in folder.iterdir()) == sorted(rules())


def test_vectors_are_the_same_bytes_twice(folder, tmp_path):
    vectors.fill(tmp_path, POLICY)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_vectors_are_read_as_they_were_made(folder):
    key = str
    assert sorted(vectors.read(folder), key=key) == sorted(vectors.make(POLICY), key=key)


def test_vectors_pass_on_the_rules_themselves():
    assert vectors.check(vectors.make(POLICY), Faithful()) == []


@pytest.mark.parametrize("device", ONE_STEP, ids=lambda d: d.__name__)
def test_vectors_find_a_broken_device(device):
    assert vectors.check(vectors.make(POLICY), device())


def test_vectors_of_rules_not_claimed_are_left_out():
    device = ONE_STEP[0]()
    device.claims = frozenset(name for name in rules() if not name.endswith("claim_range"))
    assert vectors.check(vectors.make(POLICY), device) == []


def test_vectors_of_another_policy_are_refused():
    device = Faithful()
    device.policy = Policy(cap_pages=99, mixed_2m=int(Outcome.MIXED))
    with pytest.raises(VectorError, match=r"cap_pages 268435456.*faithful has cap_pages 99"):
        vectors.check(vectors.make(POLICY), device)


def edited(change):
    def edit(path):
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return edit


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-200]), "not a file of vectors"),
        (lambda p: p.write_bytes(b""), "not a file of vectors"),
        (lambda p: p.write_bytes(b"\xff\xfe{}"), "not a file of vectors"),
        (lambda p: p.write_text("[1]"), "not a file of vectors"),
        (edited(lambda d: d.update(schema="svsm-conformance/vector/1")), "schema is '.*/1'"),
        (edited(lambda d: d.update(rule="validation.bitmap.clam")), "unknown rule '.*clam'"),
        (edited(lambda d: d["vectors"][3].update(rule="x.y")), r"vector 3 \(.*unknown rule 'x.y'"),
        (edited(lambda d: d["vectors"][2]["expected"].pop("code")), r"code.*\$.vectors\[2\]"),
        (edited(lambda d: d["vectors"][2].update(more=1)), r"more.*\$.vectors\[2\]"),
        (edited(lambda d: d["vectors"][4]["start"].pop("base")), "vector 4 .*start.base: missing"),
        (edited(lambda d: d["vectors"][4]["step"].update(gpa=-1)), "vector 4 .*step.gpa: -1"),
        (edited(lambda d: d["vectors"][0]["expected"].update(code=0)), "vector 0 .*not the file's"),
        (edited(lambda d: d["vectors"].pop()), "sha256 is not that of its vectors"),
        (edited(lambda d: d["vectors"][0].update(purpose="x")), "sha256 is not that"),
        (edited(lambda d: d["vectors"][0].update(case="unclaimed")), "vector 0 .*says unclaimed"),
    ],
)
def test_vectors_that_are_damaged_are_refused_in_one_line(folder, tmp_path, damage, says):
    path = tmp_path / "validation.bitmap.claim_4k.json"
    path.write_bytes((folder / path.name).read_bytes())
    assert vectors.read(tmp_path)
    damage(path)
    with pytest.raises(VectorError, match=says) as raised:
        vectors.read(tmp_path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_vectors_of_no_directory_are_refused(tmp_path):
    with pytest.raises(VectorError, match="not a directory"):
        vectors.read(tmp_path / "nowhere")
    assert vectors.read(tmp_path) == []
