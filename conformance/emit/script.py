"""A trace as what every language is made of: questions in plain numbers, and what is expected."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from conformance import trace as plain
from conformance.handoff import judge as handoff
from conformance.handoff import oracle
from conformance.handoff.calls import Call, stage_of
from conformance.mmio import trace as mmio
from conformance.mmio.calls import Call as MmioCall
from conformance.mmio.calls import Expected, expected
from conformance.mmio.world import SETTINGS, at_first
from conformance.trace import Trace
from spec.catalogue import handoff_rules, mmio_rules
from spec.rule import Rule, step
from spec.terms import MASK
from spec.validation.bitmap import Bitmap

MOST_WORDS = 1024
"""Of an export or an import."""


class EmitError(ValueError):
    """A trace cannot be written in that language; one line that says why."""


@dataclass(frozen=True)
class Head:
    """What a text is called and begins with. lines: comments, of characters that end none."""

    name: str
    rule: str
    case: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class RecordStep:
    """One step of a record. operands: plain numbers; words: of an import, or None."""

    rule: Rule
    operands: tuple[int, ...]
    words: tuple[int, ...] | None
    case: str
    outcome: int
    value: tuple[int, ...]
    after: Bitmap


@dataclass(frozen=True)
class Record:
    """A trace of a record of pages."""

    head: Head
    is_runs: bool
    start: Bitmap
    steps: tuple[RecordStep, ...]


@dataclass(frozen=True)
class Handoff:
    """One call of one stage, and what is expected of it."""

    head: Head
    call: Call
    told: Any


@dataclass(frozen=True)
class Mmio:
    """Calls on machines, and what is expected of each."""

    head: Head
    calls: tuple[tuple[MmioCall, Expected], ...]


def record(trace: Trace, path: Path) -> Record:
    """A trace of a record of pages.

    Raises: TraceError where it does not make sense; EmitError where a number is no 64-bit one.
    """
    start, steps = plain.decoded(trace, str(path))
    made, state = [], start
    for rule, op in steps:
        if getattr(op, "length", 0) > MOST_WORDS:
            said = f"{rule.name} of {op.length} words: a text has room for {MOST_WORDS}"
            raise EmitError(f"{path}: {said}")
        right = step(rule, state, op)
        value = plain.expected_value(right.value, state)
        listed = getattr(op, "words", None)
        words = None
        if listed is not None:
            words = tuple(listed.at(n) for n in range(op.length))
        operands = [int(v) for name, v in vars(op).items() if name != "words"]
        made.append(
            RecordStep(
                rule,
                tuple(operands),
                words,
                right.case,
                right.outcome,
                value if isinstance(value, tuple) else (value,),
                right.state,
            )
        )
        state = right.state
    last = made[-1]
    is_runs = last.rule.id.startswith("validation.runs.")
    head = head_of(last.rule, last.case, trace.device, trace.made_by, trace.seed, str(trace.steps))
    return Record(head, is_runs, start, tuple(made))


def handed(path: Path) -> Handoff:
    """A trace of the handoff."""
    trace = handoff.load(path)
    told = oracle.answer(trace.call, Counter())
    rule = handoff_rules()[told.rule]
    called = stage_of(trace.call)
    head = head_of(
        rule, told.case, trace.device, trace.made_by, trace.seed, f"{called}{trace.call}"
    )
    return Handoff(head, trace.call, told)


def called(path: Path) -> Mmio:
    """A trace of MMIO."""
    calls = mmio.load(path)
    trace = msgspec.json.decode(path.read_bytes(), type=mmio.MmioTrace)
    states = {n: at_first(s.machine) for n, s in enumerate(SETTINGS)}
    made = []
    for call in calls:
        meant = expected(states[call.machine], call)
        states[call.machine] = meant.after
        made.append((call, meant))
    last, meant = made[-1]
    rule = mmio_rules()[last.rule.id]
    asked = str(trace.steps)
    head = head_of(rule, meant.cases[-1][1], trace.device, trace.made_by, trace.seed, asked)
    return Mmio(head, tuple(made))


def head_of(
    rule: Rule, case: str, device: str, made_by: str, seed: int, asked: str, named: str = ""
) -> Head:
    """The head of a text about a rule's case. named: the rule's id in reports, if another."""
    shown = named or rule.id
    digest = hashlib.sha256(asked.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    claim = " ".join(rule.claim.split())
    lines = (
        f"{shown}.{case}: {claim}",
        f"Source: {rule.source}",
        f"Once seen on {device} (made by {made_by}, seed {seed}).",
        f"What is said of it: svsm-conformance explain {shown}",
    )
    return Head(f"{rule.name}_{case}_{digest}", shown, case, tuple(map(comment, lines)))


def comment(text: str) -> str:
    """A text as it can stand in a comment of any language: printable ASCII that ends none."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in " ".join(text.split()))
    for ends in ("*/", "/*", '"""', "\\"):
        shown = shown.replace(ends, "?")
    return shown[:160]


def runs_of(state: Bitmap) -> Sequence[tuple[int, int]]:
    """The claimed frames of a state, as runs."""
    found: Any = state.claimed
    return [tuple(run) for run in found.runs()]


def number(value: int) -> str:
    """A number as C and Rust write one.

    Raises: EmitError where it has more than 64 bits.
    """
    if not 0 <= value <= MASK:
        raise EmitError(f"{value:#x} is no number of 64 bits")
    return f"{value:#x}" if value > 9 else str(value)
