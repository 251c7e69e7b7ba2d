"""The TDX machine: one leaf of the Secure EPT for each guest frame, kept by the TDX module.

The module maps frames to memory itself, so a frame has one page and no other can take its place.
What the host can do is to take a page away and add a fresh one, which is then pending until it is
accepted; whoever accepts it again, instead of stopping, replaces what was there by zeros. A 2 MiB
leaf is written here as 512 leaves that agree. What the guest may do with a page is the attribute
of its L2 VM.

Assumes: `block-access`.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from spec.machine.snp import Asked, Contents
from spec.rule import changed
from spec.tables import block_pages
from spec.terms import Bool, KeySet, KeyTable, Word, all_of, any_of, bits_and, minus, negate, pick

Set = Annotated[Any, KeySet()]
Words = Annotated[Any, KeyTable()]


@dataclass(frozen=True)
class Tdx:
    """The Secure EPT's leaves by frame, and the translations that CPUs remember.

    present: the host has added a page. accepted: MAPPED, and not PENDING. rights: of the guest's
    L2 VM. tlb: frames to which the guest may have a translation. kept: a ghost, what the guest has
    written to and not given up since.
    """

    present: Set
    large: Set
    accepted: Set
    rights: Words
    contents: Words
    tlb: Set
    kept: Set

    def validate(self, gfn: Word, large: Bool) -> Asked:
        """TDG.MEM.PAGE.ACCEPT of a block; one that is accepted already is not zeroed.

        A page of a 2 MiB leaf that is pending exits, so that the host splits it; one of a leaf that
        is accepted is accepted already.

        Source: Intel TDX module 1.5, TDG.MEM.PAGE.ACCEPT.
        """
        is_large, is_accepted = self.large.has(gfn), self.accepted.has(gfn)
        zeroed = pick(is_accepted, self.contents.at(gfn), int(Contents.ZEROED))
        must_split = all_of(is_large, negate(large), negate(is_accepted))
        return Asked(
            fault=any_of(negate(self.present.has(gfn)), must_split),
            mismatch=all_of(large, negate(is_large)),
            unchanged=False,
            then=lambda: changed(
                self,
                accepted=self.accepted.with_block(gfn, large, True),
                contents=self.contents.with_block(gfn, large, zeroed),
            ),
        )

    def rescind(self, _gfn: Word, _large: Bool) -> Asked:
        """Nothing: a page that nobody has rights to need not be given back."""
        return Asked(fault=False, mismatch=False, unchanged=False, then=lambda: self)

    def exits(self, gfn: Word) -> Bool:
        """An access to a frame exits to the host: there is no page."""
        return negate(self.present.has(gfn))

    def adjusting_exits(self, gfn: Word, large: Bool) -> Bool:
        """TDG.MEM.PAGE.ATTR.WR of a block exits: there is no page, or one of a 2 MiB leaf is named.

        The host then splits the leaf; attributes are those of a leaf, and not of a part of it.

        Source: Intel TDX module 1.5, TDG.MEM.PAGE.ATTR.WR.
        """
        return any_of(self.exits(gfn), all_of(self.large.has(gfn), negate(large)))

    def reaches(self, gfn: Word, large: Bool) -> Bool:
        """An access to each page of a block comes through."""
        aligned = bits_and(gfn, minus(block_pages(large), 1)) == 0
        return all_of(aligned, self.present.has(gfn), self.accepted.whole_block(gfn, large))

    def is_too_small(self, gfn: Word, large: Bool) -> Bool:
        """TDX_PAGE_SIZE_MISMATCH: a 2 MiB page is asked for where the leaf is of 4 KiB."""
        return all_of(large, negate(self.large.has(gfn)))

    def granting(self, gfn: Word, large: Bool, rights: Word) -> "Tdx":
        """TDG.MEM.PAGE.ATTR.WR of a block: the rights of the guest's L2 VM, begun anew."""
        return changed(
            self,
            rights=self.rights.with_block(gfn, large, rights),
            kept=self.kept.with_block(gfn, large, False),
        )

    def filled(self, gfn: Word, large: Bool, contents: Word) -> "Tdx":
        """A block now holds something else."""
        return changed(self, contents=self.contents.with_block(gfn, large, contents))

    def with_vmsa(self, _gfn: Word, _vmsa: Bool) -> "Tdx":
        """Nothing: a vCPU of an L2 VM has no page that is marked."""
        return self

    def flushed(self) -> "Tdx":
        """No CPU remembers a translation."""
        return changed(self, tlb=self.tlb.emptied())
