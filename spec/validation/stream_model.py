"""What is true of a migration stream that is read, of any number of runs, VMSAs and pages.

`p` and `q` are numbers of runs here, `g` is a frame.

Assumes: `checksum`.
Proves: a stream is taken only as a whole; then each claimed frame has had its record once, in
order, VMSAs are claimed, and there were as many records as the length has room for. With
`stream_lemmas`: whatever is read lies in the stream, and before its checksum.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spec.assumptions import CHECKSUM
from spec.invariant import Moment
from spec.prove.inductive import Model, sentence
from spec.rule import Case, Rule
from spec.sources import decision
from spec.terms import (
    Bool,
    Word,
    all_of,
    any_of,
    at_most,
    below,
    implies,
    minus,
    negate,
    pick,
    plus,
    same,
    within,
)
from spec.validation import stream
from spec.validation.stream import MOST_PAGES, Phase, Reader
from spec.validation.svsm import LIMIT_GFN

CITE = decision("0029-stream")
READING = (Phase.RUNS, Phase.VMSAS, Phase.RECORDS, Phase.TAKEN)
WITH_RUNS = (Phase.VMSAS, Phase.RECORDS, Phase.TAKEN)
WITH_VMSAS = (Phase.RECORDS, Phase.TAKEN)


def during(s: Any, *phases: Phase) -> Bool:
    """The reader is in one of some phases."""
    return any_of(*(s.phase == int(phase) for phase in phases))


@sentence(CITE)
def the_destination_knows_its_limits(s: Any) -> Bool:
    """No destination takes more pages than there can be."""
    return at_most(s.cap, MOST_PAGES)


@sentence(CITE)
def nothing_is_read(s: Any, g: Word) -> Bool:
    """At first nothing has been read."""
    none = all_of(negate(s.claimed.has(g)), negate(s.special.has(g)), negate(s.read.has(g)))
    zero = all_of(s.seen_runs == 0, s.seen_vmsas == 0, s.seen_records == 0, s.before.at(0) == 0)
    return all_of(s.phase == Phase.HEADER, none, zero)


@sentence(CITE)
def before_the_header_nothing_is_read(s: Any, g: Word) -> Bool:
    """Until the header is read, no run, VMSA or record has been."""
    return implies(s.phase == Phase.HEADER, nothing_is_read.says(s, g))


@sentence(CITE)
def the_counts_fit(s: Any) -> Bool:
    """Whatever is read behind the header, its counts are within limits, and the sum fits."""
    fits = all_of(
        at_most(s.pages, s.cap),
        at_most(s.runs, s.pages),
        at_most(s.vmsas, s.pages),
        s.sum_fits,
    )
    return implies(during(s, *READING), fits)


@sentence(CITE)
def no_more_is_read_than_is_there(s: Any) -> Bool:
    """As many runs and VMSAs are read as the header says, and not more."""
    counts = all_of(at_most(s.seen_runs, s.runs), at_most(s.seen_vmsas, s.vmsas))
    whole = implies(during(s, *WITH_RUNS), s.seen_runs == s.runs)
    vmsas = implies(during(s, *WITH_VMSAS), s.seen_vmsas == s.vmsas)
    pages = implies(during(s, *WITH_RUNS), s.before.at(s.runs) == s.pages)
    return implies(during(s, *READING), all_of(counts, whole, vmsas, pages))


@sentence(CITE)
def runs_are_not_empty(s: Any, p: Word) -> Bool:
    """Each run has a frame, and ends below the limit."""
    listed = all_of(below(s.first.at(p), s.stop.at(p)), at_most(s.stop.at(p), LIMIT_GFN))
    return implies(below(p, s.seen_runs), listed)


@sentence(CITE)
def runs_are_in_order(s: Any, p: Word, q: Word) -> Bool:
    """A run lies behind those before it, and does not touch them."""
    ordered = all_of(below(p, q), below(q, s.seen_runs))
    return implies(ordered, below(s.stop.at(p), s.first.at(q)))


@sentence(CITE)
def no_run_ends_behind_the_last(s: Any, p: Word) -> Bool:
    """The last run that is read is the one that ends last."""
    last = s.stop.at(minus(s.seen_runs, 1))
    return implies(below(p, s.seen_runs), at_most(s.stop.at(p), last))


@sentence(CITE)
def pages_are_counted(s: Any, p: Word) -> Bool:
    """Before a run there are as many pages as in the runs before it."""
    after = plus(s.before.at(p), minus(s.stop.at(p), s.first.at(p)))
    counted = implies(below(p, s.seen_runs), s.before.at(plus(p, 1)) == after)
    return all_of(s.before.at(0) == 0, counted)


@sentence(CITE)
def pages_are_never_too_many(s: Any, p: Word) -> Bool:
    """The runs that are read have no more pages than the header says."""
    read = all_of(at_most(p, s.seen_runs), during(s, *READING))
    return implies(read, at_most(s.before.at(p), s.pages))


@sentence(CITE)
def frames_in_runs_are_claimed(s: Any, p: Word, g: Word) -> Bool:
    """A frame in a run is claimed."""
    inside = all_of(below(p, s.seen_runs), within(g, s.first.at(p), s.stop.at(p)))
    return implies(inside, s.claimed.has(g))


@sentence(CITE)
def frames_between_runs_are_not_claimed(s: Any, p: Word, g: Word) -> Bool:
    """A frame before the first run, between two, or behind the last, is not claimed."""
    further, free = plus(p, 1), negate(s.claimed.has(g))
    between = all_of(below(further, s.seen_runs), within(g, s.stop.at(p), s.first.at(further)))
    before = all_of(below(0, s.seen_runs), below(g, s.first.at(0)))
    behind = all_of(below(0, s.seen_runs), at_most(s.stop.at(minus(s.seen_runs, 1)), g))
    outside = (between, before, behind, s.seen_runs == 0)
    return all_of(*(implies(place, free) for place in outside))


@sentence(CITE)
def vmsas_are_claimed(s: Any, g: Word) -> Bool:
    """The page of a VMSA is one of the claimed ones."""
    return implies(s.special.has(g), s.claimed.has(g))


@sentence(CITE)
def no_vmsa_lies_behind_the_last(s: Any, g: Word) -> Bool:
    """VMSAs are read in order: none that is read lies behind the last one."""
    return implies(s.special.has(g), all_of(at_most(g, s.last), s.seen_vmsas != 0))


@sentence(CITE)
def the_next_record_is_of_the_run(s: Any) -> Bool:
    """The next record is of a frame of its run; with no run left, of none that there can be."""
    inside = within(s.next, s.first.at(s.run), s.stop.at(s.run))
    there = pick(below(s.run, s.runs), inside, all_of(s.run == s.runs, s.next == LIMIT_GFN))
    return implies(during(s, *WITH_VMSAS), there)


@sentence(CITE)
def records_are_counted(s: Any) -> Bool:
    """With what is left of its run, as many records are read as pages lie before the next run."""
    there, after = during(s, *WITH_VMSAS), s.before.at(plus(s.run, 1))
    inside = plus(s.seen_records, s.left) == after
    count = pick(below(s.run, s.runs), inside, s.seen_records == s.pages)
    none = implies(during(s, Phase.RUNS, Phase.VMSAS), s.seen_records == 0)
    return all_of(none, implies(there, count))


@sentence(CITE)
def what_is_left_of_a_run_is_counted(s: Any) -> Bool:
    """What is left of a run are its pages from the next record's on."""
    there = all_of(during(s, *WITH_VMSAS), below(s.run, s.runs))
    return implies(there, s.left == minus(s.stop.at(s.run), s.next))


