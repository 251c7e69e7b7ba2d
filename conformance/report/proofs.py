"""The proof matrix: for each area a row for each sentence, with the verdict of each rule's cases.

The same sentence is shown of many cases of many rules, so what it says, where that is from and
what it leans on stand once.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from conformance.prove_report import ProveReport
from spec.assumptions import ALL
from spec.prove.verdict import Result, Verdict

PROVED = str(Verdict.PROVED)
REACHED = ("is_reached", "an_example_takes_it")
"""What is asked of a case alone: that some step takes it."""
# Worst first, as `conformance.prove_report` has them.
ORDER = ("DISAGREE", "ERROR", "REFUTED", "VACUOUS", "UNKNOWN", "BOUNDED", "PROVED")
Key = tuple[str, str, str, tuple[str, ...]]


@dataclass(frozen=True)
class Place:
    """Where a sentence is asked: an id's stem, its area, its rule and its case, which may be ''."""

    area: str
    rule: str
    case: str


@dataclass(frozen=True)
class Sentence:
    """A row. told: by verdict, worst first, the cases of each rule."""

    name: str
    claim: str
    citation: str
    assumptions: tuple[str, ...]
    told: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Area:
    """The obligations of one area.

    rules: how many of each rule's are asked, and PROVED. word: the worst verdict in it. assumes:
    what each sentence leans on, or None where they differ. command: what asks them again.
    """

    id: str
    sentences: tuple[Sentence, ...]
    rules: tuple[tuple[str, int, int], ...]
    asked: int
    proved: int
    slowest_ms: float
    word: str
    assumes: tuple[str, ...] | None
    command: str


@dataclass(frozen=True)
class Matrix:
    """All that is told of one run of `prove`. broken: what is not proved, in full."""

    report: ProveReport
    areas: tuple[Area, ...]
    broken: tuple[Result, ...]
    assumptions: tuple[tuple[str, str], ...]


def matrix(report: ProveReport) -> Matrix:
    """The matrix of a run."""
    places = _places(report.obligations)
    by: dict[str, list[Result]] = {}
    for result in report.obligations:
        by.setdefault(places[result.id].area, []).append(result)
    said = {assumption.name: assumption.says for assumption in ALL}
    used = sorted({name for r in report.obligations for name in r.assumptions})
    return Matrix(
        report,
        tuple(_area(name, results, places) for name, results in by.items()),
        tuple(r for r in report.obligations if r.verdict != PROVED),
        tuple((name, said.get(name, "not known to this version")) for name in used),
    )


def _places(results: Sequence[Result]) -> dict[str, Place]:
    """Of each id its area, rule and case: a stem of which it is asked whether it is reached ends
    in a case, and any other is a rule, or an area that lemmas are about.
    """
    halves = [r.id.partition("/") for r in results]
    cased = {stem for stem, _, name in halves if name in REACHED}
    rules = {stem.rpartition(".")[0] for stem in cased}
    made = {}
    for result in results:
        stem = result.id.partition("/")[0]
        rule, _, case = stem.rpartition(".") if stem in cased else (stem, "", "")
        area = rule.rpartition(".")[0] if rule in rules else rule
        made[result.id] = Place(area or rule, rule, case)
    return made


def _area(name: str, results: Sequence[Result], places: dict[str, Place]) -> Area:
    sentences: dict[Key, list[Result]] = {}
    for result in results:
        place = places[result.id]
        # "Some step of claim_2m takes the case mixed" is one sentence, said of each case.
        rule = place.rule.rpartition(".")[2]
        words = {f" of {rule} ": " of the rule ", f"Whatever {rule} is": "Whatever the rule is"}
        words |= {f" the case {place.case}.": " the case."} if place.case else {}
        claim = result.claim
        for old, new in words.items():
            claim = claim.replace(old, new)
        key = (result.id.partition("/")[2], claim, result.citation, tuple(result.assumptions))
        sentences.setdefault(key, []).append(result)
    leans = {tuple(r.assumptions) for r in results}
    return Area(
        name,
        tuple(Sentence(*key, _told(name, of, places)) for key, of in sentences.items()),
        _rules(name, results, places),
        len(results),
        sum(r.verdict == PROVED for r in results),
        max(r.solver_seconds for r in results) * 1000,
        next(word for word in ORDER if any(r.verdict == word for r in results)),
        leans.pop() if len(leans) == 1 else None,
        f"svsm-conformance prove {shlex.join([f'{name}/*', f'{name}.*'])}",
    )


def _rules(
    name: str, results: Sequence[Result], places: dict[str, Place]
) -> tuple[tuple[str, int, int], ...]:
    counts: dict[str, list[int]] = {}
    for result in results:
        count = counts.setdefault(_within(name, places[result.id].rule), [0, 0])
        count[0] += 1
        count[1] += result.verdict == PROVED
    return tuple((rule, asked, proved) for rule, (asked, proved) in counts.items())


def _told(
    name: str, results: Sequence[Result], places: dict[str, Place]
) -> tuple[tuple[str, str], ...]:
    made = []
    for word in ORDER:
        by: dict[str, list[str]] = {}
        for result in results:
            if result.verdict == word:
                place = places[result.id]
                by.setdefault(_within(name, place.rule), []).append(place.case)
        if by:
            rules = (f"{rule}: {', '.join(c)}" if any(c) else rule for rule, c in by.items())
            made.append((word, "; ".join(rules)))
    return tuple(made)


def _within(area: str, rule: str) -> str:
    return rule.removeprefix(f"{area}.") if rule != area else "lemma"
