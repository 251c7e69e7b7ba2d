"""`svsm-conformance handoff`: what it draws, what it says, and how it exits."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance import cli
from conformance.formats import area, e820, host, igvm_write, ovmf, text
from conformance.formats.area import MapEntry
from conformance.handoff import builtin, command, plan, reasons
from conformance.memmap import Entry
from spec.handoff.words import Answer

MAPS = Path(host.__file__).parents[1] / "data" / "maps"
Q35 = str(MAPS / "q35-24g.e820")
IGVM = (
    ovmf.Section(0x812000, 0x1000, ovmf.PARAMETER_AREA),
    ovmf.Section(0, 192, ovmf.MEMORY_MAP),
)
Run = Callable[..., tuple[int, str, str]]


def returned(tokens: list[str]) -> int:
    """What the command returns, or the code with which the application leaves."""
    try:
        return int(cli.app(tokens, exit_on_error=False, print_error=False) or 0)
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def made(*words: object) -> tuple[int, str, str]:
        tokens = ["handoff", *map(str, words)]
        code = cli.call(lambda: returned(tokens))
        said = capsys.readouterr()
        assert all(len(line) <= 100 for line in said.out.splitlines())
        return code, " ".join(said.out.split()), said.err

    return made


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_map_of_qemu_is_well_and_the_picture_shows_what_is_kept(run: Run) -> None:
    code, out, _ = run(Q35)
    assert code == 0
    assert "kernel: 0x8000000-0x8ffffff (16 MiB)" in out
    assert "bitmaps: 0x67fe00000-0x67fffffff (2 MiB)" in out
    assert "guest: 0x9000000-0x7fffffff" in out
    assert "well: OVMF sees what was meant; 3 of 8 entries used" in out


@pytest.mark.parametrize("name", sorted(path.name for path in MAPS.glob("*.e820")))
def test_every_map_of_qemu_is_told_of(run: Run, name: str) -> None:
    code, out, _ = run(MAPS / name)
    assert code == 0, out
    assert "well: " in out


def test_this_machine_is_what_is_shown_without_a_source(run: Run) -> None:
    code, out, _ = run("--json", "/dev/null")
    assert code in (0, 1)
    assert "map: " in out


FORMS = {
    "text": text.write_plain((Entry(0, 2 << 30, "System RAM"),)).encode(),
    "print": text.write_e820_print((Entry(0, 2 << 30, "System RAM"),)).encode(),
    "e820": e820.write_e820((Entry(0, 2 << 30, "System RAM"),)),
    "area": area.write_area((MapEntry(0, 2 << 18),)),
    "igvm": igvm_write.write_igvm(igvm_write.svsm_draft((MapEntry(0, 2 << 18),))),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_one_map_is_answered_alike(run: Run, tmp_path: Path, form: str) -> None:
    code, out, _ = run(put(tmp_path / "map", FORMS[form]))
    assert code == 0
    assert "bitmaps: 0x7fe00000-0x7fffffff" in out
    assert "guest: 0x9000000-0x7fdfffff" in out


# What would go wrong


def test_image_that_takes_no_map_would_use_what_is_the_svsms(run: Run, tmp_path: Path) -> None:
    image = put(tmp_path / "old.fd", ovmf.write_image((ovmf.Section(0x800000, 0x9000, 1),)))
    code, out, _ = run(Q35, "--firmware", image)
    assert code == 1
    assert "takes NO map" in out
    assert "asks QEMU, which knows nothing of what the SVSM took" in out
    assert "would use 0x8000000-0x8ffffff (16 MiB), which is the SVSM's kernel" in out
    assert "would use 0x67fe00000-0x67fffffff (2 MiB), which is the bitmaps' region" in out


def test_image_that_takes_a_map_says_how_many_entries(run: Run, tmp_path: Path) -> None:
    image = put(tmp_path / "new.fd", ovmf.write_image((), IGVM))
    code, out, _ = run(Q35, "--firmware", image)
    assert code == 0
    assert "takes a map of 8 entries (192 bytes at 0x812000)" in out


def test_image_with_too_few_entries_is_refused(run: Run, tmp_path: Path) -> None:
    few = (IGVM[0], ovmf.Section(0, 72, ovmf.MEMORY_MAP))
    code, out, _ = run(Q35, "--firmware", put(tmp_path / "few.fd", ovmf.write_image((), few)))
    assert code == 1
    assert "REFUSED at write: TOO_MANY" in out


def test_image_that_takes_low_memory_as_one_block_would_use_the_kernel(run: Run) -> None:
    code, out, _ = run(Q35, "--no-low-from-base")
    assert code == 1
    assert "WRONG: OVMF would use 0x8000000-0x8ffffff (16 MiB), which is the SVSM's kernel" in out


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["--limit", "30"], "REFUSED at read: ABOVE_LIMIT"),
        (["--cap", "1G"], "REFUSED at size: OVER_CAP"),
        (["--kernel", "0x8000000:0"], "REFUSED at reserve: BAD_KERNEL_BOUNDS"),
        (["--kernel", "3G:16M"], "REFUSED at reserve: KERNEL_OUTSIDE"),
        (["--kernel", "0:16M"], "REFUSED at reserve: KERNEL_MEETS_EXCLUDED"),
        (["--exclude", "1M:4T"], "REFUSED at reserve: KERNEL_MEETS_EXCLUDED"),
        (["--exclude", "1M:127M", "144M:4T"], "REFUSED at reserve: NO_ROOM"),
        (["--low-memory", "256M"], "REFUSED at carve: NO_LOW_MEMORY"),
        (["--area", "0x812004:192"], "REFUSED at write: MISALIGNED"),
        (["--area", "0x8000000:192"], "REFUSED at reserve: KERNEL_MEETS_EXCLUDED"),
        (["--area", "0xf0000000:192"], "REFUSED at write: AREA_OUTSIDE"),
        (["--area", "0x812000:72"], "REFUSED at write: TOO_MANY"),
    ],
)
def test_refusal_is_told_by_stage_and_reason(run: Run, words: list[str], refusal: str) -> None:
    code, out, _ = run(Q35, *words)
    assert code == 1
    assert refusal in out


def test_without_a_terminator_one_entry_more_fits(run: Run) -> None:
    assert run(Q35, "--area", "0x812000:72", "--no-terminator")[0] == 0


def test_without_tracking_no_region_is_taken(run: Run) -> None:
    code, out, _ = run(Q35, "--no-track", "--cap", "1G")
    assert code == 0
    assert "bitmaps: " not in out


def test_igvm_map_with_too_little_room_cannot_be_launched(run: Run, tmp_path: Path) -> None:
    draft = igvm_write.Draft(
        (
            igvm_write.SNP,
            igvm_write.ParameterArea(4096, 0, 0),
            igvm_write.parameter(0x30C, 0, 4096 - 24),
        )
    )
    file = put(tmp_path / "file", igvm_write.write_igvm(draft))
    code, out, _ = run(file, "--host", Q35)
    assert code == 1
    assert "WRONG: 1 entries fit where the file places the map, the host has 3" in out


def test_igvm_file_without_a_map_takes_the_hosts(run: Run, tmp_path: Path) -> None:
    file = put(tmp_path / "file", igvm_write.write_igvm(igvm_write.svsm_draft(())))
    code, out, _ = run(file, "--host", Q35)
    assert code == 0
    assert "its map is the loader's: as named by --host" in out
    assert "as the file requires them" in out
    assert run(Q35, "--host", file)[0] == 2


def test_isa_hole_is_filled_or_kept(run: Run, tmp_path: Path) -> None:
    pc = put(
        tmp_path / "pc", b"0x0 0x9fbff usable\n0x9fc00 0xfffff x\n0x100000 0x3fffffff usable\n"
    )
    assert run(pc)[0] == 0
    code, out, _ = run(pc, "--isa-hole")
    assert code == 1
    assert "NO_LOW_MEMORY" in out


def test_implementation_that_answers_otherwise_is_told_loudly(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(builtin.Builtin):
        def size(self, *words: object) -> tuple[str, object]:
            name, (tracked, bitmaps) = super().size(*words)
            return name, (tracked + 1, bitmaps)

    right = builtin.device()
    other = Other(right._modules, builtin.import_module("impl.kernels").load("auto"), "other")
    monkeypatch.setattr(command, "device", lambda: other)
    code, out, _ = run(Q35)
    assert code == 1
    assert "DISAGREE: size: " in out


# What is written, and what is not read


def test_svg_is_a_picture_of_every_row(run: Run, tmp_path: Path) -> None:
    run(Q35, "--svg", tmp_path / "map.svg", "--no-low-from-base")
    root = ElementTree.parse(tmp_path / "map.svg").getroot()
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    for label in ("host", "excluded", "SVSM", "guest map", "OVMF RAM", "kernel", "not meant"):
        assert label in texts
    said = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "0x8000000-0x8ffffff kernel" in said
    assert "0x8000000-0x8ffffff not meant" in said


def test_json_has_every_figure(run: Run, tmp_path: Path) -> None:
    run(Q35, "--json", tmp_path / "map.json")
    found = json.loads((tmp_path / "map.json").read_bytes())
    assert found["plan"]["well"] is True
    assert found["plan"]["kernel"] == [0x8000, 0x9000]
    assert found["plan"]["region"] == [0x67FE00, 0x680000]
    assert found["plan"]["guest"] == [[0, 0x8000], [0x9000, 0x80000], [0x100000, 0x67FE00]]
    assert found["plan"]["ram"][0] == [0, 160]


def test_terminal_without_blocks_gets_plain_ascii(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(sys.stdout), "encoding", "ascii", raising=False)
    assert run(Q35)[1].isascii()


@pytest.mark.parametrize(
    "words",
    [
        ["/nonexistent"],
        [Q35, "--firmware", "/nonexistent"],
        [Q35, "--firmware", Q35],
        [Q35, "--kernel", "1"],
        [Q35, "--kernel", "1:2"],
        [Q35, "--area", "1:2:3"],
        [Q35, "--cap", "many"],
        [Q35, "--cap", "9999999T"],
        [Q35, "--limit", "53"],
        [Q35, "--low-memory", "-1"],
        [Q35, "--form", "text"],
        [Q35, "--form", "nothing"],
        [Q35, "--svg", "/proc/nowhere/map.svg"],
    ],
)
def test_what_cannot_be_read_is_one_line_and_2(run: Run, words: list[str]) -> None:
    code, _, err = run(*words)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("svsm-conformance: ")


def test_every_refusal_has_its_reason_for_people() -> None:
    told = {answer.name for answer in Answer} - {"OK", "NOT_TAKEN"}
    assert set(reasons.REASONS) == told


def test_strangers_are_the_pages_of_one_of_the_two() -> None:
    found = plan._strangers(((0, 5), (7, 9)), ((0, 3), (4, 8)))
    assert found == (
        plan.Stranger(3, 4, True),
        plan.Stranger(5, 7, False),
        plan.Stranger(8, 9, True),
    )
