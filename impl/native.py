"""A machine without protection beneath an SVSM, to test it on: everything is so already."""

from impl.platform import Platform, adopted, nothing

PLATFORM = Platform(nothing, nothing, nothing, adopted, nothing, nothing)
