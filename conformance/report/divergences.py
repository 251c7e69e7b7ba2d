"""What devices did otherwise than the rules, with pictures, and how to see each again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from conformance.areas import area_with
from conformance.codec import CodecError
from conformance.conform_report import ConformReport, DeviceReport, Difference
from conformance.emit.emit import ALONE
from conformance.handoff.doors import names
from conformance.picture import at_stake
from conformance.report.frames import NoPicture, frames
from conformance.report.parts import Frame, cut
from conformance.trace import Finding
from spec.catalogue import HANDOFF, handoff_rules, rules
from spec.prove.matrix import situation
from spec.prove.world import Symbolic

MOST_CELLS = 6000
"""What all pictures of a page may hold; those after that are told in words."""


@dataclass(frozen=True)
class Shown:
    """A divergence for people. note: what is not shown, and why."""

    device: str
    finding: Finding
    made_by: str
    steps: int
    confirmed: bool
    claim: str
    source: str
    at_stake: tuple[str, ...]
    trace: str
    replay: str
    emit: str
    frames: tuple[Frame, ...]
    note: str


@dataclass(frozen=True)
class Crash:
    """A device whose process died, and how to see it again."""

    device: str
    says: str
    replay: str


def shown(found: ConformReport, beside: Path) -> list[Shown]:
    """Every divergence of a run. beside: where the traces are looked for, besides as they say."""
    made, room = [], MOST_CELLS
    for device in found.devices:
        for difference in device.differences:
            one = _one(device, difference, beside)
            cells = sum(frame.picture.cells for frame in one.frames if frame.picture)
            if cells > room:
                note = "no picture: all that are on this page have taken its room"
                one = Shown(**{**vars(one), "frames": (), "note": note})
            room -= sum(frame.picture.cells for frame in one.frames if frame.picture)
            made.append(one)
    return made


def crashes(found: ConformReport) -> Iterator[Crash]:
    """The devices whose process died."""
    for device in found.devices:
        if device.crash:
            yield Crash(device.device, cut(device.crash), conform_line(found, device))


def conform_line(found: ConformReport, device: DeviceReport) -> str:
    """The command that runs a device as it was run."""
    only = "" if found.only == "*" else f" --only {quote(found.only)}"
    name = quote(device.twin_note or device.device)
    return (
        f"svsm-conformance conform --device {name} --profile {quote(found.profile)} "
        f"--seed {found.seed}{only}"
    )


def _one(device: DeviceReport, difference: Difference, beside: Path) -> Shown:
    finding = difference.finding
    area = area_with(finding.rule)
    path = _there(difference.trace, beside)
    try:
        claim, source = told_of(finding.rule)
        stake = _at_stake(area.id if area else "", finding)
        drawn, note = frames(area.id if area else "", finding, path)
    except (NoPicture, CodecError, LookupError, StopIteration, TypeError, ValueError) as error:
        claim, source = claim_of(finding.rule)
        stake, drawn, note = (), (), f"no picture: {cut(str(error), 200)}"
    replay = f"svsm-conformance replay {quote(difference.trace)}"
    return Shown(
        device.twin_note or device.device,
        finding,
        cut(difference.made_by, 200),
        difference.steps,
        difference.confirmed,
        claim,
        source,
        stake,
        difference.trace,
        f"{replay} --device {quote(device.twin_note or device.device)}",
        f"{replay} --emit {'python' if area and area.id in ALONE else 'rust'}",
        drawn,
        note,
    )


def _there(name: str, beside: Path) -> Path:
    """The trace as the run named it, or of that name beside the file of results."""
    try:
        path = Path(name)
        return path if path.is_file() else beside / path.name
    except (OSError, ValueError):
        return beside / "no-such-trace.json"


def told_of(rule: str) -> tuple[str, str]:
    """What a rule says, and its citation.

    Raises: LookupError where there is no such rule.
    """
    if rule in rules():
        found: Any = rules()[rule]
    else:
        area = area_with(rule)
        if area is None:
            raise LookupError(f"no rule is called {rule!r}")
        found = area.rules()[rule]
        # Of a machine's rule there is the machine beside it.
        found = found[1] if isinstance(found, tuple) else found
    return found.claim, str(found.source)


def claim_of(rule: str) -> tuple[str, str]:
    """What a rule says and its citation, where there is such a rule."""
    try:
        return told_of(rule)
    except LookupError:
        return "a rule that this version does not know", "unknown"


def _at_stake(area: str, finding: Finding) -> tuple[str, ...]:
    if area == "":
        return at_stake(finding)
    if area != "handoff" or finding.case not in names(finding.rule):
        return ()
    rule = handoff_rules()[finding.rule]
    subject = next(s for s in HANDOFF if rule in s.rules)
    case = next(c for c in situation(subject, rule, Symbolic())[2] if c.name == finding.case)
    return tuple(inv.name for inv in subject.invariants if inv.speaks_of(rule, case))
