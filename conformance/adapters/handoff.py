"""A foreign implementation of the handoff as a device: each stage is a question."""

from typing import Any

import msgspec

from conformance.adapters.link import Link
from conformance.adapters.wire import Stage, Staged
from conformance.device import DeviceFault
from conformance.handoff.calls import Call, Write
from conformance.handoff.device import NAMES


class ForeignHandoff:
    """One implementation of the handoff's stages, of somebody else's."""

    def __init__(self, link: Link) -> None:
        self.link, self.name = link, link.greeting.name
        self.claims = frozenset(i for i in link.greeting.claims if i.startswith("handoff."))
        self.errors = link.greeting.errors.get("handoff", {})

    def asked(self, call: Call) -> tuple[Any, Any]:
        """What it answers to a call: the name of a refusal or of OK, and what was made.

        Raises: DeviceFault where it dies, answers what means nothing, or writes and yet refuses.
        """
        told: Staged = self.link.ask(Stage(self._said(call)), Staged)
        name = self.errors.get(str(told.outcome), told.outcome)
        if name not in NAMES:
            raise self.link.nowhere(told.outcome)
        if not isinstance(call, Write):
            return name, told.made
        if name != "OK" and told.memory not in (None, call.memory):
            raise DeviceFault(f"write answered {name}, but what the area's pages hold has changed")
        made = told.made
        if name == "OK" and told.memory is not None:
            made = (made[0] if isinstance(made, list | tuple) and made else made, told.memory)
        return name, made

    def _said(self, call: Call) -> dict[str, Any]:
        """A call as it is said: in JSON, bytes are in base 64."""
        plain = () if not self.link.greeting.binary else (bytes,)
        made: dict[str, Any] = msgspec.to_builtins(call, builtin_types=plain)
        return made
