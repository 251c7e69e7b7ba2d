"""A migration stream as it is read: header, runs of claimed frames, VMSAs, a record a page.

The reader goes through the pieces in their order; each is looked at once, and the first thing that
is wrong refuses the stream for good. Nothing is handed out before the last piece is read. What the
bytes at each place are is in docs/migration-stream.md.

Whether the checksum fits is a flag of the stream: see `checksum`.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Any

from spec.rule import Case, Cases, changed, rule
from spec.sources import decision
from spec.terms import (
    Bool,
    Count,
    Flag,
    KeySet,
    KeyTable,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    minus,
    negate,
    pick,
    plus,
    shift_left,
)
from spec.validation.svsm import LIMIT_GFN, Did

AREA = "validation.bytes"
CITE = decision("0029-stream")
MAGIC = int.from_bytes(b"SVSMMIG1", "little")
VERSION = 1
HEADER_BYTES, CHECKSUM_BYTES = 48, 32
RUN_BYTES, FRAME_BYTES, PAGE_BYTES = 16, 8, 4096
RECORD_BYTES = FRAME_BYTES + PAGE_BYTES
LEAST_BYTES = HEADER_BYTES + CHECKSUM_BYTES
MOST_PAGES = LIMIT_GFN
Set = Annotated[Any, KeySet()]
Words = Annotated[Any, KeyTable()]


@unique
class Phase(IntEnum):
    """What is read next."""

    HEADER = 0
    RUNS = 1
    VMSAS = 2
    RECORDS = 3
    TAKEN = 4
    REFUSED = 5


@unique
class Why(IntEnum):
    """Why a stream is refused."""

    NONE = 0
    TOO_SHORT = 1
    BAD_MAGIC = 2
    BAD_VERSION = 3
    REPLAYED = 4
    OVER_CAP = 5
    WRONG_LENGTH = 6
    BAD_CHECKSUM = 7
    BAD_RUNS = 8
    BAD_VMSAS = 9
    BAD_RECORDS = 10


@dataclass(frozen=True)
class Reader:
    """A stream that is being read, and what is known of it.

    nonce, cap: the mark that was given out, and the most pages that are taken. length: in bytes.
    sum_fits: whether the checksum is that of the bytes before. runs, pages, vmsas: how many of each
    there are to be. first, stop: of each run by its number; before: pages in the runs before it.
    seen_runs, seen_vmsas, seen_records: read so far. claimed: frames in runs; special: VMSAs; last:
    the VMSA before. run, next: the run and the frame that the next record is to be of; left: pages
    of that run whose records are still to come; read: frames whose records are read.
    """

    nonce: Count
    cap: Count
    length: Count
    sum_fits: Flag
    phase: Count
    runs: Count
    pages: Count
    vmsas: Count
    first: Words
    stop: Words
    before: Words
    seen_runs: Count
    seen_vmsas: Count
    seen_records: Count
    claimed: Set
    special: Set
    last: Count
    run: Count
    next: Count
    left: Count
    read: Set


@dataclass(frozen=True)
class Header:
    """The first 48 bytes."""

    magic: Count
    version: Count
    flags: Count
    mark: Count
    runs: Count
    pages: Count
    vmsas: Count


@dataclass(frozen=True)
class Run:
    """A run of claimed frames, half-open."""

    first: Count
    stop: Count


@dataclass(frozen=True)
class Frame:
    """The number of a frame."""

    gfn: Count


@dataclass(frozen=True)
class End:
    """Nothing more of a kind is to come."""


def bytes_of(runs: Word, pages: Word, vmsas: Word) -> Word:
    """How many bytes a stream has: 16 a run, 8 a VMSA, 8 and 4096 a page."""
    return plus(plus(past_lists(runs, vmsas), records(pages)), CHECKSUM_BYTES)


def past_lists(runs: Word, vmsas: Word) -> Word:
    """Where what follows on some runs and VMSAs begins."""
    return plus(HEADER_BYTES, plus(shift_left(runs, 4), shift_left(vmsas, 3)))


def records(count: Word) -> Word:
    """How many bytes some records have."""
    return plus(shift_left(count, 12), shift_left(count, 3))


# Where the next piece of each kind begins: what is executed on bytes reads it there


def run_at(s: Reader) -> Word:
    """The place of the next run."""
    return past_lists(s.seen_runs, 0)


def vmsa_at(s: Reader) -> Word:
    """The place of the next VMSA's frame."""
    return past_lists(s.runs, s.seen_vmsas)


def record_at(s: Reader) -> Word:
    """The place of the next record: a frame, and what is in its page."""
    return plus(past_lists(s.runs, s.vmsas), records(s.seen_records))


def no(s: Reader, name: str, when: Bool, why: Why) -> Case:
    """A case that refuses the stream."""
    after = changed(s, phase=Phase.REFUSED)
    return Case(name, when, Did.REFUSED, lambda: after, why)


def in_phase(phase: Phase) -> Any:
    """A piece is read where it is its turn."""
    return lambda s, _op: s.phase == phase


@rule(AREA, Header, cite=CITE, enabled=in_phase(Phase.HEADER))
def header(s: Reader, op: Header) -> Cases:
    """Read the header; with it the length is settled, and the checksum looked at."""
    too_many = any_of(below(s.cap, op.pages), below(op.pages, op.runs), below(op.pages, op.vmsas))
    length = bytes_of(op.runs, op.pages, op.vmsas)

    def begun() -> Reader:
        return changed(s, phase=Phase.RUNS, runs=op.runs, pages=op.pages, vmsas=op.vmsas)

    return (
        no(s, "too_short", below(s.length, LEAST_BYTES), Why.TOO_SHORT),
        no(s, "bad_magic", op.magic != MAGIC, Why.BAD_MAGIC),
        no(s, "bad_version", any_of(op.version != VERSION, op.flags != 0), Why.BAD_VERSION),
        no(s, "replayed", op.mark != s.nonce, Why.REPLAYED),
        no(s, "over_cap", too_many, Why.OVER_CAP),
        no(s, "wrong_length", s.length != length, Why.WRONG_LENGTH),
        no(s, "bad_checksum", negate(s.sum_fits), Why.BAD_CHECKSUM),
        Case("begun", True, Did.DONE, begun),
    )


