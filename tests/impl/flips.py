"""Builds the compiled twin with one bit operation turned into another, and asks who notices.

    python tests/impl/flips.py [--command "COMMAND"] [--only GLOB[:FIRST[-LAST]]] [--jobs N]

Every `&` `|` `^` `~` `<<` `>>` of `impl/_fast.pyx`, `impl/_steps.pxd`, `impl/_run_steps.pxd` and
`impl/_handoff.pxd`, and its assignment, is flipped alone: `&` and `|` change places, so do `<<` and
`>>`, `^` becomes `&`, and `~` goes. Each flip is built in a temporary copy of the tree, where
COMMAND runs with the copy first on PYTHONPATH. A COMMAND that fails, crashes or runs out of time
there has noticed. The flips that survive are listed, those that no COMMAND can be asked to notice
apart, with the reason.
The exit status is 1 if another flip survived or could not be built, 2 if COMMAND cannot judge: it
fails on the true build, or passes without loading it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("impl/_fast.pyx", "impl/_steps.pxd", "impl/_run_steps.pxd", "impl/_handoff.pxd")
# The tests of the plain twin cannot notice; without them each flip takes half the time.
SUITE = f"{sys.executable} -m pytest tests/impl -x -q -p no:cacheprovider -k 'not pure'"
BUILD = [sys.executable, "-c", "from setuptools import setup; setup()", "build_ext", "--inplace"]

FLIPPED = {"&": "|", "|": "&", "^": "&", "~": "", "<<": ">>", ">>": "<<"}
# What has no bit operation in it comes first, so that it is passed over whole: strings, with the
# verbatim C and docstrings among them, and comments.
TOKEN = re.compile(
    r'(?P<skip>"""(?s:.*?)"""|"(?:\\.|[^"\\\n])*"|#[^\n]*|\s+)'
    r"|(?P<word>\w+)|(?P<bits><<|>>|[&|^~])|(?P<other>.)"
)
FUNCTION = re.compile(r'^ *(?:cdef|def) [^=\n]*?(\w+)(?: "\w+")?\(', re.MULTILINE)

# (function, line without indent, which operation of the line): why no command need notice.
EXCUSED = {
    ("__cinit__", "if n > UINT64_MAX >> 4:", 1): "A yardstick: speed is measured with it, no more.",
    ("write", "memset(self.words, <int>(byte & 0xFF), 8 * self.n)", 1): "A yardstick, likewise.",
}


@dataclass(frozen=True)
class Flip:
    """One operation, `nth` of its line, and what stands there instead."""

    source: str
    function: str
    line: int
    text: str
    nth: int
    start: int
    old: str
    new: str

    def __str__(self) -> str:
        shown = f"{self.old} -> {self.new or 'nothing'}"
        where = f"{self.source}:{self.line} {self.function}"
        return f"{where}, operation {self.nth}, {shown}: {self.text}"

    @property
    def key(self) -> tuple[str, str, int]:
        return self.function, self.text, self.nth


def flips(source: str, code: str) -> Iterator[Flip]:
    """Every flip of `code`; an `&` that takes an address is no bit operation."""
    lines, heads = code.splitlines(), list(FUNCTION.finditer(code))
    before, line, nth = "", 0, 0
    for token in TOKEN.finditer(code):
        if token["skip"]:
            continue
        if token["bits"] and not (token["bits"] == "&" and before in ("", "(", "[", ",", "=", ">")):
            here = code.count("\n", 0, token.start()) + 1
            nth = nth + 1 if here == line else 1
            line, old = here, token["bits"]
            function = [head[1] for head in heads if head.start() <= token.start()][-1]
            text = lines[line - 1].strip()
            yield Flip(source, function, line, text, nth, token.start(), old, FLIPPED[old])
        before = token[0]


def chosen(flip: Flip, only: str) -> bool:
    """True if `flip` stands where `only`, GLOB[:FIRST[-LAST]], says."""
    glob, _, lines = only.partition(":")
    first, _, last = lines.partition("-")
    fits = not lines or int(first) <= flip.line <= int(last or first)
    return fits and fnmatch(flip.source, glob)


def snapshot(target: Path) -> None:
    """The tree as it stands, without builds, caches and history; set to build in little time."""
    names = ("build", "dist", "_fast.c", "_fast.*.so", "__pycache__", "*.egg-info", ".*")
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*names))
    config = target / "pyproject.toml"
    # A build is used once: what it saves in optimizing is more than COMMAND loses.
    config.write_text(config.read_text().replace('"-O3"', '"-O1", "-g0"'))


def build(tree: Path) -> None:
    """Raises: RuntimeError with what the compiler said, if there is no extension afterwards."""
    done = subprocess.run(BUILD, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode or not list(tree.glob("impl/_fast.*.so")):
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])


def answer(tree: Path, command: str, seconds: float | None, show: bool = False) -> str:
    """How `command` ends in `tree`, "survived" if well; then nothing of it runs any more."""
    path = os.pathsep.join([str(tree), *filter(None, [os.environ.get("PYTHONPATH")])])
    # A flip can ask for any amount of memory: no command takes more than the machine has.
    kib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    process = subprocess.Popen(
        f"ulimit -v {kib}\n{command}", shell=True, cwd=tree, env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL, stdout=sys.stderr if show else subprocess.DEVNULL,
        stderr=None if show else subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        return "noticed" if process.wait(seconds) else "survived"
    except subprocess.TimeoutExpired:
        return "timed out"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def judge(origin: Path, tree: Path, command: str) -> float:
    """Seconds that `command` takes on the true build.

    Raises: RuntimeError if it does not pass there, or passes without loading the build.
    """
    shutil.copytree(origin, tree)
    build(tree)
    start = time.monotonic()
    if answer(tree, command, None, show=True) != "survived":
        raise RuntimeError("the command fails on the true build")
    seconds = time.monotonic() - start
    for library in tree.glob("impl/_fast.*.so"):
        library.write_bytes(b"not a library")
    if answer(tree, command, None) == "survived":
        raise RuntimeError("the command passes with a broken build: it never loads it")
    return seconds


def verdict(origin: Path, flip: Flip, command: str, limit: float) -> str:
    """What became of one flip: noticed, timed out, survived, or not built."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        shutil.copytree(origin, tree)
        path = tree / flip.source
        code = path.read_text()
        end = flip.start + len(flip.old)
        path.write_text(code[: flip.start] + flip.new + code[end:])
        try:
            build(tree)
        except RuntimeError:
            return "not built"
        return answer(tree, command, limit)


