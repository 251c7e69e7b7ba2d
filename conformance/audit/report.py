"""What an audit found, as text, as JSON and as an exit code."""

import difflib
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.text import Text

from conformance.audit.audit import ASSUMED, Finding, Question, functions_of, understand
from conformance.audit.elf import ElfFile
from conformance.audit.encodings import told
from conformance.audit.expect import unchecked
from conformance.audit.inlined import inlined_away
from conformance.audit.verdict import Verdict
from conformance.console import table

SCHEMA = "svsm-conformance/audit/1"
EXITS = ((Verdict.ERROR, 6), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 3))


class AuditReport(msgspec.Struct, kw_only=True):
    """The results of a run. assume: what was promised; assumptions: what is always supposed.

    unchecked: values of accesses that are compared with nothing.
    """

    schema: str = SCHEMA
    object: str
    args: str
    expect: str
    assume: list[str]
    assumptions: list[str]
    unchecked: list[str]
    findings: list[Finding]

    def to_json(self) -> bytes:
        """The report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @property
    def exit_code(self) -> int:
        """0 only if something was audited and all of it is PASS."""
        words = {finding.verdict for finding in self.findings}
        found = next((code for verdict, code in EXITS if verdict in words), 0)
        return found if self.findings else 3


def report(name: str, question: Question, findings: Sequence[Finding]) -> AuditReport:
    """A report of findings."""
    asked = understand(question)
    return AuditReport(
        object=name,
        args=question.args,
        expect=question.expect,
        assume=list(question.assume),
        assumptions=list(ASSUMED),
        unchecked=unchecked(asked.clauses, frozenset(asked.arguments.names)),
        findings=list(findings),
    )


def show(found: AuditReport, console: Console) -> None:
    """Print each finding, and what all of them lean on."""
    for finding in found.findings:
        console.print(*_lines(finding, found.expect), sep="\n", soft_wrap=True)
    met = {encoding for finding in found.findings for encoding in finding.encodings}
    promised = f"; promised by callers: {'; '.join(found.assume)}" if found.assume else ""
    console.print(
        f"{found.object}: {len(found.findings)} audited as ({found.args}); "
        f"{told(met)}; assumptions: {', '.join(found.assumptions)}{promised}",
        style="dim",
        markup=False,
    )
    if found.unchecked:
        said = f"value not checked: {', '.join(found.unchecked)}"
        console.print(said, style="bold yellow", markup=False, soft_wrap=True)


STYLES = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.ERROR: "bold red",
}


def _lines(finding: Finding, expect: str) -> list[Text]:
    spent = f"{finding.seconds:.2f} s"
    size = f"{_plural(finding.paths, 'path')}, {_plural(finding.instructions, 'instruction')}"
    head = Text(f"{finding.verdict.value} {finding.function}", style=STYLES[finding.verdict])
    lines = [head + Text(f"  {expect}  ({size}, {spent})", style="not bold default")]
    if finding.reason:
        lines.append(Text(f"  why:      {finding.reason}"))
    if finding.line:
        lines.append(Text(f"  at:       {finding.line}   <{finding.where}>"))
    if finding.accesses:
        lines.append(Text(f"  accesses: {'; '.join(finding.accesses)}"))
    if finding.witness:
        lines.append(Text(f"  witness:  {_witness(finding.witness)}"))
    if finding.verdict is Verdict.FAIL:
        done = "; ".join(finding.replayed) or "no access"
        said = finding.not_replayed and f"not replayed, {finding.not_replayed}"
        lines.append(Text(f"  replay:   {said or f'a processor does the same: {done}'}"))
    return lines


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _witness(values: dict[str, int]) -> str:
    shown = [f"{name} = {value:#x}" for name, value in values.items() if "[" not in name]
    data = [value for name, value in values.items() if name.startswith("data[")]
    if any(data):
        shown.append(f"data holds {bytes(data).hex(' ')}")
    return ", ".join(shown)


def show_list(objects: Sequence[ElfFile], name: str, console: Console) -> int:
    """Print what can be audited, and what was inlined away; 0, or 3 if there is nothing."""
    shown = table(f"audit: functions of {name}", "function", "bytes", "bound", right="bytes")
    count = 0
    for _elf, function in functions_of(objects, "*"):
        bound = (
            "chosen at load" if function.indirect else "global" if function.exported else "local"
        )
        shown.add_row(Text(function.name), str(function.size), bound)
        count += 1
    console.print(shown)
    for elf in objects:
        if elf.stripped:
            console.print(f"{elf.name}: stripped: only what it exports is known", markup=False)
        for inlined, into in sorted(inlined_away(elf.data).items()):
            where = f"into {into}" if into else "and is called nowhere"
            console.print(f"inlined away: {inlined}, {where}", markup=False)
    return 0 if count else 3


def absent(objects: Sequence[ElfFile], pattern: str) -> str:
    """Why no function is called that."""
    for elf in objects:
        for inlined, into in inlined_away(elf.data).items():
            if inlined == pattern:
                where = f"; audit what it went into: {into}" if into else ""
                return f"{pattern} has no code of its own: it was inlined away{where}"
    names = [function.name for _elf, function in functions_of(objects, "*")]
    if not names and all(elf.stripped for elf in objects):
        return f"{pattern}: stripped: no function of this object has a name"
    near = difflib.get_close_matches(pattern, names, 3, 0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else "; see --list"
    stripped = " (stripped: only exported names are known)" if objects[0].stripped else ""
    return f"no function matches {pattern!r}{stripped}{hint}"
