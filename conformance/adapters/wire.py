"""What is said between the suite and a device in a process of its own, and how it is written.

Each message is an object whose field `say` tells its kind. A program reads and writes them as
lines of JSON; one that says `binary` in its greeting goes on with the same objects in
MessagePack, each behind its length in four bytes, little-endian. Nothing here imports a rule: a
process that runs somebody's library needs no more than this.
"""

from typing import Any

import msgspec

VERSION = 1
MOST_BYTES = 64 << 20
"""No message is longer; whoever says more in one breath is stopped."""
PREFIX = 4


class WireError(ValueError):
    """What was said is no message."""


Ranges = list[tuple[int, int]]
"""Ranges of frames, half-open, in order, not touching."""


class Message(msgspec.Struct, frozen=True, tag_field="say"):
    """Anything that is said."""


# What the suite says


class Hello(Message, frozen=True, tag="hello"):
    """The suite's first words."""

    version: int = VERSION


class State(msgspec.Struct, frozen=True):
    """A region in bytes and pages, its claimed frames as ranges, and for how many runs is room."""

    base: int
    pages: int
    claimed: list[tuple[int, int]]
    most_runs: int


class Step(msgspec.Struct, frozen=True, array_like=True):
    """The last word of a rule's id, and its operands by name."""

    rule: str
    op: dict[str, Any]


class Play(Message, frozen=True, tag="play"):
    """Take on `start`, or go on where it is left out; then do the steps, and show each.

    group: `bitmap` or `runs`.
    """

    group: str
    steps: list[Step]
    start: State | None = None


class Lanes(Message, frozen=True, tag="lanes"):
    """Many traces of equal length at once, as words of 64 bits, little-endian.

    starts: for each trace base, pages, most_runs and `width` words. ops: for each step four words
    as in `struct svsm_step`. words: `room` for each trace, which exports and imports read and
    write. Where they are in memory that is shared, there are none of these here.
    """

    group: str
    lanes: int
    steps: int
    width: int
    room: int
    starts: bytes = b""
    ops: bytes = b""
    words: bytes = b""


class Stage(Message, frozen=True, tag="stage"):
    """One stage of the handoff; `call` as in a saved trace: docs/handoff.md."""

    call: dict[str, Any]


class Machine(Message, frozen=True, tag="machine"):
    """A machine with no slot open, in place of any of the same number."""

    number: int
    backend: str
    limit: int
    buffer_gpa: int
    shared_bit: int


class Call(Message, frozen=True, tag="call"):
    """A call on a machine: its name and arguments, as in docs/mmio.md."""

    number: int
    name: str
    arguments: list[int | bytes]


class Svsm(Message, frozen=True, tag="svsm"):
    """Take on a state of an SVSM in which every vCPU is at rest; as `struct svsm_start`."""

    guest: Ranges
    own: Ranges
    ghcbs: Ranges
    measured: Ranges
    firmware: Ranges
    launch_vmsa: int
    one_lock: bool
    heeds_ignore_cf: bool
    by_msr: bool
    refused: int
    stream: Ranges
    stream_vmsas: Ranges
    nonce: int
    claimed: Ranges
    caas: Ranges
    shared: Ranges
    vcpus: list[tuple[int, int]]
    stage: int
    halted: bool


class Begin(Message, frozen=True, tag="begin"):
    """Begin a call on a vCPU, by the name of its function in `struct svsm_protocol`."""

    vcpu: int
    name: str
    arguments: list[int]


class Resume(Message, frozen=True, tag="resume"):
    """What a vCPU asked of the platform is done, with this answer.

    status: 0, or 1 where the page is not validated (#VC), or 2 where the vCPU is stopped.
    """

    vcpu: int
    status: int
    answer: list[int | bytes] = []


class Now(Message, frozen=True, tag="now"):
    """A call that is done at once."""

    name: str
    arguments: list[int]


class Told(Message, frozen=True, tag="told"):
    """The answer to what was asked."""

    answer: list[int | bytes]


Said = Hello | Play | Lanes | Stage | Machine | Call | Told | Svsm | Begin | Resume | Now

# What a device says


class Choices(msgspec.Struct, frozen=True):
    """What the rules leave to an implementation; see `struct svsm_policy`."""

    cap_pages: int
    mixed_2m: str
    most_runs: int = (1 << 64) - 1


class Greeting(Message, frozen=True, tag="hello"):
    """A device's first words.

    errors: for each group, its own codes and the names of what they mean. binary: whether all that
    follows is MessagePack. lanes: whether it takes many traces at once.
    """

    version: int
    name: str
    claims: list[str]
    bitmap: Choices | None = None
    runs: Choices | None = None
    backends: list[str] = []
    errors: dict[str, dict[str, str]] = {}
    binary: bool = False
    lanes: bool = False


