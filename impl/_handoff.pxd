# cython: language_level=3
"""The stages of the memory-map handoff, over C arrays that the caller owns; none allocates.

Each looks for its refusals in the order of `impl.handoff` and answers minus the first, or a result
of 0 or more. Whatever the arrays hold, no stage leaves them and each ends; what it answers is
meant for entries and ranges as the stage before left them. The docstrings are in `_fast`.
"""

from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    # `impl.handoff_abi` as compile-time constants; the tests compare every answer with a
    # definition that uses the numbers there.
    NONZERO_RESERVED = 1
    UNKNOWN_TYPE = 2
    WRAPS = 3
    ABOVE_LIMIT = 4
    UNSORTED = 5
    OVERLAPS = 6
    NO_MEMORY = 7
    OVER_CAP = 8
    BAD_KERNEL_BOUNDS = 9
    KERNEL_OUTSIDE = 10
    KERNEL_MEETS_EXCLUDED = 11
    NO_ROOM = 12
    NO_LOW_MEMORY = 13
    ALREADY_WRITTEN = 14
    MISALIGNED = 15
    AREA_OUTSIDE = 16
    TOO_MANY = 17

    MEMORY = 0
    HIDDEN = 5

    PAGE_SHIFT = 12
    MOST_SHIFT = 52     # pages that byte addresses of 64 bits reach
    LARGE = 512         # pages of 2 MiB
    BITMAP_SHIFT = 15   # pages that one page of bitmap has a bit for
    SLOT_BYTES = 24
    # A run loses at most the kernel and the region, so it leaves at most as many parts.
    PARTS = 3


cdef struct Slot:           # as it stands in an area, without padding
    uint64_t first
    uint64_t pages
    uint16_t kind
    uint16_t flags
    uint32_t reserved

cdef struct MapEntry:       # as `read_map` leaves it: a word each
    uint64_t first
    uint64_t stop
    uint64_t kind

cdef struct Span:
    uint64_t first
    uint64_t stop

cdef struct Plan:           # the words of a configuration, in this order
    uint64_t limit
    uint64_t cap
    uint64_t track
    uint64_t base
    uint64_t least
    uint64_t greatest
    uint64_t low
    uint64_t address
    uint64_t size
    uint64_t terminator
    uint64_t written

cdef struct Found:          # the words that the stages answer, in this order
    uint64_t tracked
    uint64_t bitmap
    Span kernel
    Span region
    uint64_t guest


cdef inline bint meets(Span one, Span other) noexcept nogil:
    # Their common pages, from the later first to the earlier stop; of an empty range there are none.
    return max(one.first, other.first) < min(one.stop, other.stop)


cdef inline bint within(Span inner, Span outer) noexcept nogil:
    return outer.first <= inner.first and inner.stop <= outer.stop


cdef inline int64_t read_map(
    const uint8_t *area, uint64_t slots, uint64_t limit, MapEntry *entries
) noexcept nogil:
    cdef uint64_t most = <uint64_t>1 << MOST_SHIFT, first = 0, stop = 0, n = 0
    cdef bint memory = False
    cdef Slot slot
    while n < slots:
        memcpy(&slot, area + SLOT_BYTES * n, SLOT_BYTES)
        if slot.pages == 0:
            break
        if slot.flags != 0 or slot.reserved != 0:
            return -NONZERO_RESERVED
        if slot.kind > HIDDEN:
            return -UNKNOWN_TYPE
        if slot.pages > most or slot.first > most - slot.pages:
            return -WRAPS
        if slot.first + slot.pages > limit:
            return -ABOVE_LIMIT
        # Of the entry before, if there is one: else 0, below which no entry starts.
        if slot.first < first:
            return -UNSORTED
        if slot.first < stop:
            return -OVERLAPS
        first, stop = slot.first, slot.first + slot.pages
        memory = memory or slot.kind == MEMORY
        entries[n].first, entries[n].stop, entries[n].kind = first, stop, slot.kind
        n += 1
    return <int64_t>n if memory else -NO_MEMORY


