"""What `--args` says: what each argument of a function is, in the calling convention's order.

`mmio` is the device pointer; `data` the buffer that is read from or written to; `NAME*` another
buffer; `NAME{8:mmio;16:mmio + 256}` a record with that at these offsets; `NAME:32` a number of so
many bits, above which its register holds anything; any other name is one of 64 bits, and
`_` is of no interest.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import z3

from conformance.audit.expressions import RESERVED, whole_number
from conformance.audit.faults import UnreadableObject
from conformance.audit.state import State, pieces_of
from conformance.audit.world import DEVICE

MAX_ARGUMENTS = 6
FORM = re.compile(r"([A-Za-z_]\w*)(\*|\{[^{}]*\}|:(?:8|16|32))?")
TAKEN = frozenset({"read", "old", "fs", "gs", "stack", "object"}) | RESERVED


@dataclass
class Arguments:
    """What a function is called with. regions: pointers. records: what lies behind them."""

    values: list[Any] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)
    regions: dict[str, Any] = field(default_factory=dict)
    records: list[tuple[str, int, Any]] = field(default_factory=list)

    def put_records(self, s: State) -> None:
        """Fill in what records hold."""
        for region, offset, value in self.records:
            for n, piece in enumerate(pieces_of(value, 8)):
                s.memory[region, offset + n] = piece


def read_arguments(text: str) -> Arguments:
    """The arguments that a text such as `mmio,data,length` names.

    Raises: UnreadableObject
    """
    made = Arguments()
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    if len(words) > MAX_ARGUMENTS:
        raise UnreadableObject(f"--args {text}: more than {MAX_ARGUMENTS}, which are in registers")
    for number, word in enumerate(words):
        found = FORM.fullmatch(word)
        if found is None:
            raise UnreadableObject(f"--args {text}: {word!r} is not a name such as mmio or value")
        name, tail = found[1], found[2] or ""
        if name == "_":
            made.values.append(z3.BitVec(f"unused{number}", 64))
            continue
        if tail.startswith(":"):
            made.values.append(_narrow(made, text, name, int(tail[1:])))
            continue
        made.values.append(_new(made, text, name, is_pointer=bool(tail)))
        if tail.startswith("{"):
            _read_record(made, text, name, tail[1:-1])
    if DEVICE not in made.regions:
        raise UnreadableObject(f"--args {text}: none of them is mmio, the device")
    return made


def _new(made: Arguments, text: str, name: str, is_pointer: bool) -> Any:
    if name in made.names or name in TAKEN:
        why = "is named twice" if name in made.names else "means something else"
        raise UnreadableObject(f"--args {text}: {name} {why}")
    made.names[name] = z3.BitVec(name, 64)
    if is_pointer or name in (DEVICE, "data"):
        made.regions[name] = made.names[name]
    return made.names[name]


def _narrow(made: Arguments, text: str, name: str, width: int) -> Any:
    whole = _new(made, text, name, is_pointer=False)
    if name in made.regions:
        raise UnreadableObject(f"--args {text}: {name} is a pointer, which has 64 bits")
    low = z3.Extract(width - 1, 0, whole)
    made.names[name] = z3.ZeroExt(64 - width, low)
    return whole


def _read_record(made: Arguments, text: str, name: str, inner: str) -> None:
    for part in inner.split(";"):
        offset, colon, held = (word.strip() for word in part.partition(":"))
        if not colon or not offset.isdigit() or len(offset) > 6:
            raise UnreadableObject(f"--args {text}: {part!r} is not OFFSET:NAME, such as 8:mmio")
        if held.isidentifier() and held not in made.names:
            value = _new(made, text, held, False)
        else:
            value = whole_number(held, frozenset(made.names))(made.names)
        made.records.append((name, int(offset), value))
