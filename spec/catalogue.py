"""Every subject and every model that has rules, and every obligation, by id."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import chain

from spec.handoff import subjects as handoff
from spec.mmio import device_claims as mmio_devices
from spec.mmio import lemmas as mmio_lemmas
from spec.mmio import model as mmio_model
from spec.prove.inductive import Model, of_rule, of_states
from spec.prove.matrix import Subject, matrix
from spec.prove.obligation import Obligation
from spec.rule import Rule
from spec.validation import (
    any_model,
    bitmap,
    bitmap_claims,
    bitmap_lemmas,
    bitmap_words,
    runs,
    runs_claims,
    runs_lemmas,
    stream_lemmas,
    stream_model,
    svsm_model,
    tdx_model,
)

SUBJECTS = (
    Subject(
        bitmap.AREA,
        bitmap.Bitmap,
        bitmap.RULES,
        bitmap_claims.WELL_FORMED,
        bitmap_claims.BRIDGES,
        bitmap_claims.INVARIANTS,
        bitmap.touched,
        lambda: (*bitmap_lemmas.LEMMAS.found, *bitmap_words.LEMMAS.found),
        together=True,
    ),
    Subject(
        runs.AREA,
        bitmap.Bitmap,
        runs.RULES,
        runs_claims.WELL_FORMED,
        bitmap_claims.BRIDGES,
        runs_claims.INVARIANTS,
        runs.touched,
        lambda: runs_lemmas.LEMMAS.found,
        runs_claims.plainly,
        runs_claims.EXAMPLES,
        together=True,
    ),
)


HANDOFF: tuple[Subject, ...] = handoff.SUBJECTS
"""The stages of the memory map's handoff; each folds its rule over a list of entries."""


def subject_of(policy: bitmap.Policy) -> Subject:
    """The rules for devices of a policy: those of the bitmap, or of a record kept as runs."""
    as_runs = policy.most_runs != bitmap.ANY_RUNS
    return next(s for s in SUBJECTS if (s.id == runs.AREA) == as_runs)


MMIO: tuple[Model, ...] = (mmio_model.MODEL, mmio_devices.MODEL)
"""Models of another area: their rules are not those of an SVSM's pages."""
MODELS: tuple[Model, ...] = (
    svsm_model.MODEL,
    any_model.MODEL,
    tdx_model.MODEL,
    stream_model.MODEL,
)


@cache
def parts() -> dict[str, Callable[[], Iterator[Obligation]]]:
    """What makes the obligations whose ids begin with a name: of a subject, of a model's rule."""
    made: dict[str, Callable[[], Iterator[Obligation]]] = {}
    made |= {subject.id: partial(matrix, subject) for subject in (*SUBJECTS, *HANDOFF)}
    for model in (*MODELS, *MMIO):
        made[model.id] = partial(of_states, model)
        made |= {model.called(rule): partial(of_rule, model, rule) for rule in model.rules}
    of_stream = partial(of_states, stream_model.MODEL)
    made[stream_model.MODEL.id] = lambda: chain(of_stream(), stream_lemmas.LEMMAS.found)
    of_mmio = partial(of_states, mmio_model.MODEL)
    made[mmio_model.MODEL.id] = lambda: chain(of_mmio(), mmio_lemmas.LEMMAS.found)
    return made


def obligations() -> Iterator[Obligation]:
    """Every obligation of every subject and model, in a fixed order."""
    for made in parts().values():
        yield from made()


@cache
def rules() -> dict[str, Rule]:
    """Every rule of a subject, by id."""
    return {rule.id: rule for subject in SUBJECTS for rule in subject.rules}


@cache
def handoff_rules() -> dict[str, Rule]:
    """Every rule of the handoff, by id."""
    return {rule.id: rule for subject in HANDOFF for rule in subject.rules}


@cache
def model_rules(machine: str = "") -> dict[str, Rule]:
    """Every rule of the models of one machine, by id; on SEV-SNP where none is named."""
    return {r.id: r for model in MODELS if model.machine == machine for r in model.rules}


@cache
def mmio_rules() -> dict[str, Rule]:
    """Every rule of MMIO that an implementation is held to, by id."""
    return {rule.id: rule for rule in mmio_model.MODEL.rules}
