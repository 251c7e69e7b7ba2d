"""A trace as a test in Rust, C and Python: it passes on what is right, and fails on a fault."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from emit_modules import RUST, C
from report_results import TINY

from conformance.adapters import header
from conformance.area import Task
from conformance.areas import area_of, area_replaying
from conformance.builtin import BUILTIN_POLICY
from conformance.emit.emit import emitted
from conformance.emit.script import EmitError, comment
from conformance.handoff.calls import Carve, Validate
from conformance.handoff.doors import doors
from conformance.handoff.judge import HandoffTrace
from conformance.mmio.trace import MmioStep, MmioTrace, encoded
from conformance.mmio.vectors import kept, ways
from conformance.protocol import vectors as svsm_vectors
from conformance.protocol.trace import ProtocolTrace
from conformance.protocol.trace import encoded as svsm_encoded
from conformance.protocol.world import starts
from conformance.trace import save, trace_of
from spec.catalogue import rules
from spec.pages import ListedPages
from spec.validation.bitmap import Bitmap

ROOT = Path(__file__).parents[2]
HOSTILE = '*/ """ \\ \n#[x] {7*7} \x1b'


def of_record(folder, device="impl:fast"):
    """A record of 70 pages, one of them claimed twice, looked at and exported."""
    start = Bitmap(BUILTIN_POLICY, 4096 * 256, 70, ListedPages().with_range(300, 326, True))
    steps = [("claim_4k", 256), ("claim_4k", 256), ("query", 301), ("export_words", None)]
    made = []
    for name, frame in steps:
        rule = rules()[f"validation.bitmap.{name}"]
        made.append((rule, rule.operands(2 if frame is None else 4096 * frame)))
    return save(trace_of(device, HOSTILE, 0, start, made, None), folder)


def of_handoff(folder, device="impl:handoff"):
    """A map of two entries from which two ranges are cut."""
    call = Carve(((0, 40, 0), (50, 60, 1), (60, 90, 0)), (8, 16), (70, 72), 4)
    return written(folder, HandoffTrace(device=device, made_by=HOSTILE, seed=0, call=call))


def of_mmio(folder, device="impl:mmio"):
    """A device that is opened and read once, natively."""
    opens = {"slot": 1, "gpa": 0x10003000, "size": 4096, "home": 0x7000_0000}
    reads = {"slot": 1, "offset": 16, "failed": 0, "status": 0, "data": 0x1122334455667788}
    steps = [MmioStep(0, "mmio.open", [opens]), MmioStep(0, "mmio.read_u64", [reads])]
    return written(folder, MmioTrace(device=device, made_by=HOSTILE, seed=0, steps=steps))


def of_svsm(folder, device="impl:svsm"):
    """The shortest trace that once showed a known-bad variant."""
    one = min(svsm_vectors.kept(), key=lambda k: len(k.steps))
    number = starts("").index(one.start)
    steps = svsm_encoded(one.steps)
    trace = ProtocolTrace(device=device, made_by=HOSTILE, seed=0, start=number, steps=steps)
    return written(folder, trace), one.defect


def written(folder, trace):
    path = folder / "trace.json"
    path.write_bytes(msgspec.json.encode(trace))
    return path


MAKERS = {"record": of_record, "handoff": of_handoff, "mmio": of_mmio}


