"""The command line: `svsm-conformance`."""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

from conformance import __version__
from conformance.console import meter, stderr, stdout
from conformance.device import DeviceError
from conformance.files import WriteError, write_atomically
from conformance.settings import FILES, SettingsError, check_files

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from conformance.area import Area

Profile = Literal["quick", "ci", "nightly"]
Solver = Literal["z3", "bitwuzla", "cvc5", "all"]

EPILOGUE = """
Exit: 0 conforms; 1 refuted, diverges, crashes or hangs; 2 usage or unreadable input;
3 inconclusive, or nothing was compared; 4 a gate failed (vacuous, a defect survived, a case never
reached); 5 a device could not be built or started; 6 solvers disagree, a witness does not replay,
or an internal error; 130/143 interrupted, with a valid partial report.
"""

app = App(
    name="svsm-conformance",
    help=(
        "Does this code keep the rules that keep a confidential VM safe? Without a command: read "
        "this machine's firmware memory map, lay out a validation bitmap for each RAM region, "
        "prove the rules, run the built-in implementation against them, and bench it."
    ),
    help_epilogue=" ".join(EPILOGUE.split()),
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    config=FILES,
)
vectors_app = App(name="vectors", help="Test vectors made by the solver.", help_format="plaintext")
app.command(vectors_app)
ELSEWHERE = {
    "handoff": "conformance.handoff.command:handoff",
    "audit": "conformance.audit.command:audit_command",
    "report": "conformance.report.command:report",
    "adapter": "conformance.adapters.command:adapter",
}
"""Commands that are loaded when they are called."""
for _name, _place in ELSEWHERE.items():
    app.command(_place, name=_name)


class UsageError(ValueError):
    """The call makes no sense; one line that says what would."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came."""


@app.default
def main_job(
    *,
    memmap: Path | None = None,
    profile: Profile = "ci",
    seed: int = 0,
    jobs: int = 0,
    traces: Path = Path(".svsm-conformance/traces"),
) -> int:
    """Prove, conform and bench on this machine's own firmware memory map.

    Parameters
    ----------
    memmap
        A memory map instead of this machine's: a directory in the form of
        /sys/firmware/memmap, or a text file of START END TYPE or e820 lines.
    profile
        How thorough: quick, ci or nightly.
    seed
        The seed of everything that is drawn.
    jobs
        Processes; 0 is one for each core.
    traces
        Where traces of divergences are written.
    """
    from conformance import memmap as maps
    from conformance.builtin import BUILTIN_POLICY
    from conformance.layout import lay_out, layout_table

    out, began = stdout(), time.monotonic()
    found = maps.read(memmap)
    regions, notes = maps.ram(found)
    out.print(f"memory map: {found.source}", markup=False)
    out.print(maps.strip(found, ascii=not _has_blocks()), markup=False)
    for note in (*found.notes, *notes):
        out.print(f"note: {note}", markup=False)
    placed = lay_out(regions, BUILTIN_POLICY)
    if not placed:
        raise UsageError(f"{found.source}: no RAM region of a whole page, so nothing to track")
    out.print(layout_table(placed))
    codes = [4] if any(one.refused for one in placed) else []
    effort: Profile = "quick" if profile == "ci" else profile
    codes.append(prove(profile=effort, jobs=jobs))
    spans = [(one.region.base, one.region.pages) for one in placed if not one.refused]
    codes.append(_conform(["impl"], effort, seed, jobs=jobs, traces=traces, regions=spans))
    codes.append(bench())
    worst = worst_of(codes)
    says = "the built-in implementation conforms" if worst == 0 else "NOT everything holds"
    out.print(f"main job: {says}; {time.monotonic() - began:.0f} s; exit {worst}", style="bold")
    return worst


