"""`svsm-conformance handoff`: what becomes of a machine's map, drawn and told."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from conformance.console import stdout
from conformance.files import write_atomically
from conformance.formats.area import PAGE_BYTES
from conformance.formats.host import Form, HostMap, read_host_map, without_isa_hole
from conformance.formats.ovmf import NAMES, Image, read_image
from conformance.formats.source import FormatError, opened
from conformance.handoff import sizes
from conformance.handoff.asking import Options, asked_of
from conformance.handoff.builtin import device
from conformance.handoff.figures import Figures, figures, rows
from conformance.handoff.map_picture import strip
from conformance.handoff.map_picture import svg as draw_svg
from conformance.handoff.plan import Asked, Plan, follow
from conformance.handoff.reasons import REASONS

LIMIT_BITS = 51
COLUMNS = 100
MOST_SHOWN = 24


def handoff(
    source: Path | None = None,
    *,
    form: Form = "auto",
    host: Path | None = None,
    kernel: str | None = None,
    track: bool = True,
    firmware: Path | None = None,
    area: str | None = None,
    prevalidated: bool = True,
    cap: str = "1T",
    limit: int = LIMIT_BITS,
    low_memory: str | None = None,
    exclude: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    terminator: bool = True,
    checks_first: bool = True,
    low_from_base: bool = True,
    isa_hole: bool = False,
    svg: Path | None = None,
    json: Path | None = None,
) -> int:
    """Show a memory map before the SVSM takes its part, what it takes, and what OVMF will see.

    Exit: 0 all is well; 1 the handoff is refused, or OVMF would see something else than was meant;
    2 a file cannot be read.

    Parameters
    ----------
    source
        An IGVM file, an e820 text, a fw_cfg etc/e820 blob, an IGVM map area, or a directory in the
        form of /sys/firmware/memmap; without it, this machine.
    form
        What the source is, where that cannot be told from its bytes.
    host
        The host's map, where the source is an IGVM file that leaves it to its loader.
    kernel
        BASE:SIZE, or BASE:LEAST:GREATEST, which the host may choose between.
    track
        Reserve room for the validation bitmaps.
    firmware
        An OVMF image: whether it takes a map at all, where, and how many entries.
    area
        ADDRESS:SIZE of the guest's map, in place of the image's.
    prevalidated
        Whether that area's pages are validated before.
    cap
        The most memory that may be tracked, such as 1T.
    limit
        Address bits: the least of the PA width, the C-bit's position and the vTOM bit's.
    low_memory
        How much memory the firmware needs from address 0 on; 0 asks for none.
    exclude
        ADDRESS:SIZE that neither kernel nor bitmaps may meet, besides those that are known.
    terminator
        Ask for an entry that ends the guest's map.
    checks_first
        The image is one that tests the map's first entry (newer ones do).
    low_from_base
        The image is one that takes low memory from the entry at address 0 (newer ones do).
    isa_hole
        Keep a PC's hole below 1 MiB, where the source has it; else RAM is taken to be there.
    svg
        Draw the picture into this file.
    json
        Write all figures to this file.
    """
    if not 20 <= limit <= 52:
        raise FormatError(f"--limit {limit}: no number of address bits; write 20 to 52")
    options = Options(
        None if kernel is None else sizes.kernel("--kernel", kernel),
        None if area is None else sizes.span("--area", area),
        prevalidated,
        limit,
        sizes.pages("--cap", cap),
        None if low_memory is None else sizes.pages("--low-memory", low_memory),
        track,
        terminator,
        tuple(sizes.span("--exclude", one) for one in exclude or ()),
        checks_first,
        low_from_base,
    )
    found = read_host_map(source, form)
    igvm, image = found.igvm, _image(firmware)
    if host is not None or found.entries is None:
        found = _of_loader(found, host)
    if not isa_hole:
        found = without_isa_hole(found)
    asked, notes = asked_of(found, igvm, image, options)
    plan = follow(asked, device())
    words = verdict(plan, asked, image)
    said = (*found.notes, *notes, *words)
    told = figures((found.place, found.form), found.entries or (), asked, plan, said, image)
    _show(stdout(), found, (*found.notes, *notes), told, words)
    wrong = not plan.is_well or any(note.startswith("WRONG") for note in notes)
    if svg is not None:
        write_atomically(svg, draw_svg(rows(told), f"{found.place} ({found.form})", words).encode())
    if json is not None:
        write_atomically(json, told.to_json())
    return int(wrong)


def _image(path: Path | None) -> Image | None:
    if path is None:
        return None
    with opened(path) as source:
        return read_image(source)


def _of_loader(found: HostMap, host: Path | None) -> HostMap:
    """The map that a loader would give to an IGVM file: the one named, or this machine's."""
    given = read_host_map(host)
    if given.entries is None:
        raise FormatError(
            f"{given.place}: at 0x0: holds no map either; give the host's, --host MAP"
        )
    note = f"{found.place}: {found.form}; its map is the loader's"
    why = "as named by --host" if host else "this machine's is used; see --host"
    notes = (*found.notes, f"{note}: {why}", *given.notes)
    return HostMap(given.place, given.form, given.entries, notes, found.igvm)