def report(found: dict[Flip, str]) -> int:
    """Prints what is left to look at; 1 if a flip went unnoticed without an excuse."""
    counts = Counter(found.values())
    print(f"{len(found)} flips:", ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    left = [flip for flip, kind in found.items() if kind in ("survived", "not built")]
    for flip, kind in found.items():
        if kind != "noticed" and not (flip in left and flip.key in EXCUSED):
            print(f"{kind}: {flip}")
    for flip in left:
        if flip.key in EXCUSED:
            print(f"excused: {flip}\n    {EXCUSED[flip.key]}")
    return int(any(flip.key not in EXCUSED for flip in left))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--command", default=SUITE, help="a shell command; else pytest tests/impl")
    parser.add_argument(
        "--only", action="append", metavar="GLOB[:FIRST[-LAST]]",
        help="sources, and lines of theirs, to flip; may be given again (default: all)",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="flips at a time")
    parser.add_argument("--limit", type=float, help="seconds for COMMAND (default: 30 and 4 times "
                        "what it takes alone, for each job)")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="only print the flips")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        origin = Path(folder, "origin")
        snapshot(origin)
        every = [flip for name in SOURCES for flip in flips(name, (origin / name).read_text())]
        stale = EXCUSED.keys() - {flip.key for flip in every}
        some = [flip for flip in every if any(chosen(flip, only) for only in options.only or ["*"])]
        if options.list:
            print(*some, sep="\n")
            return 0
        try:
            if stale:
                raise RuntimeError(f"EXCUSED names what is not there: {sorted(stale)}")
            seconds = judge(origin, Path(folder, "true"), options.command)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 2
        # Several at a time slow one another down, hence the generous limit.
        limit = options.limit or 30 + 4 * options.jobs * seconds
        found: dict[Flip, str] = {}
        with ThreadPoolExecutor(options.jobs) as pool:
            kinds = pool.map(lambda flip: verdict(origin, flip, options.command, limit), some)
            for flip, kind in zip(some, kinds, strict=True):
                found[flip] = kind
                print(f"{len(found)}/{len(some)} {kind}: {flip}", file=sys.stderr, flush=True)
        return report(found)


if __name__ == "__main__":
    sys.exit(main())
