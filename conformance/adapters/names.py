"""How a device of somebody else's is named, and what is run for a name.

`c:PATH` is a shared library, `rust:DIR` a crate of which two builds are run (`rust-debug:DIR` and
`rust-release:DIR`), `program:COMMAND` a program that speaks, and `MODULE:CLASS` a class of Python.
Behind a `#` stands which of the groups of rules is meant, where it has several.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from conformance.adapters import cargo
from conformance.device import DeviceError

OURS = ("impl", "defect")
HOST = ("-m", "conformance.adapters.host")
EXPECTED = (
    "expected impl, impl:fast, impl:pure, defect:ID, c:LIB.so, rust:DIR, program:'COMMAND', "
    "or MODULE:CLASS"
)


class Name(NamedTuple):
    """A device's name: its kind, what it is, and the group that is meant, if one is named."""

    kind: str
    target: str
    group: str


@dataclass(frozen=True)
class Command:
    """What is run. hosted: it is a host of ours, that runs the device within itself."""

    words: tuple[str, ...]
    hosted: bool


def parsed(spec: str) -> Name | None:
    """The parts of the name of a foreign device; None of one that is built in.

    Raises: DeviceError where it is no name at all.
    """
    kind, found, target = spec.partition(":")
    if kind in OURS:
        return None
    if not found or not target:
        raise DeviceError(f"device {spec!r}: {EXPECTED}")
    target, _, group = target.partition("#")
    if kind != "class" and kind in COMMANDS:
        return Name(kind, target, group)
    return Name("class", f"{kind}:{target}", group)


def command(spec: str, name: Name) -> Command:
    """What is run for a name.

    Raises: DeviceError where there is nothing to run.
    """
    return COMMANDS[name.kind](spec, name.target)


def _hosted(kind: str) -> Callable[[str, str], Command]:
    def made(_spec: str, target: str) -> Command:
        return Command((sys.executable, *HOST, kind, target), hosted=True)

    return made


def _program(spec: str, target: str) -> Command:
    try:
        words = shlex.split(target)
    except ValueError as error:
        raise DeviceError(f"device {spec!r}: {error}; quote it as a shell would") from error
    if not words:
        raise DeviceError(f"device {spec!r}: names no program to run")
    if shutil.which(words[0]) is None:
        raise DeviceError(f"device {spec!r}: there is no program {words[0]!r} that can be run")
    return Command(tuple(words), hosted=False)


def _crate(profile: str) -> Callable[[str, str], Command]:
    def made(spec: str, target: str) -> Command:
        return _hosted("c")(spec, str(cargo.built(spec, target, profile)))

    return made


def _of_two_builds(spec: str, target: str) -> Command:
    told = " or ".join(f"{kind}:{target}" for kind in BUILDS["rust"])
    raise DeviceError(f"device {spec!r}: two builds of it are run; say which: {told}")


BUILDS: Mapping[str, tuple[str, ...]] = {"rust": ("rust-debug", "rust-release")}
"""The kinds that stand for a device in several builds."""


def builds(spec: str) -> list[str]:
    """The names of the builds that a name stands for; the name itself where that is one."""
    kind, _, target = spec.partition(":")
    return [f"{build}:{target}" for build in BUILDS.get(kind, (kind,))]


COMMANDS: Mapping[str, Callable[[str, str], Command]] = {
    "c": _hosted("c"),
    "class": _hosted("class"),
    "rust": _of_two_builds,
    **{f"rust-{profile}": _crate(profile) for profile in cargo.PROFILES},
    "program": _program,
}


def search_path() -> str:
    """Where a process of ours finds modules: where this one does."""
    return os.pathsep.join([one or "." for one in sys.path])
