"""Small worlds to run an SVSM in: a few pages, two blocks of 2 MiB, a host with pages to spare."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from spec.machine.native import Native
from spec.machine.snp import Contents, Snp
from spec.machine.tdx import Tdx
from spec.pages import ListedPages
from spec.rule import Rule, step
from spec.tables import BLOCK, ListedTable
from spec.validation import launch
from spec.validation.launch import Block, Nothing
from spec.validation.svsm import Layout, Policy, Result, Stage, Svsm, Vcpus
from spec.validation.tdx_model import SvsmOnTdx

PAGES = range(0x10, 0x18)
"""Frames of the guest that are mapped by 4 KiB pages; the first two hold its firmware."""
BLOCKS = (0x200, 0x400)
"""The first frames of the guest's 2 MiB pages."""
OWN = range(0x800, 0x804)
GHCBS = range(0x802, 0x804)
FIRMWARE = range(0x10, 0x12)
LAUNCH_VMSA = 0xF_FFFF_FFFF
MAPPED_AT = 0x1000
"""How far from a frame its page lies at first."""
SPARE = (*range(0x3000, 0x3004), 0x3200)
"""Pages that the host keeps back; the last begins 2 MiB."""
VCPUS = (0, 1, 2)
NONCE = 0x5EED
POLICY = Policy(one_lock=False, refused=int(Result.NO_CHANGE), heeds_ignore_cf=True, by_msr=False)
OTHER = Policy(
    one_lock=True, refused=int(Result.INVALID_REQUEST), heeds_ignore_cf=False, by_msr=True
)
"""Every choice made the other way."""


def frames(*ranges: range) -> ListedPages:
    """The set of some ranges of frames."""
    made = ListedPages()
    for one in ranges:
        made = made.with_range(one.start, one.stop, True)
    return made


SINGLES = (*PAGES, *OWN, LAUNCH_VMSA)
"""Frames that have a page of 4 KiB at first."""


@dataclass(frozen=True)
class SvsmNatively(Svsm):
    """The whole state natively; `hw` is the machine."""

    hw: Native  # type: ignore[assignment]


def snp(measured: ListedPages) -> Snp:
    """SEV-SNP at launch: each frame has its page, and what is measured is validated."""
    assigned, large, validated = ListedPages(), ListedPages(), ListedPages()
    gfn, npt, contents = ListedTable(), ListedTable(), ListedTable()
    for frame in SINGLES:
        spn = frame + MAPPED_AT
        assigned = assigned.with_block(spn, False, True)
        gfn, npt = gfn.put(spn, frame), npt.put(frame, spn)
        if measured.has(frame):
            validated = validated.with_block(spn, False, True)
            contents = contents.put(spn, Contents.LAUNCHED)
    for first in BLOCKS:
        spn = first + MAPPED_AT
        assigned, large = assigned.with_block(spn, True, True), large.with_block(spn, True, True)
        gfn = gfn.with_block(spn, True, first, counting=True)
        npt = npt.with_block(first, True, spn, counting=True)
    nothing, none = ListedPages(), ListedTable()
    return Snp(assigned, gfn, large, validated, none, none, nothing, contents, npt, nothing)


def tdx(measured: ListedPages) -> Tdx:
    """TDX at launch: each frame has its page, and what is measured is accepted."""
    large = frames(*(range(first, first + BLOCK) for first in BLOCKS))
    present, contents = large, ListedTable()
    for frame in SINGLES:
        present = present.with_block(frame, False, True)
        if measured.has(frame):
            contents = contents.put(frame, Contents.LAUNCHED)
    nothing = ListedPages()
    return Tdx(present, large, measured, ListedTable(), contents, nothing, nothing)


MACHINES: dict[str, tuple[type[Svsm], Any]] = {
    "": (Svsm, snp),
    "tdx": (SvsmOnTdx, tdx),
    "native": (SvsmNatively, lambda _measured: Native()),
}
"""By name: the state on a machine, and the machine at launch."""


def off(
    policy: Policy = POLICY,
    stream: ListedPages | None = None,
    launch_vmsa: int = LAUNCH_VMSA,
    machine: str = "",
) -> Svsm:
    """The state at power-on: nothing recorded yet.

    stream: what a migration is to bring; none where it is left out. launch_vmsa: its frame; some
    hosts put it where no memory is, others into the guest's. machine: SEV-SNP where it is left out.
    """
    state, made = MACHINES[machine]
    blocks = [range(first, first + BLOCK) for first in BLOCKS]
    guest, own, firmware = frames(PAGES, *blocks), frames(OWN), frames(FIRMWARE)
    measured = frames(OWN)
    if launch_vmsa not in PAGES:
        measured = measured.with_range(launch_vmsa, launch_vmsa + 1, True)
    if stream is None:
        measured = measured.with_range(FIRMWARE.start, FIRMWARE.start + 1, True)
    layout = Layout(guest, own, frames(GHCBS), measured, firmware, launch_vmsa)
    nothing, none = ListedPages(), ListedTable()
    cpus = Vcpus(none, none, none, nothing, nothing, *[none] * 7)
    vmsas = frames(range(0x16, 0x17)).meet(stream) if stream else nothing
    return state(
        policy=policy,
        layout=layout,
        hw=made(measured),
        cpus=cpus,
        claimed=nothing,
        held=nothing,
        holder=none,
        vmsas=nothing,
        caas=nothing,
        caa_of=none,
        shared=nothing,
        stream=stream or nothing,
        stream_vmsas=vmsas,
        nonce=NONCE,
        stage=int(Stage.OFF),
        halted=False,
    )


def done(state: Svsm, rule: Rule, op: object) -> Svsm:
    """The state after a step."""
    return step(rule, state, op).state  # type: ignore[no-any-return]


@cache
def cold(
    policy: Policy = POLICY,
    stream: ListedPages | None = None,
    launch_vmsa: int = LAUNCH_VMSA,
    machine: str = "",
) -> Svsm:
    """The state in which all that the launch validated is recorded."""
    state = off(policy, stream, launch_vmsa, machine)
    for first, stop in state.layout.measured.runs():
        for frame in range(first, stop):
            state = done(state, launch.record, Block(frame, False))
    return done(state, launch.power_on, Nothing())


STREAM = frames(range(0x11, 0x17))
STRAY = frames(range(0x11, 0x13), OWN)
"""A stream that would write over the SVSM."""


@cache
def starts(machine: str = "") -> tuple[Svsm, ...]:
    """Where walks on a machine begin: powered off, cold, and cold with a migration to come."""
    return (
        off(machine=machine),
        cold(machine=machine),
        cold(OTHER, machine=machine),
        cold(launch_vmsa=PAGES[-1], machine=machine),
        cold(stream=STREAM, machine=machine),
        cold(stream=STRAY, machine=machine),
    )
