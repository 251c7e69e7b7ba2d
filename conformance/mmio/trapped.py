"""A bus on pages that trap: what goes out is what the processor did, as a handler counted it."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from conformance.mmio.buses import WINDOW_PAGES, Bus
from conformance.mmio.calls import Mapped
from conformance.mmio.world import Setting
from spec.mmio.wire import LOAD, STORE, Wire

HOME = "conformance.trap"


@cache
def can_trap() -> bool:
    """Whether this computer and this installation have pages that trap."""
    return find_spec(HOME) is not None and import_module(HOME).absent() is None


class TrappedBus(Bus):
    """Pages of one window, given out one mapping after another.

    An address on them is told as the address that the rules' page tables would have given.
    """

    def __init__(self, setting: Setting, answers: Sequence[int]) -> None:
        super().__init__(setting)
        home = import_module(HOME)
        self._page: Any = home.TrapPage(home.Script(tuple(answers)), pages=WINDOW_PAGES)
        self._next = 0
        self._given: dict[int, int] = {}

    def __enter__(self) -> Self:
        self._page.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._page.__exit__(kind, error, trace)

    def map(self, first_page: int, pages: int) -> int:
        """Pages of the window, where the rules' page tables have some."""
        home = super().map(first_page, pages)
        if not home:
            return 0
        # A page that is given out again would hide an access by an address that is of yesterday.
        first = self._next % WINDOW_PAGES if self._next + pages > WINDOW_PAGES else self._next
        first = 0 if first + pages > WINDOW_PAGES else first
        self._next = first + pages
        for page in range(pages):
            self._given[first + page] = home + 4096 * page
        return int(self._page.address) + 4096 * first

    def unmap(self, address: int, pages: int) -> None:
        """Undo a mapping, told by the rules' address."""
        self.mapped.append(Mapped("unmap", -1, pages, self._told(address - self._page.address)))

    def _told(self, offset: int) -> int:
        return self._given.get(offset >> 12, -1 - (offset & ~0xFFF)) + (offset & 0xFFF)

    def settle(self) -> None:
        """Write down what the processor did."""
        for one in self._page.transactions():
            value = one.value if one.write else 0
            how = STORE if one.write else LOAD
            self.wires.append(Wire(how, self._told(one.offset), one.width, 0, value))
        self._page.forget()
