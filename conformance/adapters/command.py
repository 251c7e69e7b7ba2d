"""The command `adapter`: a skeleton of one, and whether one hides what its device does."""

from pathlib import Path
from typing import Any, Literal

from cyclopts import App
from rich.table import Table

from conformance.adapters import crooked, found, skeleton
from conformance.console import meter, stderr, stdout

Language = Literal["rust", "c", "python"]
CHECKED = ("bitmap", "runs", "handoff")
"""The groups whose steps can be bent."""

adapter = App(
    name="adapter",
    help="Your own implementation beside the rules: begin one, and check that it hides nothing.",
    help_format="plaintext",
)


@adapter.command
def new(name: Path, *, lang: Language) -> int:
    """Write a skeleton that builds, and that is told "nothing was compared" as it claims nothing.

    Parameters
    ----------
    name
        The directory to write it into, which gives it its name.
    lang
        The language: rust, c or python.
    """
    try:
        made = skeleton.write(lang, name)
    except skeleton.NoSkeleton as error:
        stderr().print(f"svsm-conformance: {error}", markup=False, style="red")
        return 2
    out = stdout()
    for path in made.files:
        out.print(f"wrote {path}", markup=False)
    run = f"svsm-conformance conform --device {made.device}"
    out.print(f"next: {made.build + ' && ' if made.build else ''}{run}", markup=False)
    return 0


@adapter.command
def check(device: str) -> int:
    """See whether wrong steps of a device would show: some are made wrong on their way.

    Parameters
    ----------
    device
        What to check, as conform takes it: rust:DIR, c:LIB.so, program:'COMMAND', MODULE:CLASS.
    """
    if not found.is_foreign(device):
        stderr().print(f"svsm-conformance: {device}: is built in, and has no adapter", style="red")
        return 2
    specs, codes = found.specs(device), list[int]()
    lost = [spec for spec in specs if found.group(spec) not in CHECKED]
    if lost:
        stderr().print(f"svsm-conformance: {lost[0]}: only {', '.join(CHECKED)} can be checked yet")
        return 2
    for spec in specs:
        looked = _looked(spec)
        _show(spec, looked)
        codes.append(_code(looked))
    return max(codes, key=(0, 3, 1, 4).index)


def _looked(spec: str) -> list[crooked.Looked]:
    looked: list[crooked.Looked] = []
    group = found.group(spec)
    made: Any = found.handoff(spec) if group == "handoff" else found.record(spec)
    looks = crooked.look_at_stages if group == "handoff" else crooked.look
    try:
        with meter("adapter check") as shown:
            for one in looks(made):
                looked.append(one)
                shown.step(one.rule)
    finally:
        made.link.end()
    return looked


def _code(looked: list[crooked.Looked]) -> int:
    results = {one.result for one in looked}
    if crooked.HIDDEN in results:
        return 4
    if crooked.DIFFERS in results:
        return 1
    return 0 if crooked.SEEN in results else 3


SAYS = {
    0: "every step that was made wrong was seen: the adapter hides nothing of it",
    1: "the device differs from the rules as it is; see svsm-conformance conform",
    3: "it claims nothing yet: nothing was compared",
    4: "a step that was made wrong was NOT seen: the adapter hides what the device does",
}


def _show(spec: str, looked: list[crooked.Looked]) -> None:
    out = stdout()
    if looked:
        bent = list(dict.fromkeys(one.bent for one in looked))
        table = Table("rule", *(f"wrong {word}" for word in bent), title=spec, title_justify="left")
        for rule in dict.fromkeys(one.rule for one in looked):
            by = {one.bent: one.result for one in looked if one.rule == rule}
            table.add_row(rule, *(by[word] for word in bent))
        out.print(table)
    out.print(f"{spec}: {SAYS[_code(looked)]}", markup=False)