@app.command
def prove(
    *globs: str,
    profile: Profile = "ci",
    solver: Annotated[list[Solver] | None, Parameter(consume_multiple=True)] = None,
    jobs: int = 0,
    scheduler: str | None = None,
    seed: int = 0,
    export_smt2: Path | None = None,
    json: Path | None = None,
    junit: Path | None = None,
    sarif: Path | None = None,
    summary: Path | None = None,
    edits: bool = False,
) -> int:
    """Show that the rules keep their invariants, for every number of pages.

    Parameters
    ----------
    globs
        Ids of obligations to prove, such as 'validation.bitmap.claim_*'; all if none is given.
    profile
        quick asks one solver each; ci asks z3, bitwuzla and cvc5; nightly does it over ten seeds.
    solver
        Ask these instead; with more than one, two must agree.
    jobs
        Processes; 0 is one for each core.
    scheduler
        Prove on the workers of this dask scheduler instead, such as tcp://host:8786.
    seed
        The solvers' seed.
    export_smt2
        Write the SMT-LIB text of each obligation into this directory.
    json
        Write the results to this file.
    junit
        Write them as JUnit XML to this file.
    sarif
        Write what is not proved as SARIF 2.1.0 to this file.
    summary
        Append a summary in Markdown to this file; else to that of $GITHUB_STEP_SUMMARY, if set.
    edits
        Also make single edits to the rules, and tell which of them no proof notices.
    """
    from conformance.cluster import workers
    from conformance.prove_report import report, show
    from conformance.report import beside, checks
    from spec.prove.run import PROFILES, Effort, export, matching, prove_all, prove_many
    from spec.prove.solvers import NAMES, Budget
    from spec.prove.verdict import Result

    effort = PROFILES[profile]
    if solver:
        chosen = NAMES if "all" in solver else tuple(dict.fromkeys(solver))
        effort = Effort(chosen, effort.seeds)
    began, results, partial = time.monotonic(), list[Result](), False
    interrupted: KeyboardInterrupt | None = None
    try:
        ids = matching(globs) if globs or export_smt2 is not None else []
        if export_smt2 is not None:
            files = export(ids, export_smt2)
            stdout().print(f"{files} SMT-LIB files in {export_smt2}", markup=False)
        with meter("prove", len(ids) or None) as shown:

            def note(result: Result) -> None:
                results.append(result)
                shown.step(result.id)

            budget = Budget(seed=seed)
            with workers(scheduler) as pool:
                if ids:
                    results = prove_many(ids, effort, budget, jobs, note, pool)
                else:
                    results = prove_all(effort, budget, jobs, note, pool)
    except KeyboardInterrupt as stop:
        interrupted, partial = stop, True
    found = report(results, profile, effort.solvers, time.monotonic() - began, partial)
    show(found, stdout())
    if json is not None:
        write_atomically(json, found.to_json())
    asked = beside.Beside(junit, sarif, summary)
    beside.write("prove", checks.of_proofs(found), found.exit_code, asked)
    if interrupted is not None:
        raise interrupted
    return worst_of([found.exit_code, _edits(jobs)] if edits else [found.exit_code])


def _edits(jobs: int) -> int:
    from conformance.edit_report import show
    from spec.prove.edits import run

    with meter("edits") as shown:
        found = run(shown.step, jobs)
    return show(found, stdout())