# Runs: MEMORY entries that touch. `at` is where to look from; it is moved behind the run found.


cdef inline bint run_above(
    const MapEntry *entries, uint64_t n, uint64_t *at, Span *run
) noexcept nogil:
    cdef uint64_t i = at[0]
    while i < n and entries[i].kind != MEMORY:
        i += 1
    if i == n:
        return False
    run.first, run.stop = entries[i].first, entries[i].stop
    i += 1
    while i < n and entries[i].kind == MEMORY and entries[i].first == run.stop:
        run.stop = entries[i].stop
        i += 1
    at[0] = i
    return True


cdef inline bint run_below(const MapEntry *entries, uint64_t *at, Span *run) noexcept nogil:
    cdef uint64_t i = at[0]
    while i > 0 and entries[i - 1].kind != MEMORY:
        i -= 1
    if i == 0:
        return False
    i -= 1
    run.first, run.stop = entries[i].first, entries[i].stop
    while i > 0 and entries[i - 1].kind == MEMORY and entries[i - 1].stop == run.first:
        i -= 1
        run.first = entries[i].first
    at[0] = i
    return True


cdef inline int64_t size_map(
    const MapEntry *entries, uint64_t n, uint64_t cap, bint track,
    uint64_t *tracked, uint64_t *bitmap,
) noexcept nogil:
    cdef uint64_t at = 0, pages = 0, needed = 0, length
    cdef Span run
    tracked[0] = bitmap[0] = 0
    if not track:
        return 0
    while run_above(entries, n, &at, &run):
        length = run.stop - run.first
        pages += length
        # A page that is begun is taken: to round up to words first changes nothing.
        needed += (length + ((<uint64_t>1 << BITMAP_SHIFT) - 1)) >> BITMAP_SHIFT
    if pages > cap:
        return -OVER_CAP
    tracked[0], bitmap[0] = pages, needed
    return 0


cdef inline bint kernel_inside(const MapEntry *entries, uint64_t n, Span kernel) noexcept nogil:
    cdef uint64_t at = 0, i
    cdef Span run
    for i in range(n):
        run.first, run.stop = entries[i].first, entries[i].stop
        if entries[i].kind == HIDDEN and within(kernel, run):
            return True
    while run_above(entries, n, &at, &run):
        if within(kernel, run):
            return True
    return False


cdef inline bint place(
    Span run, uint64_t size, Span kernel, const Span *excluded, uint64_t m, Span *region
) noexcept nogil:
    # The highest place in the run, as long as it meets something moved below all that it meets: no
    # place between is free of them. So each range is left behind once, and the search ends.
    cdef uint64_t top = run.stop, below, i
    while top >= size:
        region.first = (top - size) & ~(<uint64_t>LARGE - 1)
        region.stop = region.first + size
        if region.first < run.first:
            return False
        below = UINT64_MAX
        if meets(region[0], kernel):
            below = kernel.first
        for i in range(m):
            if meets(region[0], excluded[i]):
                below = min(below, excluded[i].first)
        if below == UINT64_MAX:
            return True
        top = below
    return False


cdef inline int64_t reserve_map(
    const MapEntry *entries, uint64_t n, uint64_t base, uint64_t least, uint64_t greatest,
    const Span *excluded, uint64_t m, uint64_t bitmap, uint64_t limit, Span *kernel, Span *region,
) noexcept nogil:
    cdef uint64_t size = least, at = n, i
    cdef Span run
    if least == 0 or least > greatest or greatest > limit or base > limit - greatest:
        return -BAD_KERNEL_BOUNDS
    for i in range(n):
        if entries[i].kind == HIDDEN and entries[i].first == base:
            size = min(max(entries[i].stop - base, least), greatest)
            break
    kernel.first, kernel.stop = base, base + size
    if not kernel_inside(entries, n, kernel[0]):
        return -KERNEL_OUTSIDE
    for i in range(m):
        if meets(kernel[0], excluded[i]):
            return -KERNEL_MEETS_EXCLUDED
    region.first = region.stop = 0
    if bitmap == 0:
        return 0
    # Beyond all memory; to round it up might wrap.
    if bitmap > <uint64_t>1 << MOST_SHIFT:
        return -NO_ROOM
    size = (bitmap + (LARGE - 1)) & ~(<uint64_t>LARGE - 1)
    while run_below(entries, &at, &run):
        if place(run, size, kernel[0], excluded, m, region):
            return 0
    return -NO_ROOM


