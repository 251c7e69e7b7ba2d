"""Conformance of MMIO: what a driver's call becomes on its way to a device, on each back end."""
