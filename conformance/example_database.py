"""How Hypothesis walks, and where it keeps the examples that failed, so that they come first.

Without a database the same seed gives the same walks. With one, what failed before, on whatever
machine shares it, is tried before anything is drawn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.database import (
    DirectoryBasedExampleDatabase,
    ExampleDatabase,
    GitHubArtifactDatabase,
    MultiplexedDatabase,
    ReadOnlyDatabase,
)

GITHUB = "github:"
REDIS = ("redis://", "rediss://", "unix://")
OWN = Path(".svsm-conformance/examples")
"""Where what fails here is kept, beside what is read of a repository's artifacts."""
FROM_MODULES = "_get_local_constants"


class NoDatabase(ValueError):
    """A place of examples that cannot be used; one line that says what can."""


def database(place: str | None) -> ExampleDatabase | None:
    """The examples at a place: a directory, redis://HOST, or github:OWNER/REPOSITORY.

    Raises: NoDatabase.
    """
    if place is None:
        return None
    if place.startswith(REDIS):
        return _redis(place)
    if place.startswith(GITHUB):
        owner, found, name = place.removeprefix(GITHUB).partition("/")
        if not (owner and found and name) or "/" in name:
            raise NoDatabase(f"--examples {place}: write github:OWNER/REPOSITORY")
        shared = ReadOnlyDatabase(GitHubArtifactDatabase(owner, name))
        return MultiplexedDatabase(DirectoryBasedExampleDatabase(OWN), shared)
    if Path(place).exists() and not Path(place).is_dir():
        raise NoDatabase(f"--examples {place}: is no directory")
    return DirectoryBasedExampleDatabase(place)


def _redis(place: str) -> ExampleDatabase:
    try:
        client: Any = import_module("redis").Redis
        made: Any = import_module("hypothesis.extra.redis").RedisExampleDatabase
    except ImportError as error:
        raise NoDatabase(f"--examples {place}: pip install redis") from error
    try:
        found = client.from_url(place)
        found.ping()
    except Exception as error:
        # The library raises its own and the system's, and what its address parser may.
        said = " ".join(str(error).split())
        raise NoDatabase(f"--examples {place}: cannot be reached ({said})") from error
    opened: ExampleDatabase = made(found)
    return opened


def walking(examples: int, place: str | None) -> settings:
    """The settings of so many walks, with the examples at a place tried first."""
    kept = database(place)
    first = () if kept is None else (Phase.reuse,)
    return settings(
        max_examples=examples,
        database=kept,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        phases=(*first, Phase.generate, Phase.shrink),
        # What is slow or large here is the device or the oracle, not a strategy to be improved.
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )


@contextmanager
def whatever_is_loaded() -> Iterator[None]:
    """Walks that follow from the seed, not from which modules the process happens to have loaded.

    Hypothesis now and then draws a number that stands in the text of a module which was loaded and
    is not installed, so a process that did something else before would walk elsewhere. It has no
    public way to leave that be; a test tells where another version has another private one, and
    walks then are as it makes them.
    """
    providers: Any = import_module("hypothesis.internal.conjecture.providers")
    usual = getattr(providers, FROM_MODULES, None)
    if usual is None:
        yield
        return
    none = providers.Constants()
    setattr(providers, FROM_MODULES, lambda: none)
    try:
        yield
    finally:
        setattr(providers, FROM_MODULES, usual)
