"""Classes of somebody's own, one for each group of rules and one of several; some are wrong."""

import sys
from dataclasses import replace

from conformance.adapters.class_protocol import Fault
from conformance.adapters.found import GROUPS
from conformance.builtin import device
from conformance.device import Answer
from conformance.handoff.builtin import device as stages
from conformance.mmio.device import builtin as registers
from impl import launch, migration, pvalidate, reboot, svsm, visibility, vmsa
from impl.platform import Vc
from impl.record import Frames
from spec.catalogue import model_rules
from spec.validation.bitmap import Policy
from spec.validation.outcomes import Outcome


def pages():
    """The built-in bitmap."""
    return device("pure")


class WrongPages:
    """Counts one page too few."""

    name = "wrong pages"
    claims = frozenset(("validation.bitmap.fill", "validation.bitmap.count"))

    def __init__(self):
        self._it = pages()
        self.policy = self._it.policy
        self.reset, self.observe = self._it.reset, self._it.observe

    def apply(self, rule, op):
        did = self._it.apply(rule, op)
        wrong = rule.endswith("count") and did.value
        return replace(did, value=did.value - 1) if wrong else did


class Room:
    """Counts for how many runs there was room in the state that it took on last."""

    name, claims = "room", frozenset(("validation.runs.count",))
    policy = Policy(cap_pages=1 << 28, mixed_2m=int(Outcome.MIXED), most_runs=5)

    def reset(self, start):
        self.start = start

    def apply(self, rule, op):
        return Answer(0, self.start.policy.most_runs)

    def observe(self):
        return self.start


def handoff():
    """The built-in stages."""
    return stages()


class WrongSize:
    """One stage alone, which tracks a page more."""

    name, claims = "wrong size", frozenset(("handoff.size",))

    def size(self, entries, cap, tracks):
        name, made = stages().size(entries, cap, tracks)
        return name, (made[0] + 1, made[1]) if made else None


class Registers:
    """The built-in MMIO by what buses offer."""

    name, wrong = "registers", False
    backends = frozenset(("bus", "snp", "tdx"))
    claims = frozenset(i for i in registers().claims)

    def start(self, setting, bus):
        return registers().start(setting, Narrow(bus) if self.wrong else bus)


class Narrow:
    """A bus on which what is wide is stored by its lower half."""

    def __init__(self, bus):
        self._bus = bus

    def store(self, address, width, value):
        self._bus.store(address, min(width, 4), value & 0xFFFF_FFFF)

    def __getattr__(self, name):
        return getattr(self._bus, name)


class WrongRegisters(Registers):
    wrong = True


CALLS = {
    "pvalidate": pvalidate.pvalidate,
    "create_vcpu": vmsa.create_vcpu,
    "delete_vcpu": vmsa.delete_vcpu,
    "share": visibility.share,
    "unshare": visibility.unshare,
    "launch": launch.launch,
    "reboot": reboot.reboot,
    "bring": migration.bring,
}
AT_ONCE = {
    "record": launch.record,
    "power_on": launch.power_on,
    "start": launch.start,
    "export_record": migration.export,
    "take": migration.take,
    "complete": migration.complete,
}
ASKED = {"PageState": "page_state", "PageStateMsr": "page_state_msr"}


class OneSvsm:
    """The built-in SVSM, on the platform that it is given."""

    def __init__(self, platform, start, wrong):
        self._platform, self._wrong = platform, wrong
        places = ("guest", "own", "ghcbs", "measured", "firmware")
        parts = {name: tuple(getattr(start, name)) for name in places}
        names = ("one_lock", "refused", "heeds_ignore_cf", "by_msr")
        self._it = svsm.Svsm(
            svsm.Layout(**parts, launch_vmsa=start.launch_vmsa),
            svsm.Options(**{name: getattr(start, name) for name in names}),
            svsm.Stream(
                Frames(tuple(start.stream)), Frames(tuple(start.stream_vmsas)), start.nonce
            ),
        )
        for first, stop in start.claimed:
            self._it.record.mark(first, stop - first)
        self._it.vmsas = dict(start.vcpus)
        for name in ("caas", "shared"):
            setattr(self._it, name, {f for a, b in getattr(start, name) for f in range(a, b)})
        self._it.stage, self._it.halted = svsm.Stage(start.stage), start.halted

    def __getattr__(self, name):
        if name in CALLS:
            return lambda vcpu, *told: self._driven(vcpu, CALLS[name](self._it, *told))
        if name in AT_ONCE:
            return lambda *told: int(AT_ONCE[name](self._it, *told))
        raise AttributeError(name)

    def _driven(self, vcpu, work):
        work = self._it.guarded(work)
        go_on, told = work.send, None
        try:
            while True:
                asked = go_on(told)
                name = type(asked).__name__
                if name == "Rmpadjust" and self._wrong:
                    asked = asked._replace(rights=asked.rights ^ 1)
                try:
                    function = getattr(self._platform, ASKED.get(name, name.lower()))
                    go_on, told = work.send, function(vcpu, *asked)
                except Fault:
                    go_on, told = work.throw, Vc()
        except StopIteration as end:
            return int(end.value)
        finally:
            work.close()

    stage = property(lambda self: int(self._it.stage))
    halted = property(lambda self: bool(self._it.halted))
    claimed = property(lambda self: list(self._it.record.runs()))
    vmsas = property(lambda self: runs(self._it.vmsas))
    caas = property(lambda self: runs(self._it.caas))
    shared = property(lambda self: runs(self._it.shared))


def runs(frames):
    """Frames as ranges."""
    edges = sorted(set(frames) ^ {f + 1 for f in frames})
    return list(zip(edges[::2], edges[1::2], strict=True))


class Svsm:
    """The calls of a whole SVSM."""

    name, wrong = "svsm", False
    claims = frozenset(i for i in model_rules() if i.startswith(GROUPS["protocol"]))

    def svsm(self, platform, start):
        return OneSvsm(platform, start, self.wrong)


class WrongSvsm(Svsm):
    wrong = True


class Raises(Svsm):
    """Its calls raise, before and after they have asked."""

    def svsm(self, platform, start):
        made = OneSvsm(platform, start, False)
        made.share = lambda vcpu, gpa: 1 // 0
        made.unshare = lambda vcpu, gpa: platform.read(vcpu, gpa, 8)[99]
        made.launch = lambda vcpu, gpa: "done"
        made.reboot = lambda vcpu: sys.exit(3)
        return made


class Several(Registers, Svsm):
    """Rules of two groups."""

    claims = Registers.claims | Svsm.claims


class NoSvsm:
    """Claims what it has nothing for."""

    name, claims = "none", Svsm.claims
