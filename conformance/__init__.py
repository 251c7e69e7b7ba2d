"""Conformance: implementations run beside the rules, step by step and in bulk."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("svsm-conformance")
except PackageNotFoundError:
    __version__ = "0 (not installed)"
