"""Single edits made by machine: whether the proofs notice when a rule says something else.

Each edit of `edit_list` is made to a copy of the rules, and the obligations of the rules that it
reaches are proved again. The first that does not hold notices the edit. An edit that nothing
notices must be listed in `edits_that_mean_the_same.toml` with the reason why it means the same,
and one that is listed must not be noticed: either is a failure of the suite.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from multiprocessing import get_context

import msgspec

from spec.prove.edit_list import Edit, all_edits
from spec.prove.matrix import Subject, matrix
from spec.prove.obligation import Cache, Obligation, prove
from spec.prove.solvers import Budget
from spec.prove.variant import BITMAP, only_rules, source_of, subject
from spec.prove.verdict import Verdict

AREA = "validation.bitmap"
LEAST_PERCENT = 95.0
LISTED = "edits_that_mean_the_same.toml"
BUDGET = Budget(z3_rlimit=4_000_000, seconds=20)
CHUNK = 4
LIKELY_FIRST = (
    "some_case_is_taken",
    "every_answer_is_foreseen",
    "the_size_is_one_bit_a_page",
    "a_query_tells_the_page",
    "a_count_is_of_the_asked_pages",
    "exactly_the_asked_pages_change",
    "an_answer_names_the_first_reason",
    "pages_told_claimed_are",
    "pages_told_unclaimed_are",
    "a_refused_step_changes_nothing",
    "pages_all_claimed_are_told_so",
    "pages_all_unclaimed_are_told_so",
)
"""Sentences that notice most edits at least cost; any order gives the same answer."""
CHEAP_FIRST = ("claim_4k", "query", "claim_range", "test_range", "export_words")
"""Rules whose obligations cost least: where an edit reaches many rules, most show it."""
NOTICING = (Verdict.REFUTED, Verdict.VACUOUS, Verdict.ERROR)


class Fate(msgspec.Struct, frozen=True):
    """What became of one edit: `how` is the verdict that noticed it, or empty.

    by: the id of the obligation that noticed it. unknown: obligations left undecided on the way.
    broken: why the edited text is no rule at all; such an edit is not counted.
    """

    edit: str
    kind: str
    line: int
    how: str = ""
    by: str = ""
    unknown: int = 0
    broken: str = ""


class Survivor(msgspec.Struct, frozen=True):
    """An edit that nothing noticed; `reason` says why it means the same, or is empty."""

    edit: str
    line: int
    reason: str


@dataclass(frozen=True)
class EditReport:
    """The fates of all edits, and the reasons given for those that mean the same."""

    fates: tuple[Fate, ...]
    reasons: Mapping[str, str]

    @property
    def counted(self) -> tuple[Fate, ...]:
        """The edits that make another text that can be executed."""
        return tuple(fate for fate in self.fates if not fate.broken)

    @property
    def broken(self) -> tuple[Fate, ...]:
        """The edits that make no rule: a name that is not there, a shift by less than nothing."""
        return tuple(fate for fate in self.fates if fate.broken)

    @property
    def total(self) -> int:
        """How many edits were made."""
        return len(self.counted)

    @property
    def noticed(self) -> int:
        """How many edits some proof noticed."""
        return sum(1 for fate in self.counted if fate.how)

    @property
    def percent(self) -> float:
        """How many of a hundred edits are noticed."""
        return 100 * self.noticed / self.total if self.total else 0.0

    @property
    def survivors(self) -> tuple[Survivor, ...]:
        """The edits that nothing noticed, in the order of the text."""
        return tuple(
            Survivor(fate.edit, fate.line, self.reasons.get(fate.edit, ""))
            for fate in self.counted
            if not fate.how
        )

    @property
    def stale(self) -> tuple[str, ...]:
        """The listed edits that are noticed after all, or are no longer made."""
        surviving = {one.edit for one in self.survivors}
        return tuple(edit for edit in self.reasons if edit not in surviving)

    @property
    def ways(self) -> dict[str, int]:
        """How many edits were noticed in which way."""
        return dict(Counter(fate.how for fate in self.counted if fate.how))

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the run fails, a line each; none if it does not."""
        lines = [
            f"not noticed, and no reason is listed: line {one.line}, {one.edit}"
            for one in self.survivors
            if not one.reason
        ]
        lines += [f"listed as meaning the same, and noticed or gone: {edit}" for edit in self.stale]
        if self.percent < LEAST_PERCENT:
            least = f"must be at least {LEAST_PERCENT:.0f}"
            lines.append(f"{self.percent:.1f} percent of {self.total} edits are noticed, {least}")
        return tuple(lines)

    @property
    def passes(self) -> bool:
        """Whether enough edits are noticed and each of the others has a reason that is true."""
        return not self.failures


