"""The page that traps: what the processor did, and nothing else, is what is counted."""

from __future__ import annotations

import ctypes
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from trapped import REASON, compiled, needs_trap, shorts

from conformance import trap
from conformance.trap import Kinds, Register, Script, TrapPage

HERE = Path(__file__).parent
STEPPED = pytest.mark.parametrize("step_always", [False, True], ids=["fast", "step"])
ROOT = HERE.parents[1]
STORE = tuple(Register(8 * i, 8, value=0x0123456789ABCDEF * (i + 3) % 2**64) for i in range(16))


@pytest.mark.parametrize(("where", "machine"), [("darwin", "x86_64"), ("linux", "aarch64")])
def test_another_machine_is_told_and_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, where: str, machine: str
) -> None:
    monkeypatch.setattr(sys, "platform", where)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert trap.absent() == f"the trap page needs Linux on x86-64, this is {where} {machine}"
    with pytest.raises(trap.TrapError, match="needs Linux on x86-64"):
        TrapPage()


def test_a_trap_that_is_not_built_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trap.importlib.util, "find_spec", lambda name: None)
    assert "the trap page" in str(trap.absent())
    with pytest.raises(trap.TrapError):
        TrapPage()


def test_it_is_there_where_it_should_be() -> None:
    built = any((ROOT / "conformance/trap").glob("_trap.*.so"))
    here = sys.platform == "linux" and platform.machine() == "x86_64"
    assert (REASON is None) == (built and here)


@needs_trap
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"pages": 0}, "pages is 0, must be 1 to 1024"),
        ({"pages": 1025}, "pages is 1025"),
        ({"capacity": 0}, "capacity is 0, must be 1 to"),
        ({"device": [Register(0, 9)]}, "at 0x0 is of 9 bytes, must be 1 to 8"),
        ({"device": [Register(0, 0)]}, "at 0x0 is of 0 bytes"),
        ({"device": [Register(4093, 4)]}, "within the 0x1000 bytes"),
        ({"device": [Register(0, 4), Register(3, 1)]}, "at 0x3 is of 1 bytes"),
        ({"device": [Register(0, 1, value=256)]}, "0x0 is 0x100, must be unsigned and fit in 1"),
        ({"device": [Register(0, 1, Kinds.FIFO, queue=(3, -1))]}, "is -0x1"),
    ],
)
def test_what_makes_no_device_is_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrapPage(**arguments)  # type: ignore[arg-type]


# Lowerings: what compilers and people make of an access

LOWERINGS = {
    "right_read": ["R32 +0x0"],
    "right_write": ["W32 +0x0"],
    "halves_read": ["R16 +0x0", "R16 +0x2"],
    "halves_write": ["W16 +0x0", "W16 +0x2"],
    "double_read": ["R32 +0x0", "R32 +0x0"],
    "byte_loop_read": [f"R8 +{i:#x}" for i in range(4)],
    "byte_loop_write": [f"W8 +{i:#x}" for i in range(4)],
    "read_modify_write": ["R32 +0x0", "W32 +0x0"],
}
# Of these it is the compiler's or the library's choice what is made, but it is never one access.
LOOSE = {
    "memcpy_read": "R32 +0x0",
    "memcpy_write": "W32 +0x0",
    "bit_field_write": "W32 +0x0",
    "structure_read": "R32 +0x0",
}


@needs_trap
@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3", "-Os"])
def test_each_lowering_is_seen_as_what_it_is(tmp_path: Path, level: str) -> None:
    library = compiled(HERE / "lowerings.c", tmp_path, level)
    with TrapPage([Register(0, 4, value=7), Register(4, 4)]) as page:
        for name, expected in LOWERINGS.items():
            getattr(library, name)(ctypes.c_void_p(page.address), 5)
            assert shorts(page) == expected, name
        for name, one in LOOSE.items():
            getattr(library, name)(ctypes.c_void_p(page.address), 5)
            told = shorts(page)
            assert told
            assert told != [one], name


@needs_trap
def test_without_volatile_the_compiler_decides_how_often(tmp_path: Path) -> None:
    counts = {}
    for level in ("-O0", "-O2"):
        library = compiled(HERE / "lowerings.c", tmp_path, level)
        with TrapPage([Register(0, 4, value=7)]) as page:
            library.not_volatile_read(ctypes.c_void_p(page.address))
            counts[level] = len(page.transactions())
    assert counts == {"-O0": 2, "-O2": 1}


# Devices


def read(page: TrapPage, offset: int, kind: type = ctypes.c_uint32) -> int:
    return int(kind.from_address(page.address + offset).value)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled(HERE / "lowerings.c", tmp_path_factory.mktemp("lowerings"), "-O2")


