"""The memory map on its way from the host through the SVSM to the firmware: rules and proofs."""
