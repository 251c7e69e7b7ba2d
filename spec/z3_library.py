"""z3's C functions, without the question after each call whether it went well."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from z3 import z3core


def bare(*names: str) -> Any:
    """Functions of z3's library by their names without `Z3_`.

    Each is what z3's own Python function of that name calls, before it asks for an error. They are
    for questions about terms that exist, and for making terms whose sorts are known to fit.
    """
    return SimpleNamespace(**{name: _bare(f"Z3_{name}") for name in names})


def _bare(name: str) -> Callable[..., Any]:
    # z3 binds the function of its library as the default of the last parameter.
    found: Callable[..., Any] = getattr(z3core, name).__defaults__[-1].f
    return found
