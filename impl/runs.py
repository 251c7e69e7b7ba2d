"""`RunTracker` of the best twin that is built."""

from typing import TYPE_CHECKING

from impl import kernels

__all__ = ["RunTracker"]

if TYPE_CHECKING:
    from impl._pure import RunTracker
else:
    RunTracker = kernels.load("auto").RunTracker
