"""What a step of the SVSM, the host or the guest is, in words."""

from collections.abc import Callable
from typing import Any

from conformance.protocol import machines
from spec.machine.snp import Contents
from spec.rule import Rule, Step
from spec.validation.svsm import Did, Result, Svsm

Says = Callable[[Any], str]


def _size(large: Any) -> str:
    return "2 MiB from " if large else ""


def _header(header: int) -> str:
    return f"{header & 0xFFFF} entries, next {header >> 16 & 0xFFFF}"


def _where(op: Any) -> str:
    """The page that a CPU remembers the way to, or on TDX the frame."""
    return f"page {op.spn:#x}" if hasattr(op, "spn") else f"frame {op.gfn:#x}"


def _entry(word: int) -> str:
    action = "validate" if word & 4 else "rescind"
    ignore = ", ignoring CF" if word & 8 else ""
    odd = f" (raw {word:#x})" if word & 0xFF2 else ""
    return f"{action} {_size(word & 1)}frame {word >> 12:#x}{ignore}{odd}"


def _told(op: Any) -> str:
    """What the host left behind, by GHCB and by MSR; or what it said to MapGPA."""
    if hasattr(op, "r10"):
        return f"MapGPA status {op.r10:#x}, reached {op.r11:#x}"
    return f"error {op.info2:#x}, header {op.header:#x} (by MSR {op.msr:#x})"


HOST: dict[str, Says] = {
    "rmpupdate": lambda o: (
        f"assigns page {_size(o.large)}{o.spn:#x} for frame {o.gfn:#x} (RMPUPDATE)"
        if o.assigned
        else f"takes page {_size(o.large)}{o.spn:#x} away (RMPUPDATE)"
    ),
    "psmash": lambda o: f"makes the 2 MiB page {o.spn:#x} 512 pages (PSMASH)",
    "remap": lambda o: f"leads frame {_size(o.large)}{o.gfn:#x} to page {o.spn:#x}",
    "page_aug": lambda o: f"adds a page for frame {_size(o.large)}{o.gfn:#x}, not accepted",
    "page_remove": lambda o: f"takes the page of frame {_size(o.large)}{o.gfn:#x} away",
    "page_demote": lambda o: f"makes the 2 MiB leaf of frame {o.gfn:#x} 512 leaves",
    "host_write": lambda o: f"writes to page {o.spn:#x}",
    "ask_private": lambda o: f"is asked to make the page private: {_told(o)}",
    "ask_shared": lambda o: f"is asked to share the page: {_told(o)}",
}
GUEST: dict[str, Says] = {
    "guest_access": lambda o: f"comes to frame {o.gfn:#x}; a CPU remembers the way",
    "guest_write": lambda o: f"writes to {_where(o)}",
    "guest_delegate": lambda o: f"passes rights {o.rights:#x} to frame {o.gfn:#x} on to VMPL3",
    "call": lambda o: f"vCPU {o.vcpu} calls: request at {o.rcx:#x}, {_header(o.header)}",
    "entry": lambda o: f"vCPU {o.vcpu} has it read the entry: {_entry(o.entry)}",
    "create": lambda o: f"vCPU {o.vcpu} asks for a vCPU: VMSA {o.vmsa:#x}, calling area {o.caa:#x}",
    "delete": lambda o: f"vCPU {o.vcpu} asks to end the vCPU with VMSA {o.vmsa:#x}",
}
WHOLE: dict[str, Says] = {
    "svsm_write": lambda o: f"keeps a secret in its own frame {o.gfn:#x}",
    "record": lambda o: f"records frame {_size(o.large)}{o.gfn:#x} as validated by the launch",
    "power_on": lambda _o: "begins to serve",
    "start": lambda _o: "lets the guest run",
    "export": lambda _o: "hands out its record for a migration",
    "take": lambda o: f"is given a stream with the mark {o.nonce:#x}",
    "complete": lambda _o: "lets the guest that was brought in run",
}
CPU: dict[str, str] = {
    "count_shared": "counts {block} as shared",
    "count_private": "counts {block} as private",
    "claim": "claims {block} in its record",
    "validate": "runs PVALIDATE to validate {block}",
    "fill": "fills {block}",
    "grant": "gives the guest {block}",
    "check": "looks whether {block} is claimed",
    "revoke": "takes {block} away from the guest",
    "rescind": "runs PVALIDATE to rescind {block}",
    "restore": "gives the rights to {block} back",
    "flush": "has every CPU forget its translations",
    "release": "releases {block} in its record",
    "finish": "unlocks {block}",
    "answer": "answers the guest",
    "promote": "makes {block} a VMSA",
    "demote": "makes the VMSA {block} a page again",
    "reboot": "stops the guest to reboot it",
    "reboot_end": "flushes, and is cold",
}
ON_TDX: dict[str, str] = {
    **CPU,
    "validate": "has the TDX module accept {block} (TDG.MEM.PAGE.ACCEPT)",
    "rescind": "gives {block} up",
    "promote": "takes a vCPU's registers from {block}",
    "demote": "gives the page of a vCPU back, {block}",
}
NAMED: dict[str, Says] = {
    "share": lambda o: f"begins to share its own page {o.gpa:#x}",
    "unshare": lambda o: f"begins to make its page {o.gpa:#x} private",
    "launch": lambda o: f"begins to bring in firmware at {o.gpa:#x}",
    "bring": lambda o: f"begins to bring in the page {o.gpa:#x} of the stream",
    "reboot_vmsa": lambda o: f"takes on the VMSA frame {o.gfn:#x}",
    "reboot_page": lambda o: f"takes on frame {o.gfn:#x}",
}


