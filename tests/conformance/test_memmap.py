"""The memory-map reader takes every form of a real map and refuses the rest in one clear line."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance import memmap
from conformance.memmap import Entry, MemoryMap, MemoryMapError, RamRegion, ram, read, strip

PC = (
    Entry(0x0, 0x9FC00, "System RAM"),
    Entry(0x9FC00, 0x100000, "Reserved"),
    Entry(0x100000, 0xC0000000, "System RAM"),
)
KINDS = ("System RAM", "usable", "Reserved", "ACPI Tables", "Persistent Memory (legacy)", "type 20")


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """A read that hangs fails instead of stopping the run."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the reader hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place that all the examples of one property write to."""
    return tmp_path_factory.mktemp("scratch")


def plain(entry: Entry) -> str:
    return f"{entry.first:#x} {entry.stop - 1:#x} {entry.kind}"


def printed(entry: Entry) -> str:
    return f"[mem {entry.first:#018x}-{entry.stop - 1:#018x}] {entry.kind}"


def put(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def put_directory(path: Path, entries: Sequence[Entry]) -> Path:
    path.mkdir(exist_ok=True)
    for number, entry in enumerate(entries):
        home = path / str(number)
        home.mkdir(exist_ok=True)
        put(home / "start", f"{entry.first:#x}\n")
        put(home / "end", f"{entry.stop - 1:#x}\n")
        put(home / "type", f"{entry.kind}\n")
    return path


def refusal(source: Path) -> str:
    """The message with which `source` is refused; that it is one line with advice is checked."""
    with pytest.raises(MemoryMapError) as caught:
        read(source)
    message = str(caught.value)
    assert message.isprintable()
    assert message.count("; ") >= 1, "says what to do"
    return message


@st.composite
def maps(draw: st.DrawFn, most: int = 12) -> tuple[Entry, ...]:
    """Ascending, disjoint entries anywhere below 2**52, some of them touching."""
    edge = st.one_of(
        st.integers(0, 0x10000),
        st.integers(0, 1 << 52),
        st.integers(0, 1 << 40).map(lambda page: page << 12),
    )
    edges = sorted(draw(st.sets(edge, min_size=2, max_size=2 * most)))
    ranges = [pair for pair in pairwise(edges) if draw(st.booleans())]
    chosen = ranges or [(edges[0], edges[-1])]
    return tuple(Entry(first, stop, draw(st.sampled_from(KINDS))) for first, stop in chosen)


# The forms of a map


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(map(plain, PC)),
        "# a map\r\n\r\n" + "\r\n".join(plain(entry) + "  # why" for entry in PC),
        "\n".join("  " + plain(entry).replace(" ", "\t", 2) for entry in PC),
        "\n".join(map(printed, PC)) + "\n",
        "\n".join("BIOS-e820: " + printed(entry) for entry in PC),
        "\n".join("[    0.000000] BIOS-e820: " + printed(entry) for entry in PC),
        "\n".join("Jan 01 00:00:00 host kernel: BIOS-e820: " + printed(entry) for entry in PC),
        "\n".join(map(printed, PC)) + "\n[gap 0x00000000c0000000-0x00000000fed1ffff]\n",
        "\n".join(plain(entry).replace("0x", "0X000") for entry in PC),
        "\n".join(plain(entry).replace("System RAM", "System  RAM ") for entry in PC),
    ],
    ids=["plain", "crlf", "blanks", "e820", "prefix", "dmesg", "journal", "gap", "zeros", "spaces"],
)
def test_text_form_gives_the_entries(tmp_path: Path, text: str) -> None:
    found = read(put(tmp_path / "map", text))
    assert found == MemoryMap(str(tmp_path / "map"), PC)


def test_directory_entries_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    many = tuple(Entry(page << 12, (page + 1) << 12, f"type {page}") for page in range(12))
    put(put_directory(tmp_path / "map", many) / "README", "not an entry")
    assert read(tmp_path / "map") == MemoryMap(str(tmp_path / "map"), many)