def done(*command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def compiled_c(folder, text, *options):
    (folder / "emitted.c").write_text(text)
    strict = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-I", str(header().parent))
    made = done("cc", *strict, "emitted.c", *options, cwd=folder)
    assert made.returncode == 0, made.stderr


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_c_passes_on_what_is_right_and_fails_on_a_fault(kind, broken, tmp_path):
    (tmp_path / "mine.c").write_text(C)
    text = emitted(MAKERS[kind](tmp_path), "c")
    compiled_c(tmp_path, text, "mine.c", f"-DBROKEN={int(broken)}", "-o", "test")
    ran = done("./test", cwd=tmp_path)
    assert ran.returncode == int(broken)
    assert ("passed: " in ran.stdout) != broken
    assert ran.stderr.startswith("FAILED: ") == broken


def compiled_rust(folder, kind, text, broken=False):
    module, (name, right, wrong) = RUST[kind]
    (folder / f"{kind}.rs").write_text(module.replace(name, wrong if broken else right))
    (folder / "emitted.rs").write_text(text)
    made = done("rustc", "--edition", "2021", "--test", "emitted.rs", "-o", "test", cwd=folder)
    assert made.returncode == 0, made.stderr


@pytest.mark.skipif(shutil.which("rustc") is None, reason="no Rust compiler here")
@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_rust_passes_on_what_is_right_and_fails_on_a_fault(kind, broken, tmp_path):
    compiled_rust(tmp_path, kind, emitted(MAKERS[kind](tmp_path), "rust"), broken)
    ran = done("./test", cwd=tmp_path)
    assert (ran.returncode != 0) == broken
    assert ("1 failed" if broken else "1 passed") in ran.stdout


PYTHON = {
    "record": (of_record, "defect:claimed_page_is_claimed_again"),
    "handoff": (of_handoff, "defect:tail_lost"),
    "mmio": (of_mmio, "defect:two_halves"),
}


def ran_by_pytest(folder, text):
    (folder / "test_emitted.py").write_text(text)
    return done(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
        "-c", str(ROOT / "pyproject.toml"), str(folder / "test_emitted.py"), cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("kind", PYTHON)
def test_python_passes_on_what_is_right_and_fails_on_a_fault(kind, broken, tmp_path):
    make, defect = PYTHON[kind]
    path = make(tmp_path)
    ran = ran_by_pytest(tmp_path, emitted(path, "python", defect if broken else None))
    assert ran.returncode == int(broken), ran.stdout
    assert ("1 failed" if broken else "1 passed") in ran.stdout


@pytest.mark.parametrize("broken", [False, True])
def test_python_of_an_svsm_replays_its_trace(broken, tmp_path):
    path, defect = of_svsm(tmp_path)
    device = f"defect:{defect}" if broken else None
    ran = ran_by_pytest(tmp_path, emitted(path, "python", device))
    assert ran.returncode == int(broken), ran.stdout


def of_stream(folder, defect="stream_of_another_mark"):
    """The trace that a known-bad reader of streams leaves."""
    device = f"defect:{defect}"
    task = Task(device, TINY, 0, "*", folder)
    (found, *_) = area_of(device).run(task).differences
    return Path(found.trace)


@pytest.mark.parametrize("broken", [False, True])
def test_python_of_a_stream_replays_it(broken, tmp_path):
    path = of_stream(tmp_path)
    text = emitted(path, "python", None if broken else "impl:stream")
    ran = ran_by_pytest(tmp_path, text)
    assert ran.returncode == int(broken), ran.stdout
    with pytest.raises(EmitError, match="python alone"):
        emitted(path, "rust")


@pytest.mark.parametrize("language", ["rust", "c"])
def test_svsm_among_vcpus_is_python_alone_and_says_so(language, tmp_path):
    path, _ = of_svsm(tmp_path)
    with pytest.raises(EmitError, match="python alone"):
        emitted(path, language)


@pytest.mark.parametrize("language", ["rust", "c"])
def test_a_stage_with_a_machine_is_python_alone_and_says_so(language, tmp_path):
    call = next(door.call for door in doors() if isinstance(door.call, Validate))
    path = written(tmp_path, HandoffTrace(device="d", made_by="m", seed=0, call=call))
    with pytest.raises(EmitError, match="emit python"):
        emitted(path, language)
    assert "def test_" in emitted(path, "python")


def of_each_kind(folder):
    """A trace of each stage's refusals and results, and of each call of MMIO."""
    seen = set()
    for door in doors():
        key = door.rule, door.case
        if key not in seen and not isinstance(door.call, Validate):
            seen.add(key)
            yield (
                "handoff",
                written(folder, HandoffTrace(device="d", made_by="m", seed=0, call=door.call)),
            )
    for one in (*ways(), *kept()):
        rule = one.calls[-1].rule.id
        if rule not in seen:
            seen.add(rule)
            yield (
                "mmio",
                written(
                    folder, MmioTrace(device="d", made_by="m", seed=0, steps=encoded(one.calls))
                ),
            )


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_c_of_every_stage_and_call_compiles(tmp_path):
    texts = [emitted(path, "c") for _, path in of_each_kind(tmp_path)]
    assert len(texts) > 40
    for text in texts:
        compiled_c(tmp_path, text, "-fsyntax-only")


@pytest.mark.skipif(shutil.which("rustc") is None, reason="no Rust compiler here")
@pytest.mark.parametrize("kind", ["handoff", "mmio"])
def test_rust_of_every_stage_and_call_compiles(kind, tmp_path):
    texts = [emitted(path, "rust") for of, path in of_each_kind(tmp_path) if of == kind]
    tests = dict.fromkeys(text.partition("#[test]")[2] for text in texts)
    first = texts[0].partition("#[test]")[0]
    helper = next((t for t in texts if "fn memory_of" in t), "")
    helper = helper.partition("fn memory_of")[2].partition("#[test]")[0]
    helper = f"fn memory_of{helper}" if helper else ""
    first = first.partition("fn memory_of")[0]
    compiled_rust(tmp_path, kind, first + helper + "".join(f"#[test]{t}\n" for t in tests))


def test_no_text_of_a_trace_ends_a_comment(tmp_path):
    assert "*/" not in comment(HOSTILE)
    for language in ("rust", "c", "python"):
        for make in MAKERS.values():
            text = emitted(make(tmp_path, device=HOSTILE.strip()), language)
            assert "\x1b" not in text
            assert text.isascii()


def test_emitted_text_is_the_same_twice(tmp_path):
    for language in ("rust", "c", "python"):
        for make in MAKERS.values():
            path = make(tmp_path)
            assert emitted(path, language) == emitted(path, language)
            assert area_replaying(path) is not None or make is of_record
