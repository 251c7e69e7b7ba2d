"""Ways that are told step by step, since a walk of a few hundred steps does not come so far.

A way is driven by the state: a vCPU goes on with what it has in hand, and a host that means well
repairs what exits.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from conformance.protocol.draw import STEPS
from conformance.protocol.places import Drawn
from conformance.protocol.walk import Scene
from conformance.protocol.world import BLOCKS, PAGES
from spec.machine import host, tdx_host
from spec.tables import BLOCK
from spec.validation import launch, pvalidate, reboot, tdx_visibility, visibility
from spec.validation.svsm import Cpu, Did, Pc, Stage

YES: Mapping[str, Drawn] = {
    "": (visibility.ask_private, visibility.Told(0, 0, 1, 0x15)),
    "tdx": (tdx_visibility.ask_private, tdx_visibility.Mapped(0, tdx_visibility.DONE, 0)),
}
"""The host's word that it has made a page private, where it is asked."""
SPLITS: Mapping[str, Callable[[int, Any], Drawn]] = {
    "": lambda frame, s: (host.psmash, host.AtSpn(s.hw.npt.at(frame) & -BLOCK)),
    "tdx": lambda frame, _s: (tdx_host.page_demote, tdx_host.AtGfn(frame & -BLOCK)),
}
"""How a host makes a 2 MiB page 512 pages."""
Way = Callable[[Scene], Iterator[Drawn]]


def served(scene: Scene, begins: Drawn, entry: int = 0, machine: str = "") -> Iterator[Drawn]:
    """A vCPU's work from its beginning until it has nothing in hand, or stops the guest to reboot.

    entry: what each entry of a request says.
    """
    yield begins
    drawn = Random(0)
    while (pc := scene.state.pc(0)) not in (Pc.IDLE, Pc.REBOOT) and not scene.state.halted:
        if scene.last.outcome == Did.EXIT:
            yield SPLITS[machine](scene.state.cpus.first.at(0), scene.state)
        if pc == Pc.READ:
            yield pvalidate.entry, pvalidate.Entry(0, entry)
        elif pc == Pc.ASK_PRIVATE:
            yield YES[machine]
        else:
            yield STEPS[pc](drawn, 0, scene.state)


def reboot_of_a_large_page(scene: Scene, machine: str) -> Iterator[Drawn]:
    """From a cold machine: the guest runs, has a 2 MiB page validated, and is rebooted."""
    for frame in PAGES[:2]:
        firmware = launch.launch, launch.Firmware(0, frame << 12)
        yield from served(scene, firmware, machine=machine)
    yield launch.start, launch.Nothing()
    request = pvalidate.call, pvalidate.Call(0, PAGES.start << 12 | 8, 1)
    yield from served(scene, request, BLOCKS[0] << 12 | 5, machine)
    yield reboot.reboot, Cpu(0)
    while scene.state.stage == Stage.REBOOTING:
        left = scene.state.layout.guest.meet(scene.state.claimed).bounds
        if left:
            page = reboot.reboot_page, reboot.Frame(0, left[0])
            yield from served(scene, page, machine=machine)
        else:
            yield reboot.reboot_end, Cpu(0)


WAYS: Mapping[str, Callable[[str], Way]] = {
    "reboot of a 2 MiB page": lambda machine: lambda scene: reboot_of_a_large_page(scene, machine),
}
"""By name, on a machine; each from the state in which it is cold."""
