"""All processes that a device has started, found and ended.

A device may fork, and what it forks may leave its session or lose its parent. So processes are
found by three marks, any of which is enough: the session, the parent, and a word in the environment
that is handed down to whoever does not take it out.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "SVSM_CONFORMANCE_DEVICE"
PROC = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
GONE_SECONDS = 5.0


def members(leader: int, mark: str) -> set[int]:
    """The processes of a device, the first of which is `leader`; those that have ended are none."""
    parents, found = {}, set()
    for pid in _all():
        told = _stat(pid)
        if told is None or told[0] in "ZX":
            continue
        parents[pid] = int(told[1])
        if pid == leader or int(told[3]) == leader or _marked(pid, mark):
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def end(leader: int, mark: str) -> bool:
    """End every process of a device; whether all are gone."""
    until = time.monotonic() + GONE_SECONDS
    while True:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
        left = members(leader, mark)
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not left or time.monotonic() > until:
            return not left
        time.sleep(0.005)


def resident_bytes(pids: set[int]) -> int:
    """How much memory some processes take."""
    total = 0
    for pid in pids:
        with suppress(OSError, IndexError, ValueError):
            total += int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    return total


def _all() -> Iterator[int]:
    return (int(there.name) for there in PROC.iterdir() if there.name.isdigit())


def _stat(pid: int) -> list[str] | None:
    """State, parent, group and session of a process."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()[:4]


def _marked(pid: int, mark: str) -> bool:
    try:
        held = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={mark}".encode() in held.split(b"\0")
