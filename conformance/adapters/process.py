"""A device in a process of its own, with limits; whatever becomes of it is told in words.

It runs in a session of its own and is ended with all that it has started. How it ended comes first:
the signal, the exit code, the time or the memory that it took, what it said that was no message.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.adapters import family
from conformance.adapters.wire import WireError
from conformance.device import DeviceFault

LAUNCH = str(Path(__file__).with_name("launch.py"))
SLICE_SECONDS = 0.1
"""How often a device that is waited for is looked at."""
TAIL_BYTES = 300


@dataclass(frozen=True)
class Limits:
    """What one device may take.

    start_seconds, answer_seconds: until its first words, and until an answer. resident: bytes of
    memory of all its processes. address: of one, mapped. cpu_seconds: of one. file_bytes: of a file
    that it writes. processes: at once.
    """

    start_seconds: float = 20.0
    answer_seconds: float = 10.0
    resident: int = 1 << 30
    address: int = 8 << 30
    cpu_seconds: int = 3600
    file_bytes: int = 64 << 20
    processes: int = 64


class Process:
    """One process that runs a device."""

    def __init__(
        self,
        command: Sequence[str],
        limits: Limits,
        keep: Sequence[int] = (),
        hosted: bool = False,
        own: Mapping[str, str] | None = None,
    ) -> None:
        """keep: descriptors that it gets as they are. hosted: it speaks on two of its own.

        own: variables of its environment, besides those of this process.

        A library writes to its output when it pleases, so what hosts one speaks elsewhere.
        """
        self.limits, self._mark = limits, uuid.uuid4().hex
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        theirs_in, self._in = os.pipe()
        self._out, theirs_out = os.pipe()
        told = json.dumps(
            [
                limits.address,
                limits.cpu_seconds,
                limits.file_bytes,
                limits.processes,
                os.getpid(),
            ]
        )
        speaks = [str(theirs_in), str(theirs_out)] if hosted else []
        self._popen = subprocess.Popen(
            [sys.executable, "-S", "-E", LAUNCH, told, *command, *speaks],
            stdin=subprocess.DEVNULL if hosted else theirs_in,
            stdout=self.errors if hosted else theirs_out,
            stderr=self.errors,
            start_new_session=True,
            pass_fds=[*keep, *([theirs_in, theirs_out] if hosted else [])],
            env={**os.environ, family.MARK: self._mark, **(own or {})},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        os.set_blocking(self._in, False)
        self._ended = weakref.finalize(
            self, _clear, self._popen, self._mark, self._in, self._out, self.errors
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    def say(self, data: bytes, reader: Any, seconds: float) -> Any:
        """Say something, and hear the next message.

        Raises: DeviceFault, saying what became of the process, which is then ended.
        """
        left = memoryview(data)
        until = time.monotonic() + seconds
        look = time.monotonic() + SLICE_SECONDS
        try:
            while True:
                if not left:
                    heard = reader.next()
                    if heard is not None:
                        return heard
                wait = max(0.0, min(SLICE_SECONDS, until - time.monotonic()))
                asked = [self._in] if left else []
                readable, writable, _ = select.select([self._out], asked, [], wait)
                if readable:
                    got = os.read(self._out, 1 << 20)
                    if not got:
                        raise DeviceFault(self._end_of_output())
                    reader.feed(got)
                elif writable:
                    left = left[os.write(self._in, left[: 1 << 16]) :]
                if not (readable or writable) or time.monotonic() > look:
                    self._look(until, seconds)
                    look = time.monotonic() + SLICE_SECONDS
        except BrokenPipeError as error:
            raise DeviceFault(self._end_of_output()) from error
        except WireError as error:
            self.end()
            raise DeviceFault(str(error)) from error

    def _look(self, until: float, seconds: float) -> None:
        """Whether it has ended, or takes too much: time, memory, processes."""
        if self._popen.poll() is not None and not select.select([self._out], [], [], 0)[0]:
            # What it has started may hold its end of the pipe.
            raise DeviceFault(self._end_of_output())
        if time.monotonic() >= until:
            said = self.tail()
            self.end()
            raise DeviceFault(f"did not answer within {seconds:.0f} s{said}")
        there = family.members(self.pid, self._mark)
        most = self.limits
        if len(there) > most.processes:
            self.end()
            raise DeviceFault(f"started more than {most.processes} processes")
        if family.resident_bytes(there) > most.resident:
            self.end()
            raise DeviceFault(f"took more than {most.resident >> 20} MiB of memory")

    def _end_of_output(self) -> str:
        """Why there is no more to hear."""
        try:
            code = self._popen.wait(0.5)
        except subprocess.TimeoutExpired:
            self.end()
            return f"closed its end of the pipe and went on running{self.tail()}"
        return f"{how_ended(code, self.limits)}{self.tail()}"

    def tail(self) -> str:
        """The last line that it wrote to its error output."""
        if self.errors.closed:
            return ""
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, size - TAIL_BYTES))
        lines = self.errors.read().decode(errors="replace").split("\n")
        last = next((said.strip() for said in reversed(lines) if said.strip()), "")
        shown = "".join(c if c.isprintable() else "?" for c in last)
        return f"; it said: {shown}" if shown else ""

    def end(self) -> None:
        """End it and all that it has started."""
        self._ended()


def _clear(popen: subprocess.Popen[bytes], mark: str, into: int, out: int, errors: Any) -> None:
    for descriptor in (into, out):
        os.close(descriptor)
    family.end(popen.pid, mark)
    popen.wait()
    errors.close()


MEANINGS = {
    signal.SIGXCPU: "it took more than {0.cpu_seconds} s of processor time",
    signal.SIGXFSZ: "it wrote a file of more than {0.file_bytes} bytes",
}


def how_ended(code: int, limits: Limits) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    meaning = MEANINGS.get(-code)  # type: ignore[call-overload]
    return f"died of {name}" + (f": {meaning.format(limits)}" if meaning else "")


def most_resident() -> int:
    """The most memory that any ended process of ours has taken, in bytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