@given(entries=maps(), reverse=st.booleans())
def test_every_form_of_a_map_reads_back(
    scratch: Path, entries: tuple[Entry, ...], reverse: bool
) -> None:
    given = entries[::-1] if reverse else entries
    for write in (plain, printed):
        found = read(put(scratch / "map", "\n".join(map(write, given))))
        assert found.entries == entries
        assert bool(found.notes) == (given != entries)
    shutil.rmtree(scratch / "directory", ignore_errors=True)
    assert read(put_directory(scratch / "directory", given)).entries == entries


# Refusals


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0x10 0xf System RAM", "end 0xf is below start 0x10"),
        ("[mem 0x10-0x0f] usable", "end 0xf is below start 0x10"),
        ("0x10000000000000000 0x1ffffffffffffffff System RAM", "is past 2**64"),
        ("0x0 0x10000000000000000 System RAM", "is past 2**64"),
        ("0x0 0x" + "f" * 3000 + " System RAM", "is past 2**64"),
        ("-0x1 0xfff System RAM", "'-0x1' is negative"),
        ("0x0 -5 System RAM", "'-5' is negative"),
        ("[mem 0x0--0xfff] usable", "'-0xfff' is negative"),
        ("0x0 0xfffg System RAM", "'0xfffg' is not a hexadecimal number"),
        ("0x0 0x System RAM", "'0x' is not a hexadecimal number"),
        ("0x0 4095 System RAM", "'4095' is not a hexadecimal number"),
        ("0x0 0xf_f System RAM", "'0xf_f' is not a hexadecimal number"),
        ("0x0 0x\N{ARABIC-INDIC DIGIT ONE} RAM", "is not a hexadecimal number"),
        ("[mem nonsense-0xfff] usable", "'nonsense' is not a hexadecimal number"),
        ("0x0 0x10000000000000 System RAM", "is past the architectural limit, 2**52"),
        ("0x0 0xffffffffffffffff System RAM", "is past the architectural limit, 2**52"),
        ("0x0 0xfff", "is not an entry"),
        ("0x0", "is not an entry"),
        ("[mem 0x0-0xfff]", "is not an entry"),
        ("e820: update [mem 0x00000000-0x00000fff] usable ==> reserved", "is not an entry"),
        ("System RAM", "is not an entry"),
        ("\x1b[31m", "is not an entry"),
        ("0x0 0xfff \x1b[31mRAM", "is not plain ASCII text"),
        ("0x0 0xfff \N{SNOWMAN}", "is not plain ASCII text"),
        ("0x0 0xfff " + "x" * 5000, "is longer than 4096 characters"),
        ("[mem 0x0" + "-0x0" * 100_000, "is longer than 4096 characters"),
    ],
)
def test_wrong_line_is_refused_by_its_number(tmp_path: Path, line: str, words: str) -> None:
    path = put(tmp_path / "map", f"# comment\n{line}\n0x5000 0x5fff System RAM\n")
    message = refusal(path)
    assert message.startswith(f"{path}:2: ")
    assert words in message


@pytest.mark.parametrize(
    ("line", "number", "words"),
    [
        ("0x4000 0x5000 Reserved", 2, "0x5000-0x5fff overlaps 0x4000-0x5000"),
        ("0x5000 0x5fff Reserved", 2, "0x5000-0x5fff overlaps 0x5000-0x5fff"),
        ("0x5fff 0x6fff Reserved", 1, "0x5fff-0x6fff overlaps 0x5000-0x5fff"),
        ("0x5800 0x5801 Reserved", 1, "0x5800-0x5801 overlaps 0x5000-0x5fff"),
    ],
)
def test_overlap_is_refused_with_both_lines(
    tmp_path: Path, line: str, number: int, words: str
) -> None:
    path = put(tmp_path / "map", f"{line}\n0x5000 0x5fff System RAM\n")
    assert refusal(path).startswith(f"{path}:{number}: {words} of {path}:{3 - number}; ")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no memory-map entry"),
        (b"\n# nothing\n\n", "holds no memory-map entry"),
        (b"[gap 0x0-0xfff]\n", "holds no memory-map entry"),
        (bytes(range(256)), "is not a text file"),
        (b"0x0 0xfff System RAM\n\0", "is not a text file"),
        (b"0x0 0xfff System RAM # \xff\n", "is not a text file"),
        ("0x0 0xfff System RAM\n".encode("utf-16"), "is not a text file"),
    ],
)
def test_file_without_a_map_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = put(tmp_path / "map", data)
    assert refusal(path).startswith(f"{path}: {words}")


