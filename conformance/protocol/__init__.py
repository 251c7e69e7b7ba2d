"""Conformance of an SVSM that serves several vCPUs on a machine whose host lies."""
