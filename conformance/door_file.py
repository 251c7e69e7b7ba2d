"""Doors of the bitmap's rules that are kept, since a solver takes a while to find them.

`data/bitmap_doors.json` has the digest of all that they follow from: the text of the rules, of what
the rules are made of and of how doors are looked for, and the version of z3. Where any of that is
another, nothing in the file is used, and doors are found anew where they are asked for. What a
device should do is never kept: the rules say it each time.

`python -m conformance.door_file` finds them all and writes them.
"""

import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from conformance.codec import decode, encode
from conformance.files import write_atomically
from spec.prove.solvers import versions
from spec.rule import Rule
from spec.validation import bitmap
from spec.validation.bitmap import Bitmap, Policy

FILE = "bitmap_doors.json"
FOLLOWS_FROM = (
    "spec.pages",
    "spec.prove.matrix",
    "spec.prove.world",
    "spec.rule",
    "spec.terms",
    "spec.validation.bitmap",
    "spec.validation.bitmap_claims",
    "spec.validation.outcomes",
    "conformance.aims",
    "conformance.doors",
)
RULES = {rule.id: rule for rule in bitmap.RULES}


class KeptDoor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A door as plain values; `start` is without the policy that stands above it."""

    id: str
    rule: str
    case: str
    aim: str
    start: dict[str, Any]
    op: dict[str, Any]


class KeptPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The doors for devices that choose a policy, for some of the rules or all."""

    policy: dict[str, Any]
    doors: tuple[KeptDoor, ...]


class DoorFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds; digest: of what the doors follow from, 64 hexadecimal digits."""

    digest: str
    policies: tuple[KeptPolicy, ...]


@cache
def digest() -> str:
    """What doors follow from, as 64 hexadecimal digits."""
    made = hashlib.sha256(versions()["z3"].encode())
    for name in FOLLOWS_FROM:
        made.update(Path(str(import_module(name).__file__)).read_bytes())
    return made.hexdigest()


@cache
def _kept() -> dict[tuple[Policy, str], tuple[KeptDoor, ...]]:
    """Each rule's doors by policy, or nothing where they follow from something else than today."""
    data = (files("conformance") / "data" / FILE).read_bytes()
    found = msgspec.json.decode(data, type=DoorFile)
    if found.digest != digest():
        return {}
    listed: dict[tuple[Policy, str], list[KeptDoor]] = {}
    for group in found.policies:
        policy = decode(Policy, group.policy)
        for door in group.doors:
            listed.setdefault((policy, door.rule), []).append(door)
    return {key: tuple(doors) for key, doors in listed.items()}


def kept(rule: Rule, policy: Policy) -> Iterator[tuple[KeptDoor, Bitmap, Any]]:
    """The doors that are kept of a rule for a policy, each with its start and its operands."""
    for door in _kept().get((policy, rule.id), ()):
        start = decode(Bitmap, {**door.start, "policy": encode(policy)})
        yield door, start, decode(rule.operands, door.op)


def plain(door: Any) -> KeptDoor:
    """A door that was found, as it is kept."""
    start = encode(door.start)
    del start["policy"]
    return KeptDoor(door.id, door.rule.id, door.case, door.aim, start, encode(door.op))


def main() -> None:
    """Find the doors for what the built-in devices choose, and write them."""
    from conformance.builtin import POLICIES
    from conformance.doors import found

    groups = []
    policies = [p for p in dict.fromkeys(POLICIES.values()) if p.most_runs == bitmap.ANY_RUNS]
    for number, policy in enumerate(policies):
        # The policies differ in what a mixed block of 2 MiB is told.
        rules = [rule for rule in bitmap.RULES if number == 0 or rule.name.endswith("_2m")]
        doors = [door for rule in rules for door in found(rule, policy)]
        print(f"{FILE}: {len(doors)} doors of {len(rules)} rules", file=sys.stderr, flush=True)
        groups.append((encode(policy), [msgspec.json.encode(plain(door)) for door in doors]))
    shown = b",\n".join(
        b'{"policy":%s,"doors":[\n%s\n]}' % (msgspec.json.encode(policy), b",\n".join(doors))
        for policy, doors in groups
    )
    text = b'{"digest":"%s","policies":[\n%s\n]}\n' % (digest().encode(), shown)
    write_atomically(Path(str(files("conformance") / "data" / FILE)), text)


if __name__ == "__main__":
    main()