def page_lines(count: int) -> str:
    return "".join(f"{page << 12:#x} {(page << 12) + 4095:#x} x\n" for page in range(count))


def test_entries_up_to_the_limit_are_read_and_one_more_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "map", page_lines(memmap.MAX_ENTRIES))
    assert len(read(path).entries) == memmap.MAX_ENTRIES
    put(path, page_lines(memmap.MAX_ENTRIES + 9))
    assert refusal(path).startswith(f"{path}:65537: is past 65536 entries")


def test_directory_past_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_directory(tmp_path / "map", PC)
    monkeypatch.setattr(memmap, "MAX_ENTRIES", 2)
    assert refusal(tmp_path / "map").startswith(f"{tmp_path}/map/2: is past 2 entries")


def test_huge_file_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    path = tmp_path / "map"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(path).startswith(f"{path}: has more than {4 << 20} bytes")


def test_file_at_the_size_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "map", plain(PC[0]))
    monkeypatch.setattr(memmap, "MAX_FILE_BYTES", path.stat().st_size)
    assert read(path).entries == PC[:1]
    monkeypatch.setattr(memmap, "MAX_FILE_BYTES", path.stat().st_size - 1)
    assert "has more than" in refusal(path)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("end", None, "cannot be read (No such file or directory)"),
        ("type", None, "cannot be read (No such file or directory)"),
        ("start", b"", "'' is not a hexadecimal number"),
        ("start", b"12", "'12' is not a hexadecimal number"),
        ("end", b"0x1\n0x2", "is not a hexadecimal number"),
        ("end", b"-0x1", "'-0x1' is negative"),
        ("end", b"0x10000000000000000", "is past 2**64"),
        ("end", b"\xff\xfe", "is not a text file"),
        ("start", b"0x1" + bytes(5000), "has more than 4096 bytes"),
    ],
)
def test_wrong_value_in_a_directory_is_refused_by_its_path(
    tmp_path: Path, name: str, data: bytes | None, words: str
) -> None:
    value = put_directory(tmp_path / "map", PC) / "1" / name
    value.unlink()
    if data is not None:
        put(value, data)
    message = refusal(tmp_path / "map")
    assert message.startswith(f"{value}: ")
    assert words in message


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("type", b"", "type '' is not plain ASCII text"),
        ("end", b"0x9fbff", "end 0x9fbff is below start 0x9fc00"),
        ("end", b"0xfffffffffffff", "overlaps 0x9fc00-0xfffffffffffff of"),
        ("end", b"0xffffffffffffff", "is past the architectural limit"),
    ],
)
def test_wrong_entry_in_a_directory_is_refused_by_its_number(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    put(put_directory(tmp_path / "map", PC) / "1" / name, data)
    message = refusal(tmp_path / "map")
    assert message.startswith((f"{tmp_path}/map/1: ", f"{tmp_path}/map/2: "))
    assert words in message


def test_directory_without_entries_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path}: holds no memory-map entry")
    put(tmp_path / "3", "a file, not a directory")
    assert refusal(tmp_path).startswith(f"{tmp_path}/3/start: cannot be read (Not a directory)")


def test_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    loop, dangling = tmp_path / "loop", tmp_path / "dangling"
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "nothing")
    assert "Too many levels of symbolic links" in refusal(loop)
    assert refusal(dangling).startswith(f"{dangling}: cannot be read (No such file or directory)")
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "0").symlink_to(dangling)
    assert refusal(tmp_path / "map").startswith(f"{tmp_path}/map/0/start: cannot be read")


