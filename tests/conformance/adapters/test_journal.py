"""What a run has found outlives the run, however it is killed, and it is gone on from there."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.adapters import journal as journals
from conformance.adapters.journal import Ahead, Done, Found, Journal, Reported, Run, Seen
from conformance.conform_report import Difference
from conformance.trace import Finding, Reached, TraceError

OF = Run(devices=["c:x.so"], profile="quick", seed=3, only="*", seconds=None, traces=".svsm/traces")
FINDING = Finding(
    step=0, rule="r", case="c", field="value", expected="1", got="2", before={}, op={},
    expected_state={},
)  # fmt: skip


def written(tmp_path):
    path = tmp_path / "j.jsonl"
    journals.begin(path, OF)
    mine = Journal(path, "c:x.so")
    mine.unit = "vectors r"
    mine.ahead({"any": "thing"})
    mine.seen("vector", FINDING)
    mine.found(Difference(FINDING, "vector", 1, "t.json", True))
    mine.done(Reached({("r", "c"): 5}), 5, 0.5)
    return path


def test_a_journal_is_read_as_it_was_written(tmp_path):
    path = written(tmp_path)
    kinds = [type(line) for line in journals.read(path)]
    assert kinds == [Run, Ahead, Seen, Found, Done]
    past = Journal(path, "c:x.so").past
    assert past.reached("vectors r") == {("r", "c"): 5}
    assert [one.difference.finding for one in past.found] == [FINDING]
    assert Journal(path, "c:other.so").past.done == {}
    assert journals.opened(OF, path) == (OF, path)


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole) - 40, len(whole)):
        path.write_bytes(whole[:size])
        assert [type(line) for line in journals.read(path)][:4] == [Run, Ahead, Seen, Found]


def test_what_is_no_journal_is_told_of(tmp_path):
    path = tmp_path / "x"
    for data in (b"", b"hello", b'{"is":"done","device":"d","unit":"u","reached":[]}\n', b"\xff\n"):
        path.write_bytes(data)
        with pytest.raises(TraceError, match="is no journal of a run"):
            journals.read(path)
    with pytest.raises(TraceError, match="No such file"):
        journals.read(tmp_path / "absent")


def command(*arguments):
    return [sys.executable, "-m", "conformance.cli", "conform", *map(str, arguments)]


def lines(path):
    return journals.read(path) if path else []


def wait_for(process, folder, wanted):
    """Until the journal has so many lines of a kind; the journal."""
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        there = sorted(folder.glob("*.jsonl"))
        if there and there[0].stat().st_size and wanted(lines(there[0])):
            return there[0]
        time.sleep(0.02)
    raise AssertionError(f"the run ended with {process.poll()} before that")


def test_a_run_that_is_killed_is_gone_on_from(compiled, tmp_path, left_running):
    """Killed with SIGKILL after a difference and some units; then resumed, and resumed again."""
    only = "validation.bitmap.[cr]*_4k"
    spec = f"c:{compiled('flat.c', ALREADY='SVSM_MIXED')}"
    out, traces = tmp_path / "out.json", tmp_path / "traces"
    asked = command("--device", spec, "--only", only, "--seed", "7", "--traces", traces)
    process = subprocess.Popen(
        asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )

    def some(told):
        done = [one for one in told if isinstance(one, Done)]
        return len(done) >= 2 and any(isinstance(one, Found) for one in told)

    path = wait_for(process, tmp_path / "journals", some)
    # The suite alone; what it has started is gone with it.
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 10
    while left_running() and time.monotonic() < until:
        time.sleep(0.05)
    assert not left_running()
    before = lines(path)
    found = [x.difference for x in before if isinstance(x, Found)]
    done = [x.unit for x in before if isinstance(x, Done)]
    assert not any(isinstance(x, Reported) for x in before)
    begun = len(before)

    again = subprocess.run(
        command("--resume", path, "--json", out), capture_output=True, text=True, check=False
    )
    assert again.returncode == 1, again.stderr
    report = json.loads(out.read_bytes())
    told = [d["finding"] for d in report["devices"][0]["differences"]]
    assert [f["case"] for f in told[: len(found)]] == [d.finding.case for d in found]
    after = lines(path)[begun:]
    assert not {x.unit for x in after if isinstance(x, Done | Ahead)} & set(done)
    assert report["seed"] == 7
    assert report["only"] == only

    size = path.stat().st_size
    third = subprocess.run(command("--resume", path), capture_output=True, text=True, check=False)
    assert third.returncode == 1
    assert "already_claimed" in third.stdout
    assert path.stat().st_size == size


ROOT = Path(__file__).parents[3]
SVSM = shlex.join([sys.executable, str(Path(__file__).with_name("svsm_speaker.py")), "rmpadjust"])


@pytest.mark.parametrize(
    ("source", "macros", "only"),
    [
        ("stages.c", {"WRONG": "if(type==3)type=0"}, "handoff.*"),
        pytest.param("registers.c", {"WIDTH(n)": "(n == 8 ? 4 : n)"}, "*", marks=pytest.mark.slow),
        pytest.param("", {}, "validation.[pv]*", marks=pytest.mark.slow),
    ],
    ids=("handoff", "mmio", "svsm"),
)
def test_what_takes_calls_is_gone_on_with_unit_by_unit(
    compiled, tmp_path, monkeypatch, source, macros, only
):
    """Killed with SIGKILL after a difference and some units, it ends as if it had not been."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    spec = f"c:{compiled(source, **macros)}" if source else f"program:{SVSM}"

    def asked(folder):
        return command("--device", spec, "--only", only, "--traces", tmp_path / folder / "traces")

    process = subprocess.Popen(
        asked("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def some(told):
        return sum(isinstance(one, Done) for one in told) >= 2 and any(
            isinstance(one, Found) for one in told
        )

    path = wait_for(process, tmp_path / "killed" / "journals", some)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)
    before = lines(path)
    done = {one.unit for one in before if isinstance(one, Done)}
    assert not any(isinstance(one, Reported) for one in before)

    def ended(*arguments):
        out = tmp_path / "out.json"
        subprocess.run([*arguments, "--json", out], capture_output=True, check=False)
        return json.loads(out.read_bytes())["devices"][0]

    again = ended(*command("--resume", path))
    after = lines(path)[len(before) :]
    ran = {one.unit for one in after if isinstance(one, Done)}
    assert ran
    assert not {one.unit for one in after if isinstance(one, Done | Ahead)} & done
    whole = ended(*asked("whole"))
    assert again["verdict"] == whole["verdict"] == "DIVERGES"
    assert again["rules"] == whole["rules"]
    findings = [[one["finding"] for one in told["differences"]] for told in (again, whole)]
    assert findings[0] == findings[1]
