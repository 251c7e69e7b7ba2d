"""What was proved of kernels, as a table, as JSON and as an exit code."""

import msgspec
from rich.console import Console
from rich.text import Text

from conformance.audit.encodings import told
from conformance.audit.externals import COUNT_ONES
from conformance.audit.kernel_proof import Proof, Word
from conformance.audit.kernels import ASSUMED
from conformance.console import table

SCHEMA = "svsm-conformance/kernels/1"
PROVABLE = {"popcount_contract": COUNT_ONES}
"""Assumptions that the proof of a function takes the place of."""
EXITS = ((Word.ERROR, 6), (Word.REFUTED, 1), (Word.NOT_PROVED, 3))


class KernelReport(msgspec.Struct, kw_only=True):
    """The results of a run, and what all of them lean on."""

    schema: str = SCHEMA
    object: str
    assumptions: list[str]
    proofs: list[Proof]

    def to_json(self) -> bytes:
        """The report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @property
    def exit_code(self) -> int:
        """0 only if there are kernels and all of them are proved."""
        words = {proof.word for proof in self.proofs}
        found = next((code for word, code in EXITS if word in words), 0)
        return found if self.proofs else 3


def report(name: str, proofs: list[Proof]) -> KernelReport:
    """A report of proofs; a contract that is proved is no assumption any more."""
    proved = {one.kernel for one in proofs if one.word is Word.PROVED}
    settled = {assumed for assumed, kernel in PROVABLE.items() if kernel in proved}
    assumptions = [one for one in ASSUMED if one not in settled]
    return KernelReport(object=name, assumptions=assumptions, proofs=proofs)


def show(found: KernelReport, console: Console) -> None:
    """Print a row for each kernel, and why those are open that are not proved."""
    proved = sum(proof.word is Word.PROVED for proof in found.proofs)
    title = f"audit: {proved} of {len(found.proofs)} kernels PROVED, as compiled"
    columns = ("kernel", "it is", "paths", "claims", "loops", "seconds", "")
    shown = table(title, *columns, right="paths|claims|loops|seconds")
    for one in found.proofs:
        counts = (one.paths, one.claims, one.loops)
        row = (one.kernel, one.says, *map(str, counts), f"{one.seconds:.1f}", one.word.value)
        shown.add_row(*row)
    console.print(shown)
    for one in found.proofs:
        if one.word is not Word.PROVED:
            values = ", ".join(f"{name} = {value:#x}" for name, value in one.witness.items())
            said = f"{one.word.value} {one.kernel}: {one.reason}"
            console.print(Text(f"{said}; {values}" if values else said, style="bold red"))
    met = {name for one in found.proofs for name in one.encodings}
    assumed = ", ".join(found.assumptions)
    console.print(f"{told(met)}; assumptions: {assumed}", style="dim", markup=False)