def listed() -> dict[str, str]:
    """The edits that mean the same, each with the reason.

    Raises: ValueError for an edit that is listed twice or without a reason.
    """
    return reasons_of((files("spec.prove") / LISTED).read_text("utf-8"))


def reasons_of(text: str) -> dict[str, str]:
    """The reason of each edit that the TOML `text` lists; one reason may serve several edits.

    Raises: ValueError for an edit that is listed twice or without a reason.
    """
    rows = [
        (edit, row.get("reason", "").strip())
        for row in tomllib.loads(text).get("same", [])
        for edit in row["edits"]
    ]
    reasons = dict(rows)
    if len(reasons) != len(rows) or not all(reasons.values()):
        raise ValueError(f"{LISTED}: each edit must be listed once, with its reason")
    return reasons


@cache
def edits() -> tuple[Edit, ...]:
    """Every single edit of the bitmap's rules, in the order of the text."""
    return tuple(all_edits(source_of(BITMAP)))


def judge(place: int) -> Fate:
    """What becomes of the edit at `place` in `edits()`."""
    edit = edits()[place]
    fate = Fate(edit.id, edit.kind, edit.line)
    try:
        changed = subject({BITMAP: edit.made(source_of(BITMAP))}, AREA)
        obligations = in_order(changed, edit)
    except (NameError, AttributeError, TypeError, ValueError) as error:
        return msgspec.structs.replace(fate, broken=_said(error))
    unknown, asked = 0, Cache({})
    for obligation in obligations:
        try:
            result = prove(obligation, ("z3",), BUDGET, asked)
        except (NameError, AttributeError, TypeError, ValueError) as error:
            return msgspec.structs.replace(fate, broken=_said(error))
        if result.verdict in NOTICING:
            how = str(result.verdict)
            return msgspec.structs.replace(fate, how=how, by=result.id, unknown=unknown)
        unknown += result.verdict == Verdict.UNKNOWN
    return msgspec.structs.replace(fate, unknown=unknown)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def in_order(changed: Subject, edit: Edit) -> list[Obligation]:
    """The obligations of the rules that an edit reaches, those that are likely to fail first."""
    reached = [rule.id for rule in changed.rules if rule.name in edit.rules]

    def likely_first(obligation: Obligation) -> tuple[int, bool, int]:
        where, _, sentence = obligation.id.partition("/")
        if where == AREA:  # A bridge, which the proofs of every rule lean on.
            return len(CHEAP_FIRST) + 1, True, 0
        rules = [CHEAP_FIRST.index(part) for part in where.split(".") if part in CHEAP_FIRST]
        is_elsewhere = where.rpartition(".")[2] != (edit.case or edit.function)
        is_listed = sentence in LIKELY_FIRST
        place = LIKELY_FIRST.index(sentence) if is_listed else len(LIKELY_FIRST)
        return (rules or [len(CHEAP_FIRST)])[0], is_elsewhere, place

    return sorted(matrix(only_rules(changed, reached)), key=likely_first)


def run(
    progress: Callable[[str], None] | None = None,
    jobs: int = 1,
    only: Callable[[Edit], bool] = lambda edit: True,
) -> EditReport:
    """Make every edit for which `only` holds, and tell what noticed it.

    progress: told the id of each edit that is done. jobs: processes; 0 is one for each core.
    """
    chosen = [place for place, edit in enumerate(edits()) if only(edit)]
    fates: dict[int, Fate] = {}
    for place, fate in _judged(chosen, jobs):
        fates[place] = fate
        if progress is not None:
            progress(fate.edit)
    reasons = listed()
    if len(chosen) < len(edits()):
        made = {edits()[place].id for place in chosen}
        reasons = {edit: reason for edit, reason in reasons.items() if edit in made}
    return EditReport(tuple(fates[place] for place in chosen), reasons)


def _chunk(places: Sequence[int]) -> list[tuple[int, Fate]]:
    return [(place, judge(place)) for place in places]


def _judged(places: list[int], jobs: int) -> Iterator[tuple[int, Fate]]:
    if jobs == 1:
        for place in places:
            yield place, judge(place)
        return
    chunks = [places[at : at + CHUNK] for at in range(0, len(places), CHUNK)]
    # A fresh interpreter for each worker: z3's contexts do not survive a fork in every state.
    with ProcessPoolExecutor(jobs or None, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(_chunk, chunk) for chunk in chunks]):
            yield from done.result()
