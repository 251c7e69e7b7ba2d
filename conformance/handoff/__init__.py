"""Conformance of the memory-map handoff: stages beside the rules, on whole maps."""
