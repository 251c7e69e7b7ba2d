"""Citations as data: where a rule, an invariant or a number comes from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One place in one document."""

    document: str
    place: str

    def __str__(self) -> str:
        return f"{self.document}, {self.place}"


def apm2(section: str) -> Source:
    """AMD64 Architecture Programmer's Manual, volume 2 (24593)."""
    return Source("AMD64 APM vol. 2 (24593)", f"section {section}")


def apm3(instruction: str) -> Source:
    """AMD64 Architecture Programmer's Manual, volume 3 (24594)."""
    return Source("AMD64 APM vol. 3 (24594)", instruction)


def svsm_spec(section: str) -> Source:
    """Secure VM Service Module for SEV-SNP Guests (58019)."""
    return Source("AMD SVSM specification (58019)", section)


def coconut(path: str) -> Source:
    """A file of the COCONUT-SVSM sources."""
    return Source("COCONUT-SVSM", path)


def coconut_pull(number: int) -> Source:
    """A pull request of coconut-svsm/svsm."""
    return Source("COCONUT-SVSM", f"pull request {number}")


def decision(name: str) -> Source:
    """A decision record of this project."""
    return Source("svsm-conformance", f"docs/decisions/{name}.md")


def definition(what: str) -> Source:
    """A fact of arithmetic or a definition, not of any manual."""
    return Source("by definition", what)


def tdx_module(place: str) -> Source:
    """Intel TDX module, version 1.5: its interface functions."""
    return Source("Intel TDX module 1.5", place)


def ghci(place: str) -> Source:
    """Intel TDX Guest-Host Communication Interface."""
    return Source("Intel TDX GHCI", place)


def ghcb(place: str) -> Source:
    """Guest-Hypervisor Communication Block standard (56421)."""
    return Source("AMD GHCB standard (56421)", place)


def virtio(section: str) -> Source:
    """Virtual I/O Device (VIRTIO), version 1.2."""
    return Source("VIRTIO 1.2", f"section {section}")


def igvm(name: str) -> Source:
    """The IGVM file format, as its Rust crate defines it."""
    return Source("IGVM (igvm_defs)", name)


def edk2(path: str) -> Source:
    """A file of EDK II, the firmware's sources."""
    return Source("EDK II", path)


def handoff(stage: str) -> Source:
    """This project's page on the memory-map handoff."""
    return Source("svsm-conformance", f"docs/handoff.md, {stage}")
