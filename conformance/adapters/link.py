"""A device of somebody else's, reached by messages: started when it is needed, again if it ends.

How often it may end is bounded; then it is given up, and what is left to do is left undone.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from conformance.adapters import names
from conformance.adapters.lanes_room import Room
from conformance.adapters.process import Limits, Process
from conformance.adapters.wire import (
    VERSION,
    Ask,
    Fault,
    Greeting,
    Heard,
    Hello,
    Lanes,
    Message,
    Reader,
    Refusal,
    Told,
    block,
    line,
)
from conformance.device import DeviceError, DeviceFault

PANICKED = -(1 << 63)
"""What the crate for Rust answers for a step that panicked."""
MOST_STARTS = 24
"""How often a device is started in one run before it is given up."""
LATER_SECONDS = 3.0
"""How long an answer may take once the device has failed to answer before."""
HOST_ROOM = "SVSM_CONFORMANCE_ROOM"


class GivenUp(BaseException):
    """The device has ended too often to go on.

    No `Exception`, so that whoever looks for faults of a device by catching those lets it pass.
    """


class Link:
    """The way to one device, through a process at a time."""

    def __init__(self, spec: str, limits: Limits = Limits()) -> None:  # noqa: B008
        self.spec, self.limits = spec, limits
        name = names.parsed(spec)
        if name is None:
            raise DeviceError(f"device {spec!r} is built in")
        self.name, self.command = name, names.command(spec, name)
        self.room = Room()
        self.starts = 0
        self.ahead: Callable[[Any], None] | None = None
        self._process: Process | None = None
        self._reader = Reader(Heard)
        self.greeting = self._greeted()

    def _greeted(self) -> Greeting:
        """Start it, and hear what it says of itself.

        Raises: DeviceError where it cannot be used.
        """
        try:
            said = self._start()
        except DeviceFault as fault:
            raise DeviceError(f"device {self.spec!r}: {fault}; {ADVICE}") from fault
        if isinstance(said, Refusal):
            self.end()
            raise DeviceError(f"device {self.spec!r}: {' '.join(said.why.split())}")
        if not isinstance(said, Greeting):
            self.end()
            raise DeviceError(f"device {self.spec!r}: its first words are no hello; {ADVICE}")
        if said.version != VERSION:
            self.end()
            raise DeviceError(
                f"device {self.spec!r}: speaks version {said.version} of the messages, this is "
                f"{VERSION}; build it for {VERSION}"
            )
        self._reader.binary = said.binary
        return said

    def _start(self) -> Any:
        self.end()
        self.starts += 1
        self._reader = Reader(Heard)
        words, hosted = self.command.words, self.command.hosted
        keep = [self.room.descriptor] if hosted else []
        own = {HOST_ROOM: str(self.room.descriptor), "PYTHONPATH": names.search_path()}
        self._process = Process(words, self.limits, keep, hosted, own if hosted else None)
        return self._process.say(line(Hello()), self._reader, self.limits.start_seconds)

    @property
    def is_up(self) -> bool:
        """Whether there is a process that can be asked."""
        return self._process is not None

    def ask(
        self,
        message: Message,
        kind: type[Message],
        more: Callable[[], float] | None = None,
        answering: Callable[[Ask], Told] | None = None,
    ) -> Any:
        """What the device answers, which is to be of some kind.

        more: seconds that the answer may take beyond what any may. answering: what answers the
        questions that it has meanwhile.

        Raises: DeviceFault where it has none; the next question then starts it again. GivenUp.
        """
        if self.ahead is not None and not isinstance(message, Lanes):
            # Of a batch, whoever draws it writes down what makes it.
            self.ahead(message)
        if self._process is None:
            self._again()
        seconds = self.limits.answer_seconds + (more() if more else 0.0)
        try:
            heard = self._said(message, seconds)
            while isinstance(heard, Ask) and answering is not None:
                heard = self._said(answering(heard), seconds)
        except DeviceFault as fault:
            self.end()
            if "did not answer" in str(fault):
                # Whoever hangs once hangs again: it is not waited for as long.
                self.limits = replace(self.limits, answer_seconds=min(LATER_SECONDS, seconds))
            raise
        if isinstance(heard, Fault):
            raise DeviceFault(heard.text)
        if not isinstance(heard, kind):
            self.end()
            said, due = type(heard).__name__.lower(), kind.__name__.lower()
            raise DeviceFault(f"answered with {said} where it was asked for {due}")
        return heard

    def nowhere(self, code: Any) -> DeviceFault:
        """What is wrong with a code that means nothing; a panic that was caught is told as one."""
        if code != PANICKED:
            return DeviceFault(
                f"answered the code {code}, which is no outcome, and which its table of errors "
                "leads nowhere"
            )
        words = self._process.tail() if self._process is not None else ""
        return DeviceFault(f"panicked{words}")

    def _said(self, message: Message, seconds: float) -> Any:
        data = (block if self._reader.binary else line)(message)
        return self._process.say(data, self._reader, seconds)  # type: ignore[union-attr]

    def _again(self) -> None:
        if self.starts >= MOST_STARTS:
            raise GivenUp(f"{self.spec}: has ended {self.starts} times, and is given up")
        said = self._start()
        if not isinstance(said, Greeting):
            self.end()
            raise DeviceFault("did not start again as it had started before")
        self._reader.binary = said.binary

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.end()
            self._process = None


ADVICE = "see docs/adapters.md for what a device says"
