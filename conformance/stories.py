"""Attack stories: what happens when an SVSM drops a habit that its invariants need.

Each story is found by walking over rules from which the habit has been edited away, reduced, and
kept in `data/stories.json`. It is checked again whenever it is told: on the edited rules it ends
in a state in which the sentence is false, before its last step the sentence is true, and on the
rules as they are the same steps leave it true.

`python -m conformance.stories` finds them anew.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from conformance.files import write_atomically
from conformance.protocol import defects, machines
from conformance.protocol.oracle import MOVES, PINNED, can
from conformance.protocol.places import FRAMES, Drawn
from conformance.protocol.trace import ProtocolTrace, decoded, encoded
from conformance.protocol.walk import LENGTH, drawn
from conformance.protocol.words import held, told
from conformance.protocol.world import PAGES, VCPUS, starts
from conformance.story_ways import WAYS
from spec.catalogue import MODELS
from spec.invariant import Moment
from spec.prove.inductive import SORTS, Model, Sentence
from spec.rule import Rule, Step, step
from spec.validation.disciplines import ALL, Discipline
from spec.validation.svsm import Pc, Svsm

FILE = "stories.json"
DROPPED: dict[str, tuple[str, str]] = {
    "claim-before-validate": ("validated_twice", "validated_frames_have_one_home"),
    "one-vcpu-a-page": ("no_lock", "a_page_has_one_vcpu"),
    "carry-is-fatal": ("carry_ignored", "what_is_validated_is_claimed"),
    "record-the-launch": ("launch_not_recorded", "what_is_validated_is_claimed"),
    "release-after-rescind": ("released_unrescinded", "what_is_validated_is_claimed"),
    "revoke-before-rescind": ("rights_not_revoked", "rights_are_on_validated_pages_of_the_guest"),
    "flush-before-release": ("flush_skipped", "what_is_remembered_is_claimed"),
    "zero-before-grant": ("granted_before_zeroed", "the_guest_sees_nobody_elses_contents"),
    "only-the-guests-pages": ("ranges_unchecked", "blocks_lie_where_they_may"),
    "no-vmsa-in-a-request": ("vmsa_in_a_request", "vmsas_are_spared"),
    "register-first": ("registered_too_late", "vmsas_are_out_of_reach"),
    "rescind-before-share": ("shared_unrescinded", "shared_pages_are_not_claimed"),
    "next-after-effect": ("next_past_a_failure", "next_counts_what_is_done"),
    "rescind-all-at-reboot": ("reboot_leaves_pages", "a_cold_machine_has_only_firmware"),
    "only-the-stream": ("import_outside_the_stream", "only_the_stream_is_brought_in"),
    "stop-at-export": ("source_runs_on", "the_record_is_handed_out"),
    "all-or-nothing": ("lock_of_one_page", "who_works_holds_the_lock"),
    "undo-after-mismatch": ("claim_kept_after_mismatch", "a_mismatch_undoes_the_claim"),
    "stop-on-unvalidated": ("unvalidated_access_goes_on", "the_guest_sees_nobody_elses_contents"),
    "validate-firmware-once": (
        "firmware_validated_twice",
        "pages_that_change_hands_are_not_claimed",
    ),
    "mark-the-stream": ("old_stream_taken", "an_old_stream_is_not_taken"),
    "never-re-accept": ("accepted_is_the_record", "what_the_guest_wrote_is_not_replaced"),
    "fill-what-is-accepted": ("accepted_means_zero", "a_cold_machine_holds_what_was_launched"),
    "attributes-go-first": ("attributes_not_revoked", "rights_are_on_claimed_pages_of_the_guest"),
}
"""For each discipline, the defect that drops it and the sentence that is false then."""


class Telling:
    """A model's rules over a state, as a walk wants them: `state`, `last`, `can`, `do`."""

    def __init__(self, model: Model, start: Svsm) -> None:
        self.rules = {rule.id: rule for rule in model.rules}
        self.state, self.last = start, Step("", 0, 0, start)
        self.inside = machines.of(start).inside

    def can(self, rule: Rule, op: Any) -> bool:
        """Whether a step can be taken now."""
        return can(self.state, self.rules[rule.id], op)

    def do(self, rule: Rule, op: Any) -> Iterator[tuple[Rule, Any, Svsm, Step]]:
        """Take a step and what the SVSM then does in its own memory; each with what was before."""
        before, own = self.state, self.rules[rule.id]
        self.last = step(own, before, op)
        self.state = self.last.state
        yield own, op, before, self.last
        vcpu = getattr(op, "vcpu", None)
        if vcpu is None or rule.id.startswith(MOVES):
            return
        while not self.state.halted and (next_of := self.inside.get(self.state.pc(vcpu))):
            before, found = self.state, next_of(self.state, vcpu)
            if found is None:
                return
            within, cpu = self.rules[found[0].id], found[1]
            taken = step(within, before, cpu)
            self.state = taken.state
            yield within, cpu, before, taken


