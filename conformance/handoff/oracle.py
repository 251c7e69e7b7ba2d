"""The rules of the handoff, executed on concrete maps: each stage folds its step over a list."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from conformance.handoff import calls
from spec.handoff import carve as carving
from spec.handoff import contract
from spec.handoff import read as reading
from spec.handoff import reserve as reserving
from spec.handoff import size as sizing
from spec.handoff import validate as validating
from spec.handoff import view as viewing
from spec.handoff import write as writing
from spec.handoff.words import PAGE_BYTES, Answer, Kind, Piece, Spans, listing
from spec.rule import Rule, Step, step

Range = tuple[int, int]
Reached = Counter[tuple[str, str]]
"""How often each (rule id, case) was taken."""
END = Piece(True, 0, 0, 0)


@dataclass(frozen=True)
class Told:
    """What a stage answers: `rule.case` is what was taken last, and `value` what was made."""

    rule: str
    case: str
    answer: Answer
    value: Any = None

    @property
    def is_ok(self) -> bool:
        """Whether it is no refusal."""
        return self.answer == Answer.OK


def fold(
    rule: Rule, state: Any, operands: Iterable[Any], reached: Reached
) -> tuple[Step, Answer, Any]:
    """The last step of a rule over a list, what it answers, and the state behind it.

    A refusal ends it.
    """
    done = Step("", Answer.OK, 0, state)
    for op in operands:
        done = step(rule, done.state, op)
        reached[rule.id, done.case] += 1
        if done.outcome != Answer.OK:
            break
    return done, Answer(done.outcome), done.state


def _told(rule: Rule, done: Step, make: Callable[[], Any]) -> Told:
    answer = Answer(done.outcome)
    return Told(rule.id, done.case, answer, make() if answer == Answer.OK else None)


def pieces(spans: Spans) -> list[Piece]:
    """The ranges of a list, and its end."""
    return [*(Piece(False, *one) for one in spans.listed()), END]


def read(entries: Iterable[reading.Entry], limit: int, reached: Reached) -> Told:
    """Stage 1; the entries are to end with one that ends the map. The value is a `Spans`."""
    done, _, state = fold(reading.read, reading.start(limit), until_end(entries), reached)
    return _told(reading.read, done, lambda: state.entries)


def until_end(entries: Iterable[reading.Entry]) -> Iterable[reading.Entry]:
    """The entries up to the one that ends the map."""
    for entry in entries:
        yield entry
        if entry.is_past or entry.pages == 0:
            return


def size(entries: Spans, cap: int, tracks: bool, reached: Reached) -> tuple[Told, Spans]:
    """Stage 2; the value is the pages tracked and the bitmaps'. Beside it, the runs."""
    done, _, state = fold(sizing.size, sizing.start(cap, tracks), pieces(entries), reached)
    return _told(sizing.size, done, lambda: done.value), state.runs


def runs_of(entries: Spans) -> Spans:
    """The runs of a map."""
    return size(entries, 1 << 64, True, Counter())[1]


@dataclass(frozen=True)
class Kernel:
    """The kernel's measured base, least and greatest size, in pages."""

    base: int
    least: int
    greatest: int


def reserve(
    entries: Spans,
    kernel: Kernel,
    excluded: Iterable[Range],
    bitmaps: int,
    limit: int,
    reached: Reached,
) -> Told:
    """Stage 3; the value is the kernel's range and the region's."""
    runs, outside = runs_of(entries), [(*one, Kind.EXCLUDED) for one in excluded]
    others = [one for one in entries.listed() if one[2] != Kind.MEMORY]
    seen = [*others, *runs.listed(), *outside]
    start = reserving.start(limit, kernel.base, kernel.least, kernel.greatest)
    asked = [*(Piece(False, *one) for one in seen), END]
    placed, answer, _ = fold(reserving.kernel, start, asked, reached)
    if answer != Answer.OK:
        return Told(reserving.kernel.id, placed.case, answer)
    state = reserving.search(bitmaps, runs, listing(outside), placed.value)
    done = Step("", Answer.OK, 0, state)
    while done.outcome == Answer.OK and not done.state.found:
        done, _, state = fold(reserving.reserve, done.state, [reserving.Look()], reached)
    return _told(reserving.reserve, done, lambda: (placed.value, (state.first, state.stop)))


