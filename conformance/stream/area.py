"""Migration streams as an area of the suite: their rules, the built-in reader, its defects."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

from conformance.area import Area, Replayed, Task
from conformance.conform_report import DeviceReport, Difference, RuleRow, Speed
from conformance.stream.judge import (
    Make,
    Parting,
    Reached,
    StreamDevice,
    judged,
    reduced,
    tried,
    walk,
)
from conformance.stream.made import WAYS
from conformance.stream.trace import MODEL, called, finding_of, is_stream, load, save
from conformance.trace import Finding
from spec.prove.inductive import situation
from spec.prove.world import Symbolic
from spec.rule import Rule

BUILTIN = "impl:stream"
MOST_DIFFERENCES = 5


def rules() -> Mapping[str, Rule]:
    """Every rule of a stream, as reports call it."""
    return {called(rule.id): rule for rule in MODEL.rules}


def beside(_spec: str) -> Sequence[str]:
    """The ids of the rules that a device is run beside."""
    return list(rules())


def owns(spec: str) -> bool:
    """Whether a name is that of a device of this area."""
    kind, _, name = spec.partition(":")
    return spec == BUILTIN or (kind == "defect" and name in defects())


def maker(spec: str) -> Make:
    """How to make a device with a name."""
    if spec == BUILTIN:
        return StreamDevice
    made: Make = import_module("conformance.stream.defects").maker(spec.partition(":")[2])
    return made


def start(spec: str) -> StreamDevice:
    """A fresh device."""
    return maker(spec)()


def run(task: Task) -> DeviceReport:
    """Run one device through a stream for each way, and through streams that are drawn."""
    make = maker(task.device)
    device, ids = make(), [i for i in rules() if fnmatch(i, task.only)]
    found: list[tuple[str, Parting]] = []
    counts: dict[str, Reached] = {"vectors": Counter(), "walks": Counter()}

    def note(made_by: str, parted: Parting | None) -> None:
        kinds = {(p.rule, p.case, p.field) for _, p in found}
        new = parted is not None and (parted.rule, parted.case, parted.field) not in kinds
        if parted is not None and new and called(parted.rule) in ids:
            found.append((made_by, parted))

    for name, made in task.part.share(WAYS.items()):
        note(f"vector {name}", judged(device, made, counts["vectors"]))
    began = time.perf_counter()
    first = task.seed * task.effort.walks
    for number in task.part.share(range(first, first + task.effort.walks)):
        if len(found) < MOST_DIFFERENCES:
            note("walk", walk(device, number, counts["walks"]))
    spent = time.perf_counter() - began
    differences = [_difference(task, make, *one) for one in found[:MOST_DIFFERENCES]]
    return DeviceReport(
        device=device.name,
        twin_note=task.device,
        rules=[_row(i, counts, differences) for i in ids],
        not_claimed=[],
        differences=differences,
        speed=Speed(batch=0, step_by_step=round(sum(counts["walks"].values()) / spent)),
    )


def _difference(task: Task, make: Make, made_by: str, parted: Parting) -> Difference:
    small = reduced(make, parted)
    path = save(small, task.device, made_by, task.seed, task.traces)
    return Difference(finding_of(small), made_by, 1, str(path), tried(make, small.made) is not None)


def _row(name: str, counts: Mapping[str, Reached], found: Sequence[Difference]) -> RuleRow:
    rule = rules()[name]
    cases = situation(MODEL, rule, "kept", Symbolic()).cases

    def total(kind: str) -> int:
        return sum(times for (i, _), times in counts[kind].items() if i == rule.id)

    return RuleRow(
        rule=name,
        vectors=total("vectors"),
        walks=total("walks"),
        batches=0,
        reached={c.name: sum(n[rule.id, c.name] for n in counts.values()) for c in cases},
        differences=sum(d.finding.rule == name for d in found),
    )


def defects() -> Sequence[str]:
    """The ids of the known-bad variants."""
    return [d.id for d in import_module("conformance.stream.defects").all_defects()]


def kill(defect_id: str) -> Any:
    """What finds one known-bad variant."""
    return import_module("conformance.stream.defects").kill(defect_id)


def replay(path: Path, device: str | None) -> Replayed:
    """What becomes of a trace."""
    spec, made = device or BUILTIN, load(path)
    parted = tried(maker(spec), made)
    return Replayed(spec, 1, finding_of(parted) if parted else None)


def describe(_found: Finding, path: Path) -> str:
    """What the stream of a trace is, line by line."""
    made, plain = load(path), vars(WAYS["taken"])
    odd = {name: value for name, value in vars(made).items() if value != plain[name]}
    said = [f"  {name}: {value}" for name, value in odd.items()]
    return "\n".join(["a stream like any other, but for", *said] if said else ["a usual stream"])


AREA = Area(
    id="stream",
    rules=rules,
    builtin=lambda: (BUILTIN,),
    owns=owns,
    beside=beside,
    start=start,
    run=run,
    defects=defects,
    kill=kill,
    describe=describe,
    # A stream is a list of pieces, of which the description tells what is odd.
    strip=lambda _finding, _plainly: "",
    replays=is_stream,
    replay=replay,
)
