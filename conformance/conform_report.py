"""What `conform` found, as tables, as JSON and as an exit code."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from conformance.console import table
from conformance.picture import describe, strip
from conformance.protocol.machines import every_rule
from conformance.protocol.picture import describe as of_svsm
from conformance.trace import Finding
from spec.catalogue import rules

SCHEMA = "svsm-conformance/conform/1"


class RuleRow(msgspec.Struct, frozen=True):
    """How often a rule was tried, by what, and how often each of its cases was reached."""

    rule: str
    vectors: int
    walks: int
    batches: int
    reached: dict[str, int]
    differences: int

    @property
    def unreached(self) -> list[str]:
        """The cases that nothing reached."""
        return [f"{self.rule}.{case}" for case, times in self.reached.items() if not times]


class Difference(msgspec.Struct, frozen=True):
    """A difference, the trace that shows it, and whether a fresh device showed it again."""

    finding: Finding
    made_by: str
    steps: int
    trace: str
    confirmed: bool


class Speed(msgspec.Struct, frozen=True):
    """Checked steps a second on one core, in bulk and one at a time."""

    batch: int
    step_by_step: int


class DeviceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one device; `crash` says how its process died, if it did."""

    device: str
    twin_note: str
    rules: list[RuleRow]
    not_claimed: list[str]
    differences: list[Difference]
    speed: Speed
    crash: str = ""

    @property
    def compared(self) -> int:
        """How many steps were compared."""
        return sum(row.vectors + row.walks + row.batches for row in self.rules)

    @property
    def unreached(self) -> list[str]:
        """The cases that nothing reached."""
        return [case for row in self.rules for case in row.unreached]

    @property
    def verdict(self) -> str:
        """The verdict word."""
        if self.crash:
            return "CRASHES OR HANGS"
        if any(d.finding.field == "fault" for d in self.differences):
            return "FAULTS"
        if self.differences:
            confirmed = any(d.confirmed for d in self.differences)
            return "DIVERGES" if confirmed else "DIVERGES (not seen again)"
        if not self.compared:
            return "NOTHING COMPARED"
        return "CASES NOT REACHED" if self.unreached else "CONFORMS"

    @property
    def exit_code(self) -> int:
        """The exit code that the verdict stands for."""
        words = {
            "CRASHES OR HANGS": 1,
            "FAULTS": 1,
            "DIVERGES": 1,
            "CASES NOT REACHED": 4,
            "CONFORMS": 0,
        }
        return words.get(self.verdict, 3)


class ConformReport(msgspec.Struct, kw_only=True):
    """What was found of every device, and the kill matrix where it was asked for."""

    schema: str = SCHEMA
    profile: str
    seed: int
    only: str
    seconds: float = 0.0
    partial: bool = False
    devices: list[DeviceReport] = []
    kills: list[Any] = []

    @property
    def survivors(self) -> list[str]:
        """The defects that something did not find."""
        return [kill.id for kill in self.kills if not kill.is_killed]

    @property
    def exit_code(self) -> int:
        """The worst device's, or that of a survivor; 3 where no device ran."""
        codes = [device.exit_code for device in self.devices] or [3]
        codes += [4] if self.survivors else []
        return max(codes, key=(0, 3, 4, 1).index)

    def to_json(self) -> bytes:
        """The report as JSON, verdicts and exit code included."""
        plain = msgspec.to_builtins(self)
        for shown, device in zip(plain["devices"], self.devices, strict=True):
            shown |= {"verdict": device.verdict, "unreached": device.unreached}
        plain |= {"survivors": self.survivors, "exit_code": self.exit_code}
        return msgspec.json.format(msgspec.json.encode(plain), indent=1) + b"\n"


def show(found: ConformReport, console: Console, ascii: bool = False) -> None:
    """Print a table for the rules, one for the devices, the kill matrix, and each difference."""
    console.print(_rules_table(found))
    for device in found.devices:
        for case in device.unreached:
            console.print(f"{device.device}: never reached: {case}", markup=False, style="red")
        if device.crash:
            where = "" if device.differences else "; no single step from a vector does it"
            said = f"{device.device}: {device.crash}{where}"
            console.print(said, markup=False, style="bold red")
    console.print(_devices_table(found))
    for device in found.devices:
        for difference in device.differences:
            _show_difference(device, difference, console, ascii)
    if found.kills:
        console.print(_kill_table(found))


def _rules_table(found: ConformReport) -> Any:
    """A row for each rule, over all devices: what tried it, and its cases that were reached."""
    names = [device.device for device in found.devices]
    shown = table(
        f"conform {', '.join(names)}: profile {found.profile}, seed {found.seed}, "
        f"{found.seconds:.1f} s",
        "rule",
        "cases reached",
        "vectors",
        "walk steps",
        "batch steps",
        "differ",
        right="cases reached|vectors|walk steps|batch steps|differ",
    )
    shown.columns[0].no_wrap = True
    for rule in sorted({row.rule for device in found.devices for row in device.rules}, key=_place):
        rows = [row for device in found.devices for row in device.rules if row.rule == rule]
        least = min(len(row.reached) - len(row.unreached) for row in rows)
        shown.add_row(
            rule,
            f"{least}/{len(rows[0].reached)}",
            f"{sum(row.vectors for row in rows):,}",
            f"{sum(row.walks for row in rows):,}",
            f"{sum(row.batches for row in rows):,}",
            str(sum(row.differences for row in rows)),
        )
    for device in found.devices:
        for rule in device.not_claimed:
            shown.add_row(rule, "not claimed", f"by {device.device}", "", "", "", style="dim")
    return shown


def _place(rule: str) -> int:
    return [*rules(), *every_rule()].index(rule)


def _devices_table(found: ConformReport) -> Any:
    shown = table(
        "devices",
        "device",
        "verdict",
        "steps compared",
        "in bulk, steps/s",
        "one by one, steps/s",
        right="steps compared|in bulk, steps/s|one by one, steps/s",
    )
    for device in found.devices:
        good = device.verdict == "CONFORMS"
        shown.add_row(
            device.device,
            Text(device.verdict, style="green" if good else "bold red"),
            f"{device.compared:,}",
            f"{device.speed.batch:,}",
            f"{device.speed.step_by_step:,}",
        )
    return shown


def _kill_table(found: ConformReport) -> Any:
    killed = len(found.kills) - len(found.survivors)
    shown = table(
        f"kill matrix: {killed} of {len(found.kills)} known-bad variants found by all three",
        "defect",
        "prove",
        "conform",
        "vectors",
    )
    for kill in found.kills:
        style = "" if kill.is_killed else "bold red"
        shown.add_row(kill.id, *map(_kill_mark, kill.marks()), style=style)
    shown.caption = "what each is: svsm-conformance explain DEFECT"
    return shown


def _kill_mark(mark: tuple[bool, float]) -> str:
    found, seconds = mark
    return f"found, {seconds:.2f} s" if found else "SURVIVED"


def _show_difference(
    device: DeviceReport, difference: Difference, console: Console, ascii: bool
) -> None:
    again = "seen again on a fresh device" if difference.confirmed else "NOT seen again"
    console.print(
        f"\n{device.device} differs, found by {difference.made_by}, "
        f"{difference.steps} step(s), {again}",
        markup=False,
        style="bold red",
    )
    if difference.finding.rule in every_rule():
        console.print(of_svsm(difference.finding, Path(difference.trace)), markup=False)
        return
    console.print(describe(difference.finding, Path(difference.trace)), markup=False)
    console.print(strip(difference.finding, ascii=ascii), markup=False)
