"""x86-64 ELF files, read with every size and place checked against the file.

What is read is sections, segments, symbols and relocations, and the members of an archive. The
tables of an object with a language's whole library behind it have ten thousands of rows, so they
are unpacked in bulk. Debug information is `inlined`'s affair.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from conformance.audit.faults import UnreadableObject

MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 40: "ARM", 183: "AArch64"}
MACHINES |= {22: "s390", 50: "IA-64", 62: "x86-64", 243: "RISC-V", 247: "BPF"}
X86_64 = 62
RELOCATABLE, EXECUTABLE, SHARED = 1, 2, 3
ALLOC, WRITE, EXEC = 2, 1, 4
PROGBITS, SYMTAB, RELA, NOBITS, REL, DYNSYM, GROUP = 1, 2, 4, 8, 9, 11, 17
UNDEFINED, ABSOLUTE, COMMON = 0, 0xFFF1, 0xFFF2
FUNCTION, SECTION, IFUNC = 2, 3, 10
LOCAL, GLOBAL, WEAK = 0, 1, 2
LOAD, RELRO = 1, 0x6474E552
MAX_FILE = 1 << 28
MAX_ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class Section:
    """A row of the section table."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A row of the program header table."""

    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """A row of a symbol table; `section` is a number of the section table."""

    name: str
    kind: int
    bind: int
    section: int
    value: int
    size: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """What is to be put at `offset` (of a section, or of memory)."""

    offset: int
    kind: int
    symbol: Symbol
    addend: int


@dataclass
class ElfFile:
    """One object. `relocations`: by the section they are for, or all under -1 where linked."""

    name: str
    data: bytes
    kind: int
    sections: list[Section]
    segments: list[Segment]
    symbols: list[Symbol]
    stripped: bool
    relocations: dict[int, list[Relocation]] = field(default_factory=dict)

    def bytes_of(self, section: Section) -> bytes:
        """What the file holds for a section."""
        if section.kind == NOBITS:
            return bytes(section.size)
        return self.data[section.offset : section.offset + section.size]


def read_objects(data: bytes, name: str) -> list[ElfFile]:
    """The object that the file is, or each that the archive holds.

    Raises: UnreadableObject, with what is wrong.
    """
    if len(data) > MAX_FILE:
        raise UnreadableObject(f"{name}: larger than {MAX_FILE >> 20} MiB")
    if data.startswith(b"!<arch>\n"):
        found = [_elf(body, f"{name}({member})") for member, body in _members(data, name)]
        if not found:
            raise UnreadableObject(f"{name}: an archive without an object")
        return found
    if data.startswith(b"!<thin>\n"):
        raise UnreadableObject(f"{name}: a thin archive, which holds no code; audit its members")
    return [_elf(data, name)]


