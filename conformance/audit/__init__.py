"""Machine code, looked at on every path: which accesses reach the device, and with what value."""
