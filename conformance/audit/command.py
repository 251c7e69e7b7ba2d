"""The command `svsm-conformance audit`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from conformance.audit import report as reports
from conformance.audit.audit import SECONDS, Finding, Question, audit, functions_of, understand
from conformance.audit.elf import MAX_FILE, ElfFile, read_objects
from conformance.audit.faults import UnreadableObject
from conformance.console import meter, stderr, stdout
from conformance.files import write_atomically

MAX_FUNCTIONS = 256


def audit_command(
    object: Path | None = None,
    *,
    function: str | None = None,
    args: str = "mmio",
    expect: str | None = None,
    assume: Annotated[list[str] | None, Parameter(consume_multiple=False)] = None,
    list_functions: Annotated[bool, Parameter(name="--list", negative=())] = False,
    kernels: Annotated[bool, Parameter(negative=())] = False,
    seconds: float = SECONDS,
    json: Path | None = None,
) -> int:
    """Machine code: on every path, the accesses to the device are those expected.

    Parameters
    ----------
    object
        An x86-64 ELF file: .o, .a or .so; with --kernels the built-in one if none is given.
    function
        The function, or a pattern such as 'mmio_*'; an inlined copy is its caller's.
    args
        What each argument is, in order, such as mmio,value or mmio,data,length; value:32 is a
        number of 32 bits, self{8:mmio} a record that holds the device pointer.
    expect
        What is right: R32, W16, RMW32, R32* (a poll), none, only W32, or
        'W{length} if length in 1,2,4,8 else none'.
    assume
        What callers promise, such as 'mmio % 4 == 0'; may be given more than once.
    list_functions
        Show what can be audited, and what was inlined away.
    kernels
        Prove instead that the bitmap's kernels do, as compiled, what is said of them.
    seconds
        Time for each function.
    json
        Write the results to this file.
    """
    try:
        if kernels:
            return _kernels(object, json)
        if object is None:
            raise UnreadableObject("audit needs an object, or --kernels")
        objects = read_objects(_read(object), str(object))
        if list_functions:
            return reports.show_list(objects, str(object), stdout())
        if function is None or expect is None:
            raise UnreadableObject("audit needs --function and --expect; see also --list")
        question = Question(args, expect, tuple(assume or ()), seconds)
        findings = _audit(objects, function, question)
    except UnreadableObject as error:
        stderr().print(f"svsm-conformance: {error}", markup=False, style="red")
        return 2
    found = reports.report(str(object), question, findings)
    reports.show(found, stdout())
    if json is not None:
        write_atomically(json, found.to_json())
    return found.exit_code


def _kernels(object: Path | None, json: Path | None) -> int:
    from conformance.audit import kernel_report
    from conformance.audit.kernels import built_object, prove_all

    path = object or built_object()
    objects = read_objects(_read(path), str(path))
    with meter("audit --kernels") as shown:
        found = kernel_report.report(path.name, prove_all(objects, shown.step))
    kernel_report.show(found, stdout())
    if json is not None:
        write_atomically(json, found.to_json())
    return found.exit_code


def _audit(objects: list[ElfFile], pattern: str, question: Question) -> list[Finding]:
    understand(question)
    pairs = functions_of(objects, pattern)
    if not pairs:
        raise UnreadableObject(reports.absent(objects, pattern))
    if len(pairs) > MAX_FUNCTIONS:
        raise UnreadableObject(f"{pattern!r} means {len(pairs)} functions; at most {MAX_FUNCTIONS}")
    findings = []
    with meter("audit", len(pairs)) as shown:
        for elf, function in pairs:
            findings.append(audit(objects, elf, function.name, question))
            shown.step(function.name)
    return findings


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE:
            raise UnreadableObject(f"{path}: larger than {MAX_FILE >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableObject(f"{path}: {error.strerror or error}") from error
