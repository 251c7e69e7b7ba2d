"""What the suite asks of an implementation under test.

A device says which rules it claims; what it does not claim is reported as not claimed. It is put
into a state, is asked one step after another, and shows its own state in the rules' terms. Where
it can take many steps at once, it has `run` as well (see `conformance.batch`).
"""

import sys
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
    policy; `defect:ID` is a known-bad variant; anything else is `MODULE:CLASS`.

    Raises: DeviceError where there is no such device.
    """
    name, _, attribute = spec.partition(":")
    if name in ("impl", "defect"):
        home = import_module("conformance.builtin" if name == "impl" else "conformance.defects")
        return lambda: home.device(attribute or "auto")
    return lambda: _guarded(spec, _made(spec, name, attribute))


def _made(spec: str, name: str, attribute: str) -> Device:
    if not attribute:
        raise DeviceError(
            f"device {spec!r}: expected impl, impl:fast, impl:pure, defect:ID or MODULE:CLASS"
        )
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        made = getattr(import_module(name), attribute)()
    except Exception as error:
        # Importing or making somebody's device runs their code, which may raise anything.
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise DeviceError(f"device {spec!r} could not be started: {said}") from error
    if not isinstance(made, Device):
        absent = [m for m in MEMBERS if not hasattr(made, m)]
        raise DeviceError(f"device {spec!r} has no {', '.join(absent)}; see the README")
    return made


def _guarded(spec: str, device: Device) -> Device:
    guard = import_module("conformance.guard")
    known = import_module("spec.catalogue").rules()
    unknown = sorted(set(device.claims) - set(known))
    if unknown:
        raise DeviceError(f"device {spec!r} claims {unknown[0]!r}, which is no rule")
    return guard.guarded(device)  # type: ignore[no-any-return]


MEMBERS = ("name", "claims", "policy", "reset", "apply", "observe")
