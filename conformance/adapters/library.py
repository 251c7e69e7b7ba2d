"""Somebody's shared library, in the process that runs it: loaded, looked at, called.

What the header declares is read from the header itself. Nothing of a library is called before its
version of the header is known to be this one.
"""

import importlib.util
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cffi

from conformance.adapters import header
from conformance.adapters.wire import Choices, Greeting

MACHINES = {0x3E: "x86_64", 0xB7: "aarch64", 0xF3: "riscv64", 0x03: "i386", 0x28: "arm"}
EXPORT = "SVSM_CONFORMANCE_EXPORT"
STAGES = {"read": "read", "size": "size", "kernel": "reserve", "reserve": "reserve"} | {
    "carve": "carve",
    "write": "write",
}
OF_SVSM = ("pvalidate", "vmsa", "visibility", "launch", "reboot", "migration")
OF_RECORD = ("make", "drop", "load", "observe")
OF_MACHINE = ("make", "drop", "slots")


class NoLibrary(Exception):
    """A library cannot be used; one line that says what to do."""


def declared() -> str:
    """The header without what only a compiler's first pass reads."""
    text = re.sub(r"/\*.*?\*/", "", header().read_text(), flags=re.S)
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif", "", text, flags=re.S)
    text = re.sub(r"#define SVSM_CONFORMANCE_EXPORT.*?\n\s*}\n\s*\n", "\n", text, flags=re.S)
    kept = (row for row in text.replace("\\\n", " ").split("\n") if keeps(row))
    return "\n".join(kept)


def keeps(row: str) -> bool:
    """Whether a line is one that declares something, or names a number."""
    return not row.startswith("#") or bool(re.match(r"#define \w+ (0x)?[0-9A-Fa-f]+$", row))


FFI = cffi.FFI()
FFI.cdef(declared())
VERSION = int(re.search(r"#define SVSM_CONFORMANCE_VERSION (\d+)", declared())[1])  # type: ignore[index]


def fits_this_machine(path: Path) -> None:
    """Look at a library's first bytes.

    Raises: NoLibrary where it is none, or another machine's.
    """
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise NoLibrary(f"{path}: {error.strerror}; build the library first") from error
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise NoLibrary(f"{path}: is no ELF file; build a shared library with cc -shared -fPIC")
    bits = {1: 32, 2: 64}.get(head[4], 0)
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    built = MACHINES.get(number, f"machine {number}")
    here = platform.machine()
    if (built, bits) != (here, 64):
        raise NoLibrary(f"{path}: is built for {built} ({bits} bits); build it for {here}")
    if int.from_bytes(head[16:18], "little") != 3:
        raise NoLibrary(f"{path}: is no shared library; build it with cc -shared -fPIC")


