"""Changed copies of the specification: what the proofs say when a rule says something else.

A proof that nothing could refute proves nothing. So the rules are changed on purpose, one small
edit at a time, and proved again. The edited module and all that depends on it are executed anew
from their sources, beside the real ones: no imported module is touched, and nothing is written.
"""

import ast
import builtins
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec, resolve_name
from types import CodeType, ModuleType
from typing import Any

from spec.prove.matrix import Subject

BITMAP = "spec.validation.bitmap"
RUNS = "spec.validation.runs"
RUNS_LEMMAS = "spec.validation.runs_lemmas"
CATALOGUE = "spec.catalogue"
PROVER = "spec.prove."
LEMMAS = ("spec.validation.bitmap_lemmas", "spec.validation.bitmap_words", RUNS_LEMMAS)
"""Modules of lemmas; building them anew costs more than proving most of what else is changed."""


class EditError(ValueError):
    """An edit does not fit the text that it is to change."""


@dataclass(frozen=True)
class TextEdit:
    """In `module`, the one place that reads `old` reads `new` instead."""

    module: str
    old: str
    new: str


def source_of(module: str) -> str:
    """The source text of an importable module, wherever it was loaded from.

    Raises: EditError where there is no such source.
    """
    found = find_spec(module)
    text = getattr(found and found.loader, "get_source", lambda _: None)(module)
    if not isinstance(text, str):
        raise EditError(f"module {module}: there is no source to be read")
    return text


def changed_text(text: str, old: str, new: str, where: str) -> str:
    """`text` with its one occurrence of `old` made `new`.

    Raises: EditError where `old` is not there exactly once, or the edit changes nothing.
    """
    if text.count(old) != 1:
        raise EditError(f"{where}: {text.count(old)} places read {old!r}, must be 1")
    if old == new:
        raise EditError(f"{where}: the edit of {old!r} changes nothing")
    return text.replace(old, new)


def edited_sources(edits: Iterable[TextEdit]) -> dict[str, str]:
    """The new text of each edited module; edits of one module are made in order.

    Raises: EditError where an edit does not fit.
    """
    texts: dict[str, str] = {}
    for edit in edits:
        text = texts.get(edit.module) or source_of(edit.module)
        texts[edit.module] = changed_text(text, edit.old, edit.new, edit.module)
    return texts


def load(texts: Mapping[str, str]) -> dict[str, ModuleType]:
    """Fresh copies of the modules with new `texts` and of all that the catalogue builds on them.

    The lemmas stay as they are, of the rules as they are.

    Raises: EditError where the prover itself would have to be changed.
    """
    reached = _reach(texts) - set(LEMMAS)
    order = [name for name in _in_order() if name in reached]
    unknown = sorted(set(texts) - set(order))
    prover = [name for name in order if name.startswith(PROVER)]
    if unknown or prover:
        raise EditError(f"no variant of {unknown or prover}: only of what is under {CATALOGUE}")
    made: dict[str, ModuleType] = {}
    for name in order:
        code = (
            compile(texts[name], f"<variant of {name}>", "exec") if name in texts else _code(name)
        )
        made[name] = executed(name, code, made)
    return made


def subject(texts: Mapping[str, str], area: str) -> Subject:
    """The subject called `area` without its lemmas, as it is with the new `texts`."""
    found: tuple[Subject, ...] = load(texts)[CATALOGUE].SUBJECTS
    return next(replace(one, lemmas=tuple) for one in found if one.id == area)


def variant(edits: Sequence[TextEdit], area: str) -> Subject:
    """The subject called `area`, as it is with `edits` made.

    Raises: EditError where an edit does not fit.
    """
    return subject(edited_sources(edits), area)


def only_rules(whole: Subject, rules: Iterable[str]) -> Subject:
    """A subject with the rules of the ids `rules` alone."""
    wanted = set(rules)
    return replace(whole, rules=tuple(rule for rule in whole.rules if rule.id in wanted))


def executed(name: str, code: CodeType, made: Mapping[str, ModuleType]) -> ModuleType:
    """A module made by running `code`, in which imports find the modules already `made`."""
    module = ModuleType(name)
    module.__package__ = name.rpartition(".")[0]

    def chosen(
        wanted: str,
        scope: Mapping[str, Any] | None = None,
        local: Any = None,
        names: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        full = resolve_name("." * level + wanted, module.__package__) if level else wanted
        if not names:
            if full in made:
                raise EditError(f"{name} must import {full} by `from`, to have a variant")
            return __import__(wanted, scope, local, (), level)
        changed = {n: made[f"{full}.{n}"] for n in names if f"{full}.{n}" in made}
        __import__(full, fromlist=tuple(names))
        found = made.get(full) or import_module(full)
        if not changed:
            return found
        copy = ModuleType(full)
        copy.__dict__.update({**vars(found), **changed})
        return copy

    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": chosen}
    exec(code, module.__dict__)
    return module


@cache
def _code(module: str) -> CodeType:
    return compile(source_of(module), f"<copy of {module}>", "exec")


@cache
def _imports(module: str) -> frozenset[str]:
    """The modules of `spec` that a module's text imports by name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source_of(module))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(name for name in found if name.startswith("spec.") and _is_module(name))


@cache
def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@cache
def _in_order() -> tuple[str, ...]:
    """The catalogue and every module of `spec` under it, each after those it imports."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        for wanted in sorted(_imports(name)):
            if wanted not in order:
                visit(wanted)
        order[name] = None

    visit(CATALOGUE)
    return tuple(order)


def _reach(texts: Iterable[str]) -> set[str]:
    """The modules of `texts` and all that import them, directly or not."""
    reached = set(texts)
    for name in _in_order():
        if _imports(name) & reached:
            reached.add(name)
    return reached
