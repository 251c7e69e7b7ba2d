"""The built-in implementation as a device: reached by name, like anybody else's.

Each of its answers is a signed 64-bit integer: a result, or minus a status. Statuses are
translated by name, so a status that the rules do not know is loud.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from conformance.device import Answer, DeviceError, DeviceFault
from conformance.packing import from_bytes, state_bytes
from spec.catalogue import subject_of
from spec.validation.bitmap import ANY_RUNS, Bitmap, Policy
from spec.validation.outcomes import Outcome

MAX_PAGES = 1 << 28
FEW_RUNS = 12
"""So few that walks run out of them."""
BUILTIN_POLICY = Policy(cap_pages=MAX_PAGES, mixed_2m=int(Outcome.MIXED))
RUNS_POLICY = replace(BUILTIN_POLICY, most_runs=FEW_RUNS)
POLICIES = {
    "": BUILTIN_POLICY,
    "mixed": BUILTIN_POLICY,
    "size_mismatch": replace(BUILTIN_POLICY, mixed_2m=int(Outcome.SIZE_MISMATCH)),
    "runs": RUNS_POLICY,
}
"""What the built-in device chooses, by the word behind its name."""


class Builtin:
    """One twin, or a changed copy of one, as a device: its bitmap, or its run tracker."""

    def __init__(self, module: ModuleType, name: str, policy: Policy) -> None:
        self.name, self.policy = name, policy
        self.claims = frozenset(rule.id for rule in subject_of(policy).rules)
        self._module = module
        self._outcomes = outcomes()
        self.bitmap = self._fresh(policy)

    def _fresh(self, policy: Policy) -> Any:
        choices = {"max_pages": policy.cap_pages, "mixed_2m": policy.mixed_2m}
        if policy.most_runs == ANY_RUNS:
            return self._module.ValidationBitmap(**choices)
        return self._module.RunTracker(**choices, max_runs=policy.most_runs)

    def reset(self, start: Bitmap) -> None:
        """Take on the state `start`."""
        try:
            if start.policy.most_runs != self._most_runs():
                self.bitmap = self._fresh(start.policy)
            self.bitmap.load_state(start.base, start.pages, state_bytes(start))
        except Exception as error:
            raise DeviceFault(f"load_state: {type(error).__name__}: {error}") from error

    def _most_runs(self) -> int:
        return int(getattr(self.bitmap, "max_runs", ANY_RUNS))

    def load(self, base: int, pages: int, words: Any) -> None:
        """Take on a state given as packed words."""
        if self.policy.most_runs != self._most_runs():
            self.bitmap = self._fresh(self.policy)
        self.bitmap.load_state(base, pages, words)

    def apply(self, rule: str, op: Any) -> Answer:
        """Do one step."""
        name = rule.rsplit(".", 1)[1]
        try:
            if name == "export_words":
                return self._export(op.length)
            if name == "switch":
                return self._switch()
            answer = getattr(self.bitmap, name)(*_arguments(name, op))
        except Exception as error:
            raise DeviceFault(f"{name}: {type(error).__name__}: {error}") from error
        return self._answered(answer, 0 if name == "import_words" else answer)

    def _answered(self, answer: Any, value: Any) -> Answer:
        if not isinstance(answer, int):
            raise DeviceFault(f"answered {answer!r}, which is not an integer")
        if answer >= 0:
            return Answer(int(Outcome.OK), value)
        if -answer not in self._outcomes:
            raise DeviceFault(f"answered {answer}, which is no status")
        return Answer(self._outcomes[-answer])

    def _switch(self) -> Answer:
        if self._most_runs() != ANY_RUNS:
            self.bitmap = self.bitmap.to_bitmap()
        return Answer(int(Outcome.OK))

    def _export(self, length: int) -> Answer:
        room = np.zeros(length, np.uint64)
        answer = self.bitmap.export_words(room)
        return self._answered(answer, tuple(room.tolist()))

    def observe(self) -> Bitmap:
        """Its own state, in the rules' terms."""
        try:
            base, words = self.bitmap.base, self.bitmap.words()
            told = self._outcomes.get(int(self.bitmap.mixed_2m), int(self.bitmap.mixed_2m))
            policy = Policy(self.bitmap.max_pages, told, self._most_runs())
            return Bitmap(policy, base, self.bitmap.pages, from_bytes(words, base >> 12))
        except Exception as error:
            raise DeviceFault(f"state: {type(error).__name__}: {error}") from error

    def words(self) -> bytes:
        """The packed words, for a comparison without decoding."""
        return bytes(self.bitmap.words())

    def run(self, ops: Any, payload: Any, results: Any, snapshots: Any) -> None:
        """Many steps in one call; see the implementation's `run` for the shapes."""
        self.bitmap.run(ops, payload, results, snapshots)


def _arguments(name: str, op: Any) -> tuple[Any, ...]:
    if name == "create":
        return op.base, op.pages, op.claimed
    if name == "import_words":
        return (np.array(op.words.first(op.length), np.uint64),)
    return tuple(vars(op).values())


def outcomes() -> dict[int, int]:
    """The rules' outcome for each status of the implementation, matched by name."""
    statuses = import_module("impl.abi").Status
    return {int(status): int(Outcome[status.name]) for status in statuses}


def device_of(module: ModuleType, name: str, policy: Policy = BUILTIN_POLICY) -> Builtin:
    """A module that has a `ValidationBitmap`, as a device."""
    return Builtin(module, name, policy)


def device(choice: str = "auto", policy: Policy | None = None) -> Builtin:
    """The built-in implementation: `fast`, `pure`, or with `auto` whichever is built.

    `+size_mismatch` behind it chooses the other word for a mixed 2 MiB, `+runs` its run tracker
    with room for few runs. policy: taken as it is, in place of what `choice` says.

    Raises: DeviceError where the twin is not there.
    """
    twin, _, told = choice.partition("+")
    kernels = import_module("impl.kernels")
    try:
        module = kernels.load(twin)
    except (ImportError, ValueError) as error:
        said = " ".join(str(error).split())
        raise DeviceError(f"device impl:{choice}: {said}; see svsm-conformance doctor") from error
    if told not in POLICIES:
        known = ", ".join(f"+{name}" for name in POLICIES if name)
        raise DeviceError(f"device impl:{choice}: after the twin comes nothing or one of {known}")
    named = POLICIES[told]
    name = kernels.built() if twin == "auto" else twin
    return device_of(module, f"impl:{name}{'+' + told if told else ''}", policy or named)


def twins() -> tuple[str, ...]:
    """The specs of the built-in devices that are there: each twin, and the other policy."""
    fast = import_module("impl.kernels").built() == "fast"
    if fast:
        return "impl:fast", "impl:pure", "impl:fast+size_mismatch", "impl:fast+runs"
    return "impl:pure", "impl:pure+size_mismatch", "impl:pure+runs"


def maker(choice: str = "auto") -> Callable[[], Builtin]:
    """How to make one."""
    return lambda: device(choice)
