"""Results as checks, one by one: what JUnit XML, SARIF and a step summary are made of.

A check is passed, or it is not: whatever makes a run's exit code another than 0 is a check that
failed, so a tool that counts failures and nothing else comes to the same end. Only what was never
claimed is skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote
from typing import Literal

from conformance.conform_report import ConformReport, DeviceReport, Difference
from conformance.prove_report import ProveReport
from conformance.report.divergences import claim_of, conform_line
from spec.prove.verdict import Result, Verdict

State = Literal["passed", "failed", "error", "skipped"]
STATES: dict[str, State] = {
    str(Verdict.PROVED): "passed",
    str(Verdict.DISAGREE): "error",
    str(Verdict.ERROR): "error",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    suite: what was run. id: a rule's case, an obligation, a defect. word: the verdict. says: why,
    in one line. told: all that is known. again: the command that shows it. trace: a file, or ''.
    """

    suite: str
    id: str
    word: str
    state: State
    says: str = ""
    told: str = ""
    claim: str = ""
    citation: str = ""
    again: str = ""
    trace: str = ""
    seconds: float = 0.0


def of_proofs(found: ProveReport) -> list[Check]:
    """A check for each obligation, and one that fails where there is none or some are missing."""
    made = [_of_result(result) for result in found.obligations]
    again = f"svsm-conformance prove --profile {found.profile}"
    if found.partial:
        says = "the run was interrupted: obligations are missing"
        made.append(Check("prove", "the whole run", "INTERRUPTED", "error", says, again=again))
    elif not made:
        says = "nothing was to be proved"
        made.append(Check("prove", "the whole run", "NOTHING COMPARED", "failed", says))
    return made


def _of_result(result: Result) -> Check:
    solvers = ", ".join(f"{name}: {word}" for name, word in result.solvers.items())
    told = [f"claim: {result.claim}", f"solvers: {solvers}", f"source: {result.citation}"]
    told.append(f"assumes: {', '.join(result.assumptions) or 'nothing'}")
    if result.witness is not None:
        replays = "replay" if result.witness.replays else "do NOT replay"
        told.append(f"values, which {replays} in the oracle:")
        told += [f"  {name} = {value}" for name, value in result.witness.values.items()]
    return Check(
        "prove",
        result.id,
        result.verdict,
        STATES.get(result.verdict, "failed"),
        result.reason,
        "\n".join(told),
        result.claim,
        result.citation,
        f"svsm-conformance prove {quote(result.id.replace('[', '?').replace(']', '?'))}",
        seconds=result.seconds,
    )


def of_conform(found: ConformReport) -> list[Check]:
    """The checks of every device, and of the kill matrix."""
    made = [check for device in found.devices for check in _of_device(found, device)]
    if found.partial or not found.devices:
        word = "INTERRUPTED" if found.partial else "NOTHING COMPARED"
        says = "the run was interrupted: devices are missing" if found.partial else "no device ran"
        made.append(Check("conform", "the whole run", word, "error", says))
    for kill in found.kills:
        marks = {"proofs": kill.prove, "runs": kill.conform, "vectors": kill.vectors}
        missed = [name for name, found_it in marks.items() if not found_it]
        made.append(
            Check(
                "known-bad variants",
                f"defect/{kill.id}",
                "SURVIVED" if missed else "FOUND",
                "failed" if missed else "passed",
                f"not found by {', '.join(missed)}" if missed else "",
                claim=kill.title,
                citation=f"svsm-conformance explain {kill.id}",
                again=f"svsm-conformance conform --device defect:{kill.id}",
                seconds=kill.prove_seconds + kill.conform_seconds + kill.vectors_seconds,
            )
        )
    return made


def _of_device(found: ConformReport, device: DeviceReport) -> Iterator[Check]:
    suite, again = f"conform {device.twin_note or device.device}", conform_line(found, device)
    state: State = "passed" if device.verdict == "CONFORMS" else "failed"
    state = "error" if device.crash else state
    says = device.crash or f"{device.compared} steps compared"
    # Where single cases differ or are not reached, they say it themselves.
    if device.crash or not (device.differences or device.unreached):
        yield Check(suite, "verdict", device.verdict, state, says, again=again)
    by = {(d.finding.rule, d.finding.case): d for d in device.differences}
    told = set()
    for row in device.rules:
        claim, citation = claim_of(row.rule)
        for case, times in row.reached.items():
            different = by.get((row.rule, case))
            if different is not None:
                told.add((row.rule, case))
                yield _of_difference(suite, different, claim, citation)
            else:
                reached = ("REACHED", "passed") if times else ("CASES NOT REACHED", "failed")
                yield Check(
                    suite,
                    f"{row.rule}.{case}",
                    reached[0],
                    reached[1],  # type: ignore[arg-type]
                    f"reached {times} times" if times else "nothing reached this case",
                    claim=claim,
                    citation=citation,
                    again=again,
                )
    for key, difference in by.items():
        if key not in told:
            yield _of_difference(suite, difference, *claim_of(difference.finding.rule))
    for rule in device.not_claimed:
        claim, citation = claim_of(rule)
        says = f"{device.device} does not claim it"
        yield Check(suite, rule, "NOT CLAIMED", "skipped", says, claim=claim, citation=citation)


def _of_difference(suite: str, difference: Difference, claim: str, citation: str) -> Check:
    finding = difference.finding
    seen = "seen again" if difference.confirmed else "NOT seen again"
    operands = ", ".join(f"{name}={value}" for name, value in finding.op.items())
    told = (
        f"step: {finding.step + 1} of {difference.steps}, {seen} on a fresh device",
        f"operands: {operands}",
        f"expected: {finding.expected}",
        f"got: {finding.got}",
        f"source: {citation}",
        f"found by: {difference.made_by}",
    )
    return Check(
        suite,
        f"{finding.rule}.{finding.case}".rstrip("."),
        "FAULTS" if finding.field == "fault" else "DIVERGES",
        "failed",
        f"{finding.field}: expected {finding.expected}, got {finding.got}",
        "\n".join(told),
        claim,
        citation,
        f"svsm-conformance replay {quote(difference.trace)}",
        difference.trace,
    )
