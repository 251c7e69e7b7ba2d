"""A device behind glass: whatever it raises or answers that makes no sense is a `DeviceFault`."""

from collections.abc import Callable
from typing import Any

from conformance.device import Answer, Device, DeviceFault
from conformance.trace import Play
from spec.pages import ListedPages
from spec.terms import MASK
from spec.validation.bitmap import Bitmap
from spec.validation.outcomes import Outcome

_OUTCOMES = frozenset(map(int, Outcome))


class Guarded:
    """A device whose every call answers something sensible or raises `DeviceFault`."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.name, self.claims, self.policy = device.name, device.claims, device.policy
        self.run: Callable[..., None] | None = self._run if hasattr(device, "run") else None
        # A device in a process of its own has its answers looked at where they come in.
        self.play: Play | None = getattr(device, "play", None)

    def reset(self, start: Bitmap) -> None:
        """Take on the state `start`."""
        self._call("reset", start)

    def apply(self, rule: str, op: Any) -> Answer:
        """Do one step."""
        answer = self._call("apply", rule, op)
        if not isinstance(answer, Answer):
            raise DeviceFault(f"apply answered a {type(answer).__name__}, not an Answer")
        if not _is_word(answer.outcome) or answer.outcome not in _OUTCOMES:
            raise DeviceFault(f"apply answered the outcome {answer.outcome!r}, which is none")
        value = answer.value
        if not (all(map(_is_word, value)) if isinstance(value, tuple) else _is_word(value)):
            raise DeviceFault(f"apply answered the value {value!r:.60}, which is no 64-bit word")
        return answer

    def observe(self) -> Bitmap:
        """Its own state."""
        shown = self._call("observe")
        if not isinstance(shown, Bitmap) or not (_is_word(shown.base) and _is_word(shown.pages)):
            raise DeviceFault(f"observe showed {shown!r:.60}, which is no state")
        if not isinstance(shown.claimed, ListedPages):
            raise DeviceFault(f"observe showed {shown.claimed!r:.60}, which is no set of pages")
        return shown

    def _run(self, *arguments: Any) -> None:
        self._call("run", *arguments)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.device, method)(*arguments)
        except DeviceFault:
            raise
        except Exception as error:
            raise DeviceFault(f"{method} raised {type(error).__name__}: {error}") from error


def guarded(device: Device | Guarded) -> Guarded:
    """`device` behind glass, once."""
    return device if isinstance(device, Guarded) else Guarded(device)


def _is_word(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MASK
