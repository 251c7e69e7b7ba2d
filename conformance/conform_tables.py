"""What `conform` found, as tables and in words."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from conformance.areas import area_with, rule_ids
from conformance.conform_report import ConformReport, DeviceReport, Difference
from conformance.console import table
from conformance.picture import describe, strip
from spec.catalogue import rules


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
        if device.speed.judged:
            said = f"{device.speed.judged}: {device.device}"
            console.print(said, markup=False, style="dim", no_wrap=True, overflow="ellipsis")
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
    for rule in dict.fromkeys(rule for device in found.devices for rule in device.not_claimed):
        by = [device.device for device in found.devices if rule in device.not_claimed]
        who = "" if len(by) == len(names) else f"by {', '.join(by)}"
        shown.add_row(rule, "not claimed", who, "", "", "", style="dim")
    return shown


def _place(rule: str) -> int:
    return [*rules(), *rule_ids()].index(rule)


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
            _figure(device.speed.batch),
            _figure(device.speed.step_by_step),
        )
    return shown


def _figure(rate: int) -> str:
    """A rate, or a dash where nothing was run in that way."""
    return f"{rate:,}" if rate else "-"


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
    area, path = area_with(difference.finding.rule), Path(difference.trace)
    if area is not None:
        console.print(area.describe(difference.finding, path), markup=False)
        console.print(area.strip(difference.finding, ascii), markup=False)
        return
    console.print(describe(difference.finding, path), markup=False)
    console.print(strip(difference.finding, ascii=ascii), markup=False)
