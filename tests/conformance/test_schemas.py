"""Every file that is written keeps to its published schema, and what does not is refused."""

import copy
import json
import shutil
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from report_results import bad_devices, bench, conforming, kill, map_file, of_each_word, proofs

from conformance import bench as benches
from conformance import schema as schemas
from conformance import vectors
from conformance.adapters import journal
from conformance.builtin import BUILTIN_POLICY, RUNS_POLICY
from conformance.handoff import vector_files as handoff_vectors
from conformance.mmio import vector_files as mmio_vectors
from conformance.prove_report import report
from conformance.schema import FILES
from conformance.vector_file import encoded
from spec.catalogue import rules
from spec.prove.run import PROFILES, matching, prove_many
from spec.prove.solvers import Budget

ROOT = Path(__file__).parents[2]
PUBLISHED = files("conformance") / "schemas"


def published(name):
    return json.loads((PUBLISHED / f"{name.partition('/')[2].replace('/', '-')}.json").read_text())


def valid(value):
    """Hold a file's value to the published schema that it names."""
    jsonschema.validate(value, published(value["schema"]), jsonschema.Draft202012Validator)


def record_file(rule, policy):
    made = [v for v in vectors.make(policy) if v.rule == rule]
    found = rules()[rule]
    return encoded(
        vectors.RecordVectors(
            schema=vectors.SCHEMA,
            rule=rule,
            claim=found.claim,
            citation=str(found.source),
            vectors=made,
        )
    )


def audited(folder, *options):
    source = folder / "read.c"
    source.write_text("unsigned read(volatile unsigned *p) { return *p; }\n")
    subprocess.run(["cc", "-O2", "-c", source.name, "-o", "read.o"], cwd=folder, check=True)
    out = folder / "audit.json"
    command = [sys.executable, "-m", "conformance.cli", "audit", "read.o", *options]
    subprocess.run([*command, "--json", out], cwd=folder, check=False, capture_output=True)
    return out.read_bytes()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A real file of each kind and sort, by what it shows."""
    folder = tmp_path_factory.mktemp("written")
    made = {}
    ids = matching(["validation.bitmap.claim_4k.wraps/*", "handoff.read.ended/*"])
    real = prove_many(ids, PROFILES["quick"], Budget(), 1)
    made["prove"] = report(real, "quick", ("z3",), 1.0).to_json()
    made["prove, each word"] = proofs(of_each_word()).to_json()
    bad = bad_devices()
    made["conform, bad"] = bad.to_json()
    for device in bad.devices:
        for number, one in enumerate(device.differences):
            made[f"trace {device.device} {number}"] = Path(one.trace).read_bytes()
    good = conforming()
    good.kills = [kill()]
    made["conform, good"] = good.to_json()
    made["bench"] = benches.to_json(bench())
    made["handoff"] = map_file(folder).read_bytes()
    for rule in ("claim_4k", "create", "export_words", "import_words", "count"):
        name = f"validation.bitmap.{rule}"
        made[name] = record_file(name, BUILTIN_POLICY)
    made["runs"] = record_file("validation.runs.switch", RUNS_POLICY)
    handoff_vectors.fill(folder / "v")
    mmio_vectors.fill(folder / "v")
    made |= {path.name: path.read_bytes() for path in (folder / "v").iterdir()}
    if shutil.which("cc"):
        made["audit"] = audited(folder, "--function", "read", "--args", "mmio", "--expect", "R32")
    return {name: json.loads(data) for name, data in made.items()}


def test_published_schemas_are_those_of_the_types():
    assert schemas.main(["--check", str(PUBLISHED)]) == 0


def test_each_line_of_a_journal_keeps_to_its_schema(tmp_path):
    path = tmp_path / "run.jsonl"
    (device, *_) = bad_devices().devices
    (one, *_) = device.differences
    run = journal.Run(
        devices=["c:x.so"], profile="quick", seed=0, only="*", seconds=None, traces="t"
    )
    journal.begin(path, run)
    wrote = journal.Journal(path, "c:x.so")
    wrote.ahead({"batch": 3})
    wrote.seen("walk", one.finding)
    wrote.found(one)
    wrote.done(Counter({("a.rule", "a_case"): 2}), 7, 0.5)
    wrote.reported(device)
    wrote.given_up("it hangs")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert len({line["is"] for line in lines}) == len(lines) == 7
    check = jsonschema.Draft202012Validator(published(journal.SCHEMA))
    for line in lines:
        check.validate(line)
        assert list(check.iter_errors({**line, "surprise": 1}))
    assert list(check.iter_errors({**lines[0], "schema": "svsm-conformance/journal/9"}))


@pytest.mark.parametrize("name", [*FILES, journal.SCHEMA])
def test_schema_is_a_schema_and_says_its_name(name):
    found = published(name)
    jsonschema.Draft202012Validator.check_schema(found)
    assert found["title"] == name


def test_every_file_that_is_written_keeps_to_its_schema(written):
    for value in written.values():
        valid(value)
    made = {value["schema"] for value in written.values()}
    without_compiler = set() if shutil.which("cc") else {"svsm-conformance/audit/1"}
    # What kernels are proved takes minutes; its own tests write one.
    assert made | {"svsm-conformance/kernels/1"} | without_compiler == set(FILES)


def places(value, path=()):
    """The way to every object in a value."""
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    if isinstance(value, list):
        for number, inner in enumerate(value[:3]):
            yield from places(inner, (*path, number))


OPEN = {"op", "before", "expected_state", "got_state", "values", "reached", "peers", "missing"}
OPEN |= {"solvers", "start", "step", "ops", "encodings"}
"""Objects whose fields are names that a type does not list."""


def is_open(path):
    return any(part in OPEN for part in path)


def test_a_field_too_many_or_too_few_is_refused_wherever_it_is(written):
    tried = 0
    kinds = {value["schema"]: value for value in written.values()}
    checks = {name: jsonschema.Draft202012Validator(published(name)) for name in kinds}
    for value in kinds.values():
        for path in places(value):
            if is_open(path):
                continue
            for damage in (lambda o: o.update(surprise=1), lambda o: o.pop(next(iter(o)))):
                damaged = copy.deepcopy(value)
                at = damaged
                for part in path:
                    at = at[part]
                if not at:
                    continue
                damage(at)
                tried += 1
                refused = list(checks[value["schema"]].iter_errors(damaged))
                assert refused, (value["schema"], path)
    assert tried > 100


def test_a_word_that_is_no_verdict_and_a_number_that_is_too_large_are_refused(written):
    false = copy.deepcopy(written["prove"])
    false["obligations"][0]["verdict"] = "PROVEN"
    large = copy.deepcopy(written["validation.bitmap.claim_4k"])
    large["vectors"][0]["step"]["gpa"] = 2**64
    flag = copy.deepcopy(written["validation.bitmap.claim_4k"])
    flag["vectors"][0]["flags"].append("nice")
    for value in (false, large, flag):
        with pytest.raises(jsonschema.ValidationError):
            valid(value)
