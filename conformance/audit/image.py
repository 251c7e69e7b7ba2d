"""An object as it would lie in memory: placed, relocated, its imports at addresses of their own.

Addresses are plain numbers, chosen here: position-independent code answers the same wherever it
lies. What a loader would fill in is filled in; where a relocation is not modelled, the place is a
hole, and whoever reads or runs it is told so. What a program may have changed since it was loaded
(writable data) is not known; what no program may change is.
"""

import fnmatch
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from conformance.audit.elf import (
    ABSOLUTE,
    ALLOC,
    COMMON,
    EXEC,
    FUNCTION,
    GLOBAL,
    IFUNC,
    LOAD,
    NOBITS,
    RELOCATABLE,
    RELRO,
    SECTION,
    UNDEFINED,
    WEAK,
    WRITE,
    ElfFile,
    Relocation,
    Symbol,
)
from conformance.audit.faults import NotModelled, UnreadableObject

OBJECT_BASE = 0x0040_0000
GOT_BASE = 0x6000_0000
IMPORT_BASE = 0x7000_0000
IMPORT_STEP = 16
LIMIT = 1 << 47
MAX_LINKED = 64
FIXED_SECTIONS = (".data.rel.ro", ".init_array", ".fini_array", ".got")

R_64, R_PC32, R_PLT32, R_GLOB_DAT, R_JUMP_SLOT, R_RELATIVE, R_GOTPCREL = 1, 2, 4, 6, 7, 8, 9
R_32, R_32S, R_PC64, R_GOTPCRELX, R_REX_GOTPCRELX = 10, 11, 24, 41, 42
ABSOLUTE_64 = frozenset({R_64, R_GLOB_DAT, R_JUMP_SLOT, R_RELATIVE})
RELATIVE_32 = frozenset({R_PC32, R_PLT32})
GOT_RELATIVE = frozenset({R_GOTPCREL, R_GOTPCRELX, R_REX_GOTPCRELX})


