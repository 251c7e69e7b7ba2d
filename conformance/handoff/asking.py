"""What is asked of the handoff, put together from a map, an IGVM file, an image and options."""

from dataclasses import dataclass

from conformance.formats.area import ENTRY_BYTES, PAGE_BYTES, write_area
from conformance.formats.host import HostMap
from conformance.formats.igvm import Igvm
from conformance.formats.igvm_layout import PLATFORMS
from conformance.formats.ovmf import Image
from conformance.formats.source import FormatError
from conformance.handoff.plan import Asked
from conformance.handoff.whole import Version

MAX_ENTRIES = 2048
"""More than any page of a map has room for; the rules go through every one."""
KERNEL = (0x8000000, 0x1000000)
"""Where COCONUT-SVSM's kernel is under QEMU, and its size."""
MAP_AREA = (0x812000, 192)
"""Where OVMF has its map, with eight entries, and its working memory below."""
WORKING_MEMORY = (0x800000, 0x30000)
LOW_BYTES = 0x1780000
"""Where OVMF's own memory for its first phases ends, which low memory has to hold."""
LAUNCH_VMSA = 0xFFFFFFFFF000
FIRST_MIB = (0, 256)
PREFERRED = (2, 3, 1, 0)
"""Platforms of an IGVM file, by which of them is looked at: SEV-SNP, TDX, VSM, native."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, in bytes or pages as `Asked` has them; None: not said."""

    kernel: tuple[int, int, int] | None
    area: tuple[int, int] | None
    prevalidated: bool
    limit_bits: int
    cap_pages: int
    low_pages: int | None
    tracks: bool
    with_terminator: bool
    excluded: tuple[tuple[int, int], ...]
    checks_first: bool
    low_from_base: bool


def asked_of(
    host: HostMap, igvm: Igvm | None, image: Image | None, options: Options
) -> tuple[Asked, tuple[str, ...]]:
    """All that decides what becomes of the map, and notes on where it is from.

    Raises: FormatError where the map has more entries than are looked at.
    """
    entries = host.entries or ()
    if len(entries) > MAX_ENTRIES:
        what = f"the map has {len(entries)} entries, a page has room for 170"
        raise FormatError(f"{host.place}: {what}; give a map of at most {MAX_ENTRIES}")
    notes: list[str] = []
    mask = _mask(igvm, notes)
    kernel = options.kernel or _kernel(igvm, mask, notes)
    area = options.area or (image.map_area if image else None) or MAP_AREA
    excluded = [FIRST_MIB, *_loaded(igvm, mask, kernel), *_of_image(image)]
    excluded += [_pages(*area), _pages(LAUNCH_VMSA, PAGE_BYTES)]
    excluded += [_pages(*one) for one in options.excluded]
    for place in igvm.maps if igvm else ():
        if len(entries) > place.capacity:
            what = f"{place.capacity} entries fit where the file places the map"
            notes.append(f"WRONG: {what}, the host has {len(entries)}: a loader cannot launch it")
    asked = Asked(
        write_area(entries, max(PAGE_BYTES, (len(entries) + 1) * ENTRY_BYTES)),
        kernel,
        (*area, options.prevalidated),
        1 << (options.limit_bits - 12),
        options.cap_pages,
        _low_pages(image) if options.low_pages is None else options.low_pages,
        Version(
            image is None or image.map_area is not None,
            options.checks_first,
            options.low_from_base,
        ),
        options.tracks,
        options.with_terminator,
        tuple(sorted(set(excluded))),
    )
    return asked, tuple(notes)


def _mask(igvm: Igvm | None, notes: list[str]) -> int:
    """The platform of the file that is looked at."""
    if igvm is None or not igvm.platforms:
        return 0xFFFFFFFF
    by_kind = {platform.kind: platform for platform in igvm.platforms}
    kind = next((kind for kind in PREFERRED if kind in by_kind), igvm.platforms[0].kind)
    notes.append(f"the file is looked at as for {PLATFORMS.get(kind, f'platform {kind}')}")
    return by_kind[kind].mask


def _kernel(igvm: Igvm | None, mask: int, notes: list[str]) -> tuple[int, int, int]:
    """The largest memory that the file requires, or where the kernel is under QEMU."""
    required = [one for one in (igvm.required if igvm else ()) if one.mask & mask]
    if required:
        found = max(required, key=lambda one: one.bytes)
        base, size = found.gpa, found.bytes
        notes.append(f"kernel: {base:#x}, {size:#x} bytes, as the file requires them")
    else:
        base, size = KERNEL
        notes.append(f"kernel: {base:#x}, {size:#x} bytes, where it is under QEMU; see --kernel")
    return base // PAGE_BYTES, size // PAGE_BYTES, size // PAGE_BYTES


def _loaded(igvm: Igvm | None, mask: int, kernel: tuple[int, int, int]) -> list[tuple[int, int]]:
    """What the file loads outside the kernel's greatest reach."""
    first, stop = kernel[0], kernel[0] + kernel[2]
    loaded = [one for one in (igvm.pages if igvm else ()) if one.mask & mask]
    found = [_pages(one.first, one.stop - one.first) for one in loaded]
    outside = [part for a, b in found for part in ((a, min(b, first)), (max(a, stop), b))]
    return [part for part in outside if part[0] < part[1]]


def _of_image(image: Image | None) -> list[tuple[int, int]]:
    """The image itself and the memory that it wants, or OVMF's working memory."""
    if image is None:
        return [_pages(*WORKING_MEMORY)]
    wanted = [(one.base, one.size) for one in image.sev or () if one.size]
    # Sections of IGVM metadata below 0x200 but the area itself lie inside the area.
    wanted += [(one.base, one.size) for one in image.igvm or () if one.kind in (0x100, 0x200)]
    return [_pages(*one) for one in ((image.start, image.size), *(wanted or [WORKING_MEMORY]))]


def _low_pages(image: Image | None) -> int:
    """What low memory has to hold: the memory that the image wants, or OVMF's own."""
    ends = [one.base + one.size for one in (image.sev or () if image else ())]
    return -(-max([LOW_BYTES, *(end for end in ends if end < 1 << 30)]) // PAGE_BYTES)


def _pages(address: int, size: int) -> tuple[int, int]:
    return address // PAGE_BYTES, -(-(address + size) // PAGE_BYTES)