@app.command
def conform(
    *,
    device: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    profile: Profile = "quick",
    budget: str | None = None,
    seed: int = 0,
    only: str = "*",
    jobs: int = 0,
    json: Path | None = None,
    junit: Path | None = None,
    sarif: Path | None = None,
    summary: Path | None = None,
    traces: Path = Path(".svsm-conformance/traces"),
    resume: Path | None = None,
    scheduler: str | None = None,
    examples: str | None = None,
) -> int:
    """Run an implementation beside the rules, step by step and in bulk.

    Parameters
    ----------
    device
        What to test: impl (all that is built in), impl:fast, impl:pure, impl:svsm (the SVSM
        among vCPUs and a lying host), impl:svsm+tdx, impl:svsm+native (on another machine),
        defect:ID (a known-bad variant), or somebody's own: c:LIB.so (a shared library),
        rust:DIR (a crate, built as debug and as release),
        program:'COMMAND ARGS' (a program that speaks), MODULE:CLASS (of Python).
    profile
        How thorough; ci and nightly also print the kill matrix.
    budget
        Seconds for walks and batches, such as 60s, in place of the profile's.
    seed
        The seed of everything that is drawn.
    only
        Test only rules whose id matches.
    jobs
        Processes; 0 is one for each core.
    json
        Write the results to this file.
    junit
        Write them as JUnit XML to this file.
    sarif
        Write divergences and all else that is no pass as SARIF 2.1.0 to this file.
    summary
        Append a summary in Markdown to this file; else to that of $GITHUB_STEP_SUMMARY, if set.
    traces
        Where traces of divergences are written.
    resume
        The journal of a run to go on with; what it was of is read there.
    scheduler
        Run on the workers of this dask scheduler instead, such as tcp://host:8786; no journal then.
    examples
        Where Hypothesis keeps walks that failed, to try them first: a directory, redis://HOST, or
        github:OWNER/REPOSITORY.
    """
    from conformance.adapters import journal as journals
    from conformance.cluster import workers
    from conformance.example_database import database

    of = journals.Run(
        devices=device or ["impl"],
        profile=profile,
        seed=seed,
        only=only,
        seconds=None if budget is None else _seconds(budget),
        traces=str(traces),
    )
    database(examples)
    if scheduler is not None and resume is not None:
        raise UsageError("--resume goes on with a journal, and there is none with --scheduler")
    of, journal = (of, None) if scheduler is not None else journals.opened(of, resume)
    files = {"junit": junit, "sarif": sarif, "summary": summary}
    choices = of.seed, of.only, jobs, of.seconds, json, Path(of.traces)
    with workers(scheduler) as pool:
        return _conform(
            of.devices,
            of.profile,
            *choices,
            journal=journal,
            files=files,
            pool=pool,
            examples=examples,
        )


def _conform(
    devices: Sequence[str],
    profile: Profile,
    seed: int,
    only: str = "*",
    jobs: int = 0,
    seconds: float | None = None,
    json: Path | None = None,
    traces: Path = Path(".svsm-conformance/traces"),
    regions: Sequence[tuple[int, int]] = (),
    files: Mapping[str, Path | None] = MappingProxyType({}),
    journal: Path | None = None,
    pool: "Executor | None" = None,
    examples: str | None = None,
) -> int:
    from conformance.conform_report import ConformReport
    from conformance.conform_tables import show
    from conformance.report import beside, checks
    from conformance.runner import run

    with meter("conform") as shown:
        found: ConformReport = run(
            devices,
            profile,
            seed=seed,
            only=only,
            jobs=jobs,
            seconds=seconds,
            traces=traces,
            regions=regions,
            progress=shown.say,
            journal=journal,
            pool=pool,
            examples=examples,
        )
    show(found, stdout(), ascii=not _has_blocks())
    if json is not None:
        write_atomically(json, found.to_json())
    asked = beside.Beside(**files)
    beside.write("conform", checks.of_conform(found), found.exit_code, asked)
    if found.partial:
        raise _stopped()
    return found.exit_code