def verdict(plan: Plan, asked: Asked, image: Image | None) -> list[str]:
    """What would go wrong and why, or that nothing would."""
    words = [f"DISAGREE: {one}" for one in plan.differing]
    if image is not None:
        words.append(_of_image(image))
    if plan.refused is not None:
        stage, reason = plan.refused
        words.append(f"REFUSED at {stage}: {reason}: {REASONS[reason]}")
        return words
    if not plan.takes_map:
        words.append(
            "OVMF does not take the map and asks QEMU, which knows nothing of what the SVSM took"
        )
    for one in plan.strangers:
        span = f"{_bytes(one.first, one.stop)} ({_amount(one.stop - one.first)})"
        if one.is_taken:
            words.append(f"WRONG: OVMF would use {span}, which is {_owner(one.first, plan)}")
        else:
            words.append(f"WRONG: OVMF would leave {span} unused, which is the guest's")
    if plan.is_well:
        slots = asked.area[1] // 24
        words.append(f"well: OVMF sees what was meant; {len(plan.guest)} of {slots} entries used")
    return words


def _owner(page: int, plan: Plan) -> str:
    """Whose a page is that is not the guest's."""
    if plan.kernel[0] <= page < plan.kernel[1]:
        return "the SVSM's kernel: whichever page of it is touched, the guest stops"
    if plan.region[0] <= page < plan.region[1]:
        return "the bitmaps' region: whichever page of it is touched, the guest stops"
    return "no memory that the host gave"


def _of_image(image: Image) -> str:
    if image.map_area is not None:
        address, size = image.map_area
        return (
            f"firmware {image.place}: takes a map of {image.slots} entries ({size} bytes at "
            f"{address:#x})"
        )
    blocks = ", ".join(NAMES.get(guid, str(guid)) for guid in image.blocks) or "no table of GUIDs"
    return f"firmware {image.place}: takes NO map: no memory map in IGVM metadata (has: {blocks})"


def _bytes(first: int, stop: int) -> str:
    return f"{first * PAGE_BYTES:#x}-{stop * PAGE_BYTES - 1:#x}"


def _amount(pages: int) -> str:
    size, unit = pages * PAGE_BYTES, "B"
    for unit, scale in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= scale:
            return f"{size / scale:.4g} {unit}"
    return f"{size} {unit}"


def _show(
    out: Console,
    found: HostMap,
    notes: Sequence[str],
    told: Figures,
    words: Sequence[str],
) -> None:
    """The picture, the figures and the verdict, on the terminal."""

    def say(text: str) -> None:
        out.print(text, markup=False, soft_wrap=False)

    plan, plain = told.plan, "utf" not in (sys.stdout.encoding or "").lower()
    say(f"map: {found.place} ({found.form})")
    for note in notes:
        say(note if note.startswith("WRONG") else f"note: {note}")
    say(strip(rows(told), min(COLUMNS, out.width), ascii=plain))
    if plan.sizes[0]:
        say(f"tracked: {_amount(plan.sizes[0])} in {plan.sizes[1]} pages of bitmaps")
    for name, one in (("kernel", plan.kernel), ("bitmaps", plan.region)):
        if one[1]:
            say(f"{name}: {_bytes(*one)} ({_amount(one[1] - one[0])})")
    for name, listed in (("guest", plan.guest), ("OVMF", plan.ram)):
        for first, stop in listed[:MOST_SHOWN]:
            say(f"{name}: {_bytes(first, stop)} ({_amount(stop - first)})")
        if len(listed) > MOST_SHOWN:
            say(f"{name}: and {len(listed) - MOST_SHOWN} more")
    for text in words:
        say(text)
