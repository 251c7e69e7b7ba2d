"""`ValidationBitmap` of the best twin that is built."""

from typing import TYPE_CHECKING

from impl import kernels

__all__ = ["ValidationBitmap"]

if TYPE_CHECKING:
    from impl._pure import ValidationBitmap
else:
    ValidationBitmap = kernels.load("auto").ValidationBitmap
