"""Which functions exist in the source only: every call of them was inlined, or none was made.

That is read from debug information, where there is any. It is of help and decides nothing, so it is
read for a bounded time, and damaged or vast debug information is the same as none.
"""

import io
import time
from collections.abc import Iterator
from typing import Any

from elftools.elf.elffile import ELFFile

SECONDS = 3.0
MAX_BYTES = 16 << 20


def inlined_away(data: bytes) -> dict[str, str]:
    """Functions without code of their own, by name: into which functions they went."""
    until = time.monotonic() + SECONDS
    found: dict[str, set[str]] = {}
    try:
        for name, into in _inlined(data, until):
            found.setdefault(name, set()).update({into} if into else ())
    except Exception:
        # Debug information may be damaged in any way; what was read until then is of help still.
        pass
    return {name: ", ".join(sorted(into)) for name, into in found.items()}


def _inlined(data: bytes, until: float) -> Iterator[tuple[str, str]]:
    elf = ELFFile(io.BytesIO(data))
    section = elf.get_section_by_name(".debug_info")
    if section is None or section["sh_size"] > MAX_BYTES:
        return
    dwarf = elf.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        entries = []
        for entry in unit.iter_DIEs():
            if time.monotonic() > until:
                return
            entries.append(entry)
        yield from _of_unit(entries)


def _of_unit(entries: list[Any]) -> Iterator[tuple[str, str]]:
    names = {e.offset: name for e in entries if (name := _name(e))}
    with_code = {_origin(e) or e.offset for e in entries if _is_code(e)}
    marked = {e.offset for e in entries if _is_function(e) and "DW_AT_inline" in e.attributes}
    alone = marked - with_code
    for offset in alone:
        if offset in names:
            yield names[offset], ""
    for entry in entries:
        if entry.tag == "DW_TAG_inlined_subroutine" and _origin(entry) in alone:
            parent = entry.get_parent()
            while parent is not None and not _is_function(parent):
                parent = parent.get_parent()
            if parent is not None:
                into = names.get(parent.offset) or names.get(_origin(parent) or -1, "")
                yield names.get(_origin(entry) or -1, "?"), into


def _is_function(entry: Any) -> bool:
    return bool(entry.tag == "DW_TAG_subprogram")


def _is_code(entry: Any) -> bool:
    return _is_function(entry) and (
        "DW_AT_low_pc" in entry.attributes or "DW_AT_ranges" in entry.attributes
    )


def _name(entry: Any) -> str:
    if not _is_function(entry) or "DW_AT_name" not in entry.attributes:
        return ""
    return str(entry.attributes["DW_AT_name"].value.decode("utf-8", "replace"))


def _origin(entry: Any) -> int | None:
    attribute = entry.attributes.get("DW_AT_abstract_origin")
    if attribute is None:
        return None
    return int(attribute.value) + int(entry.cu.cu_offset)