def write(library: ctypes.CDLL, page: TrapPage, offset: int, value: int) -> None:
    library.right_write(ctypes.c_void_p(page.address + offset), value)


@needs_trap
def test_ctypes_reads_before_it_writes() -> None:
    with TrapPage(STORE) as page:
        ctypes.c_uint32.from_address(page.address).value = 7
        assert shorts(page) == ["R32 +0x0", "W32 +0x0"]


@needs_trap
def test_registers_do_what_their_kind_says(library: ctypes.CDLL) -> None:
    device = [
        Register(0x00, 4, Kinds.FIFO, queue=(10, 20)),
        Register(0x04, 4, Kinds.CLEAR_ON_READ, value=9),
        Register(0x08, 4, Kinds.ONE_CLEARS, value=0b1111),
        Register(0x0C, 4, Kinds.DOORBELL),
        Register(0x10, 8, Kinds.COUNTER, value=0xFFFF_FFFF, widths=(4,)),
        Register(0x18, 4, value=0x8070_6050, widths=(4,)),
    ]
    with TrapPage(device) as page:
        assert [read(page, 0) for _ in range(3)] == [10, 20, 0]
        assert [read(page, 4) for _ in range(2)] == [9, 0]
        write(library, page, 8, 0b0101)
        assert read(page, 8) == 0b1010
        for value in (0, 7):
            write(library, page, 0xC, value)
        assert (read(page, 0xC), page.values()[0xC]) == (0, 2)
        # A counter in two halves, read one after another: torn.
        assert read(page, 0x10) + 2**32 * read(page, 0x14) == 0x1_FFFF_FFFF
        assert page.left() == {0: 0}
        page.forget()
        # Another width is not taken: reads 0, writes nothing, and the log says so.
        assert read(page, 0x18, ctypes.c_uint16) == 0
        ctypes.memset(page.address + 0x18, 1, 1)
        assert read(page, 0x18) == 0x8070_6050
        assert read(page, 0x40) == 0
        assert [access.taken for access in page.log()] == [False, False, True, False]


@needs_trap
def test_a_script_answers_reads_in_order(library: ctypes.CDLL) -> None:
    with TrapPage(Script((0x1122_3344_5566_7788, 5))) as page:
        assert read(page, 0x30, ctypes.c_uint16) == 0x7788
        write(library, page, 8, 1)
        assert page.unasked() == 1
        assert read(page, 0, ctypes.c_uint64) == 5
        assert read(page, 0) == 0xFFFF_FFFF
        assert page.unasked() == 0
        assert [access.taken for access in page.log()] == [True, True, True, False]


@needs_trap
def test_what_overlaps_an_end_is_seen_outside_of_the_window(library: ctypes.CDLL) -> None:
    with TrapPage(STORE, pages=2) as page:
        read(page, -4)
        read(page, 8191, ctypes.c_uint16)
        read(page, 4094)
        write(library, page, 8192, 1)
        assert shorts(page) == ["R32 -0x4", "R16 +0x1fff", "R32 +0xffe", "W32 +0x2000"]
        assert list(page.values().values()) == [register.value for register in STORE]


@needs_trap
def test_a_log_without_room_is_no_log() -> None:
    with TrapPage(STORE, capacity=3) as page:
        for _ in range(3):
            read(page, 0)
        assert len(page.log()) == 3
        read(page, 0)
        with pytest.raises(trap.TrapError, match="4 accesses, and room for 3"):
            page.log()
        page.forget()
        assert page.log() == ()


@needs_trap
def test_traps_live_side_by_side_and_one_in_another() -> None:
    with TrapPage(STORE) as one:
        with TrapPage(Script((7,))) as other:
            assert (read(one, 0), read(other, 0)) == (STORE[0].value % 2**32, 7)
        assert read(one, 8) == STORE[1].value % 2**32
        assert (len(one.log()), len(other.log())) == (2, 1)
        assert one.holds
        assert not other.holds
    assert not one.holds
    with one:
        read(one, 0)
    assert len(one.log()) == 3
    with one, pytest.raises(ValueError, match="armed already"):
        one.__enter__()


