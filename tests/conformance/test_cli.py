"""The command line: exit codes, one clear line for bad input, and nothing half-written."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import cli

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd=None, env=None, timeout=240):
    return subprocess.run(
        [sys.executable, "-m", "conformance.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd or ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        timeout=timeout,
        check=False,
    )


BAD = [
    (["prove", "validation.nothing*"], 2, "no obligation matches"),
    (["prove", "--profile", "slow"], 2, "slow"),
    (["prove", "--solver", "yices"], 2, "yices"),
    (["conform", "--only", "nothing*"], 2, "no rule matches"),
    (["conform", "--budget", "soon"], 2, "write seconds"),
    (["conform", "--device", "nothing"], 5, "expected impl"),
    (["conform", "--device", "no_such_module:Thing"], 5, "could not be started"),
    (["conform", "--device", "impl:slow"], 5, "impl:slow"),
    (["conform", "--device", "defect:nothing"], 5, "nothing"),
    (["replay", "/nonexistent.json"], 2, "/nonexistent.json"),
    (["vectors", "check", "/nonexistent"], 2, "/nonexistent"),
    (["explain", "nothing"], 2, "nothing is called that"),
    (["bench", "--compare", "/nonexistent.json"], 2, "/nonexistent.json"),
    (["--memmap", "/nonexistent"], 2, "/nonexistent"),
    (["report"], 2, "--out"),
    (["report", "/tmp/x.html", "--from", "/nonexistent.json"], 2, "/nonexistent.json"),
    (["report", "/nonexistent/x.html", "--from", "/dev/null"], 2, "/dev/null"),
    (["replay", "/nonexistent.json", "--emit", "rust"], 2, "/nonexistent.json"),
    (["replay", "/nonexistent.json", "--emit", "cobol"], 2, "cobol"),
    (["vectors", "fill", "/proc/x", "--form", "xml"], 2, "xml"),
    (["flatter"], 2, "flatter"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input_is_one_clear_line_and_its_exit_code(arguments, code, says):
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("svsm-conformance: ")
    assert says in lines[0]
    assert "Traceback" not in done.stderr


def test_a_trace_that_is_no_trace_names_the_file(tmp_path):
    cases = {
        "empty.json": b"",
        "binary.json": bytes(range(256)),
        "other.json": b'{"schema": "svsm-conformance/trace/99"}',
        "list.json": b"[]",
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        done = run("replay", path)
        assert done.returncode == 2
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr


def test_prove_writes_what_it_says(tmp_path):
    path = tmp_path / "p.json"
    done = run("prove", "validation.bitmap.claim_4k.wraps/*", "--solver", "all", "--json", path)
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_bytes())
    assert found["schema"] == "svsm-conformance/prove/1"
    assert found["obligations"]
    for obligation in found["obligations"]:
        assert obligation["verdict"] == "PROVED"
        assert set(obligation["solvers"]) == {"z3", "bitwuzla", "cvc5"}
        for key in ("id", "method", "rlimit", "seconds", "citation", "assumptions"):
            assert key in obligation
    assert "PROVED" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_smt_lib_is_exported_and_another_solver_reads_it(tmp_path):
    done = run(
        "prove", "validation.bitmap.query.answered/*", "--solver", "z3", "--export-smt2", tmp_path
    )
    assert done.returncode == 0
    files = sorted(tmp_path.glob("*.smt2"))
    assert files
    from spec.prove.solvers import ASK, Budget

    for file in files:
        text = file.read_text()
        wanted = "sat" if "expected: sat" in text else "unsat"
        assert ASK["bitwuzla"](text, Budget()).word == wanted


def test_a_full_disk_is_one_line_and_exit_2():
    done = run("prove", "validation.bitmap.fill/*", "--solver", "z3", "--json", "/dev/full")
    assert done.returncode == 2
    assert "/dev/full" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_solver_is_exit_3(monkeypatch, capsys):
    from spec.prove import solvers

    monkeypatch.setattr(solvers, "_is_installed", lambda name: name != "cvc5")
    code = cli.call(lambda: cli.prove("validation.bitmap.fill/*", solver=["all"]))
    assert code == 3
    assert "package cvc5 is not installed" in capsys.readouterr().err


def test_a_known_bad_variant_diverges_and_its_trace_replays(tmp_path):
    traces = tmp_path / "traces"
    bad = "defect:range_end_is_inclusive"
    out = tmp_path / "c.json"
    done = run("conform", "--device", bad, "--traces", traces, "--json", out)
    assert done.returncode == 1, done.stderr
    found = json.loads(out.read_bytes())
    assert found["exit_code"] == 1
    assert found["devices"][0]["verdict"] == "DIVERGES"
    trace = Path(found["devices"][0]["differences"][0]["trace"])
    assert f"replay {trace}" in done.stdout.replace("\n", "")
    again = run("replay", trace)
    assert again.returncode == 1
    assert "expected" in again.stdout
    good = run("replay", trace, "--device", "impl:pure")
    assert good.returncode == 0
    assert "agrees" in good.stdout


DEVICE = '''
from conformance.oracle import Oracle
from conformance.builtin import BUILTIN_POLICY

class Mine(Oracle):
    """Claims one rule and does it."""
    name = "mine"
    def __init__(self):
        super().__init__(BUILTIN_POLICY)
        self.claims = frozenset({"validation.bitmap.claim_4k"})

class Nothing(Mine):
    """Claims nothing."""
    def __init__(self):
        super().__init__()
        self.claims = frozenset()

class Raises(Mine):
    """Raises on some steps."""
    def apply(self, rule, op):
        if op.gpa % 4096:
            raise RuntimeError("boom")
        return super().apply(rule, op)

class Dies(Mine):
    """Dies on some steps."""
    def apply(self, rule, op):
        if op.gpa % 4096 == 1:
            import os
            os.abort()
        return super().apply(rule, op)

class Unfinished:
    """Has no members."""
'''


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("Mine", 0, "not claimed"),
        ("Nothing", 3, "NOTHING COMPARED"),
        ("Raises", 1, "boom"),
        ("Dies", 1, "SIGABRT"),
        ("Unfinished", 5, "has no name, claims"),
    ],
)
def test_somebody_elses_device_gets_the_verdict_it_deserves(tmp_path, name, code, says):
    (tmp_path / "theirs.py").write_text(DEVICE)
    done = run("conform", "--device", f"theirs:{name}", "--budget", "0.5s", cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_vectors_are_filled_and_checked(tmp_path):
    assert run("vectors", "fill", tmp_path / "v").returncode == 0
    again = run("vectors", "fill", tmp_path / "w")
    assert again.returncode == 0
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / d).glob("*.json")} for d in ("v", "w"))
    assert one == two
    assert {"validation.bitmap.claim_4k.json", "handoff.carve.json", "mmio.read.json"} <= set(one)
    assert run("vectors", "check", tmp_path / "v", "--device", "impl:pure").returncode == 0
    bad = run("vectors", "check", tmp_path / "v", "--device", "defect:query_is_inverted")
    assert bad.returncode == 1


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["prove --solver all", "conform --profile ci"])
def test_what_is_interrupted_leaves_a_valid_partial_report(tmp_path, command, stop, code):
    path = tmp_path / "p.json"
    child = subprocess.Popen(
        [sys.executable, "-m", "conformance.cli", *command.split(), "--json", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    # Its first heartbeat: it is at work, however long that took.
    assert child.stderr.readline().startswith(command.split()[0].encode())
    child.send_signal(stop)
    if stop == signal.SIGTERM:
        # Who ends a group of processes tells its leader twice.
        child.send_signal(stop)
    _, said = child.communicate(timeout=120)
    assert child.returncode == code
    assert b"Traceback" not in said
    found = json.loads(path.read_bytes())
    assert found["partial"] is True


@pytest.mark.slow
def test_explain_says_what_things_are():
    for name in ("claim_2m", "claim_2m.mixed", "no_page_is_claimed_twice", "tail_word_lost"):
        done = run("explain", name)
        assert done.returncode == 0
        assert name in done.stdout


def test_the_worst_part_decides_the_exit_code():
    assert cli.worst_of([0, 0]) == 0
    assert cli.worst_of([0, 3, 1]) == 1
    assert cli.worst_of([4, 6, 1]) == 6


def test_what_a_file_says_is_told_as_it_stands(tmp_path):
    path = tmp_path / "map.txt"
    path.write_text("root:x:0:0\n")
    assert "root:x:0:0" in run("handoff", path).stderr


def test_help_says_what_each_command_is():
    found = run("--help")
    listed = found.stdout.partition("Commands")[2].partition("╰")[0].splitlines()[1:]
    said = {line[2:14].strip(): line[15:].strip(" │") for line in listed}
    assert found.returncode == 0
    assert {"adapter", "audit", "conform", "handoff", "prove", "report"} <= said.keys()
    assert [name for name, text in said.items() if name and not text] == []