@sentence(CITE)
def what_is_left_of_a_run_lies_before_the_next(s: Any) -> Bool:
    """What is left of a run is no more than the pages before the next one."""
    there = all_of(during(s, *WITH_VMSAS), below(s.run, s.runs))
    return implies(there, within(s.left, 1, plus(s.before.at(plus(s.run, 1)), 1)))


@sentence(CITE)
def what_is_read_is_claimed_and_before_the_next(s: Any, g: Word) -> Bool:
    """Of each claimed frame before the next one, and of no other, the record is read."""
    read = all_of(during(s, *WITH_VMSAS), s.claimed.has(g), below(g, s.next))
    return implies(during(s, *READING), same(s.read.has(g), read))


@sentence(CITE)
def a_stream_that_is_taken_is_whole(s: Any) -> Bool:
    """What is taken has no run, VMSA or page left to read."""
    return implies(s.phase == Phase.TAKEN, all_of(s.run == s.runs, s.seen_records == s.pages))


# What follows


@sentence(CITE)
def each_claimed_frame_has_its_record(s: Any, g: Word) -> Bool:
    """Of a stream that is taken, exactly the claimed frames have had a record (MIG-EXACT)."""
    return implies(s.phase == Phase.TAKEN, same(s.read.has(g), s.claimed.has(g)))


# Of each step


def of(*cases: tuple[Rule, str]) -> Any:
    """Speaks of some cases of rules."""
    listed = {(rule.id, name) for rule, name in cases}
    return lambda rule, case: (rule.id, case.name) in listed


def refuses(_rule: Rule, case: Case) -> bool:
    """Speaks of every refusal."""
    return bool(case.value != 0)


@sentence(CITE, on=of((stream.header, "begun")))
def a_stream_is_begun_only_with_its_mark(m: Moment) -> Bool:
    """What is read on bears the mark given out, the right name and version (no old stream)."""
    named = all_of(m.op.magic == stream.MAGIC, m.op.version == stream.VERSION, m.op.flags == 0)
    return all_of(named, m.op.mark == m.before.nonce, m.before.sum_fits)