def test_fifo_and_socket_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo").startswith(f"{tmp_path}/fifo: is not a regular file")
    (put_directory(tmp_path / "map", PC) / "2" / "type").unlink()
    os.mkfifo(tmp_path / "map" / "2" / "type")
    assert refusal(tmp_path / "map").startswith(f"{tmp_path}/map/2/type: is not a regular file")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert refusal(Path("socket")).startswith("socket: is not a regular file")


def test_fifo_that_takes_the_name_of_a_file_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr("stat.S_ISREG", lambda mode: True)
    assert "holds no memory-map entry" in refusal(tmp_path / "fifo")
    holder = os.open(tmp_path / "fifo", os.O_RDWR)
    try:
        assert "holds no memory-map entry" in refusal(tmp_path / "fifo")
    finally:
        os.close(holder)


def test_device_is_refused_and_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr("os.open", lambda *args: opened.append(args))
    assert refusal(Path("/dev/zero")).startswith("/dev/zero: is not a regular file")
    assert not opened


def test_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "map", plain(PC[0]))

    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    assert refusal(path).startswith(f"{path}: cannot be read (Permission denied)")


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="no /proc/self/mem here")
def test_regular_file_that_fails_in_the_middle_is_refused() -> None:
    assert "cannot be read (Input/output error)" in refusal(Path("/proc/self/mem"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_closed_directory_is_refused(tmp_path: Path) -> None:
    closed = put_directory(tmp_path / "map", PC)
    closed.chmod(0)
    try:
        assert "Permission denied" in refusal(closed)
        assert "Permission denied" in refusal(closed / "0")
    finally:
        closed.chmod(0o700)


@pytest.mark.parametrize("name", ["nul\0", "surrogate\ud800", "new\nline", "\x1b[31m", "x" * 5000])
def test_path_that_cannot_be_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    assert "cannot be read" in refusal(tmp_path / name)


# This machine's map and the shipped one


def test_shipped_capture_reads_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memmap, "SYSFS", tmp_path / "absent")
    found = read()
    assert found.source == f"the shipped capture {memmap.CAPTURE}"
    (note,) = found.notes
    assert note.startswith(f"used {found.source}, not this machine's own map: {tmp_path}/absent: ")
    assert "No such file or directory" in note
    regions, _ = ram(found)
    assert sum(region.pages for region in regions) * 4096 == (24 << 30) - 0x100000 + 0x9F000


def test_machine_without_a_usable_map_gets_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memmap, "SYSFS", tmp_path)
    assert "holds no memory-map entry" in read().notes[0]
    (put_directory(tmp_path, PC) / "1" / "end").unlink()
    assert f"{tmp_path}/1/end: cannot be read" in read().notes[0]


def test_own_map_is_preferred_and_a_wrong_one_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memmap, "SYSFS", put_directory(tmp_path, PC[::-1]))
    found = read()
    assert (found.source, found.entries) == (str(tmp_path), PC)
    assert found.notes == (
        f"no source was given: read this machine's own map, {tmp_path}",
        "the entries were not in ascending order: sorted",
    )
    put(tmp_path / "1" / "end", "0x0")
    with pytest.raises(MemoryMapError, match="/1: end 0x0 is below start 0x9fc00"):
        read()


def test_this_machines_map_reads() -> None:
    if not (memmap.SYSFS / "0").is_dir():
        pytest.skip(f"this machine has no {memmap.SYSFS}")
    found = read()
    if found.source != str(memmap.SYSFS):
        pytest.skip(found.notes[0])
    assert ram(found)[0]


# Entries and whole pages


@pytest.mark.parametrize(
    ("first", "stop", "kind"),
    [(-1, 1, "x"), (1, 1, "x"), (2, 1, "x"), (0, (1 << 52) + 1, "x"), (0, 1, ""), (0, 1, "a\nb")],
)
def test_entry_cannot_be_made_wrong(first: int, stop: int, kind: str) -> None:
    with pytest.raises(MemoryMapError):
        Entry(first, stop, kind)


