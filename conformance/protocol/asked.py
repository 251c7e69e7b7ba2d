"""What each machine is asked for a step, as a device yields it, and what it answers.

A question is a kind of operation with its arguments. The numbers are written here once more, from
the manuals, and not taken from an implementation.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from spec.machine.snp import RIGHTS_RWX
from spec.rule import Step
from spec.validation.svsm import Did, Mode


def nothing(_step: Step) -> None:
    """What is answered where there is nothing to say."""


class Question(NamedTuple):
    """An operation by its name and arguments, and what is answered once the step is taken."""

    kind: str
    arguments: tuple[Any, ...]
    answer: Callable[[Step], Any] = nothing


Ask = Callable[[Any, Any], Question]
"""From the state before a step, which the step changes, and the step's operands."""
HEADER_BYTES = ENTRY_BYTES = 8
FILLED: Mapping[int, int] = {Mode.GUEST: 0, Mode.LAUNCH: 1, Mode.IMPORT: 2, Mode.UNSHARE: 0}
"""With what a page is filled: zeros, firmware, or what the stream says."""


IMPORT, REBOOT, EXIT = map(int, (Mode.IMPORT, Mode.REBOOT, Did.EXIT))


def _block(s: Any, op: Any) -> tuple[int, bool]:
    return s.block(op.vcpu)  # type: ignore[no-any-return]


def _mode(s: Any, op: Any) -> int:
    return s.cpus.mode.at(op.vcpu)  # type: ignore[no-any-return]


# On every machine


def entry(s: Any, op: Any) -> Question:
    """Read the next entry."""
    cpus = s.cpus
    place = cpus.block.at(op.vcpu) + HEADER_BYTES + ENTRY_BYTES * cpus.next.at(op.vcpu)
    data = op.entry.to_bytes(8, "little")
    return Question("Read", (place, ENTRY_BYTES), lambda _step: data)


def fill(s: Any, op: Any) -> Question:
    """Fill a block."""
    return Question("Fill", (*_block(s, op), FILLED[_mode(s, op)]))


def flush(_s: Any, _op: Any) -> Question:
    """Have every CPU forget."""
    return Question("Flush", ())


EVERYWHERE: Mapping[str, Ask] = {
    "entry": entry,
    "fill": fill,
    "flush": flush,
    "reboot_end": flush,
}


def adopt(s: Any, op: Any) -> Question:
    """Take a vCPU's registers from its page."""
    arguments = _block(s, op)[0], _mode(s, op) == IMPORT
    return Question("Adopt", arguments, lambda step: step.case == "promoted")


NATIVE = {**EVERYWHERE, "promote": adopt}

# SEV-SNP: AMD64 APM vol. 3

SIZE_MISMATCH = 6


def _mismatched(step: Step) -> int:
    return SIZE_MISMATCH if step.case == "size_mismatch" else 0


def _pvalidate(validate: bool) -> Ask:
    def answer(step: Step) -> tuple[int, bool]:
        return _mismatched(step), step.case == "unchanged"

    return lambda s, op: Question("Pvalidate", (*_block(s, op), validate), answer)


def _rmpadjust(rights: int, each: bool) -> Ask:
    return lambda s, op: Question("Rmpadjust", (*_block(s, op), rights, each), _mismatched)


def promote(s: Any, op: Any) -> Question:
    """Set the VMSA bit."""
    return adopt(s, op)._replace(kind="Promote")


def rights_after(s: Any, op: Any) -> int:
    """What the guest may do with the page of a vCPU that is no more."""
    return 0 if _mode(s, op) == REBOOT else RIGHTS_RWX


def demote(s: Any, op: Any) -> Question:
    """Clear the VMSA bit."""
    return Question("Demote", (_block(s, op)[0], rights_after(s, op)))


def _page_state(private: bool) -> Ask:
    def asked(s: Any, op: Any) -> Question:
        arguments = _block(s, op)[0], private
        if s.policy.by_msr:
            return Question("PageStateMsr", arguments, lambda _step: op.msr)
        told = op.info2, op.header.to_bytes(8, "little")
        return Question("PageState", arguments, lambda _step: told)

    return asked


SNP: Mapping[str, Ask] = {
    **EVERYWHERE,
    "validate": _pvalidate(True),
    "rescind": _pvalidate(False),
    "grant": _rmpadjust(RIGHTS_RWX, True),
    "restore": _rmpadjust(RIGHTS_RWX, True),
    "revoke": _rmpadjust(0, False),
    "promote": promote,
    "demote": demote,
    "ask_private": _page_state(True),
    "ask_shared": _page_state(False),
}

# TDX: the TDX module 1.5, completion codes

PAGE_ALREADY_ACCEPTED = 0x0000_0B0A_0000_0000
PAGE_SIZE_MISMATCH = 0xC000_0B0B_0000_0000
OPERAND_BUSY = 0x8000_0200_0000_0000


def _completion(step: Step, done: int) -> int:
    """What the module says; of what exits to the host a later try is told that it was in use."""
    if step.outcome == EXIT:
        return OPERAND_BUSY | 1
    return PAGE_SIZE_MISMATCH if step.case == "size_mismatch" else done


def accept(s: Any, op: Any) -> Question:
    """Accept a block; one that is accepted already is told so, with the level of its leaf."""
    first, large = _block(s, op)
    level = int(s.hw.large.has(first))
    done = PAGE_ALREADY_ACCEPTED | level if s.hw.accepted.has(first) else 0
    return Question("Accept", (first, large), lambda step: _completion(step, done))


def _attributes(rights: int, each: bool) -> Ask:
    def asked(s: Any, op: Any) -> Question:
        return Question("WriteAttributes", (*_block(s, op), rights, each), _written)

    return asked


def _written(step: Step) -> int:
    return _completion(step, 0)


def give_back(s: Any, op: Any) -> Question:
    """Write the attributes of the page of a vCPU that is no more."""
    arguments = _block(s, op)[0], False, rights_after(s, op), True
    return Question("WriteAttributes", arguments, _written)


def _map_gpa(private: bool) -> Ask:
    def asked(s: Any, op: Any) -> Question:
        return Question("MapGpa", (_block(s, op)[0], private), lambda _step: (op.r10, op.r11))

    return asked


TDX: Mapping[str, Ask] = {
    **EVERYWHERE,
    "validate": accept,
    "grant": _attributes(RIGHTS_RWX, True),
    "restore": _attributes(RIGHTS_RWX, True),
    "revoke": _attributes(0, False),
    "promote": adopt,
    "demote": give_back,
    "ask_private": _map_gpa(True),
    "ask_shared": _map_gpa(False),
}
TOLD_TO_TRY_AGAIN = frozenset(("Accept", "WriteAttributes"))
"""Operations of which a device may see that they did not come to an end."""