cdef inline int64_t carve_map(
    const MapEntry *entries, uint64_t n, Span kernel, Span region, uint64_t low, Span *guest
) noexcept nogil:
    cdef uint64_t at = 0, m = 0, first
    cdef Span cuts[2]
    cdef Span run
    cdef int i
    cuts[0], cuts[1] = kernel, region
    if region.first < kernel.first:
        cuts[0], cuts[1] = region, kernel
    while run_above(entries, n, &at, &run):
        first = run.first
        for i in range(2):
            if meets(run, cuts[i]):
                if first < cuts[i].first:
                    guest[m].first, guest[m].stop = first, cuts[i].first
                    m += 1
                first = max(first, cuts[i].stop)
        if first < run.stop:
            guest[m].first, guest[m].stop = first, run.stop
            m += 1
    if low and (m == 0 or guest[0].first != 0 or guest[0].stop < low):
        return -NO_LOW_MEMORY
    return <int64_t>m


cdef inline int64_t fit_map(
    const Span *guest, uint64_t m, uint64_t address, uint64_t size, bint terminator, bint written
) noexcept nogil:
    cdef uint64_t page = address >> PAGE_SHIFT, i
    if written:
        return -ALREADY_WRITTEN
    if address & 7:
        return -MISALIGNED
    if size == 0 or size - 1 > UINT64_MAX - address:
        return -AREA_OUTSIDE
    # The first page not yet found in an entry; entries are in order.
    for i in range(m):
        if guest[i].first <= page and page < guest[i].stop:
            page = guest[i].stop
    if page <= (address + (size - 1)) >> PAGE_SHIFT:
        return -AREA_OUTSIDE
    return -TOO_MANY if m + terminator > size // SLOT_BYTES else 0


cdef inline void put_map(
    uint8_t *memory, uint64_t room, uint64_t offset, uint64_t size, const Span *guest, uint64_t m,
    bint prevalidated,
) noexcept nogil:
    cdef uint8_t *area = memory + offset
    cdef uint64_t i
    cdef Slot slot
    memset(&slot, 0, sizeof(Slot))
    if not prevalidated:
        memset(memory, 0, room)
    for i in range(m):
        slot.first, slot.pages = guest[i].first, guest[i].stop - guest[i].first
        memcpy(area + SLOT_BYTES * i, &slot, SLOT_BYTES)
    memset(area + SLOT_BYTES * m, 0, size - SLOT_BYTES * m)


cdef inline int64_t hand_over(
    const uint8_t *area, uint64_t slots, const Plan *plan, const Span *excluded, uint64_t m,
    MapEntry *entries, Span *guest, Found *found,
) noexcept nogil:
    cdef int64_t n = read_map(area, slots, plan.limit, entries), answer
    if n < 0:
        return n
    answer = size_map(entries, n, plan.cap, plan.track != 0, &found.tracked, &found.bitmap)
    if answer < 0:
        return answer
    answer = reserve_map(
        entries, n, plan.base, plan.least, plan.greatest, excluded, m, found.bitmap, plan.limit,
        &found.kernel, &found.region,
    )
    if answer < 0:
        return answer
    answer = carve_map(entries, n, found.kernel, found.region, plan.low, guest)
    if answer < 0:
        return answer
    found.guest = answer
    answer = fit_map(
        guest, found.guest, plan.address, plan.size, plan.terminator != 0, plan.written != 0
    )
    return answer if answer < 0 else n
