"""A foreign implementation of MMIO as a device: calls are questions, the bus is asked meanwhile."""

from itertools import count
from typing import Any

from conformance.adapters.link import Link
from conformance.adapters.wire import Ask, Call, Called, Machine, Started, Told
from conformance.device import DeviceFault
from conformance.mmio.calls import CONFIG
from conformance.mmio.world import Setting
from spec.mmio.state import Answer

NAMES = {answer.name: int(answer) for answer in Answer if answer is not Answer.AGAIN}
CALLS = ("map", "unmap", "load", "store", "exit_to_host", "tdvmcall")
VALUED = ("open", "read", CONFIG)


class ForeignMmio:
    """One implementation of MMIO, of somebody else's."""

    def __init__(self, link: Link) -> None:
        self.link, self.name = link, link.greeting.name
        self.claims = frozenset(i for i in link.greeting.claims if i.startswith("mmio."))
        self.backends = frozenset(link.greeting.backends)
        self.errors = link.greeting.errors.get("mmio", {})
        self._numbers = count()

    def start(self, setting: Setting, bus: Any) -> "ForeignMachine":
        """A machine with no slot open; where it cannot be had, its first call tells."""
        return ForeignMachine(self, next(self._numbers) % 8, setting, bus)


class ForeignMachine:
    """One machine of it: its calls, by name."""

    def __init__(self, device: ForeignMmio, number: int, setting: Setting, bus: Any) -> None:
        self._device, self._number, self._bus = device, number, bus
        self._slots: dict[int, tuple[int, int, bool]] = {}
        machine = setting.machine
        told = setting.backend, machine.limit, machine.buffer, machine.shared_bit
        self._fault = ""
        try:
            device.link.ask(Machine(number, *told), Started)
        except DeviceFault as fault:
            self._fault = f"start: {fault}"
        self._start = device.link.starts

    def slots(self) -> dict[int, tuple[int, int, bool]]:
        """The open slots, as it showed them with its last answer."""
        return self._slots

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self._call(name, arguments)

    def _call(self, name: str, arguments: tuple[Any, ...]) -> int | bytes:
        """What it answers to a call: a value, or a refusal below zero.

        Raises: DeviceFault.
        """
        link = self._device.link
        if self._fault or self._start != link.starts or not link.is_up:
            raise DeviceFault(self._fault or "its process has ended, and the machine with it")
        told: Called = link.ask(
            Call(self._number, name, list(arguments)), Called, None, self._asked
        )
        self._slots = {slot: (gpa, size, attached) for slot, gpa, size, attached in told.slots}
        outcome = self._device.errors.get(str(told.outcome), told.outcome)
        if outcome in ("OK", 0):
            return told.value
        if outcome not in NAMES:
            raise link.nowhere(told.outcome)
        return -NAMES[str(outcome)]

    def _asked(self, ask: Ask) -> Told:
        """A call of the bus.

        Raises: DeviceFault where it makes no sense.
        """
        if ask.what not in CALLS:
            raise DeviceFault(f"asked {ask.what!r:.40} of the bus, which has no such call")
        try:
            got = getattr(self._bus, ask.what)(*ask.arguments)
        except (TypeError, ValueError, AttributeError) as error:
            raise DeviceFault(f"{ask.what} of the bus: {error}") from error
        listed = got if isinstance(got, tuple) else () if got is None else (got,)
        return Told([int(one) if isinstance(one, bool) else one for one in listed])
