"""Hostile arguments, memory, threads, and that the twins are twins."""

from __future__ import annotations

import importlib.util
import inspect
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
from array import array
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from definition import KIB4, TOP

import impl
from impl import kernels
from impl.abi import DEFAULT_MAX_PAGES, MAX_PAGES, Status

ARITY = {
    "create": 3, "fill": 1, "claim_4k": 1, "claim_2m": 1, "release_4k": 1, "release_2m": 1,
    "query": 1, "claim_range": 2, "release_range": 2, "test_range": 2, "count": 2,
    "first_unclaimed": 2,
}  # fmt: skip
POSITIONS = [(name, i) for name, arity in ARITY.items() for i in range(arity)]


class Indexed:
    """An integer to `operator.index`, and of no other use."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def fresh(k: ModuleType) -> Any:
    bitmap = k.ValidationBitmap()
    bitmap.create(KIB4, 70, 0)
    bitmap.claim_4k(2 * KIB4)
    return bitmap


@pytest.mark.parametrize(("name", "i"), POSITIONS)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, OverflowError),
        (TOP, OverflowError),
        (-(2**70), OverflowError),
        (2**200, OverflowError),
        (Indexed(-1), OverflowError),
        (4096.0, TypeError),
        (np.float64(4096), TypeError),
        ("4096", TypeError),
        (b"\0", TypeError),
        (None, TypeError),
        ([0], TypeError),
    ],
)
def test_arguments_that_are_no_uint64_raise_and_change_nothing(
    k: ModuleType, name: str, i: int, value: Any, error: type[Exception]
) -> None:
    bitmap = fresh(k)
    before = (bitmap.base, bitmap.pages, bitmap.words())
    arguments = [KIB4] * ARITY[name]
    arguments[i] = value
    with pytest.raises(error):
        getattr(bitmap, name)(*arguments)
    assert (bitmap.base, bitmap.pages, bitmap.words()) == before


@pytest.mark.parametrize("value", [2 * KIB4, np.uint64(2 * KIB4), Indexed(2 * KIB4)])
def test_what_operator_index_takes_is_an_integer(k: ModuleType, value: Any) -> None:
    bitmap = fresh(k)
    assert bitmap.query(value) == bitmap.query(gpa=value) == 1
    assert bitmap.count(first=value, stop=Indexed(3 * KIB4)) == 1
    assert type(bitmap.claim_4k(value)) is int


@pytest.mark.parametrize("wrong", [0, -1, MAX_PAGES + 1, 2**64, 2**200])
def test_a_cap_outside_its_range_is_misuse(k: ModuleType, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"max_pages is {wrong}, must be 1 to {MAX_PAGES}"):
        k.ValidationBitmap(max_pages=wrong)


@pytest.mark.parametrize("wrong", [0, -8, 7, 10, 2**70])
def test_another_mixed_status_is_misuse(k: ModuleType, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"mixed_2m is {wrong}, must be"):
        k.ValidationBitmap(mixed_2m=wrong)


def test_settings_are_kept_and_read_only(k: ModuleType) -> None:
    bitmap = k.ValidationBitmap()
    assert (bitmap.max_pages, bitmap.mixed_2m) == (DEFAULT_MAX_PAGES, Status.MIXED)
    bitmap = k.ValidationBitmap(max_pages=MAX_PAGES, mixed_2m=Status.SIZE_MISMATCH)
    assert (bitmap.max_pages, bitmap.mixed_2m) == (MAX_PAGES, Status.SIZE_MISMATCH)
    assert isinstance(bitmap.mixed_2m, Status)
    for name in ("base", "pages", "max_pages", "mixed_2m"):
        with pytest.raises(AttributeError):
            setattr(bitmap, name, 1)
    for arguments in ((None,), (2.0,), (1, None), (1, 8.0)):
        with pytest.raises(TypeError):
            k.ValidationBitmap(*arguments)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (array("q", [0, 0]), ValueError),
        (array("d", [0, 0]), ValueError),
        (array("I", [0, 0, 0, 0]), ValueError),
        (bytearray(16), ValueError),
        (np.zeros((1, 2), np.uint64), ValueError),
        (np.zeros(4, np.uint64)[::2], ValueError),
        (np.zeros(2, ">u8"), ValueError),
        (np.array(0, np.uint64), ValueError),
        ([0, 0], TypeError),
        (None, TypeError),
        (5, TypeError),
    ],
)
def test_buffers_of_another_kind_raise(k: ModuleType, words: Any, error: type[Exception]) -> None:
    bitmap = fresh(k)
    before = bitmap.words()
    for method in (bitmap.export_words, bitmap.import_words):
        with pytest.raises(error):
            method(words)
    assert bitmap.words() == before


def test_export_needs_a_writable_buffer(k: ModuleType) -> None:
    bitmap = fresh(k)
    for words in (b"0123456789abcdef", memoryview(array("Q", [0, 0])).toreadonly()):
        with pytest.raises(ValueError):
            bitmap.export_words(words)


@pytest.mark.parametrize(
    ("base", "pages", "words"),
    [
        (1, 64, bytes(8)),
        (2**52, 1, bytes(8)),
        (2**52 + KIB4, 0, b""),
        (0, 2**60, bytes(8)),
        (0, 201, bytes(32)),
        (0, 64, bytes(7)),
        (0, 64, bytes(16)),
        (0, 64, b""),
        (0, 0, bytes(8)),
        (0, 1, b"\2" + bytes(7)),
        (0, 63, b"\xff" * 8),
        (0, 65, bytes(15) + b"\x80"),
        (0, 128, np.zeros(4, np.uint64)[::2]),
    ],
)
def test_load_state_refuses_what_is_inconsistent(
    k: ModuleType, base: int, pages: int, words: Any
) -> None:
    bitmap = k.ValidationBitmap(max_pages=200)
    bitmap.create(KIB4, 70, 1)
    before = bitmap.words()
    with pytest.raises(ValueError):
        bitmap.load_state(base, pages, words)
    assert (bitmap.base, bitmap.pages, bitmap.words()) == (KIB4, 70, before)


def test_load_state_takes_any_contiguous_bytes(k: ModuleType) -> None:
    bitmap = fresh(k)
    for words in (array("Q", [5, 1]), np.array([5, 1], np.uint64), memoryview(array("Q", [5, 1]))):
        bitmap.load_state(2**52 - 70 * KIB4, 70, words)
        assert bitmap.words() == array("Q", [5, 1]).tobytes()
        bitmap.load_state(0, 0, b"")
        assert (bitmap.base, bitmap.pages, bitmap.words()) == (0, 0, b"")
    with pytest.raises(TypeError):
        bitmap.load_state(0, 64, None)
    with pytest.raises(OverflowError):
        bitmap.load_state(0, -1, b"")


def test_same_takes_only_its_twin(k: ModuleType) -> None:
    with pytest.raises(TypeError, match="int"):
        fresh(k).same(5)


def test_a_bitmap_costs_an_eighth_of_a_byte_per_page(k: ModuleType) -> None:
    bitmap = k.ValidationBitmap()
    empty = sys.getsizeof(bitmap)
    assert empty < 300
    for pages in (2**15, 2**20 + 1, 2**24):
        size = bitmap.create(0, pages, 1)
        assert size == len(bitmap.words()) == 8 * -(-pages // 64)
        assert size <= sys.getsizeof(bitmap) <= 1.01 * size + empty


def _child(code: str, **more: str) -> str:
    """What a fresh interpreter prints that runs `code`, with `more` in its environment."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | more,
        cwd=Path(impl.__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


RESIDENT = """
import resource
from pathlib import Path
from impl.kernels import load
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
bitmap = load({name!r}).ValidationBitmap()
before = resident()
size = bitmap.create(0, 2**28, {claimed})
print((resident() - before) / size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
def test_a_tebibyte_takes_32_mib_and_no_more(k: ModuleType) -> None:
    name = k.__name__.rpartition("_")[2]
    # An unclaimed region may not be resident yet; a claimed one is, whole, and nothing beside.
    assert float(_child(RESIDENT.format(name=name, claimed=0))) <= 1.01
    if name == "fast":
        assert 0.99 <= float(_child(RESIDENT.format(name=name, claimed=1))) <= 1.01


NO_MEMORY = """
import resource, sys
import numpy as np
from impl.kernels import load
bitmap = load({name!r}).ValidationBitmap(max_pages=2**40)
bitmap.create(4096, 70, 1)
limit = 2**31
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
def tried(call):
    try:
        call()
    except MemoryError:
        assert (bitmap.base, bitmap.pages, bitmap.count(4096, 71 * 4096)) == (4096, 70, 70)
    else:
        sys.exit("no MemoryError")
tried(lambda: bitmap.create(0, 2**40, 0))
ops = np.array([[1, 1, 0, 0], [0, 0, 2**40, 0], [1, 0, 0, 0]], np.uint64)
answers = np.full(3, 9, np.int64)
tried(lambda: bitmap.run(ops, np.zeros(0, np.uint64), answers, np.zeros((3, 2), np.uint64)))
assert list(answers) == [0, 9, 9]
print("kept")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_without_memory_the_old_region_stays(k: ModuleType) -> None:
    assert _child(NO_MEMORY.format(name=k.__name__.rpartition("_")[2])) == "kept"


FENCED = """
import ctypes
from array import array
from impl.kernels import load
fence = ctypes.CDLL(None).fence_blocks
k = load("fast")
two = 512 * 4096
for base in (two, two - 4096, two - 63 * 4096, two - 64 * 4096):
    for pages in (1, 63, 64, 65, 512, 513, 575, 576, 4096, 64 * 73 + 5):
        before = fence()
        bitmap = k.ValidationBitmap()
        end = base + 4096 * pages
        bitmap.create(base, pages, 0)
        bitmap.load_state(base, pages, bitmap.words())
        assert fence() == before + 2
        bitmap.claim_2m(two), bitmap.release_2m(two)
        # The first and the last 2 MiB page inside, then every range that comes near the end.
        last = max(end - two, 0) // two * two
        bitmap.claim_2m(last), bitmap.claim_2m(last), bitmap.release_2m(last)
        for page in {0, pages // 2, max(0, pages - 65), max(0, pages - 64), pages - 1}:
            first = base + 4096 * page
            bitmap.claim_4k(first), bitmap.query(first), bitmap.release_4k(first)
            for value in (0, 1):
                bitmap.fill(value)
                bitmap.test_range(first, end), bitmap.count(first, end)
                bitmap.first_unclaimed(first, end)
                bitmap.release_range(first, end), bitmap.claim_range(first, end)
        words = array("Q", bytes(8 * -(-pages // 64)))
        bitmap.export_words(words), bitmap.import_words(words), bitmap.same(bitmap)
for n in (1, 63, 64, 73):
    plain = k.PlainWords(n)
    plain.write(1), plain.read()
print("inside")
"""


@pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
@pytest.mark.skipif(
    not (shutil.which("cc") and sys.platform == "linux" and platform.libc_ver()[0] == "glibc"),
    reason="replaces the allocator of glibc, with a C compiler",
)
def test_no_step_touches_a_word_beyond_the_region(tmp_path: Path) -> None:
    # A read too far changes no answer; so here the memory behind the last word is not there.
    library = tmp_path / "fence.so"
    source = Path(__file__).with_name("fence.c")
    subprocess.run(["cc", "-O1", "-fPIC", "-shared", "-o", library, source], check=True)
    assert _child(FENCED, LD_PRELOAD=str(library)) == "inside"


@pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
def test_threads_wait_for_one_another() -> None:
    # Long steps let go of the GIL; meanwhile another thread replaces and reads the region.
    bitmap = kernels.load("fast").ValidationBitmap()
    sizes = (700_000, 2**21, 1_000_003)
    bitmap.create(0, sizes[0], 0)
    wrong: list[Any] = []
    stop = threading.Event()

    def replace(pages: int) -> None:
        while not stop.is_set():
            if bitmap.create(0, pages, 1) != 8 * -(-pages // 64):
                wrong.append(pages)

    def read() -> None:
        while not stop.is_set():
            if bitmap.first_unclaimed(0, KIB4 * sizes[0]) not in (0, -Status.NONE_UNCLAIMED):
                wrong.append("first_unclaimed")
            if bitmap.pages not in sizes or bitmap.query(0) not in (0, 1):
                wrong.append("point")

    workers = [threading.Thread(target=replace, args=(pages,)) for pages in sizes[1:]]
    workers += [threading.Thread(target=read) for _ in range(2)]
    for worker in workers:
        worker.start()
    for i in range(60):
        bitmap.fill(i % 2)
        bitmap.count(0, KIB4 * sizes[0])
    stop.set()
    for worker in workers:
        worker.join()
    assert not wrong


def test_the_yardsticks_do_what_they_say(k: ModuleType) -> None:
    assert k.EmptyCall().call(TOP - 1) == 0
    for words in (1, 63, 64, 110):  # every word is read once: a sum knows how many there are
        plain = k.PlainWords(words)
        assert (plain.read(), plain.write(1)) == (0, 0)
        assert plain.read() == words * 0x0101010101010101
        assert (plain.write(0x1FF), plain.read()) == (0, -words)
    with pytest.raises(ValueError):
        k.PlainWords(0)
    for words in (2**59, 2**60, 2**61, TOP - 1):  # the bytes of some are 0 modulo 2**64
        with pytest.raises((MemoryError, OverflowError)):
            k.PlainWords(words)


def _public(thing: Any) -> dict[str, Any]:
    return {
        name: member
        for name, member in vars(thing).items()
        if not name.startswith("_") and getattr(member, "__doc__", None)
    }


@pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
def test_twins_agree_on_names_parameters_and_docstrings() -> None:
    pure, fast = kernels.load("pure"), kernels.load("fast")
    classes = {name for name in pure.__all__ if inspect.isclass(getattr(pure, name))}
    assert classes == {"ValidationBitmap", "RunTracker", "EmptyCall", "PlainWords"}
    for name in set(pure.__all__) - classes:
        one, other = getattr(pure, name), getattr(fast, name)
        assert inspect.getdoc(one) == inspect.getdoc(other), name
        parameters = list(inspect.signature(one).parameters)
        assert parameters == list(inspect.signature(other).parameters), name
    own = {name for name, c in vars(pure).items() if inspect.isclass(c)}
    assert {name for name in own if getattr(pure, name).__module__ == pure.__name__} <= classes
    assert classes == {name for name, c in vars(fast).items() if inspect.isclass(c)} - {"Status"}
    for name in classes:
        one, other = getattr(pure, name), getattr(fast, name)
        assert inspect.getdoc(one) == inspect.getdoc(other)
        assert _public(one).keys() == _public(other).keys()
        for member in _public(one):
            mine, theirs = getattr(one, member), getattr(other, member)
            assert inspect.getdoc(mine) == inspect.getdoc(theirs), member
            if callable(mine):
                parameters = list(inspect.signature(mine).parameters)
                assert parameters == list(inspect.signature(theirs).parameters), member


def test_load_names_the_twins_and_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.load("pure").__name__ == "impl._pure"
    assert kernels.load().__name__ == f"impl._{kernels.built()}"
    with pytest.raises(ValueError, match="'slow'"):
        kernels.load("slow")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert (kernels.built(), kernels.load("auto").__name__) == ("pure", "impl._pure")


def test_a_broken_build_stays_loud(tmp_path: Path) -> None:
    package = tmp_path / "impl"
    package.mkdir()
    for source in Path(impl.__file__).parent.glob("*.py"):
        (package / source.name).write_bytes(source.read_bytes())
    (package / f"_fast{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(b"not a library")
    done = subprocess.run(
        [sys.executable, "-c", "from impl import kernels; kernels.load()"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "ImportError" in done.stderr
