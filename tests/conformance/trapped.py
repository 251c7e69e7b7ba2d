"""C and assembly compiled when a test runs, to be let loose on a page that traps."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from conformance import trap

REASON = trap.absent()
needs_trap = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def compiled(source: Path, into: Path, *flags: str) -> ctypes.CDLL:
    """The source as a shared library; the test is skipped aloud where there is no compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler, with which the code under test is built")
    library = into / f"{source.stem}{''.join(flags)}.so"
    subprocess.run(
        [compiler, *flags, "-shared", "-fPIC", "-o", str(library), str(source)], check=True
    )
    return ctypes.CDLL(str(library))


def shorts(page: trap.TrapPage) -> list[str]:
    """The transactions so far, as words; the log is empty afterwards."""
    told = [access.short for access in page.transactions()]
    page.forget()
    return told


# Instructions, each in a function of its own that takes its registers from a table and leaves them
# there: sixteen in the processor's order, then the flags.


def words(text: str) -> list[str]:
    """The words of a text, which reads better than a list of strings."""
    return text.split()


NAMES = words("rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15")
FREE = [name for name in NAMES if name not in ("rsp", "rdi")]
SAVED = words("rbx rbp r12 r13 r14 r15")
FLAGS = 16


def assembly(instructions: Sequence[str]) -> str:
    """Functions `f0`, `f1`, ... of `(uint64_t *registers)`, one an instruction."""
    lines = [".intel_syntax noprefix", ".text"]
    for number, instruction in enumerate(instructions):
        lines += [f".globl f{number}", f"f{number}:"]
        lines += [f"push {name}" for name in SAVED]
        lines += ["push rdi", "push qword ptr [rdi + 128]", "popfq"]
        lines += [f"mov {name}, [rdi + {8 * NAMES.index(name)}]" for name in FREE]
        lines += ["mov rdi, [rdi + 56]", instruction, "pushfq", "push rdi", "mov rdi, [rsp + 16]"]
        lines += [f"mov [rdi + {8 * NAMES.index(name)}], {name}" for name in FREE]
        lines += ["pop rax", "mov [rdi + 56], rax", "pop rax", "mov [rdi + 128], rax", "pop rdi"]
        lines += [f"pop {name}" for name in reversed(SAVED)]
        lines += ["cld", "ret"]
    return "\n".join([*lines, '.section .note.GNU-stack,"",@progbits', ""])