Broken = Callable[[Rule, Any, Svsm, Step], dict[str, int] | None]


def model_on(machine: str) -> Model:
    """The model of the SVSM on a machine, with its rules as they are."""
    return next(model for model in MODELS if model.machine == machine)


def breaker(model: Model, name: str) -> Broken:
    """Looks whether a sentence of a model is false after a step, and of which things."""
    kept = {one.name: one for one in (*model.kept, *model.follows)}
    if name in kept:
        return lambda _rule, _op, _before, taken: false_of(kept[name], taken.state, taken.state)
    stepped = next(one for one in model.steps if one.name == name)
    rules = {rule.id: rule for rule in model.rules}

    def look(rule: Rule, op: Any, before: Svsm, taken: Step) -> dict[str, int] | None:
        real = rules[rule.id]
        case = next(c for c in rule(before, op) if c.name == taken.case)
        if stepped.on is not None and not stepped.on(real, case):
            return None
        moment = Moment(real, before, op, taken.outcome, taken.value, taken.state)
        return false_of(stepped, moment, taken.state)

    return look


def false_of(one: Sentence, subject: Any, state: Svsm) -> dict[str, int] | None:
    """Things of which a sentence is false, if there are any among those worth looking at."""
    places: dict[str, Callable[[], Sequence[int]]] = {
        "spn": lambda: _pages(state),
        "gfn": lambda: (*FRAMES, *(state.cpus.first.at(c) for c in VCPUS)),
        "vcpu": lambda: VCPUS,
    }
    for chosen in product(*(places[SORTS[name]]() for name in one.about)):
        if not one.says(subject, *chosen):
            return dict(zip(one.about, chosen, strict=True))
    return None


def _pages(state: Svsm) -> list[int]:
    sets = (state.hw.validated, state.hw.tlb, state.hw.vmsa)
    runs = [run for pages in sets for run in pages.runs()]
    found = {page for first, stop in runs for page in range(first, min(stop, first + len(PAGES)))}
    return sorted(found | set(state.hw.rights.singles) | set(state.hw.lesser_rights.singles))


def breaks(model: Model, start: Svsm, steps: Sequence[Drawn], look: Broken) -> int:
    """After how many of `steps` the sentence is false; 0 if it never is.

    Steps that cannot be taken are left out.
    """
    telling = Telling(model, start)
    for number, (rule, op) in enumerate(steps, 1):
        if telling.can(rule, op):
            for done in telling.do(rule, op):
                if look(*done):
                    return number
    return 0


MOST_WALKS = 4000


def find(discipline: str) -> tuple[Svsm, list[Drawn]]:
    """A short way to what happens when a discipline is dropped.

    Raises: LookupError where no walk leads there.
    """
    dropped, sentence = DROPPED[discipline]
    found = defects.named(dropped)
    if found is None:
        raise LookupError(f"{discipline}: no defect {dropped}")
    model, look = defects.changed_model(found), breaker(model_on(found.machine), sentence)
    begins = starts(found.machine)
    best: tuple[Svsm, list[Drawn]] | None = None
    if discipline in WAYS:
        return begins[1], shorter(model, begins[1], WAYS[discipline](), look)
    for seed in range(MOST_WALKS):
        start = begins[seed % len(begins)]
        telling, steps = Telling(model, start), list[Drawn]()
        for rule, op in drawn(seed, telling):
            steps.append((rule, op))
            seen = [look(*done) for done in telling.do(rule, op)]
            if any(seen):
                small = shorter(model, start, steps, look)
                if best is None or len(small) < len(best[1]):
                    best = start, small
                break
        if best is not None and seed > 40:
            return best
    if best is None:
        raise LookupError(f"{discipline}: no walk of {LENGTH} steps leads to it")
    return best