def test_entry_may_end_at_the_architectural_limit() -> None:
    assert Entry((1 << 52) - 1, 1 << 52, "x").stop == 1 << 52


def memory(*ranges: tuple[int, int], kind: str = "System RAM") -> MemoryMap:
    return MemoryMap("test", tuple(Entry(first, stop, kind) for first, stop in ranges))


@pytest.mark.parametrize(
    ("ranges", "regions", "notes"),
    [
        ([(0, 0x2000)], [(0, 2)], []),
        (
            [(0, 0x9FC00)],
            [(0, 0x9F)],
            ["0x0-0x9fbff ends in mid-page: rounded inwards to 0x0-0x9efff (3072 bytes left out)"],
        ),
        (
            [(0x800, 0x3000)],
            [(0x1000, 2)],
            ["0x800-0x2fff starts in mid-page: rounded inwards to 0x1000-0x2fff"
             " (2048 bytes left out)"],
        ),
        (
            [(0xFFF, 0x2001)],
            [(0x1000, 1)],
            ["0xfff-0x2000 starts and ends in mid-page: rounded inwards to 0x1000-0x1fff"
             " (2 bytes left out)"],
        ),
        ([(0x1000, 0x1FFF)], [], ["0x1000-0x1ffe holds no whole page: left out (4095 bytes)"]),
        ([(0x800, 0x1800)], [], ["0x800-0x17ff holds no whole page: left out (4096 bytes)"]),
        (
            [(0, 0x1800), (0x1800, 0x3000), (0x4000, 0x5000)],
            [(0, 3), (0x4000, 1)],
            ["2 RAM entries touch: merged into 0x0-0x2fff"],
        ),
    ],
)  # fmt: skip
def test_ram_is_rounded_inwards_with_a_note(
    ranges: list[tuple[int, int]], regions: list[tuple[int, int]], notes: list[str]
) -> None:
    assert ram(memory(*ranges)) == (tuple(RamRegion(*item) for item in regions), tuple(notes))


@pytest.mark.parametrize("kind", ["System RAM", "usable", "SYSTEM RAM"])
def test_ram_is_known_by_its_kind(kind: str) -> None:
    assert ram(memory((0, 0x1000), kind=kind)) == ((RamRegion(0, 1),), ())


@pytest.mark.parametrize("kind", ["Reserved", "unusable", "Unusable memory", "Persistent Memory"])
def test_other_kinds_are_no_ram(kind: str) -> None:
    assert ram(memory((0, 0x1000), kind=kind)) == ((), ())


