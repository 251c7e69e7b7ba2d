"""Ways to attacks that are known: where walks would seldom come by."""

from collections.abc import Callable

from conformance.protocol.places import Drawn
from conformance.protocol.ways import YES
from conformance.protocol.world import PAGES, SPARE
from spec.machine import host, tdx_host
from spec.validation import launch, pvalidate
from spec.validation.svsm import Cpu

CPU = Cpu(0)


def launched(asked: Drawn) -> list[Drawn]:
    """From a cold machine: both pages of the firmware are brought in, and the guest runs.

    asked: the host says that it has made the second one private.
    """
    return [
        (launch.launch, launch.Firmware(0, PAGES[0] << 12)),
        (pvalidate.grant, CPU),
        (launch.launch, launch.Firmware(0, PAGES[1] << 12)),
        asked,
        (pvalidate.validate, CPU),
        (pvalidate.fill, CPU),
        (pvalidate.grant, CPU),
        (launch.start, launch.Nothing()),
    ]


def validating(frame: int) -> list[Drawn]:
    """A guest's request to validate one frame, from the call to the answer."""
    read = (pvalidate.entry, pvalidate.Entry(0, frame << 12 | 4))
    asked = [(pvalidate.call, pvalidate.Call(0, PAGES.start << 12 | 8, 1)), read]
    run = (pvalidate.validate, pvalidate.fill, pvalidate.grant, pvalidate.answer)
    return [*asked, *((rule, CPU) for rule in run)]


def remap_attack() -> list[Drawn]:
    """The double validation of AMD64 APM vol. 2, section 15.36.6."""
    frame, other = PAGES[2], SPARE[0]
    swapped: list[Drawn] = [
        (host.remap, host.Remap(frame, other, False)),
        (host.rmpupdate, host.Rmpupdate(other, True, frame, False)),
    ]
    return [*launched(YES[""]), *validating(frame), *swapped, *validating(frame)]


def re_accept_attack() -> list[Drawn]:
    """A page that the guest has written to is taken away, added again and accepted again."""
    frame = PAGES[2]
    used: list[Drawn] = [
        (tdx_host.guest_access, tdx_host.AtGfn(frame)),
        (tdx_host.guest_write, tdx_host.AtGfn(frame)),
    ]
    swapped: list[Drawn] = [
        (tdx_host.page_remove, tdx_host.Leaf(frame, False)),
        (tdx_host.page_aug, tdx_host.Leaf(frame, False)),
    ]
    return [*launched(YES["tdx"]), *validating(frame), *used, *swapped, *validating(frame)]


WAYS: dict[str, Callable[[], list[Drawn]]] = {
    "claim-before-validate": remap_attack,
    "never-re-accept": re_accept_attack,
}
"""By the discipline whose attack each of them is, from the state in which a machine is cold."""