def shorter(model: Model, start: Svsm, steps: Sequence[Drawn], look: Broken) -> list[Drawn]:
    """Steps that break the sentence still, and of which none can be left out."""
    best, size = list(steps), max(1, len(steps) // 2)
    while size:
        place = 0
        while place < len(best):
            fewer = best[:place] + best[place + size :]
            last = breaks(model, start, fewer, look)
            if last:
                best = fewer[:last]
            else:
                place += size
        size //= 2
    return best


@dataclass(frozen=True)
class Story:
    """A story as it is told: its lines, what is false at the end, and of what."""

    discipline: Discipline
    sentence: Sentence
    defect: str
    lines: tuple[str, ...]
    false_of: dict[str, int]
    steps: int


class StoryError(ValueError):
    """A story that is kept does not hold any more."""


@cache
def kept() -> dict[str, ProtocolTrace]:
    """The traces of the stories, by discipline."""
    place = files("conformance") / "data" / FILE
    return msgspec.json.decode(place.read_bytes(), type=dict[str, ProtocolTrace])


@cache
def story(name: str) -> Story:
    """The story of a discipline, checked step by step.

    Raises: StoryError where it does not hold.
    """
    discipline = next(one for one in ALL if one.name == name)
    dropped, sentence = DROPPED[name]
    defect = defects.named(dropped)
    if defect is None:
        raise StoryError(f"{name}: no defect {dropped}")
    start, steps = decoded(kept()[name], f"{FILE}: {name}")
    real = model_on(defect.machine)
    model, look = defects.changed_model(defect), breaker(real, sentence)
    if breaks(real, start, steps, look):
        raise StoryError(f"{name}: the rules as they are break {sentence} too")
    telling, lines, things = Telling(model, start), list[str](), dict[str, int]()
    for number, (rule, op) in enumerate(steps, 1):
        if things or not telling.can(rule, op):
            raise StoryError(f"{name}: step {number} cannot be taken, or comes too late")
        for own, cpu, before, taken in telling.do(rule, op):
            lines.append(told(own, cpu, before, taken))
            things = look(own, cpu, before, taken) or things
    if not things:
        raise StoryError(f"{name}: {sentence} is true at the end")
    frames = sorted({_frame(telling.state, key, value) for key, value in things.items()} - {-1})
    lines += [f"at the end, {held(telling.state, frame)}" for frame in frames]
    said = next(s for s in (*real.kept, *real.follows, *real.steps) if s.name == sentence)
    return Story(discipline, said, dropped, tuple(lines), things, len(steps))


def _frame(state: Svsm, name: str, value: int) -> int:
    match SORTS[name]:
        case "spn":
            return int(state.hw.gfn.at(value))
        case "gfn":
            return value
    return int(state.cpus.first.at(value)) if state.pc(value) not in (*PINNED, Pc.IDLE) else -1


def main() -> None:
    """Find every story anew and write them."""
    made: dict[str, Any] = {}
    for discipline in ALL:
        start, steps = find(discipline.name)
        print(f"{discipline.name}: {len(steps)} steps", file=sys.stderr, flush=True)
        number = starts(discipline.machine).index(start)
        made[discipline.name] = ProtocolTrace(
            machine=discipline.machine,
            device=DROPPED[discipline.name][0],
            made_by="search",
            seed=0,
            start=number,
            steps=encoded(steps),
        )
    data = msgspec.json.format(msgspec.json.encode(made), indent=0)
    write_atomically(Path(str(files("conformance") / "data" / FILE)), data + b"\n")


if __name__ == "__main__":
    main()
