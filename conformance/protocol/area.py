"""The SVSM among vCPUs and a lying host, as an area of the suite."""

import fnmatch
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from conformance.adapters import found as foreign
from conformance.adapters.found import is_foreign
from conformance.adapters.journal import Journal
from conformance.area import Area, Replayed, Task
from conformance.conform_report import DeviceReport
from conformance.protocol import run as svsm
from conformance.protocol.machines import every_rule
from conformance.protocol.picture import describe
from conformance.protocol.trace import finding_of, is_protocol, load
from conformance.protocol.walk import again


def builtin() -> Sequence[str]:
    """The built-in SVSM, on each machine."""
    return tuple(svsm.BUILTIN)


def start(spec: str) -> Any:
    """A fresh SVSM."""
    return svsm.maker(spec)()


def owns(spec: str) -> bool:
    """Whether a name is that of an SVSM: built in, known-bad, or somebody else's."""
    return foreign.belongs(spec, "protocol") if is_foreign(spec) else svsm.is_svsm(spec)


def run(task: Task) -> DeviceReport:
    """Run one SVSM beside those of the asked rules that its machine has."""
    journal = Journal(task.journal if is_foreign(task.device) else None, task.called)
    if journal.past.report is not None:
        return journal.past.report
    ids = fnmatch.filter(svsm.rule_ids(task.device), task.only)
    report = svsm.run(task, ids, journal)
    journal.reported(report)
    return report


def defects() -> Sequence[str]:
    """The ids of the known-bad variants."""
    found = import_module("conformance.protocol.defects").all_defects()
    return [defect.id for defect in found]


def kill(defect_id: str) -> Any:
    """What finds one known-bad variant."""
    return import_module("conformance.protocol.defects").kill(defect_id)


def replay(path: Path, device: str | None) -> Replayed:
    """What becomes of a trace."""
    begins, steps = load(path)
    spec = device or "impl:svsm"
    failed = again(svsm.maker(spec), begins, steps)
    return Replayed(spec, len(steps), finding_of(failed) if failed else None)


AREA = Area(
    id="protocol",
    rules=every_rule,
    builtin=builtin,
    owns=owns,
    beside=svsm.rule_ids,
    start=start,
    run=run,
    defects=defects,
    kill=kill,
    describe=describe,
    # The steps tell it all; what one frame is like is among them.
    strip=lambda _finding, _plainly: "",
    replays=is_protocol,
    replay=replay,
)
