"""Why a map is refused, and what can be done about it, for people."""

REASONS = {
    "NONZERO_RESERVED": "an entry has flags or reserved bits set; the host's map is not one",
    "UNKNOWN_TYPE": "an entry is of a type above 5; the host is newer than the SVSM, or lies",
    "WRAPS": "an entry ends above 2**52 bytes, where addresses end; the host lies",
    "ABOVE_LIMIT": "an entry ends above the address limit; see --limit",
    "UNSORTED": "an entry starts below the one before it; the host has to sort its map",
    "OVERLAPS": "an entry starts before the one before it ends; the host gives memory twice",
    "NO_MEMORY": "no entry is of memory",
    "OVER_CAP": "more memory than the bitmaps may track; see --cap, or go without, --no-track",
    "BAD_KERNEL_BOUNDS": "the kernel's least size is 0 or above its greatest, or it ends above the "
    "address limit; see --kernel",
    "KERNEL_OUTSIDE": "the kernel is not inside one run of memory; see --kernel",
    "KERNEL_MEETS_EXCLUDED": "the kernel meets memory that something else needs; see --kernel",
    "NO_ROOM": "no place for the bitmaps is large enough, aligned to 2 MiB, and meets nothing",
    "NO_LOW_MEMORY": "what is left does not begin at address 0 with as much as the firmware needs; "
    "see --low-memory, or move the kernel up, --kernel",
    "ALREADY_WRITTEN": "the map has been published before",
    "MISALIGNED": "the guest's area does not begin at a multiple of 8; see --area",
    "AREA_OUTSIDE": "the guest's area is not in the guest's memory; see --area",
    "NOT_PRIVATE": "the host does not make a page of the bitmaps' region private",
    "NOT_VALIDATED": "a page of the bitmaps' region cannot be validated, or has been already",
    "TOO_MANY": "the guest's area has too few entries for what is left, and one to end it",
}
