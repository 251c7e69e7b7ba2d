"""What a proof supposes, each written when it is asked for.

A step is proved from what every sentence says at every place that a proof looks at: some five
hundred things, of which a session's goals need fifty. What follows of some of them follows of all.
So the few that were needed when that was last looked at are supposed first, and all of them where
a goal does not follow of those.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

from spec.terms import Bool

Wanted = Mapping[str, Collection[int]]
"""By name of what says it, which of the things it says, counted from 0."""


@dataclass(eq=False)
class Premises(Sequence[Bool]):
    """All that is supposed, as a sequence that is written when it is first looked at.

    instances: how each thing is written, beside the name of what says it. rest: what else is
    known of what was written.
    """

    instances: Sequence[tuple[str, Callable[[], Bool]]]
    rest: Callable[[], Sequence[Bool]]

    def named(self) -> Iterator[tuple[str, int, Callable[[], Bool]]]:
        """Each by the name of what says it, and which of its things it is."""
        counted: dict[str, int] = {}
        for name, write in self.instances:
            number = counted.get(name, 0)
            counted[name] = number + 1
            yield name, number, write

    def few(self, wanted: Wanted) -> list[Bool]:
        """Those that are wanted, and the rest."""
        written = [write() for name, n, write in self.named() if n in wanted.get(name, ())]
        return written + list(self.rest())

    @cached_property
    def all(self) -> list[Bool]:
        """Each of them, in order, and the rest."""
        written = [write() for _, write in self.instances]
        return written + list(self.rest())

    def __len__(self) -> int:
        return len(self.all)

    @overload
    def __getitem__(self, place: int) -> Bool: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Bool]: ...
    def __getitem__(self, place: int | slice) -> Bool | Sequence[Bool]:
        return self.all[place]

    def __iter__(self) -> Iterator[Bool]:
        return iter(self.all)
