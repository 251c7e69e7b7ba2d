"""The native platform: no hardware keeps pages apart, every operation is an identity that succeeds.

It is there to run an SVSM on a machine without protection. Nothing is kept from a host, so nothing
is claimed of contents or rights; what is proved on any machine holds here too.
"""

from dataclasses import dataclass

from spec.machine.snp import Asked
from spec.terms import Bool, Word


@dataclass(frozen=True)
class Native:
    """Memory, all of it usable by everybody."""

    def validate(self, _gfn: Word, _large: Bool) -> Asked:
        """Nothing: a page is usable as it is."""
        return Asked(fault=False, mismatch=False, unchanged=False, then=lambda: self)

    def rescind(self, gfn: Word, large: Bool) -> Asked:
        """Nothing."""
        return self.validate(gfn, large)

    def exits(self, _gfn: Word) -> Bool:
        """No access exits."""
        return False

    def adjusting_exits(self, _gfn: Word, _large: Bool) -> Bool:
        """There are no rights, and no exit."""
        return False

    def reaches(self, _gfn: Word, _large: Bool) -> Bool:
        """Every access comes through."""
        return True

    def is_too_small(self, _gfn: Word, _large: Bool) -> Bool:
        """There are no pages to be too small."""
        return False

    def granting(self, _gfn: Word, _large: Bool, _rights: Word) -> "Native":
        """Nothing."""
        return self

    def filled(self, _gfn: Word, _large: Bool, _contents: Word) -> "Native":
        """What memory holds is not looked at."""
        return self

    def with_vmsa(self, _gfn: Word, _vmsa: Bool) -> "Native":
        """Nothing."""
        return self

    def flushed(self) -> "Native":
        """Nothing."""
        return self
