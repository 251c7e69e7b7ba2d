"""What `conform` found, as JSON and as an exit code; `conform_tables` shows it."""

from typing import Any

import msgspec

from conformance.trace import Finding

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
    """Checked steps a second on one core, in bulk and one at a time.

    rules: of a foreign record of pages, which rules the batches were drawn and judged by.
    """

    batch: int
    step_by_step: int
    rules: str = ""

    @property
    def judged(self) -> str:
        """By which rules batches were judged, if any were and it is noted, in few words."""
        found = self.rules.partition(",")[0]
        return f"batches judged by the rules, {found}" if found and self.batch else ""


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