def _members(data: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    at, long_names = 8, b""
    while at + 60 <= len(data):
        head = data[at : at + 60]
        if head[58:] != b"`\n" or not head[48:58].strip().isdigit():
            raise UnreadableObject(f"{name}: truncated or damaged archive at byte {at}")
        size = int(head[48:58])
        body = data[at + 60 : at + 60 + size]
        if len(body) != size:
            raise UnreadableObject(f"{name}: truncated: a member of {size} bytes at byte {at}")
        title = head[:16].rstrip()
        if title == b"//":
            long_names = body
        elif title.startswith(b"/") and title[1:].isdigit():
            start = int(title[1:])
            title = long_names[start : start + 256].split(b"/")[0]
        if body.startswith(b"\x7fELF"):
            yield title.rstrip(b"/").decode("utf-8", "replace"), body
        at += 60 + size + size % 2


def _elf(data: bytes, name: str) -> ElfFile:
    if not data.startswith(b"\x7fELF"):
        raise UnreadableObject(f"{name}: not an ELF file")
    if len(data) < 64:
        raise UnreadableObject(f"{name}: truncated: {len(data)} bytes")
    if data[4:6] != b"\x02\x01":
        raise UnreadableObject(f"{name}: not a 64-bit little-endian ELF file, so not x86-64")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if machine != X86_64:
        told = MACHINES.get(machine, f"machine {machine}")
        raise UnreadableObject(f"{name}: for {told}; only x86-64 is audited")
    if kind not in (RELOCATABLE, EXECUTABLE, SHARED):
        raise UnreadableObject(f"{name}: ELF type {kind} is neither an object nor a library")
    sections = _sections(data, name)
    table = next((n for n, s in enumerate(sections) if s.kind == SYMTAB), -1)
    stripped = table < 0
    if stripped:
        table = next((n for n, s in enumerate(sections) if s.kind == DYNSYM), -1)
    symbols = _symbols(data, sections, table, name)
    made = ElfFile(name, data, kind, sections, _segments(data, name), symbols, stripped)
    _read_relocations(made, table)
    return made


def _rows(data: bytes, offset: int, size: int, form: str, what: str) -> Iterator[tuple[int, ...]]:
    step = struct.calcsize(form)
    if offset > len(data) or size > len(data) - offset:
        raise UnreadableObject(f"{what}: truncated: the table at byte {offset} is not all there")
    if size // step > MAX_ROWS:
        raise UnreadableObject(f"{what}: a table of {size // step} rows")
    return struct.iter_unpack(form, data[offset : offset + size // step * step])


def _text(table: bytes, at: int) -> str:
    end = table.find(b"\0", at, at + 4096)
    return table[at : end if end >= 0 else at].decode("utf-8", "replace")


def _sections(data: bytes, name: str) -> list[Section]:
    (at,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    if at == 0:
        return []
    if size != 64:
        raise UnreadableObject(f"{name}: section headers of {size} bytes, not 64")
    if count == 0 and at + 64 <= len(data):
        (count,) = struct.unpack_from("<Q", data, at + 32)
    rows = list(_rows(data, at, 64 * count, "<IIQQQQIIQQ", name))
    if names >= len(rows):
        raise UnreadableObject(f"{name}: the section of section names is missing")
    strings = _slice(data, rows[names][4], rows[names][5], name) if rows else b""
    return [
        Section(_text(strings, r[0]), r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8]) for r in rows
    ]


def _slice(data: bytes, offset: int, size: int, name: str) -> bytes:
    if offset > len(data) or size > len(data) - offset:
        raise UnreadableObject(f"{name}: truncated: {size} bytes at byte {offset} are not there")
    return data[offset : offset + size]


def _segments(data: bytes, name: str) -> list[Segment]:
    (at,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if at == 0 or count == 0:
        return []
    if size != 56:
        raise UnreadableObject(f"{name}: program headers of {size} bytes, not 56")
    rows = _rows(data, at, 56 * count, "<IIQQQQQQ", name)
    return [Segment(r[0], r[1], r[2], r[3], r[5], r[6]) for r in rows]


def _symbols(data: bytes, sections: list[Section], table: int, name: str) -> list[Symbol]:
    if table < 0:
        return []
    found = sections[table]
    if found.link >= len(sections):
        raise UnreadableObject(f"{name}: the symbol table names no string table")
    strings = _slice(data, sections[found.link].offset, sections[found.link].size, name)
    rows = _rows(data, found.offset, found.size, "<IBBHQQ", name)
    return [
        Symbol(_text(strings, row[0]), row[1] & 15, row[1] >> 4, row[3], row[4], row[5])
        for row in rows
    ]


def _read_relocations(made: ElfFile, table: int) -> None:
    linked = made.kind != RELOCATABLE
    tables: dict[int, list[Symbol]] = {table: made.symbols}
    none = Symbol("", 0, 0, ABSOLUTE, 0, 0)
    for section in made.sections:
        if section.kind not in (RELA, REL) or (linked and not section.flags & ALLOC):
            continue
        if section.kind == REL:
            raise UnreadableObject(
                f"{made.name}: relocations without addends, which x86-64 has not"
            )
        if section.link not in tables and section.link < len(made.sections):
            tables[section.link] = _symbols(made.data, made.sections, section.link, made.name)
        symbols = tables.get(section.link, [])
        target = -1 if linked else section.info
        rows = _rows(made.data, section.offset, section.size, "<QQq", made.name)
        kept = made.relocations.setdefault(target, [])
        for offset, info, addend in islice(rows, MAX_ROWS):
            number = info >> 32
            if number >= len(symbols) and number:
                raise UnreadableObject(f"{made.name}: a relocation names symbol {number}")
            symbol = symbols[number] if number else none
            kept.append(Relocation(offset, info & 0xFFFFFFFF, symbol, addend))
