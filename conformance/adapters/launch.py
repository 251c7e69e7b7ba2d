"""Limits are set, then the program is run in this process's place.

Run as a file and not as a module, so that nothing is imported that takes time: `launch.py LIMITS
COMMAND...`, with the limits as a list in JSON: bytes of memory, seconds of processor time, bytes of
a file, processes, and the process that is to be outlived by none of this.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the limits and become the command."""
    memory, seconds, file_bytes, processes, parent = json.loads(sys.argv[1])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NPROC: _running() + processes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        here = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (here, here))
    for one in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores these two, and so would whatever takes its place.
        signal.signal(one, signal.SIG_DFL)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"{sys.argv[2]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


def _running() -> int:
    """The threads that this user has now, which the limit on processes counts in."""
    mine, found = os.getuid(), 0
    for there in Path("/proc").iterdir():
        try:
            if there.name.isdigit() and there.stat().st_uid == mine:
                found += len(list((there / "task").iterdir()))
        except OSError:
            # It has ended meanwhile.
            continue
    return found


main()