@given(
    cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=30),
    kinds=st.lists(st.sampled_from(["usable", "System RAM", "Reserved", ""]), min_size=30),
)
def test_ram_is_exactly_the_pages_of_which_every_byte_is_ram(
    cuts: list[int], kinds: list[str]
) -> None:
    entries, is_ram, first = [], bytearray(), 0
    for length, kind in zip(cuts, kinds, strict=False):
        if kind:
            entries.append(Entry(first, first + length, kind))
        is_ram += bytes([kind in ("usable", "System RAM")]) * length
        first += length
    regions, notes = ram(MemoryMap("test", tuple(entries)))
    pages = [page for page in range(first // 4096) if all(is_ram[page * 4096 : page * 4096 + 4096])]
    found = [item.base // 4096 + index for item in regions for index in range(item.pages)]
    assert found == pages
    assert bool(notes) or sum(is_ram) == 4096 * len(pages)


# The picture


def test_strip_draws_a_map() -> None:
    picture = strip(memory((0, 0x9FC00), (0x100000, 0x40000000)), 40, ascii=True)
    assert picture.splitlines() == [
        "##########.........#####################",
        "0         639K     1M                 1G",
        "# RAM           ~1024M in 2",
        ". hole            385K in 1",
        "(not to scale)",
    ]


@pytest.mark.parametrize("width", [-1, 0, 39, 101])
def test_strip_refuses_a_width_it_cannot_keep(width: int) -> None:
    with pytest.raises(ValueError, match=f"width is {width}: allowed are 40 to 100"):
        strip(memory((0, 0x1000)), width)


@given(entries=maps(most=80), width=st.integers(40, 100), plain_ascii=st.booleans())
def test_strip_keeps_to_its_width_and_shows_each_class(
    entries: tuple[Entry, ...], width: int, plain_ascii: bool
) -> None:
    picture = strip(MemoryMap("test", entries), width, ascii=plain_ascii)
    lines = picture.splitlines()
    assert len(lines[0]) == len(lines[1]) == width
    assert max(map(len, lines)) <= width
    assert picture.isascii() or not plain_ascii
    marks = {line[0] for line in lines[2:-1]}
    assert set(lines[0]) <= marks
    if 2 * len(entries) <= width:
        assert set(lines[0]) == marks


def test_strip_shows_the_smallest_range_beside_the_largest() -> None:
    ranges = memory((0, 1), (1 << 51, 1 << 52)).entries
    lines = strip(MemoryMap("test", (*ranges[:1], Entry(1, 2, "ACPI"), *ranges[1:])), 40)
    assert {"█", "▓", "·"} == set(lines.splitlines()[0])


def test_column_of_several_ranges_shows_the_largest() -> None:
    pairs = [(base << 20, kind) for base in range(100) for kind in ("Reserved", "usable")]
    entries = tuple(
        Entry(base, base + 4096, kind)
        if kind == "Reserved"
        else Entry(base + 4096, base + (1 << 20), kind)
        for base, kind in pairs
    )
    assert strip(MemoryMap("test", entries), 50, ascii=True).startswith("#" * 50 + "\n")


def test_strip_of_nothing_and_of_too_much_stays_small(tmp_path: Path) -> None:
    assert strip(MemoryMap("test", ())).split() == ["0", "(not", "to", "scale)"]
    many = read(put(tmp_path / "map", page_lines(5000)))
    assert max(map(len, strip(many, 100).splitlines())) == 100


# Whatever else may come


def check_total(source: Path) -> None:
    """Reading ends in a map that holds what it promises, or in a refusal of one line."""
    try:
        found = read(source)
    except MemoryMapError as error:
        assert str(error).isprintable()
        return
    assert found.entries
    stops = [0, *(entry.stop for entry in found.entries)]
    assert all(stop <= entry.first for stop, entry in zip(stops, found.entries, strict=False))
    ram(found)
    assert strip(found, 60, ascii=True).isascii()


NUMBERS = st.one_of(
    st.integers(-5, 1 << 66).map(hex),
    st.integers(0, 1 << 16).map(hex),
    st.sampled_from(["0x", "0", "", "-", "0xg", "\N{SUPERSCRIPT TWO}", "0x1 0x2", "0x0-0x1"]),
)
LINES = st.one_of(
    st.builds("{} {} {}".format, NUMBERS, NUMBERS, st.sampled_from([*KINDS, ""])),
    st.builds("BIOS-e820: [mem {}-{}] {}".format, NUMBERS, NUMBERS, st.sampled_from(KINDS)),
    st.text(max_size=40),
)


@given(data=st.one_of(st.binary(), st.lists(LINES).map("\n".join).map(
    lambda text: text.encode(errors="surrogatepass"))))  # fmt: skip
def test_any_file_is_a_map_or_refused(scratch: Path, data: bytes) -> None:
    check_total(put(scratch / "any", data))


@given(values=st.lists(st.tuples(NUMBERS, NUMBERS, st.text(max_size=9)), max_size=3))
def test_any_directory_is_a_map_or_refused(
    scratch: Path, values: list[tuple[str, str, str]]
) -> None:
    home = scratch / "values"
    shutil.rmtree(home, ignore_errors=True)
    for number, texts in enumerate(values):
        (home / str(number)).mkdir(parents=True, exist_ok=True)
        for name, text in zip(("start", "end", "type"), texts, strict=True):
            put(home / str(number) / name, text.encode(errors="surrogatepass"))
    check_total(home)


@given(name=st.text(max_size=30))
def test_any_path_is_a_map_or_refused(scratch: Path, name: str) -> None:
    check_total(scratch / "nowhere" / name)
