"""Memory as one audit sees it, and what a solver is asked on the way.

Five regions: the device, buffers that arguments point to, the stack, the object's own data, and
the thread's. Pointers that an argument brings are unknown numbers, and the regions behind them are
disjoint from one another and from the rest, however far one reaches (the assumption
`pointers_disjoint`). The stack lies at one aligned address, as the calling convention has it
(`stack_aligned`).
"""

import time
from collections.abc import Callable
from typing import Any

import z3

from conformance.audit import bits
from conformance.audit.bits import Truth, Value
from conformance.audit.faults import NotModelled
from conformance.audit.image import IMPORT_BASE, Image
from conformance.audit.state import Access, Piece, Place, Split, State, pieces_of, value_of

DEVICE = "mmio"
STACK_TOP = 0x7FFF_FFFF_0000
STACK_LOW = STACK_TOP - (1 << 20)
STACK_ABOVE = STACK_TOP + (1 << 12)
RETURN_TO = 0x7FEE_EEEE_0000
MAX_VALUES = 256
MAX_OFFSETS = 64
MAX_COPY = 1 << 16
SOLVER_MS = 4000
HOME, HOME_BITS = 1 << 44, 11
"""Where pointers lie in a witness, if they need not lie elsewhere; and the bits that are free."""
ROOM = 1 << 20
"""How far regions are apart at least; no function that is audited reaches as far."""


