"""What the suite asks of an implementation under test.

A device says which rules it claims; what it does not claim is reported as not claimed. It is put
into a state, is asked one step after another, and shows its own state in the rules' terms. Where
it can take many steps at once, it has `run` as well (see `conformance.batch`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from spec.validation.bitmap import Bitmap, Policy


class DeviceFault(Exception):
    """A device crashed, hung or answered garbage: neither a divergence nor a pass."""


class DeviceError(Exception):
    """A device could not be found, built or started."""


@dataclass(frozen=True)
class Answer:
    """What a device answers to one step.

    outcome: a number of `spec.validation.outcomes.Outcome`. value: what a successful step answers
    beside it, 0 where there is nothing; a tuple of words for an export.
    """

    outcome: int
    value: int | tuple[int, ...] = 0


@runtime_checkable
class Device(Protocol):
    """One implementation under test."""

    name: str
    claims: frozenset[str]
    """The ids of the rules it says it implements."""
    policy: Policy
    """The choices it makes where the rules leave one."""

    def reset(self, start: Bitmap) -> None:
        """Take on the state `start`."""

    def apply(self, rule: str, op: Any) -> Answer:
        """Do one step: `op` is the operands record of the rule with id `rule`."""

    def observe(self) -> Bitmap:
        """Its own state, in the rules' terms."""


Maker = Callable[[], Device]
"""How to make a fresh device."""


def find_device(spec: str) -> Maker:
    """How to make the device named `spec`.

    `impl`, `impl:fast` and `impl:pure` are the built-in one, with `+size_mismatch` under the other
    policy; `defect:ID` is a known-bad variant; anything else is somebody else's, in a process of
    its own: see `conformance.adapters.names`.

    Raises: DeviceError where there is no such device.
    """
    name, _, attribute = spec.partition(":")
    if name in ("impl", "defect"):
        home = import_module("conformance.builtin" if name == "impl" else "conformance.defects")
        return lambda: home.device(attribute or "auto")
    return lambda: import_module("conformance.adapters.found").record(spec)


MEMBERS = ("name", "claims", "policy", "reset", "apply", "observe")
