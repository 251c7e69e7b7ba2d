"""Which of the two twins serves: the compiled one or the plain-Python one."""

import importlib
import importlib.util
from types import ModuleType

CHOICES = ("auto", "fast", "pure")


def load(choice: str = "auto") -> ModuleType:
    """The kernel module named `fast` or `pure`, or with `auto` whichever is built.

    Raises: ValueError for another name; ImportError if `fast` is asked for and not built, or
    if a build is there and broken, which stays loud under `auto` too.
    """
    if choice not in CHOICES:
        raise ValueError(f"choice is {choice!r}, must be one of {', '.join(CHOICES)}")
    return importlib.import_module(f"impl._{built() if choice == 'auto' else choice}")


def built() -> str:
    """The twin that `auto` names: `fast` where the extension is built, else `pure`."""
    return "fast" if importlib.util.find_spec("impl._fast") else "pure"