class World:
    """What is the same on all paths of one audit."""

    def __init__(self, image: Image, regions: dict[str, Any], deadline: float) -> None:
        self.image, self.regions, self.deadline = image, dict(regions), deadline
        self.segments = {name: z3.BitVec(f"{name}base", 64) for name in ("fs", "gs")}
        self.regions.update(self.segments)
        self.on_access: Callable[[State, Access], None] = _unheeded
        self.solver = z3.SimpleSolver()
        self.solver.set("timeout", SOLVER_MS)
        self.solver.set("random_seed", 0)
        self._pushed: list[Any] = []
        self._fresh = 0
        self._names: dict[str, Any] = {}
        self._mentions: dict[int, tuple[Any, frozenset[str]]] = {}
        self.queries = 0
        self.anywhere = {DEVICE}
        """Regions of which an offset may stay unknown."""

    # Questions to the solver

    def check(self, suppose: tuple[Truth, ...], *extra: Truth) -> bool:
        """Whether there are values for which all of it holds.

        Raises: NotModelled where the solver does not know, or time is up.
        """
        if time.monotonic() > self.deadline:
            raise NotModelled("out of time")
        if any(one is False for one in (*suppose, *extra)):
            return False
        wanted = [one for one in (*suppose, *extra) if one is not True]
        shared = 0
        for old, new in zip(self._pushed, wanted, strict=False):
            if not old.eq(new):
                break
            shared += 1
        self.solver.pop(len(self._pushed) - shared)
        del self._pushed[shared:]
        for one in wanted[shared:]:
            self.solver.push()
            self.solver.add(one)
            self._pushed.append(one)
        self.queries += 1
        answer = self.solver.check()
        if answer == z3.unknown:
            raise NotModelled(f"the solver does not know: {self.solver.reason_unknown()}")
        return bool(answer == z3.sat)

    def feasible(self, suppose: tuple[Truth, ...], condition: Truth) -> bool:
        """Whether a path may go that way."""
        return self.check(suppose, condition)

    def model(self) -> Any:
        """Values for the last question that was answered yes."""
        return self.solver.model()

    def values(self, s: State, wanted: Any, limit: int, what: str) -> list[int]:
        """Every value that a term can have on the path, if there are no more than `limit`."""
        found: list[int] = []
        while self.check(s.suppose, *(wanted != value for value in found)):
            if len(found) == limit:
                raise NotModelled(f"{what} may have more than {limit} values")
            found.append(self.model().eval(wanted, model_completion=True).as_long())
        return sorted(found)

    def concrete(self, s: State, value: Value, what: str = "the target of a jump") -> int:
        """The one value on this path; splits the path where there are several."""
        plain = bits.tidy(value)
        if isinstance(plain, int):
            return plain
        known = s.known.get(plain.get_id())
        if known is not None:
            return int(known[1])
        raise Split(plain, [(plain == one, one) for one in self.values(s, plain, MAX_VALUES, what)])

    # Unknowns

    def named(self, name: str, width: int) -> Any:
        """The unknown of that name, the same on every path."""
        key = f"{name}:{width}"
        if key not in self._names:
            self._names[key] = z3.BitVec(name, width)
        return self._names[key]

    def unknowns(self) -> dict[str, Any]:
        """All that have a name."""
        return {key.rpartition(":")[0]: one for key, one in self._names.items()}

    def homes(self, *but: str) -> list[Any]:
        """That each pointer, but for those named, lies in the first half of a page of its own."""
        return [
            z3.Extract(63, HOME_BITS, base) == (HOME + (number << 32)) >> HOME_BITS
            for number, (name, base) in enumerate(self.regions.items())
            if name not in but
        ]

    def fresh(self, name: str, width: int) -> Any:
        """An unknown of which nothing is known."""
        self._fresh += 1
        return z3.BitVec(f"any_{name}{self._fresh}", width)

    def fresh_truth(self, name: str) -> Any:
        """A truth value of which nothing is known."""
        self._fresh += 1
        return z3.Bool(f"any_{name}{self._fresh}")

    def count_ones(self, value: Value, width: int) -> Value:
        """How many bits are set."""
        return bits.count_ones(value, width)

    def lowest_one(self, value: Value, width: int) -> Value:
        """The place of the lowest bit that is set, of a value that is not zero."""
        return bits.lowest_one(value, width)

    def never(self, s: State, condition: Truth) -> bool:
        """Whether it is worth knowing, and known, that a condition does not hold on the path."""
        return condition is False

    def segment(self, name: str) -> Any:
        """The address at which a segment starts."""
        return self.segments[name]

    # Memory

    def load(self, s: State, address: Value, size: int, locked: bool) -> Value:
        """Read `size` bytes."""
        place = self.place(s, address)
        if place.region == DEVICE:
            number = sum(access.kind == "R" for access in s.trace)
            value = self.named(f"answer{number}_{8 * size}", 8 * size)
            self._note(s, Access("R", 8 * size, place.offset, value, s.at, locked))
            return value
        return value_of([self.byte(s, place.region, place.offset + n) for n in range(size)])

    def store(self, s: State, address: Value, value: Value, size: int, locked: bool) -> None:
        """Write `size` bytes."""
        place = self.place(s, address)
        if place.region == DEVICE:
            self._note(s, Access("W", 8 * size, place.offset, value, s.at, locked))
            return
        if place.region == "object" and self.image.is_fixed(place.offset, size):
            raise NotModelled(f"a write to {place.offset:#x}, which is read-only")
        for n, piece in enumerate(pieces_of(value, size)):
            s.memory[place.region, place.offset + n] = piece

    def _note(self, s: State, access: Access) -> None:
        s.trace = (*s.trace, access)
        self.on_access(s, access)

    def touch(self, s: State, place: Place, kind: str) -> None:
        """An access to the device of which nobody says how wide it is."""
        self._note(s, Access(kind, 0, place.offset, 0, s.at))

    def fill(self, s: State, place: Place, value: Value, size: Value) -> None:
        """Fill `size` bytes with one."""
        count = self.concrete(s, size, "the length of a fill")
        if count > MAX_COPY:
            raise NotModelled(f"a fill of {count} bytes")
        for n in range(count):
            s.memory[place.region, place.offset + n] = (value, 1, 0)

    def byte(self, s: State, region: str, offset: int) -> Piece:
        """The byte that lies there."""
        found = s.memory.get((region, offset))
        if found is not None:
            return found
        if region == "object" and self.image.is_fixed(offset, 1):
            return self.image.initial(offset, 1), 1, 0
        return self.named(f"{region}[{offset:#x}]", 8), 1, 0

    def place(self, s: State, address: Value) -> Place:
        """The region and the offset that an address means; may split the path."""
        if isinstance(address, int):
            return self._fixed_place(address)
        plain = bits.tidy(address)
        if isinstance(plain, int):
            return self._fixed_place(plain)
        known = s.known.get(plain.get_id())
        if known is not None:
            return self._fixed_place(known[1]) if isinstance(known[1], int) else known[1]
        mentioned = self.mentions(plain)
        if not mentioned:
            return self._fixed_place(self.concrete(s, plain, "an address"))
        addends = plain.children() if z3.is_app_of(plain, z3.Z3_OP_BADD) else [plain]
        for name, base in self.regions.items():
            if name in mentioned:
                rest = [one for one in addends if not one.eq(base)]
                if len(rest) == len(addends) - 1 and not any(map(self.mentions, rest)):
                    return self._based(s, name, rest)
        for one in addends:
            if z3.is_app_of(one, z3.Z3_OP_ITE) and self.mentions(one):
                return self._chosen(s, plain, one)
        return self._by_value(s, plain, mentioned)

    def _based(self, s: State, name: str, rest: list[Any]) -> Place:
        total: Value = 0
        for one in rest:
            total = bits.add(total, one, 64)
        offset = bits.tidy(total)
        if name not in self.anywhere and not isinstance(offset, int):
            known = s.known.get(offset.get_id())
            if known is None:
                found = self.values(s, offset, MAX_OFFSETS, f"the offset into {name}")
                raise Split(offset, [(offset == one, one) for one in found])
            offset = known[1]
        return Place(name, bits.signed(offset, 64) if isinstance(offset, int) else offset)

    def _chosen(self, s: State, plain: Any, choice: Any) -> Place:
        condition, yes, no = choice.children()
        known = s.known.get(condition.get_id())
        if known is None:
            raise Split(condition, [(condition, True), (z3.Not(condition), False)])
        return self.place(s, z3.substitute(plain, (choice, yes if known[1] else no)))

    def _by_value(self, s: State, plain: Any, mentioned: frozenset[str]) -> Place:
        # Such as a pointer rounded down to a boundary on which it lies already.
        for name in mentioned:
            base = self.regions[name]
            if self.check(s.suppose):
                gap = self.model().eval(plain - base, model_completion=True)
                if not self.check(s.suppose, plain - base != gap):
                    place = Place(name, bits.signed(gap.as_long(), 64))
                    s.known[plain.get_id()] = (plain, place)
                    return place
        raise NotModelled(
            "an address that is computed from a pointer in a way that is not modelled"
        )

    def _fixed_place(self, address: int) -> Place:
        if STACK_LOW <= address < STACK_ABOVE:
            return Place("stack", address)
        if self.image.find(address) is not None:
            return Place("object", address)
        if address >= IMPORT_BASE and address in self.image.imports:
            raise NotModelled(f"data of {self.image.imports[address]}, which is defined elsewhere")
        raise NotModelled(f"an access to address {address:#x}, where nothing is")

    def mentions(self, value: Any) -> frozenset[str]:
        """The regions whose pointers occur in a term."""
        key = value.get_id()
        if key not in self._mentions:
            found = frozenset().union(*map(self.mentions, value.children()))
            if value.num_args() == 0:
                found = frozenset(n for n, base in self.regions.items() if value.eq(base))
            self._mentions[key] = (value, found)
        return self._mentions[key][1]


def apart(pointers: dict[str, Any]) -> list[Any]:
    """That pointers are as far apart as the regions are, for code that compares them."""
    listed = list(pointers.values())
    clear = [
        z3.Or(z3.ULT(one, STACK_LOW - ROOM), z3.ULT(STACK_ABOVE, one))
        for name, one in pointers.items()
        if name != DEVICE or len(pointers) > 1
    ]
    pairs = [(a, b) for n, a in enumerate(listed) for b in listed[:n]]
    return clear + [z3.And(z3.ULE(ROOM, a - b), z3.ULE(ROOM, b - a)) for a, b in pairs]


def _unheeded(s: State, access: Access) -> None:
    return None