@sentence(CITE, on=of((stream.header, "begun")))
def the_length_is_what_the_counts_say(m: Moment) -> Bool:
    """The stream is as long as its header says: nothing is missing, nothing is left over."""
    op = m.op
    return m.before.length == stream.bytes_of(op.runs, op.pages, op.vmsas)


@sentence(CITE, on=of((stream.record, "last_of_run"), (stream.record, "within_run")))
def no_more_records_are_read_than_there_are(m: Moment) -> Bool:
    """A record that is read is one of those that the length has room for."""
    return below(m.before.seen_records, m.before.pages)


@sentence(CITE, on=of((stream.vmsa, "added")))
def a_vmsa_is_read_once(m: Moment) -> Bool:
    """Each VMSA is one that has not been read before."""
    return all_of(negate(m.before.special.has(m.op.gfn)), m.after.special.has(m.op.gfn))


def behind_the_header(rule: Rule, _case: Case) -> bool:
    """Speaks of every step but the header's."""
    return rule.id != stream.header.id


@sentence(CITE, on=behind_the_header)
def what_the_header_says_stays(m: Moment) -> Bool:
    """The length and the counts that the header settled are the same for all that is read."""
    names = ("length", "runs", "pages", "vmsas", "cap")
    return all_of(*(getattr(m.after, n) == getattr(m.before, n) for n in names))


@sentence(CITE, on=of((stream.record, "last_of_run"), (stream.record, "within_run")))
def a_record_is_of_a_claimed_frame_not_read_before(m: Moment) -> Bool:
    """Each record is of a claimed frame that has had none."""
    s, gfn = m.before, m.op.gfn
    fresh = all_of(s.claimed.has(gfn), negate(s.read.has(gfn)))
    return all_of(fresh, m.after.read.has(gfn))


@sentence(CITE, on=refuses)
def a_refusal_is_for_good(m: Moment) -> Bool:
    """A stream that is refused is refused whole: nothing of it is taken."""
    return m.after.phase == Phase.REFUSED


def named(s: Any, op: Any, things: Mapping[str, Word]) -> Mapping[str, Sequence[Word]]:
    """What a proof looks at: its own things, the frames of the step, and the runs next to it."""
    frames = [things["g"], s.next]
    frames += [getattr(op, name) for name in ("gfn",) if hasattr(op, name)]
    p, q, none = things["p"], things["q"], minus(s.seen_runs, s.seen_runs)
    runs = [p, q, none]
    if hasattr(op, "stop"):
        runs += [plus(p, 1), minus(s.seen_runs, 1), s.seen_runs]
    elif hasattr(op, "gfn"):
        runs += [s.run, plus(s.run, 1)]
    else:
        runs += [s.run, s.seen_runs, minus(s.seen_runs, 1)]
    return {"gfn": frames, "spn": runs, "vcpu": []}


def apart(s: Any, op: Any, things: Mapping[str, Word]) -> Sequence[Bool]:
    """Where a step writes to what a sentence speaks of, and where it does not.

    A solver would find out by itself, but goes through sums of 64 bits on the way. Of a record: it
    is its run's last if as many are read then as there are pages before the next run.
    """
    if not hasattr(op, "stop"):
        if not hasattr(op, "gfn"):
            return ()
        further, read = plus(s.run, 1), plus(s.seen_records, 1)
        more = below(further, s.runs)
        return (more,) if things else (all_of(s.left == 1, read != s.before.at(further)), more)
    if "p" not in things:
        return ()
    p, number = things["p"], s.seen_runs
    return (p == number, p == plus(number, 1), plus(p, 1) == 0, plus(p, 1) == number)


KEPT = (
    before_the_header_nothing_is_read,
    the_counts_fit,
    no_more_is_read_than_is_there,
    runs_are_not_empty,
    runs_are_in_order,
    no_run_ends_behind_the_last,
    pages_are_counted,
    pages_are_never_too_many,
    frames_in_runs_are_claimed,
    frames_between_runs_are_not_claimed,
    vmsas_are_claimed,
    no_vmsa_lies_behind_the_last,
    the_next_record_is_of_the_run,
    records_are_counted,
    what_is_left_of_a_run_is_counted,
    what_is_left_of_a_run_lies_before_the_next,
    what_is_read_is_claimed_and_before_the_next,
    a_stream_that_is_taken_is_whole,
)
STEPS = (
    a_stream_is_begun_only_with_its_mark,
    the_length_is_what_the_counts_say,
    no_more_records_are_read_than_there_are,
    a_vmsa_is_read_once,
    what_the_header_says_stays,
    a_record_is_of_a_claimed_frame_not_read_before,
    a_refusal_is_for_good,
)
MODEL = Model(
    "validation.stream",
    Reader,
    stream.RULES,
    (the_destination_knows_its_limits,),
    KEPT,
    STEPS,
    (each_claimed_frame_has_its_record,),
    (nothing_is_read,),
    named,
    lambda _s, _op: True,
    (CHECKSUM,),
    machine="stream",
    best="z3",
    apart=apart,
)
