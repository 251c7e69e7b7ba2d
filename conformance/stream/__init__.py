"""Conformance of a reader and writer of migration streams."""