class Refusal(Message, frozen=True, tag="refuse"):
    """There is no device to be had; in one line, why, and what to do."""

    why: str


class Answer(msgspec.Struct, frozen=True):
    """What one step answers, and what it leaves behind.

    outcome: a name of the rules, or a code of the device's own. value: a number, or the words of an
    export.
    """

    outcome: str | int
    state: State
    value: int | list[int] = 0


class Played(Message, frozen=True, tag="played"):
    """An answer to each step, in order; where there are fewer, what is wrong with the next."""

    answers: list[Answer]
    fault: str = ""


class Laned(Message, frozen=True, tag="laned"):
    """What the lanes did.

    answers: for each step a status, signed, and a value. words: as they are left. shown: for each
    step base, pages and `width` words.
    """

    answers: bytes = b""
    words: bytes = b""
    shown: bytes = b""


class Staged(Message, frozen=True, tag="staged"):
    """What a stage answers and makes. memory: what the area's pages hold after stage 5."""

    outcome: str | int
    made: Any = None
    memory: bytes | None = None


class Started(Message, frozen=True, tag="started"):
    """The machine is there."""


class Ask(Message, frozen=True, tag="ask"):
    """A call of the bus, in the middle of a call: its name and arguments."""

    what: str
    arguments: list[int | bytes]


class Called(Message, frozen=True, tag="called"):
    """What a call answers, and the open slots: number, address, size, whether it has a transport.

    outcome: a name of the rules, a code of the device's own, or 0.
    """

    outcome: str | int
    slots: list[tuple[int, int, int, bool]]
    value: int | bytes = 0


class Waits(Message, frozen=True, tag="waits"):
    """Where a call is now, and what the SVSM shows.

    what: the platform's function that a vCPU asks, with its arguments; none where the call has come
    to its end, with `result`.
    """

    stage: int
    halted: bool
    claimed: Ranges
    vmsas: Ranges
    caas: Ranges
    shared: Ranges
    what: str = ""
    arguments: list[int | bytes] = []
    result: int = 0


class Fault(Message, frozen=True, tag="fault"):
    """It could not answer; what it says of that."""

    text: str


Heard = Greeting | Refusal | Played | Laned | Staged | Started | Ask | Called | Waits | Fault
TO_JSON, TO_BINARY = msgspec.json.Encoder(), msgspec.msgpack.Encoder()


def line(message: Message) -> bytes:
    """A message as a line of JSON."""
    return TO_JSON.encode(message) + b"\n"


def block(message: Message) -> bytes:
    """A message in MessagePack, behind its length."""
    data = TO_BINARY.encode(message)
    return len(data).to_bytes(PREFIX, "little") + data


class Reader:
    """Bytes as they come, cut into messages of some kinds."""

    def __init__(self, kinds: Any, binary: bool = False) -> None:
        self.binary = binary
        self._held = bytearray()
        self._searched = 0
        self._lines = msgspec.json.Decoder(kinds)
        self._blocks = msgspec.msgpack.Decoder(kinds)

    def feed(self, data: bytes) -> None:
        """More bytes.

        Raises: WireError where they are too many for one message.
        """
        self._held += data
        if len(self._held) > MOST_BYTES + PREFIX:
            raise WireError(f"said more than {MOST_BYTES >> 20} MiB in one message")

    def next(self) -> Any:
        """The next whole message, or None.

        Raises: WireError where it is none of those kinds.
        """
        cut = self._block() if self.binary else self._line()
        if cut is None:
            return None
        try:
            return (self._blocks if self.binary else self._lines).decode(cut)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WireError(f"said {shortened(cut)}, which is no message: {error}") from error

    def _line(self) -> bytes | None:
        place = self._held.find(b"\n", self._searched)
        self._searched = len(self._held)
        return None if place < 0 else self._taken(0, place, place + 1)

    def _block(self) -> bytes | None:
        if len(self._held) < PREFIX:
            return None
        size = int.from_bytes(self._held[:PREFIX], "little")
        if size > MOST_BYTES:
            raise WireError(f"begins a message of {size} bytes; {MOST_BYTES} is the most")
        whole = PREFIX + size
        return None if len(self._held) < whole else self._taken(PREFIX, whole, whole)

    def _taken(self, first: int, stop: int, past: int) -> bytes:
        cut = bytes(self._held[first:stop])
        del self._held[:past]
        self._searched = 0
        return cut


def shortened(data: bytes) -> str:
    """What was said, short enough for a line."""
    text = repr(bytes(data[:48]))[1:]
    return text if len(data) <= 48 else f"{text}..."
