"""A skeleton of an adapter: it builds, claims nothing yet, and says what to do next."""

import re
from dataclasses import dataclass
from pathlib import Path

from conformance.adapters import header
from conformance.files import write_atomically

TEMPLATES = Path(__file__).with_name("templates")
CRATE = Path(__file__).with_name("rust")
NAMES = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
LANGUAGES = ("rust", "c", "python")


class NoSkeleton(ValueError):
    """A skeleton cannot be written; one line that says what would help."""


@dataclass(frozen=True)
class Skeleton:
    """What was written: the files, the device's name, and what is to be run first, if anything."""

    files: tuple[Path, ...]
    device: str
    build: str = ""


def write(language: str, path: Path) -> Skeleton:
    """Write the skeleton of an adapter into a directory, which must not be there yet.

    Raises: NoSkeleton, WriteError.
    """
    name = path.name
    if not NAMES.fullmatch(name):
        raise NoSkeleton(f"{name!r}: name it with small letters, digits, - and _, as in my-tracker")
    if language == "python" and ("-" in name or path.parent != Path()):
        raise NoSkeleton(f"{path}: is imported by its name: no - in it, and no directory before it")
    if path.exists():
        raise NoSkeleton(f"{path}: is there already; name another, or take it away")
    words = {"{name}": name, "{Name}": _as_type(name)}
    words |= {"{crate}": str(CRATE), "{include}": str(header().parent)}
    home = TEMPLATES / language
    files = []
    for source in sorted(one for one in home.rglob("*") if one.is_file()):
        there = str(source.relative_to(home)).replace("NAME", name).removesuffix(".in")
        written = path / there
        write_atomically(written, _filled(source.read_text("utf-8"), words).encode())
        files.append(written)
    return Skeleton(tuple(files), *_how(language, path, words["{Name}"]))


def _how(language: str, path: Path, type_name: str) -> tuple[str, str]:
    if language == "rust":
        return f"rust:{path}", ""
    if language == "c":
        return f"c:{path / path.name}.so", f"make -C {path}"
    return f"{path.name}:{type_name}", ""


def _filled(text: str, words: dict[str, str]) -> str:
    for word, meant in words.items():
        text = text.replace(word, meant)
    return text


def _as_type(name: str) -> str:
    return "".join(part.capitalize() for part in re.split("[-_]", name))
