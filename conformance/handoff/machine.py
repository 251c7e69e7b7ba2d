"""The machine on which a device makes the bitmaps' region ready; it does what a call says.

It keeps what was done to each page, and stands for both the hardware and the host. What no SVSM may
do whatever it is answered, such as validating a page twice, is a fault of the device at once.
"""

from dataclasses import dataclass, field

from conformance.device import DeviceFault
from conformance.handoff.calls import Range, Validate
from spec.handoff.validate import FAIL_SIZEMISMATCH
from spec.handoff.words import BLOCK
from spec.pages import ListedPages

SUCCESS, FAIL_INPUT = 0, 1
MOST_ASKED = 1 << 20
"""More questions than any sound way of making the largest region of a call ready takes."""


@dataclass
class Machine:
    """What has been done so far, on the machine of one call."""

    call: Validate
    private: ListedPages = field(default_factory=ListedPages)
    validated: ListedPages = field(default_factory=ListedPages)
    zeroed: ListedPages = field(default_factory=ListedPages)
    asked: int = 0

    def make_private(self, page: int, large: bool = False) -> bool:
        """Ask the host to make a page, or the 512 from it on, private; whether it says that it has.

        Raises: DeviceFault where that is not to be asked.
        """
        first, stop = self._span("make_private", page, large)
        if self._has_any(self.validated, first, stop):
            raise DeviceFault(f"make_private: page {page:#x} is validated already")
        if page // BLOCK * BLOCK in self.call.refused:
            return False
        self.private = self.private.with_range(first, stop, True)
        return True

    def pvalidate(self, page: int, large: bool = False) -> tuple[int, bool]:
        """PVALIDATE a page, or the 512 from it on: the code, and the carry flag.

        Raises: DeviceFault where a page is validated twice, or before it is private.
        """
        first, stop = self._span("pvalidate", page, large)
        if self._has_any(self.validated, first, stop):
            raise DeviceFault(f"pvalidate: page {page:#x} has been validated before")
        if self.call.shared and not self._has_all(self.private, first, stop):
            raise DeviceFault(f"pvalidate: page {page:#x} is not private yet")
        if large and page in self.call.small:
            return FAIL_SIZEMISMATCH, False
        if any(first <= at < stop for at in self.call.failing):
            return FAIL_INPUT, False
        if any(first <= at < stop for at in self.call.was):
            return SUCCESS, True
        self.validated = self.validated.with_range(first, stop, True)
        return SUCCESS, False

    def zero(self, page: int, large: bool = False) -> None:
        """Write zeros to a page, or to the 512 from it on.

        Raises: DeviceFault where they are not validated: the access is #VC.
        """
        first, stop = self._span("zero", page, large)
        if not self._has_all(self.validated, first, stop):
            raise DeviceFault(f"zero: page {page:#x} is not validated: #VC")
        self.zeroed = self.zeroed.with_range(first, stop, True)

    def done(self) -> tuple[list[Range], list[Range], list[Range]]:
        """The pages that were made private, validated and zeroed, as ranges in order."""
        private, validated, zeroed = (
            [(int(a), int(b)) for a, b in pages.runs()]
            for pages in (self.private, self.validated, self.zeroed)
        )
        return private, validated, zeroed

    def _span(self, what: str, page: int, large: bool) -> Range:
        """The pages of an operation, if it is on pages of the region and not one of too many."""
        self.asked += 1
        if self.asked > MOST_ASKED:
            raise DeviceFault(f"{what}: the machine was asked {MOST_ASKED} times, and no end")
        if not isinstance(page, int) or isinstance(page, bool) or not isinstance(large, bool | int):
            raise DeviceFault(f"{what}: {page!r} is no page number")
        if large and page % BLOCK:
            raise DeviceFault(f"{what}: page {page:#x} is not at a multiple of 2 MiB")
        first, stop = page, page + (BLOCK if large else 1)
        if not self.call.region[0] <= first < stop <= self.call.region[1]:
            raise DeviceFault(f"{what}: page {page:#x} is not of the region")
        return first, stop

    @staticmethod
    def _has_any(pages: ListedPages, first: int, stop: int) -> bool:
        return any(a < stop and first < b for a, b in pages.runs())

    @staticmethod
    def _has_all(pages: ListedPages, first: int, stop: int) -> bool:
        return any(a <= first and stop <= b for a, b in pages.runs())
