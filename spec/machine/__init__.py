"""The machines that an SVSM runs on, and the host that holds them."""