@needs_trap
@STEPPED
def test_threads_lose_no_access(library: ctypes.CDLL, step_always: bool) -> None:
    # In a single step the page is open, and what others do then is not seen; so one thread alone.
    threads, each = (1, 500) if step_always else (4, 10_000)
    values = tuple(range(1, threads * each + 1))
    device = [Register(0, 4, Kinds.FIFO, queue=values)]
    with TrapPage(device, step_always=step_always) as page:
        parts = [(ctypes.c_uint32 * each)() for _ in range(threads)]
        at = ctypes.c_void_p(page.address)
        workers = [threading.Thread(target=library.drain, args=(at, part, each)) for part in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(value for part in parts for value in part) == list(values)
        assert [access.value for access in page.transactions()] == list(values)
        assert all(list(part) == sorted(part) for part in parts)


@needs_trap
@STEPPED
def test_an_access_leaves_signals_as_they_were(library: ctypes.CDLL, step_always: bool) -> None:
    with TrapPage([Register(0, 4, value=7)], step_always=step_always) as page:
        for blocked in (set(), {signal.SIGUSR1, signal.SIGALRM}):
            before = signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            library.right_read(ctypes.c_void_p(page.address))
            library.read_modify_write(ctypes.c_void_p(page.address), 1)
            assert signal.pthread_sigmask(signal.SIG_SETMASK, before) == blocked
        assert shorts(page) == 2 * ["R32 +0x0", "R32 +0x0", "W32 +0x0"]


RUNG = """
import ctypes, sys
from conformance.trap import Register, TrapPage
library = ctypes.CDLL(sys.argv[1])
with TrapPage([Register(0, 4, value=7)], step_always=sys.argv[2] == "True") as page:
    rung = library.modify_and_be_rung(ctypes.c_void_p(page.address), 3000)
    told = [access.write for access in page.transactions()]
print(rung > 0, told.count(False) - 3000 - rung, told.count(True))
"""


@needs_trap
@STEPPED
def test_a_handler_that_comes_between_finds_the_page_closed(
    library: ctypes.CDLL, step_always: bool
) -> None:
    # A process with one thread: in another, the signal would be served while the page is open.
    done = subprocess.run(
        [sys.executable, "-c", RUNG, library._name, str(step_always)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "True 0 3000\n"


# Crashes stay crashes

CRASH = """
import ctypes, faulthandler, os, signal, sys
from conformance.trap import TrapPage
def peek(at): return ctypes.c_uint8.from_address(at).value
{before}
with TrapPage() as page:
    peek(page.address)
    {inside}
{after}
print("alive")
"""


def child(inside: str = "pass", before: str = "faulthandler.enable()", after: str = "") -> str:
    """What a fresh interpreter says, and how it ends."""
    done = subprocess.run(
        [sys.executable, "-c", CRASH.format(inside=inside, before=before, after=after)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    dumps = done.stderr.count("Fatal Python error: Segmentation fault")
    return f"{dumps} dumps, {'alive' if 'alive' in done.stdout else -done.returncode}"


SEGV, SIGTRAP = 11, 5


@needs_trap
@pytest.mark.parametrize(
    ("inside", "after", "said"),
    [
        ("pass", "", "0 dumps, alive"),
        ("peek(16)", "", f"1 dumps, {SEGV}"),
        ("pass", "peek(page.address)", f"1 dumps, {SEGV}"),
        ("os.kill(os.getpid(), signal.SIGSEGV); peek(page.address)", "", f"1 dumps, {SEGV}"),
        ("faulthandler._stack_overflow()", "", f"1 dumps, {SEGV}"),
        ("ctypes.CFUNCTYPE(None)(page.address)()", "", f"1 dumps, {SEGV}"),
        ("ctypes.memmove(16, page.address, 8)", "", f"1 dumps, {SEGV}"),
        ("faulthandler.disable(); faulthandler.enable()", "peek(16)", f"1 dumps, {SEGV}"),
        ("os.kill(os.getpid(), signal.SIGTRAP)", "", f"0 dumps, {SIGTRAP}"),
    ],
)
def test_a_crash_stays_a_crash_with_its_dump(inside: str, after: str, said: str) -> None:
    assert child(inside, after=after) == said


@needs_trap
def test_without_faulthandler_it_is_a_plain_crash() -> None:
    assert child("peek(16)", before="") == f"0 dumps, {SEGV}"
    assert child("faulthandler._stack_overflow()", before="") == f"0 dumps, {SEGV}"


@needs_trap
def test_a_handler_that_came_later_is_left_where_it_is() -> None:
    late = "faulthandler.enable(); assert not page.holds"
    again = "faulthandler.disable()\nwith TrapPage() as page:\n    assert page.holds\n    "
    assert child(late, before="", after="peek(16)") == f"1 dumps, {SEGV}"
    assert child(late, before="", after=f"{again}peek(page.address)") == "0 dumps, alive"
    assert child(late, before="", after=f"{again}peek(16)") == f"0 dumps, {SEGV}"
    below = again.replace("faulthandler.disable()\n", "")
    assert child(late, before="", after=f"{below}peek(16)") == f"1 dumps, {SEGV}"
