"""What `docs/your-implementation.md` says to write is written, built and run beside the rules."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.adapters import cargo, found, skeleton
from conformance.adapters.bulk import Bulk, drawing, run_sheet
from conformance.doors import doors
from conformance.trace import judge
from spec.catalogue import rules

RULE = "validation.bitmap.claim_4k"
PAGE = Path(__file__).parents[3] / "docs" / "your-implementation.md"
LANGUAGES = {
    "rust": (
        "mine/src/lib.rs",
        ("\n}\n\nsvsm_conformance::export", "    bitmap: Mine {"),
        ["rust-debug:mine", "rust-release:mine"],
    ),
    "c": (
        "mine/mine.c",
        ("\n/* The rules that are claimed", "    NULL,\n", "    .observe = observe,\n"),
        ["c:mine/mine.so"],
    ),
    "python": (
        "mine/__init__.py",
        (
            '        raise NotImplementedError(f"{rule} is claimed, but nothing does it")\n',
            "    claims: frozenset[str] = frozenset()\n",
        ),
        ["mine:Mine"],
    ),
}
"""For each language the file, what marks the places of the page's blocks, and the devices."""


def written(language, text, places, blocks):
    assert len(places) == len(blocks)
    for place, block in zip(places, blocks, strict=True):
        assert text.count(place) == 1, place
        if language == "python":
            text = text.replace(place, block)
        elif block.strip().startswith("bitmap:"):
            text = re.sub(
                r"    bitmap: Mine \{.*?\n    \},\n", lambda _m, b=block: b, text, flags=re.S
            )
        else:
            text = text.replace(
                place, f"\n{block}{place}" if place.startswith("\n") else block + place
            )
    return text


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_page_says_conforms(language, tmp_path, monkeypatch):
    if language == "rust" and shutil.which("cargo") is None:
        pytest.skip("there is no cargo here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path / "target"))
    cargo.built.cache_clear()
    found.greeting.cache_clear()
    file, places, devices = LANGUAGES[language]
    skeleton.write(language, Path("mine"))
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    path = Path(file)
    path.write_text(written(language, path.read_text(), places, blocks))
    if language == "c":
        subprocess.run(["make", "-C", "mine"], check=True, capture_output=True)
    for spec in devices:
        device = found.record(spec)
        assert device.claims == {RULE}
        result = Bulk()
        run_sheet(device, drawing([rules()[RULE]], device)(0, 0), result)
        assert result.parted is None
        assert result.steps > 0
        for door in doors(device.policy, frozenset((RULE,))):
            assert judge(door.start, [(door.rule, door.op)], device) is None
        device.link.end()
    found.greeting.cache_clear()
