"""Sheets drawn and filled by the compiled rules: what makes bulk checks fast.

The rules' own text is written out in C (`conformance.adapters.emit`), compiled once, and kept.
Where there is no compiler, batches are drawn and filled by the rules on arrays, which is slower.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from conformance.adapters.emit import source
from conformance.adapters.sheet import Sheet
from conformance.batch import OPCODES, STEPS, shape_of
from conformance.lanes import Array
from spec.catalogue import subject_of
from spec.rule import Rule
from spec.validation.bitmap import Policy

RUNTIME = Path(__file__).with_name("oracle.c")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-std=gnu11", "-shared", "-fPIC", "-w")
COMPILE_SECONDS = 120
WORD_STEPS = 4
"""For so many exports and imports a trace has room."""
ARRAYS = "starts ops words outcomes values after shown cases"
FFI = cffi.FFI()
FFI.cdef(
    """
void svsm_traces(uint64_t seed, const uint64_t *rules, uint64_t rule_count, const uint64_t *policy,
    uint64_t lanes, uint64_t steps, uint64_t width, uint64_t room, uint64_t *starts, uint64_t *ops,
    uint64_t *words, uint64_t *outcomes, uint64_t *values, uint64_t *after, uint64_t *shown,
    uint64_t *cases);
uint64_t svsm_compare(uint64_t lanes, uint64_t steps, uint64_t width, uint64_t room,
    const int64_t *codes, const int64_t *means, uint64_t code_count, const uint64_t *outcomes,
    const uint64_t *values, const uint64_t *after, const uint64_t *shown, const uint64_t *answers,
    const uint64_t *words, const uint64_t *showed, uint8_t *wrong);
"""
)


def compiler() -> str | None:
    """The C compiler that there is, if one is."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


@cache
def rules_in_c(policy: Policy) -> Any | None:
    """The compiled rules for devices of a policy; None where they cannot be compiled."""
    cc = compiler()
    if cc is None:
        return None
    text = source(RUNTIME.read_text(), subject_of(policy).rules)
    digest = hashlib.sha256(f"{cc} {FLAGS} {text}".encode()).hexdigest()[:16]
    path = _folder() / f"rules-{digest}.so"
    if not path.exists() and not _compiled(cc, text, path):
        return None
    return FFI.dlopen(str(path))


def used(policy: Policy) -> str:
    """By which rules batches for devices of a policy are drawn and judged, and why."""
    if rules_in_c(policy) is not None:
        return "compiled"
    why = "do not compile" if compiler() else "have no C compiler"
    return f"on arrays, which is slower: the compiled ones {why}"


def _folder() -> Path:
    """Where compiled rules are kept: the user's own, so that nobody else has put them there."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "svsm-conformance"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    except OSError:
        pass
    return _temporary()


@cache
def _temporary() -> Path:
    return Path(tempfile.mkdtemp(prefix="svsm-conformance-"))


def _compiled(cc: str, text: str, path: Path) -> bool:
    """Compile a text; whether that went well. The file is whole or not there."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made, written = Path(folder) / "rules.so", Path(folder) / "rules.c"
        written.write_text(text)
        command = [cc, *FLAGS, str(written), "-o", str(made)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)
        except (OSError, subprocess.SubprocessError):
            return False
        made.replace(path)
    return True


def drawn(policy: Policy, rules: Sequence[Rule], seed: int, number: int) -> Sheet | None:
    """A sheet with a number, of a seed; None where the rules cannot be compiled."""
    loaded = rules_in_c(policy)
    if loaded is None:
        return None
    named = [OPCODES.index(rule.name) for rule in rules]
    lanes, width = shape_of(number)
    plain = sum(rule.name not in ("export_words", "import_words") for rule in rules)
    room = (width + 1) * (WORD_STEPS if plain else STEPS)
    shapes = {
        "starts": (lanes, 3 + width),
        "ops": (lanes, STEPS, 4),
        "words": (lanes, room),
        "outcomes": (lanes, STEPS),
        "values": (lanes, STEPS),
        "after": (lanes, room),
        "shown": (lanes, STEPS, 2 + width),
        "cases": (lanes, STEPS),
    }
    made = {name: np.empty(shapes[name], np.uint64) for name in ARRAYS.split()}
    choices = np.array([policy.cap_pages, policy.mixed_2m, policy.most_runs], np.uint64)
    mixed = int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:8], "little")
    loaded.svsm_traces(
        mixed,
        words(np.array(named, np.uint64)),
        len(named),
        words(choices),
        lanes,
        STEPS,
        width,
        room,
        *(words(made[name]) for name in ARRAYS.split()),
    )
    made["outcomes"], made["cases"] = made["outcomes"].view(np.int64), made["cases"].view(np.int64)
    return Sheet(policy=policy, rules=tuple(rules), **made, in_c=True)


def wrong_lanes(
    sheet: Sheet, codes: Array, means: Array, answers: Array, left: Array, shown: Array
) -> Array | None:
    """Whether each lane of a sheet made here differs in anything; None of another sheet.

    codes, means: a device's own, and the rules' outcomes.
    """
    loaded = rules_in_c(sheet.policy) if sheet.in_c else None
    if loaded is None:
        return None
    wrong = np.zeros(sheet.lanes, np.uint8)
    loaded.svsm_compare(
        sheet.lanes,
        STEPS,
        sheet.width,
        sheet.room,
        FFI.from_buffer("int64_t[]", codes),
        FFI.from_buffer("int64_t[]", means),
        len(codes),
        *(words(part) for part in (sheet.outcomes, sheet.values, sheet.after, sheet.shown)),
        *(words(part) for part in (answers, left, shown)),
        FFI.from_buffer("uint8_t[]", wrong),
    )
    found: Array = wrong != 0
    return found


def words(array: Array) -> Any:
    """An array as C sees it."""
    return FFI.from_buffer("uint64_t[]", np.ascontiguousarray(array))