@app.command
def replay(
    file: Path, *, device: str | None = None, emit: Literal["rust", "c", "python"] | None = None
) -> int:
    """Replay a trace of a divergence; what is expected is derived from the rules again.

    Parameters
    ----------
    file
        The trace, as conform wrote it.
    device
        Replay against this device instead of the one that diverged.
    emit
        Print the trace as a test in this language instead; see docs/emit.md.
    """
    if emit is not None:
        from conformance.emit.emit import emitted

        sys.stdout.write(emitted(file, emit, device))
        return 0
    from conformance.areas import area_replaying
    from conformance.device import find_device
    from conformance.isolate import replay_in_child
    from conformance.picture import describe, strip
    from conformance.trace import load

    area = area_replaying(file)
    if area is not None:
        return _replay_in(area, file, device)
    trace = load(file)
    spec = device or trace.device
    find_device(spec)()
    finding = replay_in_child(trace, spec, str(file))
    out = stdout()
    header = (
        f"replay: {len(trace.steps)} steps on {spec} (made by {trace.made_by}, seed {trace.seed})"
    )
    out.print(header, markup=False)
    if finding is None:
        out.print(f"{spec}: agrees with the rules at every step", markup=False)
        return 0
    out.print(describe(finding, file), markup=False)
    out.print(strip(finding, ascii=not _has_blocks()), markup=False)
    return 1


def _replay_in(area: "Area", file: Path, device: str | None) -> int:
    from conformance.isolate import REPLAY_SECONDS, DeviceCrash, in_child

    out = stdout()
    if device is not None:
        area.start(device)
    try:
        found = in_child(area.replay, file, device, seconds=REPLAY_SECONDS)
    except DeviceCrash as crash:
        out.print(f"replay: {crash}", markup=False)
        return 1
    out.print(f"replay: {found.steps} steps on {found.device}", markup=False)
    if found.finding is None:
        out.print(f"{found.device}: agrees with the rules at every step", markup=False)
        return 0
    out.print(area.describe(found.finding, file), markup=False)
    out.print(area.strip(found.finding, not _has_blocks()), markup=False)
    return 1


@vectors_app.command
def fill(folder: Path, *, form: Literal["json", "lines"] = "json") -> int:
    """Write the vectors, one file for each rule; the same rules give the same bytes.

    Parameters
    ----------
    folder
        The directory to write them into.
    form
        json, or for records of pages lines of numbers, which need no reader of JSON.
    """
    from conformance import vector_areas

    with meter("vectors"):
        written = vector_areas.fill(folder, form)
    stdout().print(f"{written} vectors in {folder}", markup=False)
    return 0


@vectors_app.command
def check(folder: Path, *, device: str = "impl") -> int:
    """Run the vectors of a directory against a device.

    Parameters
    ----------
    folder
        The directory that `vectors fill` wrote.
    device
        What to test; impl is a built-in device for the vectors of each kind.
    """
    from conformance import vector_areas

    found = vector_areas.read(folder)
    if not found:
        raise UsageError(f"{folder}: no vectors; write them with: svsm-conformance vectors fill")
    out, codes = stdout(), list[int]()
    for one in vector_areas.check(found, device):
        if not one.compared:
            said = f"{one.device}: claims no rule of these vectors: nothing was compared"
            out.print(said, markup=False)
        for finding in one.findings:
            step = f"{finding.rule}.{finding.case}: {finding.field}"
            out.print(f"{step}: expected {finding.expected}, got {finding.got}", markup=False)
        if one.compared:
            told = f"{one.compared} vectors, {len(one.findings)} differences on {one.device}"
            out.print(told, markup=False)
        codes.append(1 if one.findings else 0 if one.compared else 3)
    return worst_of(codes)


@app.command
def bench(
    *,
    profile: Profile = "quick",
    compare: Path | None = None,
    json: Path | None = None,
) -> int:
    """Measure the accelerated core beside what one would use instead; ratios of one run.

    Parameters
    ----------
    profile
        How long to measure.
    compare
        An earlier --json file to compare with.
    json
        Write the figures to this file.
    """
    from conformance import bench as benches

    earlier = None if compare is None else _read_bench(compare)
    with meter("bench") as shown:
        found = benches.run("full" if profile == "nightly" else profile, shown.say)
    out = stdout()
    for shown_table in benches.tables(found):
        out.print(shown_table)
    if earlier is not None:
        out.print(_comparison(earlier, found))
    if json is not None:
        write_atomically(json, benches.to_json(found))
    return 0


