"""What an installation has and lacks."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from importlib import import_module

from rich.console import Console

from conformance import memmap, trap
from conformance.adapters.compiled import used
from conformance.console import table
from spec.prove.solvers import ASK, PACKAGES, Budget, MissingSolver
from spec.validation.bitmap import Policy
from spec.validation.outcomes import Outcome

QUESTION = "(set-logic QF_UFBV)(declare-const x (_ BitVec 64))(assert (= x #x{:016x}))(check-sat)"
LIBRARIES = ("hypothesis", "msgspec", "numpy", "rich", "cyclopts")
PEERS = ("bitarray", "pyroaring", "pytest-benchmark")


def examine(out: Console) -> int:
    """Print a row for each thing; 0, or 3 where a solver does not answer."""
    shown = table("doctor", "what", "is", "so")
    solvers = list(_solvers())
    for row in (*_machine(), *solvers, *_twins(), *_bulk(), *_trap(), *_libraries()):
        shown.add_row(*row)
    out.print(shown)
    return 0 if all(so == "answers" for _, _, so in solvers) else 3


def _machine() -> Iterator[tuple[str, str, str]]:
    yield "python", platform.python_version(), "3.11 or later is needed"
    yield "cores", str(len(os.sched_getaffinity(0))), "--jobs 0 uses all"
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), "none")
    yield "C compiler", compiler, "builds the compiled twin"
    try:
        found = memmap.read()
        yield "memory map", found.source, f"{len(found.entries)} entries"
    except memmap.MemoryMapError as error:
        yield "memory map", "not usable", str(error)


def _solvers() -> Iterator[tuple[str, str, str]]:
    for name, ask in ASK.items():
        try:
            answer = ask(QUESTION.format(7), Budget(seconds=5)).word
            installed = importlib.metadata.version(PACKAGES[name])
        except MissingSolver as error:
            yield f"solver {name}", "missing", str(error)
            continue
        yield f"solver {name}", installed, "answers" if answer == "sat" else f"says {answer}"


def _twins() -> Iterator[tuple[str, str, str]]:
    kernels = import_module("impl.kernels")
    for twin in ("fast", "pure"):
        try:
            kernels.load(twin)
            yield f"impl, {twin} twin", "built", "in use" if kernels.built() == twin else "at hand"
        except ImportError as error:
            yield f"impl, {twin} twin", "not built", f"the pure twin serves ({error})"


def _bulk() -> Iterator[tuple[str, str, str]]:
    how = used(Policy(cap_pages=1 << 28, mixed_2m=int(Outcome.MIXED)))
    what, _, why = how.partition(", which is ")
    yield "rules of batches", what, why or "for foreign records of pages"


def _trap() -> Iterator[tuple[str, str, str]]:
    reason = trap.absent()
    yield "trap page", "absent" if reason else "built", reason or "counts accesses to registers"


def _libraries() -> Iterator[tuple[str, str, str]]:
    for name in (*LIBRARIES, *PEERS):
        so = "needed" if name in LIBRARIES else "for bench and tests; optional"
        try:
            yield name, importlib.metadata.version(name), so
        except importlib.metadata.PackageNotFoundError:
            yield name, "missing", so
