"""Jobs on a dask.distributed cluster instead of processes of this machine.

The same functions are called with the same arguments, so the verdicts are the same whatever the
number of workers. A job whose worker dies is given to another by the scheduler; one that has taken
several workers with it is told as such, like one whose process died.
"""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.resources import files
from typing import Any, TypeVar

from conformance.device import DeviceError

T = TypeVar("T")
CONNECT_SECONDS = 10
PACKAGES = ("spec", "impl", "conformance")
START = "DASK_DISTRIBUTED__WORKER__DAEMON=False dask worker --nthreads 1 --nworkers 2"
"""How workers are started: one job at a time in each, which may have processes of its own."""


class Cluster(Executor):
    """An executor on the workers of a client."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._asked: list[Any] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a worker call a function."""
        told: Future[T] = Future()
        asked = self._client.submit(fn, *args, pure=False, **kwargs)
        self._asked.append(asked)
        asked.add_done_callback(lambda done: _hand_over(done, told))
        return told

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Have what is still asked for forgotten, or wait for it."""
        if cancel_futures or not wait:
            self._client.cancel(self._asked)
        self._asked.clear()


def _hand_over(asked: Any, told: Future[Any]) -> None:
    """Tell what has become of a job on a cluster in the words of `concurrent.futures`."""
    if asked.status == "finished":
        told.set_result(asked.result())
    elif asked.status == "error":
        error = asked.exception()
        died = type(error).__name__ == "KilledWorker"
        told.set_exception(BrokenExecutor(str(error)) if died else error)
    else:
        told.set_exception(BrokenExecutor(f"the cluster has lost a job ({asked.status})"))


def workers(scheduler: str | None) -> AbstractContextManager[Cluster | None]:
    """The workers of a scheduler, or None where none is named: then this machine's processes do it.

    Raises: as `cluster`.
    """
    return nullcontext() if scheduler is None else cluster(scheduler)


@contextmanager
def cluster(scheduler: str) -> Iterator[Cluster]:
    """The workers of the scheduler at an address such as tcp://host:8786.

    Raises: DeviceError where there is none, or its workers are not fit for it.
    """
    try:
        made: Any = import_module("distributed").Client
    except ImportError as error:
        raise DeviceError("--scheduler: dask is not installed; pip install distributed") from error
    try:
        client = made(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        said = " ".join(str(error).split())
        raise DeviceError(f"--scheduler {scheduler}: {said}; start one: dask scheduler") from error
    try:
        _check(client, scheduler)
        yield Cluster(client)
    finally:
        client.close()


def _check(client: Any, scheduler: str) -> None:
    """Whether the workers have this code, and do one job at a time that may have children.

    Solvers keep what threads would share, and a device is run in a process of its own.
    """
    threads = client.nthreads()
    if not threads:
        raise DeviceError(f"--scheduler {scheduler}: has no worker; {START} {scheduler}")
    try:
        told = client.run(describe_worker)
    except Exception as error:
        # What cannot be found there is raised by their unpickling, whatever it is.
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise DeviceError(
            f"--scheduler {scheduler}: a worker has no svsm-conformance of this version ({said})"
        ) from error
    own = digest()
    for worker, (other, is_daemon) in sorted(told.items()):
        if other != own:
            raise DeviceError(f"--scheduler {scheduler}: worker {worker} has other code than here")
        if is_daemon or threads.get(worker, 1) != 1:
            raise DeviceError(
                f"--scheduler {scheduler}: worker {worker} must be started as {START}"
            )


def describe_worker() -> tuple[str, bool]:
    """The code that a worker has, and whether it is denied processes of its own."""
    return digest(), multiprocessing.current_process().daemon


def digest() -> str:
    """What tells this code from other code: a hash over its Python and data files."""
    made = hashlib.sha256()
    for package in PACKAGES:
        for name, text in sorted(_texts(files(package), package)):
            made.update(f"{name}\0{len(text)}\0".encode() + text)
    return made.hexdigest()


def _texts(folder: Any, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        inside = f"{name}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _texts(entry, inside)
        elif entry.name.endswith((".py", ".toml", ".json")):
            yield inside, entry.read_bytes()
