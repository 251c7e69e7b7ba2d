"""A divergence of MMIO for people: the calls that lead to it, and what went out, side by side."""

from collections.abc import Sequence
from pathlib import Path

from conformance.mmio.calls import Call, expected
from conformance.mmio.trace import load
from conformance.mmio.world import SETTINGS, at_first
from conformance.trace import Finding
from spec.mmio.state import Answer, Mmio
from spec.mmio.wire import Backend, Wire, heard, is_understood


def describe(finding: Finding, path: Path | str) -> str:
    """The calls of a trace, the difference, and how to see it again."""
    calls = load(Path(path))
    return "\n".join(
        (
            f"step {finding.step + 1}: {finding.rule}.{finding.case}: {finding.field}",
            f"  expected: {finding.expected}",
            f"  got:      {finding.got}",
            *told(calls),
            f"  source:   {calls[-1].rule.source}",
            f"  replay:   svsm-conformance replay {path}",
        )
    )


def strip(finding: Finding, _ascii: bool = False) -> str:
    """What was to go out in the last call and what did, one beside the other, in order."""
    wanted, made = finding.expected_state["out"], (finding.got_state or {"out": []})["out"]
    lines = [f"  what went out ({finding.before['seen']}):", f"       {'expected':41}  got"]
    for place in range(max(len(wanted), len(made), 1)):
        left, right = (side[place] if place < len(side) else "-" for side in (wanted, made))
        lines.append(f"   {' ' if left == right else '!'} {place + 1:2}. {left:40}  {right}")
    return "\n".join(lines)


def told(calls: Sequence[Call]) -> list[str]:
    """The calls one after another, each with what the rules say of it."""
    states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
    lines = []
    for number, call in enumerate(calls, 1):
        meant = expected(states[call.machine], call)
        states[call.machine] = meant.after
        answer = meant.answer
        refused = isinstance(answer, int) and answer < 0
        said = Answer(-answer).name if isinstance(answer, int) and refused else _shown(answer)
        sent = len(meant.wires)
        lines.append(
            f"  {number:3}. {SETTINGS[call.machine].backend:6} {_called(call)}: {said}, "
            f"{sent or 'no'} transaction{'' if sent == 1 else 's'}"
        )
    return lines


def _called(call: Call) -> str:
    op = vars(call.ops[0])
    hidden = ("failed", "status", "data", "home")
    shown = (f"{k} {_shown(v)}" for k, v in op.items() if not k.startswith(hidden))
    return f"{call.name}({', '.join(shown)})"


def _shown(value: int | bytes) -> str:
    if isinstance(value, bytes):
        return value.hex(" ")
    return hex(value) if value > 9 else str(value)


def outs(wires: Sequence[Wire], s: Mmio, slot: int) -> list[str]:
    """Accesses as an honest host, or the machine, hears them, in words."""
    return [_out(wire, s, slot) for wire in wires]


def _out(wire: Wire, s: Mmio, slot: int) -> str:
    made = heard(s.machine, s.slots.place(slot), wire)
    value = f" = {made.value:#x}" if made.write else ""
    odd = "" if is_understood(s.machine, wire) else " (not understood)"
    native = s.machine.backend == Backend.NATIVE
    lost = native and not s.slots.open.has(slot)
    where = f"virtual {wire.address:#x}" if lost else f"{made.gpa:#x}"
    return f"{'write' if made.write else 'read'} {8 * made.width} bits at {where}{value}{odd}"
