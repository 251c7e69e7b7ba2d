"""What files of vectors have in common, whatever area they are of: ids, flags, and a hash.

A vector's id is its case and a digest of what is asked, so it stays the same while the question
does. A file's hash is of its vectors, so an edit by hand is seen.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

FLAGS = {
    "accepted": "the step is not refused",
    "refused": "the step is refused",
    "changes": "the step leaves another state behind than it found",
    "answers": "the step answers a value that is not 0",
    "edge": "it is made for an edge: a comparison at equality or beside it, a first or last page",
    "choice": "what it is told is an implementation's choice; the policy says which",
    "little_room": "the record has room for few runs",
    "regression": "it once showed a known-bad variant",
}
"""What a vector may be marked with, and what that means."""


class VectorError(ValueError):
    """Vectors cannot be used; one line that names the file and the place."""


class VectorFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The vectors of one rule. claim, citation: the rule's. sha256: of the vectors."""

    schema: str
    rule: str
    claim: str
    citation: str
    sha256: str = ""
    vectors: list[Any]


F = TypeVar("F", bound=VectorFile)


def stable_id(rule: str, case: str, asked: Any) -> str:
    """The id of a vector: its case, and a digest of what is asked in plain values."""
    text = msgspec.json.encode(asked, order="deterministic")
    return f"{rule}.{case}#{hashlib.sha256(text).hexdigest()[:12]}"


def without_repeats(vectors: Sequence[Any]) -> list[Any]:
    """Vectors of which no two ask the same."""
    return list({vector.id: vector for vector in reversed(vectors)}.values())[::-1]


def encoded(file: VectorFile) -> bytes:
    """A file's bytes, each vector on a line of its own, so that a diff shows whole vectors."""
    hashed = msgspec.structs.replace(file, sha256=digest(file), vectors=[])
    shell = msgspec.json.encode(hashed, order="deterministic")
    head, tail = shell.split(b'"vectors":[]')
    return head + b'"vectors":[\n' + b",\n".join(_lines(file)) + b"\n]" + tail + b"\n"


def digest(file: VectorFile) -> str:
    """The SHA-256 of a file's vectors, each on a line."""
    return hashlib.sha256(b"\n".join(_lines(file))).hexdigest()


def _lines(file: VectorFile) -> list[bytes]:
    return [msgspec.json.encode(vector, order="deterministic") for vector in file.vectors]


def schema_of(path: Path) -> str:
    """The schema that a file names.

    Raises: VectorError where it is no JSON object, or names none.
    """
    schema = _decoded(path, dict[str, Any]).get("schema")
    if not isinstance(schema, str):
        raise VectorError(f"{path}: schema is {schema!r}, not a name")
    return schema


def opened(path: Path, schema: str, shape: type[F]) -> F:
    """A file of vectors.

    Raises: VectorError, one line that names the file and what is wrong in it.
    """
    found = schema_of(path)
    if found != schema:
        raise VectorError(f"{path}: schema is {found!r}, this version reads {schema!r}")
    return _decoded(path, shape)


def check_hash(path: Path, file: VectorFile) -> None:
    """Look whether a file's vectors are those that it was written with.

    Raises: VectorError where they are not.
    """
    if digest(file) != file.sha256:
        raise VectorError(f"{path}: sha256 is not that of its vectors; fill the directory again")


T = TypeVar("T")


def _decoded(path: Path, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise VectorError(f"{path}: not a file of vectors: {said}") from error
