"""The firmware memory map of a machine: which bytes are RAM, and which whole pages that makes.

Nothing is assumed of the input: whatever a path leads to, `read` returns a map whose entries
are sorted, disjoint and below 2**52, or raises `MemoryMapError`; and it never waits.

Source: Linux Documentation/ABI/testing/sysfs-firmware-memmap (the directory form);
arch/x86/kernel/e820.c, e820__print_table (the printed form); APM 2, 5.1 (52 address bits).
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from io import StringIO
from itertools import islice, pairwise
from pathlib import Path

from conformance.formats.source import FormatError, open_regular, printable, reason_of

SYSFS = Path("/sys/firmware/memmap")
CAPTURE = "kvm-24g.memmap"
PAGE_BYTES = 4096
MAX_ADDRESS = 1 << 52
MAX_ENTRIES = 65536
# Room for the longest map; a text costs some eight times its size while it is read.
MAX_FILE_BYTES = 4 << 20
MAX_LINE_CHARS = 4096
# sysfs and the print of newer kernels say the one, the print of older kernels the other.
RAM_KINDS = frozenset({"system ram", "usable"})

_FORM = "write START END TYPE, for example: 0x0 0x9fbff System RAM"
_GIVE = f"give a directory in the form of {SYSFS} or a text file"
_PLAIN_LINE = re.compile(r"([-+0-9]\S*)\s+(\S+)\s+(\S.*)")
_E820_LINE = re.compile(r"\[mem (\S+?)-(\S+)\]\s*(\S.*)")
# The classes that `strip` draws, in ASCII and in blocks.
_NAMED = {"reserved": "=▒", "ACPI": "+▓", "persistent": "*░"}
_MARKS = {"RAM": "#█", **_NAMED, "other": "?▚", "hole": ".·"}


class MemoryMapError(FormatError):
    """A memory map cannot be used; the text is one line: the place, what is wrong, what to do."""


class _AbsentError(MemoryMapError):
    """There is no map at the place, as opposed to a wrong one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The bytes `[first, stop)`, which the firmware calls `kind`.

    Raises: MemoryMapError if empty, reversed or not within 2**52, or if not in plain ASCII.
    """

    first: int
    stop: int
    kind: str

    def __post_init__(self) -> None:
        start, end, kind = f"start {self.first:#x}", f"end {self.stop - 1:#x}", self.kind
        if self.first < 0:
            raise MemoryMapError(f"{start} is negative; addresses begin at 0x0")
        if self.stop <= self.first:
            raise MemoryMapError(f"{end} is below {start}; END is the last byte of the entry")
        if self.stop > MAX_ADDRESS:
            raise MemoryMapError(f"{end} is past the architectural limit, 2**52; correct the entry")
        if not (kind.strip() and kind.isascii() and kind.isprintable()):
            raise MemoryMapError(f"type {kind[:40]!a} is not plain ASCII text; {_FORM}")


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """The entries read from `source`, ascending and disjoint; `notes` are plain sentences."""

    source: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RamRegion:
    """`pages` whole 4 KiB pages of RAM from the byte address `base`, a multiple of 4096."""

    base: int
    pages: int


def read(source: Path | None = None) -> MemoryMap:
    """The memory map at `source`, or this machine's, or failing that the one shipped here.

    source: a directory in sysfs form (`0/start`, `0/end`, `0/type`, `1/start`, ...) or a text
    file, a line an entry: `START END TYPE`, or `[mem START-END] TYPE` as the kernel prints it.
    Addresses are bytes in 0x form and END is the last byte. `#` begins a comment.
    Without a source, a machine that shows no map is served by the shipped capture, but a wrong
    map is refused. `notes` says which was read, and why.

    Raises: MemoryMapError, and nothing else.
    """
    if source is not None:
        return _load(source)
    try:
        found = _load(SYSFS)
        note = f"no source was given: read this machine's own map, {SYSFS}"
    except _AbsentError as absent:
        with resources.as_file(resources.files("conformance") / "data" / CAPTURE) as path:
            found = _load(path, f"the shipped capture {CAPTURE}")
        note = f"used {found.source}, not this machine's own map: {absent}"
    return MemoryMap(found.source, found.entries, (note, *found.notes))


def ram(memory_map: MemoryMap) -> tuple[tuple[RamRegion, ...], tuple[str, ...]]:
    """The whole pages of RAM, ascending, and a note for each range that was changed to get them.

    RAM entries that touch are merged first, so a page that two of them share is kept; then each
    range is rounded inwards. There may be none. Ranges in the notes include their last byte.
    """
    runs: list[list[Entry]] = []
    for entry in memory_map.entries:
        if _class(entry) == "RAM":
            if not runs or runs[-1][-1].stop != entry.first:
                runs.append([])
            runs[-1].append(entry)
    regions: list[RamRegion] = []
    notes: list[str] = []
    for run in runs:
        first, stop = run[0].first, run[-1].stop
        span = _span(first, stop)
        if len(run) > 1:
            notes.append(f"{len(run)} RAM entries touch: merged into {span}")
        base, end = -(-first // PAGE_BYTES) * PAGE_BYTES, stop // PAGE_BYTES * PAGE_BYTES
        if base >= end:
            notes.append(f"{span} holds no whole page: left out ({stop - first} bytes)")
            continue
        regions.append(RamRegion(base, (end - base) // PAGE_BYTES))
        cuts = {"starts": base - first, "ends": stop - end}
        if any(cuts.values()):
            text = f"{span} {' and '.join(edge for edge in cuts if cuts[edge])} in mid-page:"
            left = f"({sum(cuts.values())} bytes left out)"
            notes.append(f"{text} rounded inwards to {_span(base, end)} {left}")
    return tuple(regions), tuple(notes)


def strip(memory_map: MemoryMap, width: int = 72, *, ascii: bool = False) -> str:
    """A picture of the map: a bar, the addresses below it, a line for each class of memory.

    Not to scale: each entry and each hole has at least one of the `width` columns, and a share
    of the others by the logarithm of its size. With more of them than columns, a column shows
    the largest of its share. No line is longer than `width`.

    Raises: ValueError if `width` is not within 40 to 100.
    """
    if not 40 <= width <= 100:
        raise ValueError(f"width is {width}: allowed are 40 to 100")
    pieces: list[Entry] = []
    for entry in memory_map.entries:
        stop = pieces[-1].stop if pieces else 0
        if entry.first > stop:
            pieces.append(Entry(stop, entry.first, "hole"))
        pieces.append(Entry(entry.first, entry.stop, _class(entry)))
    columns, scale, end = _columns(pieces, width), "", _short(pieces[-1].stop) if pieces else "0"
    marks = {kind: pair[not ascii] for kind, pair in _MARKS.items()}
    for column, piece in enumerate(columns):
        label, new = _short(piece.first), columns.index(piece) == column
        if new and len(scale) <= column and column + len(label) < width - len(end):
            scale = scale.ljust(column) + label + " "
    bar = "".join(marks[piece.kind] for piece in columns)
    lines = [bar, scale.ljust(width - len(end)) + end]
    for kind, mark in marks.items():
        sizes = [piece.stop - piece.first for piece in pieces if piece.kind == kind]
        if sizes:
            lines.append(f"{mark} {kind:<11} {_short(sum(sizes)):>8} in {len(sizes)}")
    return "\n".join((*lines, "(not to scale)"))


def _columns(pieces: Sequence[Entry], width: int) -> list[Entry]:
    """The piece that each of the columns shows."""
    if len(pieces) > width:
        cuts = pairwise(column * len(pieces) // width for column in range(width + 1))
        return [max(pieces[low:high], key=lambda p: p.stop - p.first) for low, high in cuts]
    weights = [1 + ((piece.stop - piece.first) // PAGE_BYTES).bit_length() for piece in pieces]
    columns: list[Entry] = []
    for index, piece in enumerate(pieces, 1):
        until = index + (width - len(pieces)) * sum(weights[:index]) // sum(weights)
        columns += [piece] * (until - len(columns))
    return columns


def _short(size: int) -> str:
    """Bytes, or an address, in four digits: 0x9fc00 is 639K; `~` if that is not exact."""
    for unit, scale in (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if size >= scale:
            digits = f"{size / scale:.4g}"
            return f"{'' if float(digits) * scale == size else '~'}{digits}{unit}"
    return str(size)


def _class(entry: Entry) -> str:
    """The class of memory, a key of `_MARKS`."""
    kind = entry.kind.casefold()
    named = next((name for name in _NAMED if name.casefold() in kind), "other")
    return "RAM" if kind in RAM_KINDS else named


def _span(first: int, stop: int) -> str:
    return f"{first:#x}-{stop - 1:#x}"


def _load(source: Path, name: str = "") -> MemoryMap:
    place = name or printable(source)
    with _reading(place):
        parse = _from_directory if stat.S_ISDIR(source.stat().st_mode) else _from_text
        given = list(islice(parse(source, place), MAX_ENTRIES + 1))
    if not given:
        raise _AbsentError(f"{place}: holds no memory-map entry; {_GIVE} with at least one")
    if len(given) > MAX_ENTRIES:
        raise MemoryMapError(
            f"{given[-1][0]}: is past {MAX_ENTRIES} entries; remove the false ones"
        )
    items = sorted(given, key=lambda item: item[1].first)
    for (there, low), (where, high) in pairwise(items):
        if high.first < low.stop:
            spans = f"{_span(high.first, high.stop)} overlaps {_span(low.first, low.stop)}"
            raise MemoryMapError(f"{where}: {spans} of {there}; correct or remove one of the two")
    notes = () if items == given else ("the entries were not in ascending order: sorted",)
    return MemoryMap(place, tuple(entry for _, entry in items), notes)


def _from_directory(source: Path, place: str) -> Iterator[tuple[str, Entry]]:
    with os.scandir(source) as items:
        names = (item.name for item in items if re.fullmatch("[0-9]+", item.name))
        numbers = sorted(islice(names, MAX_ENTRIES + 1), key=int)
    for number in numbers:
        home, where = source / number, f"{place}/{number}"
        start, end, kind = (
            _contents(f"{where}/{name}", home / name, MAX_LINE_CHARS).strip()
            for name in ("start", "end", "type")
        )
        first, last = _number(f"{where}/start", start), _number(f"{where}/end", end)
        yield where, _entry(where, first, last, kind)


def _from_text(source: Path, place: str) -> Iterator[tuple[str, Entry]]:
    for number, full in enumerate(StringIO(_contents(place, source, MAX_FILE_BYTES)), 1):
        where = f"{place}:{number}"
        if len(full) > MAX_LINE_CHARS:
            raise MemoryMapError(f"{where}: is longer than {MAX_LINE_CHARS} characters; {_FORM}")
        line = full.partition("#")[0].rpartition("BIOS-e820:")[2].strip()
        if not line or line.startswith("[gap "):  # newer kernels print the holes too
            continue
        match = _E820_LINE.fullmatch(line) or _PLAIN_LINE.fullmatch(line)
        if match is None:
            raise MemoryMapError(f"{where}: {line[:40]!a} is not an entry; {_FORM}")
        first, last = _number(where, match[1]), _number(where, match[2])
        yield where, _entry(where, first, last, match[3])


@contextmanager
def _reading(where: str) -> Iterator[None]:
    try:
        yield
    except MemoryMapError:
        raise
    except (OSError, ValueError) as error:
        raise _AbsentError(f"{where}: cannot be read ({reason_of(error)}); {_GIVE}") from error


def _contents(where: str, path: Path, limit: int) -> str:
    """The text of a regular file that has at most `limit` bytes."""
    with _reading(where):
        handle = open_regular(path)
        if handle is None:
            raise MemoryMapError(f"{where}: is not a regular file; {_GIVE}")
        with os.fdopen(handle, "rb") as file:
            data = file.read(limit + 1) or b""
    if len(data) > limit:
        raise MemoryMapError(f"{where}: has more than {limit} bytes; keep the entries only")
    text = data.decode(errors="replace")
    if "\0" in text or "\N{REPLACEMENT CHARACTER}" in text:
        raise MemoryMapError(f"{where}: is not a text file; {_GIVE}")
    return text


def _number(where: str, text: str) -> int:
    if re.fullmatch("0[xX]0*[0-9a-fA-F]{1,16}", text):
        return int(text, 16)
    what = "past 2**64" if re.fullmatch("0[xX][0-9a-fA-F]+", text) else "not a hexadecimal number"
    what = "negative" if text.startswith("-") else what
    raise MemoryMapError(f"{where}: {text[:40]!a} is {what}; write 0x0 to 0xffffffffffffffff")


def _entry(where: str, start: int, end: int, kind: str) -> Entry:
    try:
        return Entry(start, end + 1, " ".join(kind.split()))
    except MemoryMapError as error:
        raise MemoryMapError(f"{where}: {error}") from None
