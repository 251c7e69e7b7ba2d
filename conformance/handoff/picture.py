"""A difference in the handoff for people: what was asked, what differs, the map before and after.

One column is a stretch of pages between two edges, not to scale.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from conformance.handoff import calls, oracle
from conformance.handoff.calls import Call
from conformance.handoff.judge import span
from conformance.trace import Finding
from spec.catalogue import HANDOFF, handoff_rules
from spec.handoff.words import BLOCK, Kind
from spec.prove.matrix import situation
from spec.prove.world import Symbolic

Glyphs = dict[str, str]
BLOCKS: Glyphs = {"memory": "█", "other": "▒", "kept": "▓", "excluded": "×", "hole": "·"}
PLAIN: Glyphs = {"memory": "#", "other": "%", "kept": "@", "excluded": "x", "hole": "."}
MOST_COLUMNS = 76
STRETCH = 4
Range = tuple[int, ...]


def call_of(finding: Finding) -> Call:
    """The call that a finding is about."""
    made: Call = msgspec.convert(finding.op, Call)
    return made


def describe(finding: Finding, path: Path | str) -> str:
    """What went wrong, by which rule it is wrong, and the command that shows it again."""
    rule = handoff_rules()[finding.rule]
    subject = next(s for s in HANDOFF if rule in s.rules)
    cases = situation(subject, rule, Symbolic())[2]
    case = next(case for case in cases if case.name == finding.case)
    judged = [inv.name for inv in subject.invariants if inv.speaks_of(rule, case)]
    call = call_of(finding)
    lines = [
        f"{finding.rule}.{finding.case}: {finding.field} differs",
        f"asked: {calls.stage_of(call)}: {asked(call)}",
        f"expected: {finding.expected}",
        f"got: {finding.got}",
        f"at stake: {', '.join(judged)}",
        f"source: {rule.source}",
        f"replay: svsm-conformance replay {path}",
    ]
    return "\n".join(lines)


def asked(call: Call) -> str:
    """The operands of a call in one line; lists of ranges are drawn instead."""
    shown = []
    for name in call.__struct_fields__:
        value = getattr(call, name)
        if isinstance(value, bytes):
            text = f"{len(value)} bytes"
        elif isinstance(value, tuple):
            parts = [span(v) if isinstance(v, tuple) else hex(v) for v in value]
            text = f"({' '.join(parts[:10])}{' ...' * (len(parts) > 10)})"
        else:
            text = str(value) if isinstance(value, bool) else hex(value)
        shown.append(f"{name}={text}")
    return ", ".join(shown)


def rows_of(call: Call) -> list[tuple[str, list[tuple[str, Range]]]]:
    """What is drawn of a call, row by row: the map before, what is kept, and the map after."""
    told = oracle.answer(call, Counter())
    match call:
        case calls.Read(area, _):
            there = [(f.first, f.stop, f.kind) for f in calls.found(area) if f.pages]
            return [("host", _map(there))]
        case calls.Size(entries):
            return [("map", _map(entries))]
        case calls.Reserve(entries, (base, least, greatest), excluded):
            size = told.value[0] if told.is_ok else (base, base + max(least, min(least, greatest)))
            kept = [("kept", one) for one in ((size, told.value[1]) if told.is_ok else (size,))]
            avoided: list[tuple[str, Range]] = [("excluded", one) for one in excluded]
            return [("map", _map(entries)), ("excluded", avoided), ("kept", kept)]
        case calls.Carve(entries, kernel, region):
            after = [("memory", one) for one in told.value] if told.is_ok else []
            kept = [("kept", kernel), ("kept", region)]
            return [("map", _map(entries)), ("kept", kept), ("guest", after)]
        case calls.View(page):
            there = [(f.first, f.stop, f.kind) for f in calls.found(page) if f.pages]
            ram, kept = told.value if told.is_ok else ([], [])
            seen: list[tuple[str, Range]] = [("memory", one) for one in ram]
            seen += [("other", one) for one in kept]
            return [("map", _map(there)), ("OVMF", seen)]
        case calls.Validate(region, _, refused, small, failing, was):
            blocks = {"refused": refused, "small": small}
            pages = {"failing": failing, "validated": was}
            rows = [(name, [(at, at + BLOCK) for at in listed]) for name, listed in blocks.items()]
            rows += [(name, [(at, at + 1) for at in listed]) for name, listed in pages.items()]
            bad: list[tuple[str, list[tuple[str, Range]]]] = [
                (name, [("excluded", one) for one in listed]) for name, listed in rows
            ]
            return [("region", [("kept", region)]), *bad]
        case calls.Write(_, address, size_bytes, _, guest):
            place = calls.pages_of(address, size_bytes)
            return [("guest", [("memory", one) for one in guest]), ("area", [("kept", place)])]


def _map(entries: Sequence[Range]) -> list[tuple[str, Range]]:
    return [("memory" if one[2] == Kind.MEMORY else "other", one) for one in entries]


def strip(finding: Finding, ascii: bool = False) -> str:
    """The map before and after, one line a row, its lines without a final one."""
    glyphs = PLAIN if ascii else BLOCKS
    rows = rows_of(call_of(finding))
    pages = {page for _, listed in rows for _, one in listed for page in one[:2] if one[0] < one[1]}
    edges = sorted({0, *pages})[: MOST_COLUMNS // STRETCH + 1]
    drawn = [f"{name:<10}{_row(listed, edges, glyphs)}" for name, listed in rows]
    scale = "  ".join(f"{edge:#x}" for edge in edges)
    key = "  ".join(f"{mark} {name}" for name, mark in glyphs.items())
    return "\n".join((*drawn, f"{'edges':<10}{scale}", f"{key}; not to scale"))


def _row(listed: Sequence[tuple[str, Range]], edges: Sequence[int], glyphs: Glyphs) -> str:
    def mark(first: int) -> str:
        inside = (name for name, one in listed if one[0] <= first < one[1])
        return glyphs[next(inside, "hole")]

    return "".join(mark(first) * (STRETCH - 1) + " " for first, _ in pairwise(edges))