@dataclass
class Chunk:
    """Memory from `start` to `stop`; behind the end of `data` it is zero at the start."""

    start: int
    stop: int
    data: bytearray
    writable: bool
    executable: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function that an object defines. `exported`: other objects may call it."""

    name: str
    address: int
    size: int
    exported: bool
    indirect: bool


@dataclass
class Image:
    """Everything that one audit may look at."""

    chunks: list[Chunk] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    imports: dict[int, str] = field(default_factory=dict)
    fixed: list[tuple[int, int]] = field(default_factory=list)
    holes: dict[int, tuple[int, str]] = field(default_factory=dict)
    stripped: bool = False
    _starts: list[int] = field(default_factory=list)
    _of_name: dict[str, int] = field(default_factory=dict)
    _slots: dict[int, int] = field(default_factory=dict)
    _got: Chunk | None = None

    def find(self, address: int) -> Chunk | None:
        """The chunk that the address is in."""
        at = bisect_right(self._starts, address) - 1
        if at >= 0 and address < self.chunks[at].stop:
            return self.chunks[at]
        return None

    def code(self, address: int) -> bytes:
        """Up to 16 bytes of code from `address` on.

        Raises: NotModelled where there is none, or a relocation in it is not modelled.
        """
        chunk = self.find(address)
        if chunk is None or not chunk.executable:
            raise NotModelled(f"execution reaches {address:#x}, where no code is")
        self.check_holes(address, 16)
        return bytes(chunk.data[address - chunk.start :][:16])

    def check_holes(self, address: int, size: int) -> None:
        """Raises: NotModelled if a relocation in these bytes is not modelled."""
        if not self.holes:
            return
        for at in range(address - 7, address + size):
            hole = self.holes.get(at)
            if hole is not None and at + hole[0] > address:
                raise NotModelled(f"{hole[1]} at {self.where(at)} is not modelled")

    def is_fixed(self, address: int, size: int) -> bool:
        """Whether no program changes these bytes after they have been loaded."""
        chunk = self.find(address)
        if chunk is None or address + size > chunk.stop:
            return False
        return not chunk.writable or any(
            first <= address and address + size <= stop for first, stop in self.fixed
        )

    def initial(self, address: int, size: int) -> int:
        """What the loader put there, as a little-endian number."""
        self.check_holes(address, size)
        chunk = self.find(address)
        if chunk is None:
            raise NotModelled(f"address {address:#x} is nowhere")
        found = bytes(chunk.data[address - chunk.start :][:size])
        return int.from_bytes(found.ljust(size, b"\0"), "little")

    def where(self, address: int) -> str:
        """The address as people say it: function and offset."""
        if address in self.imports:
            return self.imports[address]
        for function in self.functions:
            if function.address <= address < function.address + max(function.size, 1):
                offset = address - function.address
                return f"{function.name}+{offset:#x}" if offset else function.name
        return f"{address:#x}"

    def import_of(self, name: str) -> int:
        """The address that stands for something defined elsewhere."""
        if name not in self._of_name:
            self._of_name[name] = IMPORT_BASE + IMPORT_STEP * len(self._of_name)
            self.imports[self._of_name[name]] = name
        return self._of_name[name]

    def slot_of(self, address: int) -> int:
        """A place in the global offset table that holds `address`."""
        if self._got is None:
            self._got = Chunk(GOT_BASE, GOT_BASE, bytearray(), False, False)
            self.place([self._got])
        if address not in self._slots:
            self._slots[address] = self._got.stop
            self._got.data += address.to_bytes(8, "little")
            self._got.stop += 8
        return self._slots[address]

    def place(self, chunks: Iterable[Chunk]) -> None:
        """Take in chunks."""
        self.chunks = sorted([*self.chunks, *chunks], key=lambda chunk: chunk.start)
        self._starts = [chunk.start for chunk in self.chunks]


def is_function(symbol: Symbol, elf: ElfFile) -> bool:
    """Whether the symbol is code that the object defines."""
    if not symbol.name or symbol.section in (UNDEFINED, ABSOLUTE, COMMON):
        return False
    if symbol.section >= len(elf.sections):
        return False
    in_code = bool(elf.sections[symbol.section].flags & EXEC)
    return in_code and symbol.kind in (FUNCTION, IFUNC)


def load(objects: list[ElfFile], wanted: list[ElfFile]) -> Image:
    """An image of `wanted` and of what they call in the other members of their archive."""
    image = Image(stripped=all(elf.stripped for elf in objects))
    if wanted and wanted[0].kind != RELOCATABLE:
        _load_linked(image, wanted[0])
        return image
    bases = _link_in(image, objects, wanted)
    exported = {
        symbol.name: address
        for elf, base in bases
        for symbol in elf.symbols
        if symbol.bind in (GLOBAL, WEAK) and symbol.name
        for address in [_defined_at(elf, symbol, base)]
        if address is not None
    }
    for elf, base in bases:
        for number, rows in elf.relocations.items():
            if number in base:
                for row in rows:
                    symbol_at = _defined_at(elf, row.symbol, base)
                    if symbol_at is None:
                        symbol_at = exported.get(row.symbol.name)
                    _relocate(image, row, base[number] + row.offset, symbol_at)
    return image


def _link_in(
    image: Image, objects: list[ElfFile], wanted: list[ElfFile]
) -> list[tuple[ElfFile, dict[int, int]]]:
    defines: dict[str, ElfFile] = {}
    for elf in objects if len(objects) > 1 else ():
        for symbol in elf.symbols:
            if symbol.bind in (GLOBAL, WEAK) and symbol.section not in (UNDEFINED, COMMON):
                defines.setdefault(symbol.name, elf)
    queue, seen, bases, at = list(wanted), set(map(id, wanted)), [], OBJECT_BASE
    while queue:
        elf = queue.pop(0)
        base, at = _lay_out(image, elf, at)
        bases.append((elf, base))
        for symbol in elf.symbols:
            found = defines.get(symbol.name) if symbol.section == UNDEFINED else None
            if found is not None and id(found) not in seen and len(seen) < MAX_LINKED:
                seen.add(id(found))
                queue.append(found)
    return bases


def _lay_out(image: Image, elf: ElfFile, at: int) -> tuple[dict[int, int], int]:
    base, chunks = {}, []
    for number, section in enumerate(elf.sections):
        if not section.flags & ALLOC:
            continue
        align = section.align if 0 < section.align <= 1 << 16 else 16
        at = (at + align - 1) // align * align
        if at + section.size > GOT_BASE:
            raise UnreadableObject(f"{elf.name}: section {section.name} of {section.size} bytes")
        data = b"" if section.kind == NOBITS else elf.bytes_of(section)
        if section.kind != NOBITS and len(data) != section.size:
            raise UnreadableObject(
                f"{elf.name}: truncated: section {section.name} is not all there"
            )
        writable = bool(section.flags & WRITE)
        chunks.append(
            Chunk(at, at + section.size, bytearray(data), writable, bool(section.flags & EXEC))
        )
        if section.name.startswith(FIXED_SECTIONS):
            image.fixed.append((at, at + section.size))
        base[number] = at
        at += section.size
    image.place(chunks)
    for symbol in elf.symbols:
        address = _defined_at(elf, symbol, base) if is_function(symbol, elf) else None
        if address is not None:
            image.functions.append(_function(symbol, address))
    return base, at


def _function(symbol: Symbol, address: int) -> Function:
    return Function(
        symbol.name,
        address,
        symbol.size,
        symbol.bind in (GLOBAL, WEAK),
        symbol.kind == IFUNC,
    )


def _defined_at(elf: ElfFile, symbol: Symbol, base: dict[int, int]) -> int | None:
    if symbol.section == ABSOLUTE:
        return symbol.value
    if symbol.section in base:
        return (base[symbol.section] + (0 if symbol.kind == SECTION else symbol.value)) % LIMIT
    return None


def _relocate(image: Image, row: Relocation, at: int, symbol_at: int | None) -> None:
    size = 8 if row.kind in ABSOLUTE_64 or row.kind == R_PC64 else 4
    chunk = image.find(at)
    if chunk is None or at + size > chunk.stop or chunk.stop - chunk.start > len(chunk.data):
        raise UnreadableObject(f"a relocation at {at:#x} lies outside its section")
    if symbol_at is None:
        symbol_at = image.import_of(row.symbol.name)
    if row.kind in ABSOLUTE_64 or row.kind in (R_32, R_32S):
        value = symbol_at + row.addend
    elif row.kind in RELATIVE_32 or row.kind == R_PC64:
        value = symbol_at + row.addend - at
    elif row.kind in GOT_RELATIVE:
        value = image.slot_of(symbol_at) + row.addend - at
    else:
        image.holes[at] = (8, f"relocation type {row.kind}")
        return
    low = -(1 << 31) if size == 4 else -(1 << 63)
    high = 1 << (32 if row.kind == R_32 else 31 if size == 4 else 64)
    if not low <= value < high:
        image.holes[at] = (size, f"relocation type {row.kind} out of range")
        return
    raw = (value % (1 << 8 * size)).to_bytes(size, "little")
    chunk.data[at - chunk.start : at - chunk.start + size] = raw


def _load_linked(image: Image, elf: ElfFile) -> None:
    bias = 0 if elf.kind == 2 else OBJECT_BASE
    chunks = []
    for segment in elf.segments:
        if segment.kind == LOAD:
            start, stop = bias + segment.address, bias + segment.address + segment.memory_size
            data = elf.data[segment.offset : segment.offset + segment.file_size]
            if stop >= LIMIT or len(data) != segment.file_size or len(data) > stop - start:
                raise UnreadableObject(f"{elf.name}: truncated: a segment is not all there")
            flags = segment.flags
            chunks.append(Chunk(start, stop, bytearray(data), bool(flags & 2), bool(flags & 1)))
        elif segment.kind == RELRO:
            image.fixed.append(
                (bias + segment.address, bias + segment.address + segment.memory_size)
            )
    if not chunks:
        raise UnreadableObject(f"{elf.name}: nothing to load")
    image.place(chunks)
    for symbol in elf.symbols:
        if is_function(symbol, elf):
            image.functions.append(_function(symbol, bias + symbol.value))
    for row in elf.relocations.get(-1, ()):
        _relocate_linked(image, row, bias)


def _relocate_linked(image: Image, row: Relocation, bias: int) -> None:
    at, symbol = bias + row.offset, row.symbol
    chunk = image.find(at)
    if chunk is None or at + 8 > chunk.stop:
        raise UnreadableObject(f"a relocation at {at:#x} lies outside what is loaded")
    if row.kind not in ABSOLUTE_64:
        image.holes[at] = (8, f"relocation type {row.kind}")
        return
    if at + 8 > chunk.start + len(chunk.data):
        chunk.data += bytes(min(at + 8 - chunk.start - len(chunk.data), 1 << 20))
    if row.kind in (R_GLOB_DAT, R_JUMP_SLOT):
        image.fixed.append((at, at + 8))
    if row.kind == R_RELATIVE or symbol.section not in (UNDEFINED, ABSOLUTE):
        target = bias + (0 if row.kind == R_RELATIVE else symbol.value) + row.addend
    else:
        target = image.import_of(symbol.name) + row.addend
    chunk.data[at - chunk.start : at - chunk.start + 8] = (target % (1 << 64)).to_bytes(8, "little")


def matching(functions: Iterable[Function], pattern: str) -> list[Function]:
    """The functions that the name or pattern means, one for each address."""
    found: dict[int, Function] = {}
    for function in functions:
        if function.name == pattern or fnmatch.fnmatchcase(function.name, pattern):
            found.setdefault(function.address, function)
    return sorted(found.values(), key=lambda one: one.name)
