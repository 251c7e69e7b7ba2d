"""A record of which guest pages are claimed, as an SVSM keeps it, in Cython and in Python."""