def more_runs(s: Reader, _op: object) -> Bool:
    """There is a run to read."""
    return all_of(s.phase == Phase.RUNS, below(s.seen_runs, s.runs))


@rule(AREA, Run, cite=CITE, enabled=more_runs)
def run(s: Reader, op: Run) -> Cases:
    """Read a run: behind the one before and not touching it, not empty, below every limit."""
    number = s.seen_runs
    behind = any_of(number == 0, below(s.stop.at(minus(number, 1)), op.first))
    left, size = minus(s.pages, s.before.at(number)), minus(op.stop, op.first)

    def added() -> Reader:
        return changed(
            s,
            first=s.first.put(number, op.first),
            stop=s.stop.put(number, op.stop),
            before=s.before.put(plus(number, 1), plus(s.before.at(number), size)),
            claimed=s.claimed.with_range(op.first, op.stop, True),
            seen_runs=plus(number, 1),
        )

    return (
        no(s, "not_behind", negate(behind), Why.BAD_RUNS),
        no(s, "empty", at_most(op.stop, op.first), Why.BAD_RUNS),
        no(s, "above_limit", below(LIMIT_GFN, op.stop), Why.BAD_RUNS),
        no(s, "too_long", below(left, size), Why.BAD_RUNS),
        Case("added", True, Did.DONE, added),
    )


def no_more_runs(s: Reader, _op: object) -> Bool:
    """Every run is read."""
    return all_of(s.phase == Phase.RUNS, s.seen_runs == s.runs)


@rule(AREA, End, cite=CITE, enabled=no_more_runs)
def runs_end(s: Reader, _op: End) -> Cases:
    """Go on to the VMSAs, if the runs have as many pages as the header says."""
    return (
        no(s, "too_few_pages", s.before.at(s.runs) != s.pages, Why.BAD_RUNS),
        Case("enough", True, Did.DONE, lambda: changed(s, phase=Phase.VMSAS)),
    )


def more_vmsas(s: Reader, _op: object) -> Bool:
    """There is a VMSA to read."""
    return all_of(s.phase == Phase.VMSAS, below(s.seen_vmsas, s.vmsas))


@rule(AREA, Frame, cite=CITE, enabled=more_vmsas)
def vmsa(s: Reader, op: Frame) -> Cases:
    """Read the frame of a VMSA: claimed, and behind the one before."""
    behind = any_of(s.seen_vmsas == 0, below(s.last, op.gfn))

    def added() -> Reader:
        special = s.special.with_range(op.gfn, plus(op.gfn, 1), True)
        return changed(s, special=special, last=op.gfn, seen_vmsas=plus(s.seen_vmsas, 1))

    return (
        no(s, "not_claimed", negate(s.claimed.has(op.gfn)), Why.BAD_VMSAS),
        no(s, "not_behind", negate(behind), Why.BAD_VMSAS),
        Case("added", True, Did.DONE, added),
    )


def no_more_vmsas(s: Reader, _op: object) -> Bool:
    """Every VMSA is read."""
    return all_of(s.phase == Phase.VMSAS, s.seen_vmsas == s.vmsas)


def at_run(s: Reader, number: Word, **other: Any) -> Reader:
    """The reader about to read the first record of a run, or with none left, past every frame."""
    there, first = below(number, s.runs), s.first.at(number)
    frame, left = pick(there, first, LIMIT_GFN), pick(there, minus(s.stop.at(number), first), 0)
    return changed(s, run=number, next=frame, left=left, **other)


@rule(AREA, End, cite=CITE, enabled=no_more_vmsas)
def vmsas_end(s: Reader, _op: End) -> Cases:
    """Go on to the records of pages."""
    return (Case("on", True, Did.DONE, lambda: at_run(s, 0, phase=Phase.RECORDS)),)


def more_records(s: Reader, _op: object) -> Bool:
    """There is a claimed frame whose record is not read."""
    return all_of(s.phase == Phase.RECORDS, below(s.run, s.runs))


@rule(AREA, Frame, cite=CITE, enabled=more_records)
def record(s: Reader, op: Frame) -> Cases:
    """Read the record of a page: of exactly the next claimed frame."""
    further = plus(s.next, 1)
    done = changed(
        s,
        read=s.read.with_range(s.next, further, True),
        seen_records=plus(s.seen_records, 1),
    )
    is_last = further == s.stop.at(s.run)

    def within_run() -> Reader:
        return changed(done, next=further, left=minus(s.left, 1))

    return (
        no(s, "another", op.gfn != s.next, Why.BAD_RECORDS),
        Case("last_of_run", is_last, Did.DONE, lambda: at_run(done, plus(s.run, 1))),
        Case("within_run", True, Did.DONE, within_run),
    )


def no_more_records(s: Reader, _op: object) -> Bool:
    """Every record is read."""
    return all_of(s.phase == Phase.RECORDS, at_most(s.runs, s.run))


@rule(AREA, End, cite=CITE, enabled=no_more_records)
def records_end(s: Reader, _op: End) -> Cases:
    """Take the stream, whole."""
    return (Case("taken", True, Did.DONE, lambda: changed(s, phase=Phase.TAKEN)),)


RULES = (header, run, runs_end, vmsa, vmsas_end, record, records_end)