def carve(entries: Spans, reserved: tuple[Range, Range], low_pages: int, reached: Reached) -> Told:
    """Stage 4; the value is a `Spans`."""
    kernel, region = reserved
    first = carving.start(kernel, 0)
    _, _, between = fold(carving.carve, first, pieces(runs_of(entries)), reached)
    second = carving.start(region, low_pages)
    done, _, state = fold(carving.carve, second, pieces(between.left), reached)
    return _told(carving.carve, done, lambda: state.left)


def write(start: writing.Writing, guest: Spans, reached: Reached) -> Told:
    """Stage 6; the value is the state behind it, a `Writing`."""
    done, _, state = fold(writing.write, start, pieces(guest), reached)
    return _told(writing.write, done, lambda: state)


def make_ready(call: calls.Validate, reached: Reached) -> Told:
    """Stage 5; the value is the pages made private, validated and zeroed, as ranges."""
    done = Step("", Answer.OK, 0, validating.start(call.region, call.shared))
    while done.outcome == Answer.OK and not done.state.ready:
        op = _machine(call, done.state)
        done, _, _ = fold(validating.validate, done.state, [op], reached)
    s = done.state
    sets = (s.private, s.validated, s.zeroed)
    return _told(validating.validate, done, lambda: tuple(list(one.runs()) for one in sets))


def _machine(call: calls.Validate, s: validating.Readying) -> validating.Machine:
    """What the machine of a call answers to the next step."""

    def has(listed: Iterable[int]) -> bool:
        return any(s.next <= page < s.reach for page in listed)

    if not s.is_single and s.next in call.small:
        return validating.Machine(s.asked in call.refused, validating.FAIL_SIZEMISMATCH, False)
    failed = int(has(call.failing))
    return validating.Machine(s.asked in call.refused, failed, not failed and has(call.was))


def view(page: bytes, version: tuple[bool, bool, bool], told: int, reached: Reached) -> Told:
    """Stage 7; the value is OVMF's state behind it, a `View`, where it takes the map."""
    entries = calls.found(page)
    slots = [viewing.Slot(f.is_past, f.first, f.pages, f.kind, f.reserved) for f in entries]
    read = slots[: next(i for i, slot in enumerate(slots) if slot.ends) + 1]
    takes_map, checks_first, low_from_base = version
    before = viewing.before_low(low_from_base, told)
    _, _, low = fold(viewing.low_memory, before, read, reached)
    start = viewing.before_view(takes_map, checks_first, low.low)
    done, _, state = fold(viewing.view, start, read, reached)
    return _told(viewing.view, done, lambda: state)


def area_bytes(s: writing.Writing, memory: bytes) -> bytes:
    """What the area's pages hold after a map was written where they held `memory`."""
    base = s.first * PAGE_BYTES
    made = bytearray(len(memory) if s.validated_first < s.validated_stop else memory)
    slots = [contract.slot_at(s.slots, i) for i in range(s.capacity)]
    written = calls.packed((slot.first, slot.pages, slot.kind) for slot in slots)
    at = s.address - base
    made[at : at + s.size] = written.ljust(s.size, bytes(1))
    return bytes(made)


def answer(call: calls.Call, reached: Reached) -> Told:
    """What a stage is to answer to one call, as plain values."""
    match call:
        case calls.Read(area, limit):
            told = read(calls.found(area), limit, reached)
            return replace(told, value=told.is_ok and told.value.listed())
        case calls.Size(entries, cap, tracks):
            return size(listing(entries), cap, tracks, reached)[0]
        case calls.Reserve(entries, kernel, excluded, bitmaps, limit):
            where = Kernel(*kernel)
            return reserve(listing(entries), where, excluded, bitmaps, limit, reached)
        case calls.Carve(entries, kernel_range, region, low_pages):
            told = carve(listing(entries), (kernel_range, region), low_pages, reached)
            return replace(told, value=told.is_ok and [r[:2] for r in told.value.listed()])
        case calls.View(page, takes_map, checks_first, low_from_base, low_told):
            told = view(page, (takes_map, checks_first, low_from_base), low_told, reached)
            seen = told.is_ok and tuple(
                [(int(a), int(b)) for a, b in pages.runs()]
                for pages in (told.value.ram, told.value.reserved)
            )
            return replace(told, value=seen)
        case calls.Validate():
            return make_ready(call, reached)
        case calls.Write(memory, address, size_bytes, prevalidated, guest):
            flags = prevalidated, call.with_terminator, call.published
            told = write(writing.start((address, size_bytes), *flags), listing(guest), reached)
            s = told.value
            validated = told.is_ok and (s.validated_first, s.validated_stop)
            return replace(told, value=told.is_ok and (validated, area_bytes(s, memory)))
