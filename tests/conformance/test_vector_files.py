"""Vectors of all areas: ids that stay, strict reading, readers in C and Rust that find faults."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from vector_readers import RUST, C

from conformance import vector_areas, vector_lines, vectors
from conformance.builtin import BUILTIN_POLICY
from conformance.handoff import vector_files as handoff
from conformance.mmio import vector_files as mmio
from conformance.vector_file import FLAGS, VectorError

DOCS = Path(__file__).parents[2] / "docs" / "vectors.md"
RULE = "validation.bitmap.claim_4k"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The vectors of the areas beside the record of pages, which has tests of its own."""
    made = tmp_path_factory.mktemp("vectors")
    assert handoff.fill(made) > 400
    assert mmio.fill(made) > 300
    return made


def test_vectors_of_each_area_are_read_as_they_were_made(folder):
    found = vector_areas.read(folder)
    assert sorted(found) == [handoff.SCHEMA, mmio.SCHEMA]
    for schema, made in ((handoff.SCHEMA, handoff.make()), (mmio.SCHEMA, mmio.make())):
        assert sorted(found[schema], key=lambda v: v.id) == sorted(made, key=lambda v: v.id)


def test_vectors_of_each_area_are_the_same_bytes_twice(folder, tmp_path):
    handoff.fill(tmp_path)
    mmio.fill(tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("device", "differs"),
    [
        ("impl:handoff", False), ("impl:mmio", False),
        ("defect:tail_lost", True), ("defect:two_halves", True),
    ],
)  # fmt: skip
def test_vectors_find_who_differs(folder, device, differs):
    (checked,) = vector_areas.check(vector_areas.read(folder), device)
    assert checked.compared > 300
    assert bool(checked.findings) == differs


@pytest.mark.slow
def test_ids_are_unique_stay_with_the_question_and_say_the_case():
    made = [*vectors.make(BUILTIN_POLICY), *handoff.make(), *mmio.make()]
    ids = [vector.id for vector in made]
    assert len(set(ids)) == len(ids)
    for vector in made:
        assert re.fullmatch(rf"{re.escape(vector.rule)}\.{vector.case}#[0-9a-f]{{12}}", vector.id)
        assert vector.purpose
        assert vector.citation
        assert set(vector.flags) <= set(FLAGS)
        assert ("accepted" in vector.flags) != ("refused" in vector.flags)


def test_every_flag_is_used_and_told_in_the_docs():
    made = [*vectors.make(BUILTIN_POLICY), *handoff.make(), *mmio.make()]
    used = {flag for vector in made for flag in vector.flags}
    assert used | {"little_room"} == set(FLAGS)
    for flag, says in FLAGS.items():
        assert f"| `{flag}` | {says} |" in DOCS.read_text()


def edited(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


DAMAGE = [
    ("handoff.carve", lambda d: d["vectors"][0]["expected"].update(answer="OK?"), "not the file's"),
    ("handoff.carve", lambda d: d["vectors"][0].update(case="x"), "the rules take handoff.carve"),
    ("handoff.carve", lambda d: d["vectors"][0]["step"].update(low_pages=-1), "no stage is ever"),
    ("handoff.carve", lambda d: d["vectors"].pop(), "sha256 is not that"),
    ("handoff.carve", lambda d: d.update(more=1), "unknown field"),
    ("handoff.carve", lambda d: d.update(schema="x"), "schema is 'x'"),
    ("handoff.carve", lambda d: d.update(schema=mmio.SCHEMA), "not a file of vectors"),
    ("mmio.read", lambda d: d["vectors"][0]["expected"].pop(), "the rules say otherwise"),
    ("mmio.read", lambda d: d["vectors"][0]["steps"].clear(), "no step to replay"),
    ("mmio.read", lambda d: d["vectors"][0]["steps"][0].update(machine=9), "machine 9 is none"),
    ("mmio.read", lambda d: d["machines"].pop(), "machines are not those"),
    ("mmio.read", lambda d: d["vectors"].pop(), "sha256 is not that"),
]


@pytest.mark.parametrize(("name", "damage", "says"), DAMAGE)
def test_vectors_that_are_damaged_are_refused_in_one_line(folder, tmp_path, name, damage, says):
    path = tmp_path / f"{name}.json"
    path.write_bytes((folder / path.name).read_bytes())
    edited(path, damage)
    with pytest.raises(VectorError, match=says) as raised:
        vector_areas.read(tmp_path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


# Lines, and the readers that the docs show


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """The lines of one rule."""
    made = [v for v in vectors.make(BUILTIN_POLICY) if v.rule in (RULE, "validation.bitmap.create")]
    folder = tmp_path_factory.mktemp("lines")
    vector_lines.fill(folder, made)
    return folder / f"{RULE}.txt"


def test_lines_hold_what_the_vectors_hold(lines):
    (heading, *rest) = lines.read_text().splitlines()
    made = {v.id: v for v in vectors.make(BUILTIN_POLICY) if v.rule == RULE}
    assert heading.startswith("#")
    assert len(rest) == len(made)
    for text in rest:
        name, *numbers = text.split(" ")
        vector = made[name]
        at = iter(map(int, numbers))
        first = [next(at) for _ in range(5)]
        assert first[:2] == [vector.start["base"], vector.start["pages"]]
        runs = [[next(at), next(at)] for _ in range(next(at))]
        assert runs == vector.start["claimed"]
        assert [next(at) for _ in range(next(at))] == [vector.step["gpa"]]
        assert next(at) == vector.expected.code


def test_words_of_lines_are_counted():
    made = vectors.make(BUILTIN_POLICY)
    given = next(v for v in made if v.rule.endswith("import_words") and v.step["words"])
    numbers = vector_lines.line(given).split(" ")
    count = len(given.step["words"])
    asked = f" {2 + 2 * count} {given.step['length']} {count} "
    assert asked in " ".join(numbers)


def shown(language):
    """The program in a language that the docs show."""
    return re.search(rf"```{language}\n(.*?)```", DOCS.read_text(), re.S)[1]


def built(language, tmp_path, already):
    """The docs' reader with an implementation; `already`: the code of a page claimed before."""
    if language == "c":
        (tmp_path / "mine.h").write_text(C.replace("ALREADY", already))
        (tmp_path / "check.c").write_text(shown("c"))
        command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "check.c"]
    else:
        (tmp_path / "mine.rs").write_text(RUST.replace("ALREADY", already))
        (tmp_path / "check.rs").write_text(shown("rust"))
        command = [
            "rustc",
            "--edition",
            "2021",
            "-D",
            "warnings",
            "-A",
            "unused-parens",
            "check.rs",
        ]
    done = subprocess.run(
        [*command, "-o", "check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tmp_path / "check"


TOOLS = {"c": "cc", "rust": "rustc"}


@pytest.mark.parametrize("language", TOOLS)
def test_reader_in_the_docs_runs_and_finds_a_fault(language, lines, tmp_path):
    if shutil.which(TOOLS[language]) is None:
        pytest.skip(f"no {TOOLS[language]} is installed")
    vectors_of_rule = len(lines.read_text().splitlines()) - 1
    for already, wrong in (("6", False), ("7", True)):
        check = built(language, tmp_path, already)
        with lines.open() as given:
            done = subprocess.run([check], stdin=given, capture_output=True, text=True, check=False)
        assert done.returncode == int(wrong)
        assert f"{vectors_of_rule} vectors, " in done.stdout
        assert ("0 wrong" in done.stdout) != wrong
        assert ("already_claimed#" in done.stdout) == wrong
