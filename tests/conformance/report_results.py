"""Results of every kind, as small as they can be and made by the real runs where that is quick."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from conformance.area import Effort, Task
from conformance.areas import area_of
from conformance.bench import BenchReport, MemoryRow, Row
from conformance.conform_report import ConformReport, DeviceReport
from conformance.handoff.command import handoff
from conformance.known_bad import Kill
from conformance.prove_report import ProveReport
from conformance.report.checks import of_conform, of_proofs
from conformance.runner import run_device
from spec.prove.verdict import Result, Verdict, Witness

TINY = Effort(5, 5, 0.5, False, 60.0, 40)
BAD = {
    "defect:tail_word_lost": "validation.bitmap.create",
    "defect:two_halves": "mmio.read*",
    "defect:tail_lost": "handoff.carve",
    "defect:validated_twice": "validation.pvalidate.e*",
    "defect:stream_of_another_mark": "*",
}
"""A known-bad variant of each area, and the rules beside which it is run."""


def result(id="area.rule.case/sentence", verdict=Verdict.PROVED, **values):
    """One result of a proof."""
    given = {
        "id": id,
        "verdict": str(verdict),
        "method": "pointwise",
        "solvers": {"z3": str(verdict)},
        "rlimit": 7,
        "seconds": 0.25,
        "solver_seconds": 0.125,
        "citation": "by definition, a test",
        "assumptions": ["serial-steps"],
        "claim": "A claim.",
    }
    return Result(**(given | values))


def proofs(results: Iterable[Result] = (), partial=False):
    """A run of `prove`."""
    return ProveReport(
        profile="quick",
        solvers={"z3": "5"},
        seconds=1.0,
        partial=partial,
        obligations=list(results),
    )


def of_each_word():
    """A result for each verdict word."""
    made = [
        result(f"area.rule.case/is_{word.lower()}", word, reason="" if word == "PROVED" else "why")
        for word in Verdict
    ]
    refuted = next(i for i, one in enumerate(made) if one.verdict == "REFUTED")
    made[refuted] = msgspec.structs.replace(made[refuted], witness=Witness({"p": "0x41"}, True))
    return made


@cache
def bad_devices() -> ConformReport:
    """The run of a known-bad variant of each area, with its traces."""
    traces = Path(mkdtemp(prefix="svsm-conformance-traces-"))
    found = ConformReport(profile="quick", seed=0, only="*")
    for spec, only in BAD.items():
        area = area_of(spec)
        found.devices.append((area.run if area else run_device)(Task(spec, TINY, 0, only, traces)))
    return found


def conforming(device="impl:fast", only="validation.bitmap.claim_4k") -> ConformReport:
    """The run of a device that conforms."""
    found = ConformReport(profile="quick", seed=0, only=only)
    found.devices.append(run_device(Task(device, TINY, 0, only, Path(mkdtemp()))))
    return found


def with_device(**values) -> ConformReport:
    """The conforming run, with some fields of its device changed."""
    found = msgspec.convert(msgspec.to_builtins(_plain()), ConformReport)
    found.devices[0] = msgspec.structs.replace(found.devices[0], **values)
    return found


@cache
def _plain() -> ConformReport:
    return conforming()


def device(found: ConformReport) -> DeviceReport:
    """The only device of a run."""
    return found.devices[0]


def kill(id="a_defect", **marks) -> Kill:
    """A row of the kill matrix."""
    given = {"prove": True, "conform": True, "vectors": True} | marks
    return Kill(
        id=id,
        title="A title",
        prove_seconds=0.1,
        conform_seconds=0.2,
        vectors_seconds=0.3,
        **given,
    )


def bench() -> BenchReport:
    """A bench with all that a row can have."""
    full = Row(
        name="a step", guest="1 TiB", ours=2e-7, peers={"bitarray": 1e-6, "numpy": 3e-6},
        limit="a limit", limit_seconds=1e-7, target=1.5,
    )  # fmt: skip
    bare = Row(name="another", guest="1 GiB", ours=1e-8, peers={})
    return BenchReport(
        profile="quick", twin="fast", machine="x86_64", python="3.11", missing={"pyroaring": "no"},
        rows=[full, bare], memory=[MemoryRow("boot", "1 TiB", 32 << 20, {"numpy": 32 << 20})],
    )  # fmt: skip


def map_file(folder: Path) -> Path:
    """The figures of a map's way, as `handoff --json` writes them."""
    path = folder / "map.json"
    capture = Path(__file__).parents[2] / "conformance" / "data" / "kvm-24g.memmap"
    handoff(capture, json=path)
    return path


def killed(*kills):
    found = with_device()
    found.kills = list(kills)
    return found


def unreached():
    rows = device(with_device()).rules
    row = msgspec.structs.replace(rows[0], reached={**rows[0].reached, "a_case": 0})
    return with_device(rules=[row, *rows[1:]])


def unconfirmed():
    found = bad_devices().devices[0]
    made = [msgspec.structs.replace(d, confirmed=False) for d in found.differences]
    return with_device(differences=made)


RUNS = {
    "proved": lambda: proofs([result()]),
    "nothing": proofs,
    "interrupted": lambda: proofs([result()], partial=True),
    **{str(word): lambda word=word: proofs([result(), result("a.b/c", word)]) for word in Verdict},
    "conforms": conforming,
    "no_device": lambda: ConformReport(profile="quick", seed=0, only="*"),
    "nothing_compared": lambda: with_device(rules=[]),
    "not_claimed": lambda: with_device(not_claimed=["validation.bitmap.claim_2m"]),
    "nothing_claimed": lambda: with_device(rules=[], not_claimed=["validation.bitmap.claim_2m"]),
    "crash": lambda: with_device(crash="it died"),
    "unreached": unreached,
    "unconfirmed": unconfirmed,
    "diverges": bad_devices,
    "killed": lambda: killed(kill()),
    "survived": lambda: killed(kill(), kill("b", vectors=False)),
}


def checks_of(found):
    return of_conform(found) if isinstance(found, ConformReport) else of_proofs(found)


HOSTILE = "\x00\x1b[31m<b>]]>&\ud800\ufffe\u202e|`*\n| x"
