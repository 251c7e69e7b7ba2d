"""A divergence of an SVSM for people: the steps that lead to it, and what was expected."""

from pathlib import Path

from conformance.protocol.machines import every_rule
from conformance.protocol.oracle import told_of
from conformance.protocol.trace import load
from conformance.protocol.words import held, told
from conformance.trace import Finding
from spec.validation.svsm import Svsm


def describe(finding: Finding, path: Path) -> str:
    """The steps of a trace one after another, the difference, and how to see it again."""
    start, steps = load(path)
    lines, state = [], start
    for number, (rule, op, before, taken) in enumerate(told_of(start, steps), 1):
        lines.append(f"  {number:3}. {told(rule, op, before, taken)}")
        state = taken.state
    _, op = steps[-1]
    _, cited = every_rule()[finding.rule]
    frame = touched(state, op)
    return "\n".join(
        (
            f"step {finding.step + 1}: {finding.rule}.{finding.case}: {finding.field}",
            f"  expected: {finding.expected}",
            f"  got:      {finding.got}",
            *lines,
            *([f"  the rules hold: {held(state, frame)}"] if frame is not None else []),
            f"  source:   {cited.source}",
            f"  replay:   svsm-conformance replay {path}",
        )
    )


def touched(state: Svsm, op: object) -> int | None:
    """The frame that a step is about, if it is about one."""
    vcpu = getattr(op, "vcpu", None)
    return None if vcpu is None else state.cpus.first.at(vcpu)
