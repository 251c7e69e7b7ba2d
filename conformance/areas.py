"""The areas of the suite beside the record of pages, which `conformance.runner` runs itself.

They are found when they are asked for: each is a package, and what reports are made of is theirs.
"""

from functools import cache
from importlib import import_module
from pathlib import Path

from conformance.adapters.found import group, is_foreign
from conformance.area import Area

PACKAGES = ("protocol", "handoff", "mmio")


@cache
def areas() -> tuple[Area, ...]:
    """Every area, in the order of reports."""
    return tuple(import_module(f"conformance.{name}.area").AREA for name in PACKAGES)


def area_of(spec: str) -> Area | None:
    """The area whose device a name is of; None for a record of pages.

    Raises: DeviceError where it is that of a foreign one which cannot be used.
    """
    if is_foreign(spec):
        return next((area for area in areas() if area.id == group(spec)), None)
    return next((area for area in areas() if area.owns(spec)), None)


def area_with(rule: str) -> Area | None:
    """The area that has a rule with an id; None for a record of pages."""
    return next((area for area in areas() if rule in area.rules()), None)


def area_replaying(path: Path) -> Area | None:
    """The area that a trace is of; None for a record of pages, or where it cannot be read."""
    return next((area for area in areas() if area.replays(path)), None)


def rule_ids() -> list[str]:
    """The ids of all rules of all areas."""
    return [i for area in areas() for i in area.rules()]
