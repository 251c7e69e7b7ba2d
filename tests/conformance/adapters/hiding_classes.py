"""Classes that agree with the rules as they are, and hide what would be otherwise."""

from own_classes import OneSvsm, Registers, Svsm

from conformance.mmio.vectors import ways
from conformance.mmio.world import SETTINGS
from conformance.protocol.doors import doors

SHOWN = ("stage", "halted", "claimed", "vmsas", "caas", "shared")


class Kept:
    """What was done in the first runs; later ones are done as that which is most like them."""

    def __init__(self, honest):
        self.honest, self.runs = honest, []

    def begins(self):
        """What is to be written into in a new run, or None, and what it may be like."""
        if len(self.runs) < self.honest:
            self.runs.append([])
            return self.runs[-1], []
        return None, self.runs


def most_like(runs, place, asked):
    """Those runs in which the same was asked at a place; where there is none, all of them."""
    there = [run for run in runs if len(run) > place]
    return [run for run in there if run[place][0] == asked] or there


class Listening:
    """A bus that writes down what it is asked."""

    def __init__(self, bus):
        self._bus, self.heard = bus, []
        self.buffer_gpa, self.shared_bit = bus.buffer_gpa, bus.shared_bit

    def __getattr__(self, name):
        def asked(*told):
            self.heard.append((name, told))
            return getattr(self._bus, name)(*told)

        return asked


class CannedMachine:
    """Does what was done before, whatever the bus says and whatever has become of it."""

    def __init__(self, machine, bus, writes, like):
        self._machine, self._bus, self._writes, self._like = machine, bus, writes, like
        self._place, self._slots = 0, {}

    def slots(self):
        return self._slots

    def __getattr__(self, name):
        return lambda *told: self._called(name, told)

    def _called(self, name, told):
        if self._writes is not None:
            self._bus.heard = []
            got = getattr(self._machine, name)(*told)
            self._slots = self._machine.slots()
            self._writes.append(((name, told), got, self._slots, self._bus.heard))
            return got
        self._like = most_like(self._like, self._place, (name, told))
        _, got, self._slots, asked = self._like[0][self._place]
        for what, words in asked:
            getattr(self._bus, what)(*words)
        self._place += 1
        return got


def backend_of(calls):
    return SETTINGS[calls[-1].machine].backend


class CannedRegisters(Registers):
    """Answers from memory once it has been on each way to a case of the one rule that it claims."""

    name, claims = "canned", frozenset(("mmio.read_u32",))
    backends = frozenset(("snp",))

    def __init__(self):
        led = [one.calls for one in ways() if one.calls[-1].rule.id in self.claims]
        self._kept = Kept(sum(backend_of(calls) in self.backends for calls in led))

    def start(self, setting, bus):
        writes, like = self._kept.begins()
        listening = Listening(bus)
        return CannedMachine(super().start(setting, listening), listening, writes, like)


class KeepsReads(Registers):
    """A read that was made before, after the same calls, is answered as it was then."""

    name, claims = "keeps reads", frozenset(("mmio.read_u32",))

    def __init__(self):
        self._kept = {}

    def start(self, setting, bus):
        return Reads(super().start(setting, bus), self._kept, (setting.backend,))


class Reads:
    def __init__(self, machine, kept, asked):
        self._machine, self._kept, self._asked = machine, kept, asked
        self.slots = machine.slots

    def __getattr__(self, name):
        def called(*told):
            self._asked = (*self._asked, name, told)
            got = getattr(self._machine, name)(*told)
            return self._kept.setdefault(self._asked, got)

        return called


class Unheeding(Svsm):
    """Looks at no carry flag of a PVALIDATE that validates."""

    name = "unheeding"

    def svsm(self, platform, start):
        return OneSvsm(NoCarry(platform), start, False)


class NoCarry:
    def __init__(self, platform):
        self._platform = platform

    def pvalidate(self, vcpu, frame, large, validate):
        code, carry = self._platform.pvalidate(vcpu, frame, large, validate)
        return code, carry and not validate

    def __getattr__(self, name):
        return getattr(self._platform, name)


class CannedSvsm(Svsm):
    """Answers from memory once it has been on each way to a case of one rule."""

    name, rule = "canned", "validation.launch.record"

    def __init__(self):
        self._kept = Kept(sum(door.rule == self.rule for door in doors()))

    def svsm(self, platform, start):
        return CannedCalls(OneSvsm(platform, start, False), *self._kept.begins())


class CannedCalls:
    """Does at once what was done before, and shows what was shown then."""

    def __init__(self, svsm, writes, like):
        self._svsm, self._writes, self._like, self._place = svsm, writes, like, 0
        self._shown = self._to_show()

    def _to_show(self):
        return {name: getattr(self._svsm, name) for name in SHOWN}

    def __getattr__(self, name):
        if name in SHOWN:
            return self._shown[name]
        return lambda *told: self._called(name, told)

    def _called(self, name, told):
        if self._writes is not None:
            got = getattr(self._svsm, name)(*told)
            self._shown = self._to_show()
            self._writes.append(((name, told), got, self._shown))
            return got
        self._like = most_like(self._like, self._place, (name, told))
        _, got, self._shown = self._like[0][self._place]
        self._place += 1
        return got
