"""MMIO: one call is one transaction of that width, or a refusal; slots, back ends, devices."""