def _read_bench(path: Path) -> Any:
    from conformance import bench as benches

    try:
        return benches.from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a bench file: {' '.join(str(error).split())}") from error


def _comparison(earlier: Any, found: Any) -> Any:
    from conformance import bench as benches
    from conformance.bench_report import comparison

    return comparison(benches.compare(earlier, found))


@app.command
def explain(id: str) -> int:
    """Say what a rule, a case, an invariant, an obligation, an assumption or a defect is.

    Parameters
    ----------
    id
        Such as validation.bitmap.claim_2m, claim_2m.mixed, no_page_is_claimed_twice.
    """
    from conformance.explain import explained

    said = explained(id)
    if said is None:
        raise UsageError(f"{id}: nothing is called that; try validation.bitmap.claim_2m")
    stdout().print(said, markup=False)
    return 0


@app.command
def doctor() -> int:
    """Say what this installation has and lacks."""
    from conformance.doctor import examine

    return examine(stdout())


# Around every command


def worst_of(codes: Sequence[int]) -> int:
    """The exit code that a run of several parts has."""
    order = (6, 5, 1, 4, 3, 2, 0)
    return min(codes, key=order.index)


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"--budget {text}: write seconds, as in 60s")
    return seconds


def _has_blocks() -> bool:
    return "utf" in (sys.stdout.encoding or "").lower()


def _codes() -> tuple[tuple[type[BaseException], int], ...]:
    from concurrent.futures import BrokenExecutor

    from conformance.emit.script import EmitError
    from conformance.formats.source import FormatError
    from conformance.report.given import ResultsError
    from conformance.report.page import PageError
    from conformance.runner import NoSuchRule
    from conformance.trace import TraceError
    from conformance.vector_file import VectorError
    from spec.prove.run import NoSuchObligation
    from spec.prove.solvers import MissingSolver

    usage = (
        UsageError,
        CycloptsError,
        SettingsError,
        WriteError,
        FormatError,
        TraceError,
        VectorError,
    )
    of_files = (TraceError, EmitError, VectorError, ResultsError, PageError)
    return (
        *((kind, 2) for kind in (*usage, *of_files, NoSuchObligation, NoSuchRule)),
        (MissingSolver, 3),
        (BrokenExecutor, 3),
        (DeviceError, 5),
    )


def call(command: Callable[[], int]) -> int:
    """Run a command; a fault that a user can mend is one line on stderr and its exit code."""
    try:
        return command()
    except TerminatedError:
        return _say("terminated: what was found so far is above", 143)
    except KeyboardInterrupt:
        return _say("interrupted: what was found so far is above", 130)
    except BrokenPipeError:
        with suppress(OSError):
            sys.stdout.close()
        return 141
    except Exception as error:
        for kind, code in _codes():
            if isinstance(error, kind):
                return _say(" ".join(str(error).split()), code)
        raise


def _say(line: str, code: int) -> int:
    stderr().print(f"svsm-conformance: {line}", markup=False, style="red")
    return code


def _terminated(number: int, _frame: object) -> NoReturn:
    # Who ends a whole group of processes says so twice; what was found is written once.
    signal.signal(number, signal.SIG_IGN)
    raise TerminatedError


def _stopped() -> KeyboardInterrupt:
    """As which a command ends whose run was stopped and which has written what was found."""
    terminated = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    return TerminatedError() if terminated else KeyboardInterrupt()


def main() -> NoReturn:
    """The entry point of the command `svsm-conformance`."""
    signal.signal(signal.SIGTERM, _terminated)
    tokens = sys.argv[1:]
    sys.exit(call(lambda: _of_command_line(tokens)))


def _of_command_line(tokens: Sequence[str]) -> int:
    check_files()
    if tokens[:1] in (["--help"], ["-h"]):
        # Help says nothing of a command that is not loaded.
        for name in ELSEWHERE:
            app[name]
    return int(app(tokens, exit_on_error=False, print_error=False) or 0)


if __name__ == "__main__":
    main()
