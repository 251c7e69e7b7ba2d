"""The SEV-SNP machine: RMP entries, nested tables, and the instructions that work on them.

There is an RMP entry for each 4 KiB system page number (SPN). A 2 MiB entry is written here as
512 entries that agree, which is what PSMASH makes of it. Of entries only those of one guest are
told apart: a page that is assigned to another guest is as little assigned as the hypervisor's.
The nested table leads from guest frame numbers (GFNs) to SPNs; it is the host's, and may change
before every step. What a page holds is a ghost: no instruction looks at it.

Assumes: `block-access`, `rmpupdate-flushes`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Any

from spec.rule import changed
from spec.tables import block_pages
from spec.terms import (
    Bool,
    KeySet,
    KeyTable,
    Word,
    all_of,
    any_of,
    bits_and,
    bits_or,
    minus,
    negate,
)

Set = Annotated[Any, KeySet()]
Words = Annotated[Any, KeyTable()]

RIGHTS_RWX = 0xF
"""Read, write, user and supervisor execute."""


@unique
class Contents(IntEnum):
    """What a page holds."""

    STALE = 0
    """Whatever the host or an earlier owner left there."""
    ZEROED = 1
    GUEST = 2
    SECRET = 3
    """The SVSM's own."""
    LAUNCHED = 4
    """What the launch put there, measured."""
    MIGRATED = 5
    """What a migration stream said."""


@dataclass(frozen=True)
class Asked:
    """What an instruction on a block would do.

    fault: an exit to the host, which may repair it; the instruction is then tried again.
    mismatch: FAIL_SIZEMISMATCH. unchanged: the carry flag. then: the machine, where it succeeds.
    """

    fault: Bool
    mismatch: Bool
    unchanged: Bool
    then: Callable[[], Any]


@dataclass(frozen=True)
class Snp:
    """RMP entries by SPN, the nested table by GFN, and the translations that CPUs remember.

    rights: what the guest's VMPL may do with a page; lesser_rights: what VMPL3 may, to which the
    guest can pass its rights on. tlb: the SPNs to which the guest may still have a translation.
    """

    assigned: Set
    gfn: Words
    large: Set
    validated: Set
    rights: Words
    lesser_rights: Words
    vmsa: Set
    contents: Words
    npt: Words
    tlb: Set

    def maps(self, spn: Word, gfn: Word) -> Bool:
        """The RMP entry of `spn` is this guest's, for frame `gfn`."""
        return all_of(self.assigned.has(spn), self.gfn.at(spn) == gfn)

    def weak_rights(self, spn: Word) -> Word:
        """What the guest's VMPL or the one below it may do with a page."""
        return bits_or(self.rights.at(spn), self.lesser_rights.at(spn))

    def with_rights(self, spn: Word, large: Bool, rights: Word) -> "Snp":
        """The guest's rights on a block changed, those of VMPL3 taken away."""
        return changed(
            self,
            rights=self.rights.with_block(spn, large, rights),
            lesser_rights=self.lesser_rights.with_block(spn, large, 0),
        )

    def validate(self, gfn: Word, large: Bool) -> Asked:
        """PVALIDATE of the block that the nested table leads to now, to validate it."""
        return self._pvalidate(gfn, large, True)

    def rescind(self, gfn: Word, large: Bool) -> Asked:
        """PVALIDATE of the block that the nested table leads to now, to rescind it."""
        return self._pvalidate(gfn, large, False)

    def _pvalidate(self, gfn: Word, large: Bool, validate: bool) -> Asked:
        # Source: AMD64 APM vol. 3, PVALIDATE; vol. 2, table 15-40.
        spn = self.npt.at(gfn)
        entry_is_large = self.large.has(spn)
        must_smash = all_of(entry_is_large, negate(large))
        return Asked(
            fault=any_of(negate(self.maps(spn, gfn)), must_smash),
            mismatch=all_of(large, negate(entry_is_large)),
            unchanged=self.validated.has(spn) == validate,
            then=lambda: changed(self, validated=self.validated.with_block(spn, large, validate)),
        )

    def exits(self, gfn: Word) -> Bool:
        """An access to a frame exits to the host: its page is not this guest's, or another's."""
        return negate(self.maps(self.npt.at(gfn), gfn))

    def adjusting_exits(self, gfn: Word, _large: Bool) -> Bool:
        """RMPADJUST of a block exits to the host, as an access does."""
        return self.exits(gfn)

    def reaches(self, gfn: Word, large: Bool) -> Bool:
        """An access to each page of a block comes through: this guest's, for it, validated."""
        spn = self.npt.at(gfn)
        right = self.validated.counting(self.gfn, spn, gfn, large)
        aligned = bits_and(spn, minus(block_pages(large), 1)) == 0
        return all_of(self.maps(spn, gfn), aligned, right.whole_block(spn, large))

    def is_too_small(self, gfn: Word, large: Bool) -> Bool:
        """FAIL_SIZEMISMATCH: a 2 MiB page is asked for where the RMP entry is of 4 KiB."""
        return all_of(large, negate(self.large.has(self.npt.at(gfn))))

    def granting(self, gfn: Word, large: Bool, rights: Word) -> "Snp":
        """RMPADJUST of each page of a block: `rights` for the guest's VMPL, none for VMPL3."""
        return self.with_rights(self.npt.at(gfn), large, rights)

    def filled(self, gfn: Word, large: Bool, contents: Word) -> "Snp":
        """The block that the nested table leads to now holds something else."""
        return changed(self, contents=self.contents.with_block(self.npt.at(gfn), large, contents))

    def with_vmsa(self, gfn: Word, vmsa: Bool) -> "Snp":
        """RMPADJUST of one page's VMSA bit."""
        return changed(self, vmsa=self.vmsa.with_block(self.npt.at(gfn), False, vmsa))

    def flushed(self) -> "Snp":
        """No CPU remembers a translation."""
        return changed(self, tlb=self.tlb.emptied())
