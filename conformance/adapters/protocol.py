"""A foreign SVSM as a device: begun with a call, resumed with what the machine answers."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from conformance.adapters.link import PANICKED, Link
from conformance.adapters.wire import Begin, Message, Now, Ranges, Resume, Waits
from conformance.adapters.wire import Svsm as Start
from conformance.device import DeviceFault
from conformance.protocol.device import Ended
from spec.pages import ListedPages
from spec.terms import MASK
from spec.validation.svsm import Svsm

GO_ON, FAULT, STOPPED = 0, 1, 2
NAMES = {"create_vcpu": "create_vcpu", "export": "export_record"}
"""What the header calls a call, where it is not as the suite does."""
LARGE_FLAGS = {"pvalidate": (1, 2), "rmpadjust": (1, 3), "fill": (1,), "promote": (1,)} | {
    "page_state": (1,),
    "page_state_msr": (1,),
}
"""Which arguments of a question are truth values."""
KINDS = {
    "read": "Read",
    "write": "Write",
    "fill": "Fill",
    "flush": "Flush",
    "pvalidate": "Pvalidate",
    "rmpadjust": "Rmpadjust",
    "promote": "Promote",
    "demote": "Demote",
    "page_state": "PageState",
    "page_state_msr": "PageStateMsr",
}
"""The platform's functions, and what the suite calls the questions."""
SHAPES = {kind: type(kind, (tuple,), {}) for kind in KINDS.values()}


class Record(NamedTuple):
    """The record, as it was last shown."""

    claimed: ListedPages

    def has(self, frame: int) -> bool:
        """Whether a frame is claimed."""
        return bool(self.claimed.has(frame))


class ForeignSvsm:
    """One SVSM of somebody else's.

    pending: by vCPU, the operation that it waits for an answer to, or `Ended`. work: by vCPU,
    whether there is a call that has not come to its end. svsm: what it last showed.
    """

    def __init__(self, link: Link, name: str) -> None:
        self.link, self.name = link, name
        self.claims = frozenset(link.greeting.claims)
        self.work: dict[int, bool] = {}
        self.pending: dict[int, Any] = {}
        self.svsm: Any = None

    def reset(self, start: Svsm) -> None:
        """Take on a state in which every vCPU is at rest."""
        self.work, self.pending = {}, {}
        layout, policy = start.layout, start.policy
        caa_of = start.caa_of
        places = ("guest", "own", "ghcbs", "measured", "firmware")
        ranges = {name: list(getattr(layout, name).runs()) for name in places}
        asked = Start(
            **ranges,
            launch_vmsa=layout.launch_vmsa,
            one_lock=bool(policy.one_lock),
            heeds_ignore_cf=bool(policy.heeds_ignore_cf),
            by_msr=bool(policy.by_msr),
            refused=int(policy.refused),
            stream=list(start.stream.runs()),
            stream_vmsas=list(start.stream_vmsas.runs()),
            nonce=start.nonce,
            claimed=list(start.claimed.runs()),
            caas=list(start.caas.runs()),
            shared=list(start.shared.runs()),
            vcpus=[(f, caa_of.at(f)) for a, b in start.vmsas.runs() for f in range(a, b)],
            stage=int(start.stage),
            halted=bool(start.halted),
        )
        self._ask(asked)

    def ask(self, _module: str, name: str, *arguments: Any) -> int:
        """The result of something that needs no operation."""
        return self._ask(Now(NAMES.get(name, name), list(map(int, arguments)))).result

    def begin(self, vcpu: int, _module: str, name: str, *arguments: Any) -> None:
        """Start work on a vCPU; what it waits for is then pending."""
        self._advance(vcpu, Begin(vcpu, NAMES.get(name, name), list(map(int, arguments))))

    def resume(self, vcpu: int, answer: Any) -> None:
        """Answer what a vCPU waits for."""
        told = answer if isinstance(answer, tuple) else () if answer is None else (answer,)
        listed = [int(one) if isinstance(one, bool) else one for one in told]
        self._advance(vcpu, Resume(vcpu, GO_ON, listed))

    def fault(self, vcpu: int) -> None:
        """Raise #VC in the access that a vCPU waits for."""
        self._advance(vcpu, Resume(vcpu, FAULT))

    def drop(self, vcpu: int) -> None:
        """Forget what a vCPU was about to do."""
        if self.work.pop(vcpu, False):
            self._ask(Resume(vcpu, STOPPED))
        self.pending.pop(vcpu, None)

    def claimed(self) -> ListedPages:
        """Its record, as a set."""
        found: ListedPages = self.svsm.record.claimed
        return found

    def _advance(self, vcpu: int, message: Message) -> None:
        told = self._ask(message)
        if not told.what:
            self.work.pop(vcpu, None)
            self.pending[vcpu] = Ended(told.result)
            return
        kind = KINDS.get(told.what)
        if kind is None:
            raise DeviceFault(f"asked {told.what!r:.40} of the platform, which has no such call")
        flags = LARGE_FLAGS.get(told.what, ())
        listed = enumerate(told.arguments)
        arguments = [bool(one) if n in flags else one for n, one in listed]
        self.work[vcpu] = True
        self.pending[vcpu] = SHAPES[kind](arguments)

    def _ask(self, message: Message) -> Waits:
        told: Waits = self.link.ask(message, Waits)
        if told.result == PANICKED & MASK:
            raise self.link.nowhere(PANICKED)
        sets = {n: _frames(getattr(told, n), n) for n in ("claimed", "vmsas", "caas", "shared")}
        self.svsm = SimpleNamespace(
            halted=told.halted,
            stage=told.stage,
            record=Record(sets["claimed"]),
            **{n: _each(sets[n]) for n in ("vmsas", "caas", "shared")},
        )
        return told


MOST_LISTED = 1 << 16


def _each(pages: ListedPages) -> frozenset[int]:
    runs: Sequence[tuple[int, int]] = list(pages.runs())
    if sum(stop - first for first, stop in runs) > MOST_LISTED:
        raise DeviceFault("showed more frames of vCPUs and calling areas than there are")
    return frozenset(f for first, stop in runs for f in range(first, stop))


def _frames(told: Ranges, what: str) -> ListedPages:
    edges = [edge for run in told for edge in run]
    if edges != sorted(set(edges)) or any(not 0 <= edge <= MASK for edge in edges):
        raise DeviceFault(f"showed {told!r:.60} as {what}, which are no ranges in order, apart")
    return ListedPages(tuple(edges))
