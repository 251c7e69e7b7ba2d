"""What is bent between the suite and a foreign SVSM.

A way to a case is gone again, and at its last step one thing is wrong: the state that all began in,
the call, what the SVSM asks of the platform and what that answers, the result, or what is shown.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, cast

from msgspec import structs

from conformance.adapters.crooked import Bend, Looked, back, crooked, looked, only, there
from conformance.adapters.crooked_svsm import UNTOLD, Way, answers, shown, tells
from conformance.adapters.protocol import FAULT, GO_ON, ForeignSvsm
from conformance.adapters.wire import Message, Ranges, Resume, Waits
from conformance.protocol.calls import ASKED
from conformance.protocol.compiled import own
from conformance.protocol.device import SvsmDevice
from conformance.protocol.doors import Door, doors
from conformance.protocol.judge import Reached
from conformance.protocol.oracle import told_of
from conformance.protocol.places import Drawn
from conformance.protocol.run import along
from conformance.protocol.walk import Scene, again, drawn
from conformance.protocol.world import OWN, PAGES, starts
from spec.catalogue import model_rules
from spec.pages import ListedPages
from spec.rule import Step, step
from spec.validation.svsm import Did, Svsm

BITS = (0, 1, 2, 3, 12, 13, 16, 21, 32)
"""The bits of a number that are changed, one after another, until that makes a difference."""
TOLD = ("header", "entry", "info2", "msr", "valid")
"""The operands that a step reads or is told; the others are arguments of a call."""


def look(device: ForeignSvsm) -> Iterator[Looked]:
    """Bend what is said to an SVSM, what it asks and what it shows, for each rule."""
    like = cast(SvsmDevice, device)

    def agrees(way: Way, bend: Bend) -> bool:
        with crooked(device, bend):
            return again(lambda: like, way.start, way.steps) is None

    for rule in (i for i in model_rules() if i in device.claims):
        led = [door for door in doors() if door.rule == rule]
        yield from looked(rule, _all_gone(like, led), agrees, BENT, lambda way: way.taken.case)


def _all_gone(device: SvsmDevice, led: Sequence[Door]) -> list[Way] | None:
    """The ways as they are gone with a device, if it differs on none of them."""
    gone = []
    for door in led:
        way = _gone(device, door)
        if way is None:
            return None
        gone.append(way)
    return gone


def _gone(device: SvsmDevice, door: Door) -> Way | None:
    """A way as it is gone with a device, with all that is said; None where it differs."""
    begins = starts(door.machine)
    start = begins[door.seed % len(begins)]
    said: list[tuple[Message, Waits]] = []
    steps: list[Drawn] = []
    before: list[tuple[Svsm, int]] = []

    def listening(ask: Bend, message: Message, *more: Any) -> Waits:
        heard: Waits = ask(message, *more)
        said.append((message, heard))
        return heard

    def way(scene: Scene) -> Iterator[Drawn]:
        for one in islice(drawn(door.seed, scene), door.length):
            steps.append(one)
            before[:] = [(own(scene.state), len(said))]
            yield one

    with crooked(device, listening):
        failed = along(start, way, device, Reached())
    state, begun = before[-1]
    return None if failed else Way(start, tuple(steps), state, tuple(said), begun)


# What it begins in, and what is called


def _another_start(way: Way) -> Iterator[Bend]:
    """It begins with a page more, or less; each step is as it was, and the last one tells."""
    cases, claimed = _before(way.start, way.steps)[0], cast(ListedPages, way.start.claimed)
    for page in (*PAGES, *OWN):
        bent = claimed.with_range(page, page + 1, not claimed.has(page))
        others, state = _before(replace(way.start, claimed=bent), way.steps)
        taken = step(way.rule, state, way.op)
        same = others == cases and taken.case == way.taken.case
        if same and tells(way.shown, shown(way.rule, way.op, taken)):
            yield only(0, there(partial(structs.replace, claimed=list(bent.runs()))))
            return


def _before(start: Svsm, steps: Sequence[Drawn]) -> tuple[list[str], Svsm]:
    """The cases that are taken before the last step, and the state then."""
    cases, state = [], start
    for _rule, _op, _before, did in told_of(start, steps[:-1]):
        cases.append(did.case)
        state = did.state
    return cases, state


def _other_call(way: Way) -> Iterator[Bend]:
    """The last step is called with another argument."""
    names = [name for name in vars(way.op) if name != "vcpu" and name not in TOLD]
    for bent, did in _other_operands(way, names):
        if way.call is not None and tells(way.shown, shown(way.rule, bent, did)):
            told = [int(getattr(bent, name)) for name in names]
            yield only(way.call, there(partial(structs.replace, arguments=told)))


def _other_operands(way: Way, names: Sequence[str]) -> list[tuple[Any, Step]]:
    """The operands of the last step with one of some changed, and what the step then does."""
    found = []
    for name in names:
        was = getattr(way.op, name)
        others = [not was] if isinstance(was, bool) else [was ^ 1 << bit for bit in BITS]
        for bent in (replace(way.op, **{name: other}) for other in others):
            if way.rule.enabled is None or way.rule.enabled(way.before, bent):
                found.append((bent, step(way.rule, way.before, bent)))
    return found


# What the platform answers


def _other_words(way: Way) -> Iterator[Bend]:
    """The platform answers as in another case of the rule, or with other words, or faults."""
    if way.told is None:
        return
    tried = [way.said[way.told][0]]
    for op, did in _otherwise(way):
        message = _answered(way, op, did)
        if message not in tried and tells(way.shown, shown(way.rule, op, did)):
            tried.append(message)
            yield only(way.told, there(partial(_instead, message)))


def _instead(message: Message, _asked: Message) -> Message:
    return message


def _otherwise(way: Way) -> list[tuple[Any, Step]]:
    """What else the last step could be told, by its operands or by its case."""
    names = [name for name in vars(way.op) if name in TOLD]
    listed = _other_operands(way, names)
    listed += [(way.op, did) for did in answers(way.rule, way.before, way.op)]
    return [(op, did) for op, did in listed if did.outcome != Did.EXIT]


def _answered(way: Way, op: Any, did: Step) -> Resume:
    """How a device is told of a step, as it is told of one that is not bent."""
    if did.outcome == Did.HALTED and did.case != "unchanged":
        return Resume(op.vcpu, FAULT)
    question = way.question(op)
    answer = None if question is None else question.answer(did)
    told = answer if isinstance(answer, tuple) else () if answer is None else (answer,)
    return Resume(op.vcpu, GO_ON, [int(one) if isinstance(one, bool) else one for one in told])


# What the platform is asked


def _questions(way: Way) -> set[int]:
    """The numbers of the messages whose answers are questions that are compared."""
    found = {way.asked, way.latest if way.shown.waits else None} - {None}
    return {number for number in cast(set[int], found) if way.said[number][1].what}


def _other_question(is_meant: Callable[[int, Any], bool]) -> Callable[[Way], Iterator[Bend]]:
    """It asks for something else: of the arguments that are meant, each is changed.

    is_meant: from an argument's place, and what it is.
    """

    def tries(way: Way) -> Iterator[Bend]:
        for number in _questions(way):
            for place, was in enumerate(way.said[number][1].arguments):
                if is_meant(place, was):
                    yield only(number, back(partial(_with_argument, place)))

    return tries


def _with_argument(place: int, told: Waits) -> Waits:
    listed = list(told.arguments)
    was = listed[place]
    listed[place] = was ^ 1 if isinstance(was, int) else bytes([was[0] ^ 1]) + was[1:]
    return structs.replace(told, arguments=listed)


def _one_less(way: Way) -> Iterator[Bend]:
    """What it asks for at the last step never reaches the suite, and is answered rightly."""
    if way.asked is None or way.told is None:
        return
    (_, question), (told, then) = way.said[way.asked], way.said[way.told]
    if told.status == GO_ON and _asked(question) != _asked(then):  # type: ignore[attr-defined]
        number = way.asked

        def bent(ask: Bend, message: Message, *more: Any) -> Waits:
            ask(message, *more)
            return cast(Waits, ask(told, *more))

        yield only(number, bent)


def _one_more(way: Way) -> Iterator[Bend]:
    """What it asks for at the last step is asked once more; it hears the first answer never."""
    if way.asked is None or way.told is None:
        return
    question = way.said[way.asked][1]
    ends = way.shown.ended not in (None, UNTOLD)
    if way.shown.kept is None or ends or (way.shown.waits and _asked(question) != _next(way)):
        yield only(way.told, lambda _ask, _message, *_more: question)


def _next(way: Way) -> tuple[str, list[int | bytes]]:
    return _asked(way.said[cast(int, way.told)][1])


def _asked(told: Waits) -> tuple[str, list[int | bytes]]:
    return told.what, told.arguments


# What it tells


def _other_result(way: Way) -> Iterator[Bend]:
    """A call ends with another result."""
    if way.latest is None or way.said[way.latest][1].what:
        return
    right, at_once = way.shown, way.rule.id in ASKED
    result = way.said[way.latest][1].result
    if right.ended not in (None, UNTOLD):
        yield _telling(way.latest, result=result ^ 1)
    if right.refused or at_once:
        yield _telling(way.latest, result=0 if right.refused else 1)


def _telling(number: int, **changes: Any) -> Bend:
    return only(number, back(partial(structs.replace, **changes)))


def _other_sets(*names: str) -> Callable[[Way], Iterator[Bend]]:
    """A set is shown with a frame more, or less."""

    def tries(way: Way) -> Iterator[Bend]:
        number = len(way.said) - 1
        for name in names if way.shown.kept else ():
            yield _telling(number, **{name: _flipped(getattr(way.said[number][1], name))})

    return tries


def _flipped(told: Ranges) -> Ranges:
    """Ranges with the guest's first frame in them, or no longer."""
    first = PAGES.start
    edges = sorted({edge for run in told for edge in run} ^ {first, first + 1})
    return list(zip(edges[::2], edges[1::2], strict=True))


def _other_stage(way: Way) -> Iterator[Bend]:
    """Another stage is shown, or that it has stopped where it has not, or the other way round."""
    number = len(way.said) - 1
    told = way.said[number][1]
    yield _telling(number, halted=not told.halted)
    yield _telling(number, stage=told.stage ^ 1)


BENT = {
    "start": _another_start,
    "call": _other_call,
    "platform": _other_words,
    "frame": _other_question(lambda place, was: place == 0 and isinstance(was, int)),
    "operand": _other_question(lambda place, was: place > 0 and isinstance(was, int)),
    "request": _other_question(lambda _place, was: isinstance(was, bytes)),
    "one less": _one_less,
    "one more": _one_more,
    "result": _other_result,
    "record": _other_sets("claimed"),
    "registry": _other_sets("vmsas", "caas", "shared"),
    "stage": _other_stage,
}
"""What is bent; the request is the guest's own, as it is written back."""
