"""Launch: the record is made of what the launch validated, then the firmware is brought in.

The same steps bring the firmware in after a reboot. Nothing that the launch validated may be
missing from the record: a page that is validated and not claimed can be validated twice.
"""

from dataclasses import dataclass

from spec.rule import Case, Cases, changed, rule
from spec.sources import apm2, coconut
from spec.terms import Count, Flag, Gpa, all_of, bits_and, negate, pick, shift_right
from spec.validation.svsm import (
    Did,
    Mode,
    Pc,
    Stage,
    Svsm,
    during,
    idle,
    is_busy,
    locked,
    not_whole,
)

AREA = "validation.launch"
PAGE_SHIFT = 12


@dataclass(frozen=True)
class Block:
    """A page that the launch validated, by frame number."""

    gfn: Count
    large: Flag


@dataclass(frozen=True)
class Nothing:
    """No operand."""


@dataclass(frozen=True)
class Firmware:
    """The byte address of a page of the firmware."""

    vcpu: Count
    gpa: Gpa


@rule(AREA, Block, cite=apm2("15.36.6"), enabled=during(Stage.OFF))
def record(s: Svsm, op: Block) -> Cases:
    """Claim a page that the launch validated."""
    misaligned = all_of(op.large, bits_and(op.gfn, 511) != 0)
    return (
        Case("misaligned", misaligned, Did.REFUSED, s),
        Case("not_measured", not_whole(s.layout.measured, op.gfn, op.large), Did.REFUSED, s),
        Case(
            "recorded",
            True,
            Did.DONE,
            lambda: changed(s, claimed=s.claimed.with_block(op.gfn, op.large, True)),
        ),
    )


@rule(AREA, Nothing, cite=apm2("15.36.6"), enabled=during(Stage.OFF))
def power_on(s: Svsm, _op: Nothing) -> Cases:
    """Begin to serve, once all that the launch validated is in the record."""
    left = s.layout.measured.minus(s.claimed)
    return (
        Case("not_recorded", negate(left.is_empty()), Did.REFUSED, s),
        Case("on", True, Did.DONE, lambda: changed(s, stage=Stage.COLD)),
    )


@rule(AREA, Firmware, cite=coconut("kernel/src/platform/snp_fw.rs"), enabled=idle(Stage.COLD))
def launch(s: Svsm, op: Firmware) -> Cases:
    """Begin to bring in a page of the firmware; one that the launch validated is only granted."""
    gfn = shift_right(op.gpa, PAGE_SHIFT)
    pc = pick(s.claimed.has(gfn), int(Pc.GRANT), int(Pc.ASK_PRIVATE))
    return (
        Case("misaligned", bits_and(op.gpa, 0xFFF) != 0, Did.REFUSED, s),
        Case("not_firmware", negate(s.layout.firmware.has(gfn)), Did.REFUSED, s),
        Case("busy", is_busy(s, gfn, False), Did.REFUSED, s),
        Case("locked", True, Did.DONE, lambda: locked(s, op.vcpu, gfn, False, Mode.LAUNCH, pc)),
    )


@rule(AREA, Nothing, cite=coconut("kernel/src/svsm.rs, launch_fw"), enabled=during(Stage.COLD))
def start(s: Svsm, _op: Nothing) -> Cases:
    """Let the guest run, once all of the firmware is claimed and nobody works on a page."""
    left = s.layout.firmware.minus(s.claimed)
    return (
        Case("busy", negate(s.held.is_empty()), Did.REFUSED, s),
        Case("incomplete", negate(left.is_empty()), Did.REFUSED, s),
        Case("started", True, Did.DONE, lambda: changed(s, stage=Stage.RUNNING)),
    )


RULES = (record, power_on, launch, start)
