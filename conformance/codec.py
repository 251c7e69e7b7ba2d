"""Records of the rules as plain JSON values and back, by the marks on their fields.

A word is a number, a flag a bool, a set of frames its runs `[[first, stop), ...]`, a table of
words the list of `[index, word]` that are not zero.
"""

from dataclasses import fields
from typing import Any

from spec.pages import ListedPages, ListedWords
from spec.rule import hints, kind
from spec.terms import MASK, Bits, PageSet, WordTable


class CodecError(ValueError):
    """A value does not fit its field."""


def encode(record: Any) -> dict[str, Any]:
    """The fields of a record as JSON values."""
    marks = hints(type(record))
    return {f.name: _plain(marks[f.name], getattr(record, f.name)) for f in fields(record)}


def _plain(annotation: Any, value: Any) -> Any:
    match kind(annotation):
        case Bits(1):
            return bool(value)
        case Bits():
            return int(value)
        case PageSet():
            return [list(run) for run in value.runs()]
        case WordTable():
            return [list(entry) for entry in value.listed]
        case _:
            return encode(value)


def decode(shape: type, data: Any, place: str = "") -> Any:
    """A record of the dataclass `shape` from JSON values.

    Raises: CodecError, naming the field, where a value is missing, unknown or of the wrong kind.
    """
    marks = hints(shape)
    if not isinstance(data, dict):
        raise CodecError(f"{place or shape.__name__}: expected an object")
    odd = sorted(set(data) ^ set(marks))
    if odd:
        raise CodecError(f"{place}{odd[0]}: {'missing' if odd[0] in marks else 'unknown'} field")
    return shape(**{name: _record(marks[name], data[name], f"{place}{name}") for name in marks})


def _record(annotation: Any, value: Any, place: str) -> Any:
    match kind(annotation):
        case Bits(1):
            if not isinstance(value, bool):
                raise CodecError(f"{place}: {value!r} is not true or false")
            return value
        case Bits():
            return _word(value, place)
        case PageSet():
            pages = ListedPages()
            for first, stop in _pairs(value, place):
                pages = pages.with_range(first, stop, True)
            return pages
        case WordTable():
            return ListedWords(tuple(sorted(_pairs(value, place))))
        case _:
            return decode(annotation, value, f"{place}.")


def _word(value: Any, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MASK:
        raise CodecError(f"{place}: {value!r} is not a number from 0 to 2**64 - 1")
    return value


def _pairs(value: Any, place: str) -> list[tuple[int, int]]:
    if not isinstance(value, list) or not all(isinstance(v, list) and len(v) == 2 for v in value):
        raise CodecError(f"{place}: expected a list of pairs")
    return [(_word(a, place), _word(b, place)) for a, b in value]
