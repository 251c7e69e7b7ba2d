"""Finding what is kept to shorten proofs: `python -m spec.prove.kept_file`, some ten minutes.

It writes two files beside this one, where each obligation that asks for values has a line, and each
group that shares a session. To do so is worth while where rules have changed; until then proving
them takes longer.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import z3

from spec.pages import ListedPages, ListedWords
from spec.prove.group import enough, in_common
from spec.prove.kept import PREMISES, VALUES, Plain, shows
from spec.prove.obligation import OTHERWISE, Obligation, is_shown
from spec.prove.premises import Premises, Wanted
from spec.prove.run import catalogue
from spec.prove.sessions import OPEN, Texts
from spec.prove.solvers import Budget, module
from spec.prove.translate import Translator
from spec.prove.world import Concrete, Symbolic, World
from spec.tables import ListedTable
from spec.terms import truth


@dataclass
class Noting:
    """A world whose values are noted as they are told."""

    world: World
    told: dict[str, Plain] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self.world, name)
        if name not in TELL:
            return asked

        def noted(called: str, *more: Any) -> Any:
            made = asked(called, *more)
            plain = _plain(made)
            if plain:
                self.told[called] = plain
            return made

        return noted


TELL = ("word", "number", "numbers", "marks", "flag", "pages", "words", "keys", "table")


def _plain(made: Any) -> Plain:
    match made:
        case ListedPages():
            return list(made.bounds)
        case ListedTable():
            return {str(key): value for key, value in sorted(made.singles.items()) if value}
        case ListedWords():
            return {str(key): value for key, value in made.listed}
    return int(made)


def found(obligations: Sequence[Obligation]) -> Iterator[tuple[str, dict[str, Plain]]]:
    """Values for obligations of one group that ask for some; none for those where none replay."""
    if not obligations:
        return
    shared = Symbolic()
    worlds = [Symbolic() if one.alone else shared for one in obligations]
    queries = [one.ask(world) for one, world in zip(obligations, worlds, strict=True)]
    common, asked = in_common(queries)
    supposed = common()
    sessions = [OPEN[name](supposed, Texts(supposed, ()), Budget()) for name in ("bitwuzla", "z3")]
    for obligation, world, one in zip(obligations, worlds, asked, strict=True):
        answers = (s.ask(term, True) for s in sessions for term in (one.plainly, one.given))
        models = (answer.model for answer in answers if answer.model is not None)
        noted = (_noted(obligation, world, model) for model in models)
        told = next((one for one in noted if one is not None), None)
        if told is not None:
            yield obligation.id, told


def _noted(obligation: Obligation, world: Symbolic, model: Any) -> dict[str, Plain] | None:
    for otherwise in OTHERWISE:
        noting = Noting(Concrete(model, world, otherwise))
        if is_shown(obligation.ask(noting)) and shows(obligation, noting.told):
            return noting.told
    return None


def needed(obligations: Sequence[Obligation]) -> dict[str, list[int]]:
    """What is enough to suppose for all goals of a group, by bitwuzla's reasons why each holds.

    Where z3 has a hard time with a goal of which no more is told, its own reasons are added: it
    goes another way. Nothing where they do not suppose the same, or one of them is not shown.
    """
    world = Symbolic()
    queries = [one.ask(world) for one in obligations]
    first = queries[0].hypotheses
    if not isinstance(first, Premises) or any(one.hypotheses is not first for one in queries):
        return {}
    _, asked = in_common(queries)
    named = [(name, n, truth(write())) for name, n, write in first.named()]
    supposed, beside = [term for *_, term in named], [truth(term) for term in first.rest()]
    questions = [term for one in asked for term in one.broken]
    places = Reasons(supposed, beside).needed(questions)
    few = _by_name(named[place] for place in sorted(places))
    hard = [questions[number] for number in _hard(obligations, few)]
    places |= {place for term in hard for place in _z3_needs(supposed, beside, term)}
    return _by_name(named[place] for place in sorted(places))


def _by_name(things: Iterable[tuple[str, int, Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, n, _ in things:
        found.setdefault(name, []).append(n)
    return found


SEEDS, HARD = 3, 400_000
"""How often z3 is asked each goal, and from how many of its steps on one is hard: half a second."""


def _hard(obligations: Sequence[Obligation], wanted: Wanted) -> list[int]:
    """Which goals of a group z3 has a hard time with, with one seed or another.

    It is told what a proof is told, which has less said of sets than where all is supposed.
    """
    world = Symbolic()
    queries = [one.ask(world) for one in obligations]
    _, asked = in_common(queries)
    few, questions = enough(queries, wanted), [term for one in asked for term in one.broken]
    found = set[int]()
    for seed in range(SEEDS):
        session = OPEN["z3"](few or (), Texts(few or (), ()), Budget(seed=seed))
        for number, term in enumerate(questions):
            answer = session.ask(term)
            if answer.word != "unsat" or answer.rlimit > HARD:
                found.add(number)
    return sorted(found)


def _z3_needs(supposed: Sequence[Any], beside: Sequence[Any], term: Any) -> list[int]:
    """The places of what z3 needs for a contradiction; none where it finds none."""
    solver = z3.SimpleSolver()
    solver.set("unsat_core", True)
    solver.set("timeout", 1000 * Budget().seconds)
    solver.add(*beside, term)
    names = {f"supposed {place}": place for place in range(len(supposed))}
    for name, one in zip(names, supposed, strict=True):
        solver.assert_and_track(one, z3.Bool(name))
    if solver.check() != z3.unsat:
        return []
    return [names[str(one)] for one in solver.unsat_core()]


class Reasons:
    """bitwuzla, asked which of the things that it was told a contradiction needs."""

    def __init__(self, supposed: Sequence[Any], beside: Sequence[Any]) -> None:
        bitwuzla = module("bitwuzla")
        options = bitwuzla.Options()
        options.set(bitwuzla.Option.PRODUCE_UNSAT_CORES, True)
        options.set(bitwuzla.Option.SEED, 1)
        self.translated = Translator(bitwuzla, bitwuzla.TermManager())
        self.solver = bitwuzla.Bitwuzla(self.translated.manager, options)
        self.places: dict[Any, int] = {}
        for place, term in enumerate(supposed):
            made = self.translated.of(term)
            self.places.setdefault(made, place)
            self.solver.assert_formula(made)
        for term in beside:
            self.solver.assert_formula(self.translated.of(term))

    def needed(self, questions: Sequence[Any]) -> set[int]:
        """The places of what all contradictions together need."""
        found = set[int]()
        for term in questions:
            made = self.translated.of(z3.simplify(term))
            for said in self.translated.alike:
                self.solver.assert_formula(said)
            self.translated.alike.clear()
            self.solver.push(1)
            self.solver.assert_formula(made)
            if str(self.solver.check_sat()) == "unsat":
                reasons = self.solver.get_unsat_core()
                found.update(self.places[one] for one in reasons if one in self.places)
            self.solver.pop(1)
        return found


def write(obligations: Iterable[Obligation], folder: Path, say: Callable[[str], None]) -> None:
    """Find what can be kept of all obligations that share a session, and write it."""
    values: dict[str, dict[str, Plain]] = {}
    premises: dict[str, dict[str, list[int]]] = {}
    for group, members in groupby(obligations, key=lambda one: one.shares):
        if not group:
            continue
        say(group)
        listed = list(members)
        values.update(found([one for one in listed if one.method == "witness"]))
        if few := needed(listed):
            premises[group] = few
    for name, made in ((VALUES, values), (PREMISES, premises)):
        lines = (f"{_text(key)}:{_text(told)}" for key, told in made.items())
        (folder / name).write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    write(
        catalogue().values(),
        Path(__file__).parent,
        lambda group: print(group, file=sys.stderr, flush=True),
    )
