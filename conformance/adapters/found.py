"""Foreign devices by name: which groups of rules they are for, and one made ready for a group."""

from collections.abc import Mapping
from functools import cache

from conformance.adapters import names
from conformance.adapters.handoff import ForeignHandoff
from conformance.adapters.link import Link
from conformance.adapters.mmio import ForeignMmio
from conformance.adapters.protocol import ForeignSvsm
from conformance.adapters.record import ForeignRecord
from conformance.adapters.wire import Greeting
from conformance.device import DeviceError

GROUPS: Mapping[str, tuple[str, ...]] = {
    "bitmap": ("validation.bitmap.",),
    "runs": ("validation.runs.",),
    "handoff": ("handoff.",),
    "mmio": ("mmio.",),
    "protocol": (
        "validation.pvalidate.",
        "validation.vmsa.",
        "validation.visibility.",
        "validation.launch.",
        "validation.reboot.",
        "validation.migration.",
    ),
}
"""By the beginnings of the ids of their rules."""
RECORDS = ("bitmap", "runs")
AREAS = ("handoff", "mmio")


def is_foreign(spec: str) -> bool:
    """Whether a name is that of somebody else's device."""
    return ":" in spec and names.parsed(spec) is not None


@cache
def greeting(spec: str) -> Greeting:
    """What the device with a name says of itself.

    Raises: DeviceError where there is none that can be used.
    """
    link = Link(spec)
    link.end()
    link.room.close()
    said = link.greeting
    known = _every_rule()
    unknown = sorted(set(said.claims) - known)
    if unknown:
        raise DeviceError(
            f"device {spec!r}: claims {unknown[0]!r}, which is no rule; see docs/rules"
        )
    lost = [i for i in said.claims if _group_of(i) is None]
    if lost:
        raise DeviceError(
            f"device {spec!r}: claims {lost[0]!r}, which nothing of another's is run beside yet"
        )
    _claims_all(spec, frozenset(said.claims))
    return said


def _claims_all(spec: str, claims: frozenset[str]) -> None:
    """Raises: DeviceError where a group that is run whole is claimed in part."""
    for one in {_group_of(i) for i in claims} - {None}:
        absent = sorted(needed_by(str(one)) - claims)
        if absent:
            raise DeviceError(
                f"device {spec!r}: claims rules of an SVSM and not {absent[0]}; "
                "an SVSM is run whole, so claim all of them"
            )


def _every_rule() -> frozenset[str]:
    from conformance.areas import rule_ids
    from spec.catalogue import rules

    return frozenset((*rules(), *rule_ids()))


def _group_of(rule: str) -> str | None:
    return next((g for g, begins in GROUPS.items() if rule.startswith(begins)), None)


def needed_by(wanted: str) -> frozenset[str]:
    """The rules of a group that is claimed whole or not at all; none of another group."""
    from spec.catalogue import model_rules

    begins = GROUPS["protocol"]
    return frozenset(i for i in model_rules() if wanted == "protocol" and i.startswith(begins))


def groups(spec: str) -> list[str]:
    """The groups that a device claims rules of; of a name that says one, that one.

    Raises: DeviceError.
    """
    name = names.parsed(spec)
    claimed = {_group_of(i) for i in greeting(spec).claims}
    found = [group for group in GROUPS if group in claimed]
    if name is None or not name.group:
        return found
    if name.group not in GROUPS:
        known = ", ".join(f"#{group}" for group in GROUPS)
        raise DeviceError(f"device {spec!r}: behind it comes nothing or one of {known}")
    if name.group not in found:
        raise DeviceError(f"device {spec!r}: claims no rule of {name.group}")
    return [name.group]


def specs(spec: str) -> list[str]:
    """A name for each build, and each of the groups that it claims rules of; or the name itself."""
    return [one for build in names.builds(spec) for one in _by_group(build)]


def _by_group(spec: str) -> list[str]:
    found = groups(spec)
    return [spec] if len(found) < 2 else [f"{spec}#{group}" for group in found]


def group(spec: str) -> str:
    """The group that a device is for; of one with several, which its name is to tell."""
    found = groups(spec)
    if len(found) > 1:
        told = ", ".join(f"{spec}#{one}" for one in found)
        raise DeviceError(f"device {spec!r}: say for which rules: {told}")
    return found[0] if found else "bitmap"


def belongs(spec: str, wanted: str) -> bool:
    """Whether a foreign device is for a group; whoever is to start it tells what is wrong."""
    try:
        return is_foreign(spec) and group(spec) == wanted
    except DeviceError:
        return False


def handoff(spec: str) -> ForeignHandoff:
    """The implementation of the handoff with a name, in a process of its own.

    Raises: DeviceError where it is none.
    """
    return ForeignHandoff(_link(spec, "handoff"))


def mmio(spec: str) -> ForeignMmio:
    """The implementation of MMIO with a name, in a process of its own.

    Raises: DeviceError where it is none.
    """
    return ForeignMmio(_link(spec, "mmio"))


def svsm(spec: str) -> ForeignSvsm:
    """The SVSM with a name, in a process of its own.

    Raises: DeviceError where it is none.
    """
    return ForeignSvsm(_link(spec, "protocol"), spec)


def _link(spec: str, wanted: str) -> Link:
    meant = group(spec)
    if meant != wanted:
        raise DeviceError(f"device {spec!r}: claims rules of {meant} and none of {wanted}")
    return Link(spec)


def record(spec: str) -> ForeignRecord:
    """The record of pages with a name, in a process of its own.

    Raises: DeviceError where it is none.
    """
    meant = group(spec)
    if meant not in RECORDS:
        raise DeviceError(f"device {spec!r}: claims rules of {meant} and none of a record of pages")
    return ForeignRecord(Link(spec), meant)
