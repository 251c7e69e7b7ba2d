"""The process that runs somebody's library: it is asked by messages, and answers with messages.

Run as a module: `host KIND TARGET IN OUT`, with the descriptors that it reads and writes.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from conformance.adapters.wire import (
    Fault,
    Hello,
    Message,
    Reader,
    Refusal,
    Said,
    WireError,
    block,
    line,
)

Serve = Callable[[Any], Message]
"""What answers a message."""
KINDS = {"c": "conformance.adapters.host_library", "class": "conformance.adapters.host_class"}


class Pipe:
    """Both ends of what is said."""

    def __init__(self, into: int, out: int) -> None:
        self.into, self.out, self.reader = into, out, Reader(Said)

    def hear(self) -> Any:
        """The next message; the process ends where there is none more."""
        while True:
            heard = self.reader.next()
            if heard is not None:
                return heard
            got = os.read(self.into, 1 << 20)
            if not got:
                os._exit(0)
            self.reader.feed(got)

    def say(self, message: Message) -> None:
        """Say something."""
        data = memoryview(block(message) if self.reader.binary else line(message))
        while data:
            data = data[os.write(self.out, data) :]

    def ask(self, message: Message) -> Any:
        """Ask in the middle of something; the answer."""
        self.say(message)
        return self.hear()


def serve(pipe: Pipe, kind: str, target: str) -> None:
    """Greet, then answer whatever is asked."""
    home = import_module(KINDS[kind])
    if not isinstance(pipe.hear(), Hello):
        raise WireError("the first message is no hello")
    try:
        greeting, answer = home.opened(target, pipe)
    except home.NotUsable as error:
        pipe.say(Refusal(str(error)))
        return
    pipe.say(greeting)
    pipe.reader.binary = True
    while True:
        try:
            said = answer(pipe.hear())
        except home.Failed as error:
            said = Fault(" ".join(str(error).split()))
        pipe.say(said)


if __name__ == "__main__":
    # A library's own doing ends the process, as it would outside of Python.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    serve(Pipe(int(sys.argv[-2]), int(sys.argv[-1])), sys.argv[1], sys.argv[2])
