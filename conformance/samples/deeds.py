"""What misbehaves on purpose: samples that panic, abort, hang or answer nonsense in one step.

Run as a module it builds each, has it do its deed, and prints what the suite says of it. The exit
code is 4 where it says something else than the catalogue foresees.
"""

import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from conformance.adapters import found
from conformance.adapters.process import Limits
from conformance.handoff.calls import Carve
from conformance.handoff.judge import judge as judge_call
from conformance.samples.build import SOURCES, Workshop
from conformance.trace import Finding, judge
from spec.catalogue import rules
from spec.pages import ListedPages
from spec.prove.variant import changed_text
from spec.validation.bitmap import At, Between, Bitmap

CATALOGUE = "misbehaving.toml"
BASE, PAGES, PAGE = 0x10_0000, 100, 0x1000
DEED_PAGES = 3
FEW = Limits(answer_seconds=3.0, resident=256 << 20)
PLACES = {
    "bitmap-rust": (
        "fn claim_range(&mut self, first: u64, stop: u64) -> Done {\n",
        f"if stop.wrapping_sub(first) == {DEED_PAGES} * PAGE_4K {{ DEED }}\n",
    ),
    "handoff-c": ("    (void)room; /* always enough */\n", "    DEED\n"),
}
"""Behind what text of a sample a deed is put, and how."""


class Deed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sample that does something in one step. says: what is said of it; empty: nothing is."""

    id: str
    sample: str
    title: str
    deed: str
    says: str
    profile: str = "release"

    def text(self) -> str:
        """The source with the deed in it."""
        before, put = PLACES[self.sample]
        text = SOURCES[self.sample].read_text()
        return changed_text(text, before, before + put.replace("DEED", self.deed), self.sample)


@cache
def all_deeds() -> tuple[Deed, ...]:
    """Every deed, in the order of the catalogue."""
    rows = tomllib.loads((files("conformance") / "data" / CATALOGUE).read_text("utf-8"))["deed"]
    return msgspec.convert(rows, tuple[Deed, ...])


def done(deed: Deed, workshop: Workshop) -> tuple[Finding | None, bool]:
    """What is found where a deed is done, and whether the run goes on with the next trace."""
    spec = f"c:{workshop.changed(deed.id, deed.sample, deed.text(), deed.profile)}"
    of_stages = deed.sample.startswith("handoff")
    device: Any = found.handoff(spec) if of_stages else found.record(spec)
    device.link.limits = FEW
    try:
        if of_stages:
            carve = Carve(((0, 8, 0),), (2, 4), (0, 0), 0)
            return judge_call(carve, device, Counter()), True
        start = Bitmap(device.policy, BASE, PAGES, ListedPages())
        named = {rule.name: rule for i, rule in rules().items() if i in device.claims}
        claim = (named["claim_range"], Between(BASE, BASE + DEED_PAGES * PAGE))
        query = (named["query"], At(BASE))
        finding = judge(start, [query, claim, query], device)
        return finding, judge(start, [query], device) is None
    finally:
        device.link.end()


def deeds(chosen: Sequence[Deed], folder: Path) -> Iterator[tuple[Deed, Finding | None, bool]]:
    """Have some deeds done."""
    workshop = Workshop(folder)
    for deed in chosen:
        yield deed, *done(deed, workshop)


def is_as_foreseen(deed: Deed, finding: Finding | None, goes_on: bool) -> bool:
    """Whether what is said of a deed is what the catalogue foresees, and the run goes on."""
    if not deed.says:
        return finding is None and goes_on
    return finding is not None and goes_on and deed.says in finding.got


def main(arguments: Sequence[str]) -> int:
    """Have all deeds done; print what is said of each."""
    from conformance.samples import page

    wrong, rows = 0, ["| deed | build | what the suite says |", "| --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        for deed, finding, goes_on in deeds(all_deeds(), Path(folder)):
            said = "nothing: it agrees" if finding is None else finding.got
            rows.append(f"| {deed.title} | {deed.profile} | {said.replace(folder + '/', '')} |")
            print(rows[-1], file=sys.stderr, flush=True)
            wrong += not is_as_foreseen(deed, finding, goes_on)
    print("\n".join(rows))
    if "--write" in arguments:
        page.write("deeds", "\n".join(rows))
    return 4 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