def told(rule: Rule, op: Any, before: Svsm, taken: Step) -> str:
    """One line: who does what, and what came of it."""
    return f"{_who(rule, op, before)}{_came(taken)}"


def _who(rule: Rule, op: Any, before: Svsm) -> str:
    name = rule.name
    if name in HOST:
        return f"host: {HOST[name](op)}"
    if name in GUEST:
        return f"guest: {GUEST[name](op)}"
    if name in WHOLE:
        return f"SVSM: {WHOLE[name](op)}"
    if name in NAMED:
        return f"SVSM on vCPU {op.vcpu}: {NAMED[name](op)}"
    first, large = before.block(op.vcpu)
    block = f"{_size(large)}frame {first:#x}"
    said = ON_TDX if machines.of(before).name == "tdx" else CPU
    return f"SVSM on vCPU {op.vcpu}: {said[name].format(block=block)}"


def _came(taken: Step) -> str:
    match taken.outcome:
        case Did.EXIT:
            return " - exits to the host"
        case Did.HALTED:
            return f" - {taken.case}: the SVSM stops for good"
        case Did.REFUSED:
            word = f", {Result(taken.value).name}" if taken.value in list(Result)[1:] else ""
            return f" - refused: {taken.case}{word}"
    return ""


def held(s: Svsm, frame: int) -> str:
    """What the record and the machine hold of a frame."""
    record = "claimed" if s.claimed.has(frame) else "not claimed"
    return f"frame {frame:#x}: {record}{HELD[machines.of(s).name](s, frame)}"


def _on_tdx(s: Any, frame: int) -> str:
    hw = s.hw
    accepted = "accepted" if hw.accepted.has(frame) else "not accepted"
    page = f"its page is {accepted}" if hw.present.has(frame) else "it has no page"
    contents = f", holds what is {Contents(hw.contents.at(frame)).name}"
    return f"; {page}{contents}{'; guest may use it' if hw.rights.at(frame) else ''}"


def _on_snp(s: Svsm, frame: int) -> str:
    pages = [p for p in _pages(s) if s.hw.gfn.at(p) == frame and s.hw.validated.has(p)]
    there = s.hw.npt.at(frame)
    valid = " and ".join(f"{p:#x}" for p in pages) or "none"
    rights = [f"{p:#x}" for p in _pages(s) if s.hw.gfn.at(p) == frame and s.hw.weak_rights(p)]
    who = f"; guest may use {', '.join(rights)}" if rights else ""
    return f"; leads to {there:#x}; validated: {valid}{who}"


HELD: dict[str, Callable[[Any, int], str]] = {
    "": _on_snp,
    "tdx": _on_tdx,
    "native": lambda _s, _frame: "",
}


def _pages(s: Svsm) -> list[int]:
    """The pages that there is anything to say of."""
    found = {p for p in s.hw.gfn.singles if s.hw.assigned.has(p)}
    return sorted(found | {first for first, _ in s.hw.validated.runs()})
