"""Any machine: whatever it answers, to each access and each instruction.

What is proved on it holds on every platform that an SVSM has, or will have: what it says of locks,
requests and stages does not lean on the machine at all. The native platform, where every operation
is an identity that succeeds, is one of them.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from spec.machine.snp import Asked
from spec.terms import Bool, KeySet, Word, all_of

Set = Annotated[Any, KeySet()]


@dataclass(frozen=True)
class AnyMachine:
    """What it answers about each frame, at one step; at the next it may answer anything else."""

    faults: Set
    mismatches: Set
    unchanged: Set
    absent: Set
    usable: Set
    small: Set

    def validate(self, gfn: Word, large: Bool) -> Asked:
        """To validate a block."""
        return Asked(
            fault=self.faults.has(gfn),
            # Only of a 2 MiB page can the size be wrong.
            mismatch=all_of(large, self.mismatches.has(gfn)),
            unchanged=self.unchanged.has(gfn),
            then=lambda: self,
        )

    def rescind(self, gfn: Word, large: Bool) -> Asked:
        """To rescind a block."""
        return self.validate(gfn, large)

    def exits(self, gfn: Word) -> Bool:
        """An access to a frame exits to the host."""
        return self.absent.has(gfn)

    def adjusting_exits(self, gfn: Word, _large: Bool) -> Bool:
        """A change of rights exits to the host."""
        return self.exits(gfn)

    def reaches(self, gfn: Word, _large: Bool) -> Bool:
        """An access to a block comes through."""
        return self.usable.has(gfn)

    def is_too_small(self, gfn: Word, large: Bool) -> Bool:
        """A 2 MiB page is asked for where there is none."""
        return all_of(large, self.small.has(gfn))

    def granting(self, _gfn: Word, _large: Bool, _rights: Word) -> "AnyMachine":
        """Rights given or taken."""
        return self

    def filled(self, _gfn: Word, _large: Bool, _contents: Word) -> "AnyMachine":
        """Pages filled."""
        return self

    def with_vmsa(self, _gfn: Word, _vmsa: Bool) -> "AnyMachine":
        """A vCPU's page marked, or not."""
        return self

    def flushed(self) -> "AnyMachine":
        """Translations forgotten."""
        return self