class Library:
    """A library that has been found to be usable."""

    def __init__(self, path: Path) -> None:
        fits_this_machine(path)
        try:
            self._loaded = FFI.dlopen(str(path.resolve()), FFI.RTLD_NOW)
        except OSError as error:
            said = " ".join(str(error).split()).replace("cannot load library ", "")
            raise NoLibrary(
                f"{path}: cannot be loaded: {said}; link it with all it needs"
            ) from error
        version = int(self._symbol(path, "svsm_conformance_version")())
        if version != VERSION:
            raise NoLibrary(
                f"{path}: is built against version {version} of the header, this is {VERSION}; "
                f"build it again with -I {header().parent}"
            )
        self.tables = self._symbol(path, "svsm_conformance_library")()
        if self.tables == FFI.NULL:
            raise NoLibrary(f"{path}: svsm_conformance_library answers NULL; return the table")
        self.name = text(self.tables.name) or path.name
        self.claims = _listed(self.tables.claims)
        self._whole(path)

    def _symbol(self, path: Path, name: str) -> Any:
        try:
            return getattr(self._loaded, name)
        except AttributeError as error:
            raise NoLibrary(
                f"{path}: exports no {name}; put {EXPORT}(table) of the header into it"
            ) from error

    def _whole(self, path: Path) -> None:
        """Raises: NoLibrary where something is claimed without the function that does it."""
        for claim in self.claims:
            group, function = needed(claim)
            if not group:
                continue
            table = getattr(self.tables, group)
            if table == FFI.NULL:
                raise NoLibrary(
                    f"{path}: claims {claim}, but has no table {group}; add it, or drop the claim"
                )
            always = {"bitmap": OF_RECORD, "runs": OF_RECORD, "mmio": OF_MACHINE}.get(group, ())
            if group == "protocol":
                always = tuple(name for name, _ in FFI.typeof("struct svsm_protocol").fields)
            for name in filter(None, (*always, function)):
                if getattr(table, name) == FFI.NULL:
                    raise NoLibrary(
                        f"{path}: claims {claim}, but {group}.{name} is NULL; "
                        "implement it, or drop the claim"
                    )

    def greeting(self) -> Greeting:
        """What the library says of itself."""
        tables = self.tables
        groups = [g for g in ("bitmap", "runs", "handoff", "mmio") if getattr(tables, g)]
        backends = int(tables.mmio.backends) if tables.mmio else 0
        known = {"bus": FFI_BUS, "snp": FFI_SNP, "tdx": FFI_TDX}
        return Greeting(
            version=VERSION,
            name=self.name,
            claims=self.claims,
            bitmap=self._choices("bitmap"),
            runs=self._choices("runs"),
            backends=[name for name, bit in known.items() if backends & bit],
            errors={g: self._errors(g) for g in groups},
            binary=True,
            lanes=importlib.util.find_spec("conformance.adapters._loop") is not None,
        )

    def _choices(self, group: str) -> Choices | None:
        table = getattr(self.tables, group)
        if table == FFI.NULL:
            return None
        policy = table.policy
        told = RECORD_CODES.get(int(policy.mixed_2m), str(int(policy.mixed_2m)))
        return Choices(int(policy.cap_pages), told, int(policy.most_runs))

    def _errors(self, group: str) -> dict[str, str]:
        """The library's own codes and the names of what they mean."""
        errors, codes = getattr(self.tables, group).errors, CODES[group]
        listed = [errors.listed[place] for place in range(errors.count)]
        return {str(int(e.own)): codes.get(int(e.means), str(int(e.means))) for e in listed}

    def outcome(self, group: str, status: int) -> str | int:
        """The name of what a status means, or the status where nothing says so."""
        if status == 0:
            return "OK"
        errors = self._errors(group)
        if errors:
            return errors.get(str(status), status)
        return CODES[group].get(status, status)


def _named(enum: str, prefix: str) -> dict[int, str]:
    names: Mapping[str, int] = FFI.typeof(f"enum {enum}").relements
    return {int(n): name.removeprefix(prefix) for name, n in names.items()}


RECORD_CODES = _named("svsm_record_status", "SVSM_")
CODES = {
    "bitmap": RECORD_CODES,
    "runs": RECORD_CODES,
    "handoff": _named("svsm_handoff_status", "SVSM_HANDOFF_"),
    "mmio": _named("svsm_mmio_status", "SVSM_MMIO_"),
}
FFI_BUS, FFI_SNP, FFI_TDX = (
    FFI.typeof("enum svsm_backend").relements[name] for name in ("SVSM_BUS", "SVSM_SNP", "SVSM_TDX")
)


def needed(claim: str) -> tuple[str, str]:
    """The table and the function in it that a claimed rule needs; none where no rule is called so.

    Whether there is such a rule, the suite says, which knows them.
    """
    area, _, rest = claim.partition(".")
    last = claim.rpartition(".")[2]
    if area == "validation":
        group, _, name = rest.partition(".")
        if group in ("bitmap", "runs"):
            return _there(group, "become_bitmap" if name == "switch" else name)
        return ("protocol", "") if group in OF_SVSM else ("", "")
    if area == "handoff" and last in STAGES:
        return "handoff", STAGES[last]
    if area == "mmio":
        return _there("mmio", "read_config_u64" if last == "config_round" else last)
    return "", ""


def _there(group: str, name: str) -> tuple[str, str]:
    shape = "record" if group in ("bitmap", "runs") else group
    fields = dict(FFI.typeof(f"struct svsm_{shape}").fields)
    return (group, name) if name in fields else ("", "")


def text(pointer: Any) -> str:
    """A C string; nothing where there is none."""
    return "" if pointer == FFI.NULL else bytes(FFI.string(pointer, 256)).decode(errors="replace")


def _listed(pointer: Any) -> list[str]:
    found: list[str] = []
    while pointer != FFI.NULL and pointer[len(found)] != FFI.NULL:
        found.append(text(pointer[len(found)]))
    return found
