"""The words in which sentences about an SVSM are said."""

from collections.abc import Mapping, Sequence

from spec.machine.snp import Contents
from spec.tables import BLOCK
from spec.terms import (
    MASK,
    Bool,
    Word,
    all_of,
    any_of,
    bits_and,
    equal,
    negate,
)
from spec.validation.svsm import Mode, Pc, Svsm

BASE = MASK - (BLOCK - 1)

# Which modes can be at which step: what a vCPU works for, told by where it is.
MODES: Mapping[Pc, Sequence[Mode]] = {
    Pc.CLAIM: (Mode.GUEST, Mode.LAUNCH, Mode.IMPORT, Mode.UNSHARE),
    Pc.VALIDATE: (Mode.GUEST, Mode.LAUNCH, Mode.IMPORT, Mode.UNSHARE),
    Pc.FILL: (Mode.GUEST, Mode.LAUNCH, Mode.IMPORT, Mode.UNSHARE),
    Pc.GRANT: (Mode.GUEST, Mode.LAUNCH, Mode.IMPORT),
    Pc.CHECK: (Mode.GUEST,),
    Pc.REVOKE: (Mode.GUEST, Mode.REBOOT, Mode.CREATE),
    Pc.RESCIND: (Mode.GUEST, Mode.REBOOT, Mode.SHARE),
    Pc.RESTORE: (Mode.GUEST, Mode.CREATE),
    Pc.FLUSH: (Mode.GUEST, Mode.SHARE, Mode.CREATE),
    Pc.RELEASE: (Mode.GUEST, Mode.REBOOT, Mode.SHARE),
    Pc.FINISH: tuple(Mode),
    Pc.ASK_PRIVATE: (Mode.LAUNCH, Mode.IMPORT, Mode.UNSHARE),
    Pc.ASK_SHARED: (Mode.SHARE,),
    Pc.PROMOTE: (Mode.CREATE, Mode.IMPORT),
    Pc.DEMOTE: (Mode.DELETE, Mode.REBOOT),
}
AT_REST = (Pc.IDLE, Pc.READ, Pc.ANSWER, Pc.REBOOT)
ALONE = (Mode.LAUNCH, Mode.IMPORT, Mode.SHARE, Mode.UNSHARE, Mode.CREATE, Mode.DELETE, Mode.REBOOT)
NOBODYS = (Contents.ZEROED, Contents.GUEST, Contents.LAUNCHED, Contents.MIGRATED)


def one_of(term: Word, values: Sequence[int]) -> Bool:
    """A word is one of some numbers."""
    if type(term) is int:
        return term in values
    return any_of(False, *(equal(term, int(value)) for value in values))


def works(s: Svsm, c: Word) -> Bool:
    """A vCPU works on a block."""
    return negate(one_of(s.pc(c), AT_REST))


def is_at(s: Svsm, c: Word, *pcs: Pc) -> Bool:
    """A vCPU is about to take one of some steps."""
    return one_of(s.pc(c), pcs)


def in_hand(s: Svsm, gfn: Word, *pcs: Pc) -> Bool:
    """A frame is locked by a vCPU that is about to take one of some steps."""
    return all_of(s.held.has(gfn), is_at(s, s.holder.at(gfn), *pcs))


def base(p: Word) -> Word:
    """The first page of the 2 MiB that a page lies in."""
    return bits_and(p, BASE)


def measured(s: Svsm, gfn: Word) -> Bool:
    """The launch validated a page for a frame."""
    return s.layout.measured.has(gfn)
