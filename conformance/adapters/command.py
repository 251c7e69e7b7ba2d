"""The command `adapter`: a skeleton of one, and whether one hides what its device does."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from cyclopts import App
from rich.table import Table

from conformance.adapters import (
    crooked,
    crooked_handoff,
    crooked_mmio,
    crooked_protocol,
    crooked_record,
    found,
    skeleton,
)
from conformance.adapters.link import GivenUp
from conformance.console import meter, stderr, stdout
from conformance.device import DeviceError

Language = Literal["rust", "c", "python"]
Look = Callable[[Any], Iterator[crooked.Looked]]
"""Bends what passes a device of one group."""
LOOKS: Mapping[str, tuple[Callable[[str], Any], Look]] = {
    "bitmap": (found.record, crooked_record.look),
    "runs": (found.record, crooked_record.look),
    "handoff": (found.handoff, crooked_handoff.look),
    "mmio": (found.mmio, crooked_mmio.look),
    "protocol": (found.svsm, crooked_protocol.look),
}
"""How a device of each group is started, and what bends it."""

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
    for spec in specs:
        looked = _looked(spec)
        _show(spec, looked)
        codes.append(_code(looked))
    return max(codes, key=(0, 3, 1, 4).index)


def _looked(spec: str) -> list[crooked.Looked]:
    looked: list[crooked.Looked] = []
    start, look = LOOKS[found.group(spec)]
    made = start(spec)
    try:
        with meter("adapter check") as shown:
            for one in look(made):
                looked.append(one)
                shown.step(one.rule)
    except GivenUp as end:
        raise DeviceError(str(end)) from end
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


RESULTS = (crooked.HIDDEN, crooked.DIFFERS, crooked.SEEN, crooked.NOT_TRIED)
"""In the order in which they are shown."""
SAYS = {
    0: "every step that was made wrong was seen: the adapter hides nothing of it",
    1: "the device differs from the rules as it is; see svsm-conformance conform",
    3: "it claims nothing yet: nothing was compared",
    4: "a step that was made wrong was NOT seen: it is hidden, or the device does not heed it",
}


def _show(spec: str, looked: list[crooked.Looked]) -> None:
    out = stdout()
    if looked:
        results = [one for one in RESULTS if one in {two.result for two in looked}]
        table = Table(title=f"{spec}: what was made wrong", title_justify="left")
        table.add_column("rule", no_wrap=True)
        for result in results:
            table.add_column(result)
        for rule in dict.fromkeys(one.rule for one in looked):
            mine = [one for one in looked if one.rule == rule]
            table.add_row(rule, *(_listed(mine, result) for result in results))
        out.print(table)
    for one in looked:
        if one.case:
            out.print(f"{one.rule}.{one.case}: wrong {one.bent} was not seen", markup=False)
    out.print(f"{spec}: {SAYS[_code(looked)]}", markup=False)


def _listed(mine: list[crooked.Looked], result: str) -> str:
    """What came to a result, of all that was made wrong of a rule."""
    found = [one.bent for one in mine if one.result == result]
    return "all" if len(found) == len(mine) else ", ".join(found)
