# cython: language_level=3, binding=True, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False, embedsignature=False
"""The compiled twin of `_pure`: the same names, parameters, docstrings and answers.

First the kernels: what each does to bits, and nothing about what is allowed. `_steps.pxd` checks
and calls them; the class adds memory, the GIL and buffers. `_words.pxd` is their C data sheet.
The file is long because the docstrings stand in both twins.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_Check
from cpython.pythread cimport (
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_release_lock,
    PyThread_type_lock,
    NOWAIT_LOCK,
    WAIT_LOCK,
)
from libc.stdint cimport (
    INT64_MIN,
    UINT64_MAX,
    int64_t,
    uint8_t,
    uint16_t,
    uint32_t,
    uint64_t,
)
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset

import operator

from impl._handoff cimport (
    PARTS,
    SLOT_BYTES,
    Found,
    MapEntry,
    Plan,
    Span,
    carve_map,
    fit_map,
    hand_over,
    put_map,
    read_map,
    reserve_map,
    size_map,
)
from impl._mmio cimport (
    svsm_mmio_read,
    svsm_mmio_read_u8,
    svsm_mmio_read_u16,
    svsm_mmio_read_u32,
    svsm_mmio_read_u64,
    svsm_mmio_write,
    svsm_mmio_write_u8,
    svsm_mmio_write_u16,
    svsm_mmio_write_u32,
    svsm_mmio_write_u64,
)
from impl._run_steps cimport (
    RunPageStep,
    RunRangeStep,
    Tracker,
    build,
    reserve,
    reset,
    run_claim_2m,
    run_claim_4k,
    run_claim_range,
    run_count,
    run_create,
    run_export,
    run_fill,
    run_first_unclaimed,
    run_import,
    run_query,
    run_record,
    run_release_2m,
    run_release_4k,
    run_release_range,
    run_step,
    run_test_range,
)
from impl._runs cimport FULL, JOINED, Entry, Flips, Place
from impl._steps cimport (
    MIXED,
    OP_EXPORT_WORDS,
    OP_IMPORT_WORDS,
    PAGE_4K,
    PAGE_SHIFT,
    PageStep,
    RangeStep,
    Region,
    record,
    set_bounds,
    slack_of,
    step,
    step_claim_2m,
    step_claim_4k,
    step_claim_range,
    step_count,
    step_create,
    step_export,
    step_fill,
    step_first_unclaimed,
    step_import,
    step_query,
    step_release_2m,
    step_release_4k,
    step_release_range,
    step_test_range,
    words_for,
)
from impl._words cimport (
    BLOCK,
    RANGE_ALL,
    RANGE_MIXED,
    RANGE_NONE,
    bitmap_alloc,
    bitmap_has_popcnt,
    bitmap_popcnt,
    ctz,
    popcount,
)
from impl.abi import ADDRESS_LIMIT, MAX_PAGES, MAX_RUNS, Status

cdef enum:
    # From this many words on (64 KiB, 2 GiB of guest) letting go of the GIL pays for itself.
    LONG_WORDS = 8192
    # From this many flips on letting go of it to count pages does.
    LONG_FLIPS = 8192

# What a step answers when there is no memory; no status is as low.
cdef int64_t NO_MEMORY = INT64_MIN


# The kernels. Bit i % 64 of word i // 64 is page i. `words` covers every index given; a range of
# pages is half-open and not empty. Each is a C function of its own: no allocation, no Python.


cdef bint point_test "bitmap_point_test"(const uint64_t *words, uint64_t page) noexcept nogil:
    return (words[page >> 6] >> (page & 63)) & 1


cdef void point_set "bitmap_point_set"(uint64_t *words, uint64_t page) noexcept nogil:
    words[page >> 6] |= 1ULL << (page & 63)


cdef void point_clear "bitmap_point_clear"(uint64_t *words, uint64_t page) noexcept nogil:
    words[page >> 6] &= ~(1ULL << (page & 63))


cdef int64_t range_test "bitmap_range_test"(
    const uint64_t *words, uint64_t first, uint64_t stop
) noexcept nogil:
    # Every bit must be as the first one is, so one pass answers none, all and mixed.
    cdef uint64_t left = first >> 6, last = (stop - 1) >> 6
    cdef uint64_t head = UINT64_MAX << (first & 63), tail = UINT64_MAX >> (63 - ((stop - 1) & 63))
    cdef uint64_t want = 0 - ((words[left] >> (first & 63)) & 1)
    cdef uint64_t a, b, c, d
    cdef int i
    if left == last:
        return RANGE_MIXED if (words[left] ^ want) & head & tail else <int64_t>(want & 1)
    if ((words[left] ^ want) & head) | ((words[last] ^ want) & tail):
        return RANGE_MIXED
    left += 1
    while last - left >= BLOCK:
        a = b = c = d = 0
        for i in range(0, BLOCK, 8):
            a |= (words[left + i] ^ want) | (words[left + i + 4] ^ want)
            b |= (words[left + i + 1] ^ want) | (words[left + i + 5] ^ want)
            c |= (words[left + i + 2] ^ want) | (words[left + i + 6] ^ want)
            d |= (words[left + i + 3] ^ want) | (words[left + i + 7] ^ want)
        if a | b | c | d:
            return RANGE_MIXED
        left += BLOCK
    while left < last:
        if words[left] != want:
            return RANGE_MIXED
        left += 1
    return <int64_t>(want & 1)


cdef void range_fill "bitmap_range_fill"(
    uint64_t *words, uint64_t first, uint64_t stop, bint ones
) noexcept nogil:
    cdef uint64_t left = first >> 6, last = (stop - 1) >> 6
    cdef uint64_t head = UINT64_MAX << (first & 63), tail = UINT64_MAX >> (63 - ((stop - 1) & 63))
    if left == last:
        head &= tail
        words[left] = words[left] | head if ones else words[left] & ~head
        return
    words[left] = words[left] | head if ones else words[left] & ~head
    # End words that are whole belong to the middle: a memset of a round size is quicker.
    left += head != UINT64_MAX
    memset(words + left, 0xFF if ones else 0, 8 * (last - left + (tail == UINT64_MAX)))
    words[last] = words[last] | tail if ones else words[last] & ~tail


cdef int64_t large_test "bitmap_large_test"(const uint64_t *words, uint64_t page) noexcept nogil:
    # 512 bits are 8 words, or 9 when they start inside a word; else the last is the eighth again,
    # under an empty mask.
    cdef const uint64_t *at = words + (page >> 6)
    cdef uint64_t head = UINT64_MAX << (page & 63), last = words[(page + 511) >> 6]
    cdef uint64_t some = at[0] & head, every = at[0] | ~head
    cdef int i
    for i in range(1, 8):
        some |= at[i]
        every &= at[i]
    some |= last & ~head
    every &= last | head
    return RANGE_NONE if some == 0 else RANGE_ALL if every == UINT64_MAX else RANGE_MIXED


cdef void large_fill "bitmap_large_fill"(uint64_t *words, uint64_t page, bint ones) noexcept nogil:
    cdef uint64_t *at = words + (page >> 6)
    cdef uint64_t *last = words + ((page + 511) >> 6)
    cdef uint64_t head = UINT64_MAX << (page & 63), whole = UINT64_MAX if ones else 0
    cdef int i
    at[0] = (at[0] & ~head) | (whole & head)
    for i in range(1, 8):
        at[i] = whole
    last[0] = (last[0] & head) | (whole & ~head)


cdef uint64_t words_count_popcnt "bitmap_words_count_popcnt"(
    const uint64_t *words, uint64_t n
) noexcept nogil:
    # Four sums, so that the additions do not wait for one another.
    cdef uint64_t a = 0, b = 0, c = 0, d = 0
    cdef const uint64_t *stop = words + n
    while stop - words >= 8:
        a += bitmap_popcnt(words[0]) + bitmap_popcnt(words[1])
        b += bitmap_popcnt(words[2]) + bitmap_popcnt(words[3])
        c += bitmap_popcnt(words[4]) + bitmap_popcnt(words[5])
        d += bitmap_popcnt(words[6]) + bitmap_popcnt(words[7])
        words += 8
    while words < stop:
        a += bitmap_popcnt(words[0])
        words += 1
    return a + b + c + d


cdef uint64_t words_count_plain "bitmap_words_count_plain"(
    const uint64_t *words, uint64_t n
) noexcept nogil:
    cdef uint64_t total = 0, i
    for i in range(n):
        total += popcount(words[i])
    return total


cdef uint64_t words_count "bitmap_words_count"(const uint64_t *words, uint64_t n) noexcept nogil:
    return words_count_popcnt(words, n) if bitmap_has_popcnt() else words_count_plain(words, n)


cdef uint64_t range_count "bitmap_range_count"(
    const uint64_t *words, uint64_t first, uint64_t stop
) noexcept nogil:
    cdef uint64_t left = first >> 6, last = (stop - 1) >> 6
    cdef uint64_t head = UINT64_MAX << (first & 63), tail = UINT64_MAX >> (63 - ((stop - 1) & 63))
    cdef uint64_t ends[2]
    if left == last:
        ends[0] = words[left] & head & tail
        return words_count(ends, 1)
    ends[0] = words[left] & head
    ends[1] = words[last] & tail
    return words_count(ends, 2) + words_count(words + left + 1, last - left - 1)


cdef uint64_t range_find_clear "bitmap_range_find_clear"(
    const uint64_t *words, uint64_t first, uint64_t stop
) noexcept nogil:
    # Index of the lowest clear bit, or `stop`. One loop after the other, not one in the other: each
    # then has an invariant of its own, and the proof of the machine code follows them in turn.
    cdef uint64_t at = first >> 6, last = (stop - 1) >> 6
    cdef uint64_t word = words[at] | ~(UINT64_MAX << (first & 63))
    cdef uint64_t a, b, c, d
    cdef int i
    if word == UINT64_MAX and at < last:
        at += 1
        while last - at >= BLOCK:
            a = b = c = d = UINT64_MAX
            for i in range(0, BLOCK, 8):
                a &= words[at + i] & words[at + i + 4]
                b &= words[at + i + 1] & words[at + i + 5]
                c &= words[at + i + 2] & words[at + i + 6]
                d &= words[at + i + 3] & words[at + i + 7]
            if a & b & c & d != UINT64_MAX:
                break
            at += BLOCK
        while at < last and words[at] == UINT64_MAX:
            at += 1
        word = words[at]
    if at == last:
        # What lies past the range in its last word is not looked at.
        word |= ~(UINT64_MAX >> (63 - ((stop - 1) & 63)))
    return stop if word == UINT64_MAX else 64 * at + ctz(~word)


cdef uint64_t words_sum "bitmap_words_sum"(const uint64_t *words, uint64_t n) noexcept nogil:
    # The plain read that the others are measured against: as fast as they, and nothing else.
    cdef uint64_t a = 0, b = 0, c = 0, d = 0, at = 0
    cdef int i
    while n - at >= BLOCK:
        for i in range(0, BLOCK, 8):
            a += words[at + i] + words[at + i + 4]
            b += words[at + i + 1] + words[at + i + 5]
            c += words[at + i + 2] + words[at + i + 6]
            d += words[at + i + 3] + words[at + i + 7]
        at += BLOCK
    while at < n:
        a += words[at]
        at += 1
    return a + b + c + d


# The kernels on runs, as `_runs.pxd` says that they are kept. There is a region; `insert_flips`
# finds room for a block more.


cdef inline uint64_t *flips_of(const Flips *f, uint64_t entry) noexcept nogil:
    return f.pool + FULL * <uint64_t>f.top[entry].block


cdef Place locate "runs_locate"(const Flips *f, uint64_t page) noexcept nogil:
    # The last entry that starts at `page` or before, and how many of its flips are there. Where a
    # page is cannot be predicted: so nothing branches on it, and eight parts are told apart by
    # seven looks that do not wait for one another. What is left is at least the part it is in.
    cdef Place place
    cdef const Entry *top = f.top
    cdef const uint64_t *flips
    cdef uint64_t n = f.blocks, part, below
    cdef int i
    while n >= 8:
        part = n >> 3
        below = 0
        for i in range(1, 8):
            below += top[i * part].first <= page
        top += below * part
        n -= 7 * part
    below = 0
    for i in range(1, <int>n):
        below += top[i].first <= page
    top += below
    flips = f.pool + FULL * <uint64_t>top.block
    n = top.n
    # By cache lines, then in the one; what lies behind the flips of the block does not count.
    below = 0
    for i in range(8, FULL, 8):
        below += (<uint64_t>i < n) & (flips[i] <= page)
    place.at = 0
    for i in range(8):
        place.at += (8 * below + i < n) & (flips[8 * below + i] <= page)
    place.at += 8 * below
    place.entry = top - f.top
    return place


cdef void drop_entry "runs_drop"(Flips *f, uint64_t entry) noexcept nogil:
    cdef Entry gone = f.top[entry]
    f.blocks -= 1
    memmove(f.top + entry, f.top + entry + 1, sizeof(Entry) * (f.blocks - entry))
    f.top[f.blocks] = gone


cdef void split "runs_split"(Flips *f, uint64_t entry, uint64_t kept) noexcept nogil:
    # What follows the first `kept` flips moves into a new block behind.
    cdef Entry fresh = f.top[f.blocks]
    cdef Entry *top = f.top + entry
    memmove(top + 2, top + 1, sizeof(Entry) * (f.blocks - entry - 1))
    f.blocks += 1
    fresh.n = top.n - <uint16_t>kept
    fresh.odd = (top.odd + kept) & 1
    top[1] = fresh
    top.n = <uint16_t>kept
    memcpy(flips_of(f, entry + 1), flips_of(f, entry) + kept, 8 * fresh.n)
    top[1].first = flips_of(f, entry + 1)[0]


cdef bint join "runs_join"(Flips *f, uint64_t entry) noexcept nogil:
    # The next block moves into this one if they are few, or one of them is empty.
    cdef Entry *top = f.top + entry
    if entry + 1 >= f.blocks or top.n and top[1].n and top.n + top[1].n > JOINED:
        return False
    memcpy(flips_of(f, entry) + top.n, flips_of(f, entry + 1), 8 * top[1].n)
    if top.n == 0:
        top.first = top[1].first
    top.n += top[1].n
    drop_entry(f, entry + 1)
    return True


cdef void insert_flips "runs_insert"(
    Flips *f, uint64_t entry, uint64_t at, const uint64_t *fresh, uint64_t n
) noexcept nogil:
    cdef uint64_t kept = f.top[entry].n, begin = entry
    cdef bint full = kept + n > FULL
    cdef uint64_t *flips
    if full:
        # A full last block that grows at its end stays whole: pages are often claimed in order.
        if at < kept or entry + 1 < f.blocks:
            kept >>= 1
        split(f, entry, kept)
        if at >= kept:
            begin, at = entry + 1, at - kept
    flips = flips_of(f, begin) + at
    memmove(flips + n, flips, 8 * (f.top[begin].n - at))
    flips[0] = fresh[0]
    if n == 2:
        flips[1] = fresh[1]
    if at == 0:
        f.top[begin].first = fresh[0]
    f.top[begin].n += <uint16_t>n
    f.flips += n
    if full:
        f.top[entry + 1].odd = (f.top[entry].odd + f.top[entry].n) & 1
        join(f, entry + 1)
        if entry:
            join(f, entry - 1)


cdef void remove_flips "runs_remove"(
    Flips *f, uint64_t entry, uint64_t at, uint64_t n
) noexcept nogil:
    # One flip or two that follow one another, the second perhaps in the next block.
    cdef Entry *top = f.top + entry
    cdef uint64_t here = n if at + n <= top.n else 1
    cdef uint64_t *flips = flips_of(f, entry) + at
    f.flips -= n
    top.n -= <uint16_t>here
    memmove(flips, flips + here, 8 * (top.n - at))
    if at == 0 and top.n:
        top.first = flips[0]
    if here < n:
        top[1].n -= 1
        # Of the two flips only the first was before the block.
        top[1].odd ^= 1
        flips = flips_of(f, entry + 1)
        memmove(flips, flips + 1, 8 * <uint64_t>top[1].n)
        top[1].first = flips[0]
        join(f, entry + 1)
    join(f, entry)
    if entry:
        join(f, entry - 1)


cdef uint64_t count_runs "runs_count"(
    const Flips *f, uint64_t first, uint64_t stop
) noexcept nogil:
    cdef Place place = locate(f, first)
    cdef uint64_t mask = 0 - <uint64_t>((f.top[place.entry].odd + place.at) & 1)
    cdef uint64_t total = 0, left = first, at = place.at, entry
    cdef const uint64_t *flips
    for entry in range(place.entry, f.blocks):
        flips = flips_of(f, entry)
        while at < f.top[entry].n:
            if flips[at] >= stop:
                return total + ((stop - left) & mask)
            total += (flips[at] - left) & mask
            mask = ~mask
            left = flips[at]
            at += 1
        at = 0
    return total + ((stop - left) & mask)


cdef void write_runs "runs_write"(
    const Flips *f, uint64_t *words, uint64_t stop
) noexcept nogil:
    # The pages below `stop`, 1 or more, as bits; those behind it are left as they are.
    cdef uint64_t left = 0, entry, at
    cdef bint ones = False
    cdef const uint64_t *flips
    for entry in range(f.blocks):
        flips = flips_of(f, entry)
        for at in range(f.top[entry].n):
            if flips[at] >= stop:
                range_fill(words, left, stop, ones)
                return
            if left < flips[at]:
                range_fill(words, left, flips[at], ones)
            left = flips[at]
            ones = not ones
    range_fill(words, left, stop, ones)


cdef bint same_runs "runs_same"(const Flips *f, const Flips *g) noexcept nogil:
    # Equal flips may be cut into blocks in different places.
    cdef uint64_t i = 0, j = 0, at = 0, to = 0, left = f.flips, n
    if f.flips != g.flips:
        return False
    while left:
        n = min(f.top[i].n - at, g.top[j].n - to)
        if memcmp(flips_of(f, i) + at, flips_of(g, j) + to, 8 * n):
            return False
        left -= n
        at += n
        to += n
        if at == f.top[i].n:
            i, at = i + 1, 0
        if to == g.top[j].n:
            j, to = j + 1, 0
    return True


cdef inline uint64_t u64(object value) except? 1:
    # Cython alone would take 1.5 for 1; what is an integer to `operator.index` is one here.
    return value if PyLong_Check(value) else operator.index(value)


cdef object checked(str name, object data, bint writable=True):
    # Cython alone would take None, and raise BufferError where the other twin does not.
    view = memoryview(data)
    if not view.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous")
    if writable and view.readonly:
        raise ValueError(f"{name} is read-only")
    return view


cdef object settings(object max_pages, object mixed_2m):
    cap, mixed = operator.index(max_pages), operator.index(mixed_2m)
    if not 1 <= cap <= MAX_PAGES:
        raise ValueError(f"max_pages is {cap}, must be 1 to {MAX_PAGES}")
    if mixed not in (Status.MIXED, Status.SIZE_MISMATCH):
        raise ValueError(f"mixed_2m is {mixed}, must be MIXED (8) or SIZE_MISMATCH (9)")
    return cap, mixed


cdef object state_view(uint64_t start, uint64_t count, uint64_t max_pages, object words):
    cdef uint64_t n = words_for(count)
    view = memoryview(words)
    if start & (PAGE_4K - 1) or start + PAGE_4K * int(count) > ADDRESS_LIMIT:
        raise ValueError(f"base is {start}, must be a multiple of 4096, the end at most 2**52")
    if count > max_pages:
        raise ValueError(f"pages is {count}, must be at most {max_pages}")
    if not view.c_contiguous or view.nbytes != 8 * n:
        raise ValueError(f"words must be contiguous, of {8 * n} bytes")
    return view


cdef int check_shapes(
    uint64_t n, uint64_t columns, uint64_t answers, uint64_t rows, uint64_t width
) except -1:
    if columns != 4 or answers != n or rows != n or width < 2:
        raise ValueError(
            f"ops {(n, columns)}, results {(answers,)} and snapshots {(rows, width)} "
            "must be (n, 4), (n,) and (n, 2 + w)"
        )
    return 0


cdef inline int64_t told(int64_t answer) except? -1:
    if answer == NO_MEMORY:
        raise MemoryError
    return answer


@cython.final
cdef class ValidationBitmap:
    """The pages of one guest region that are claimed, one bit each.

    Bit i % 64 of word i // 64 is page i counted from the region's base; words are uint64, and
    the bits of the last word beyond the region are zero. Addresses are bytes, ranges are
    half-open. Every step answers one signed 64-bit integer: its result, or minus a `Status`,
    and then nothing has changed. A new bitmap has no region: every address is OUTSIDE.

    max_pages: most pages that `create` accepts, 1 to 2**40.
    mixed_2m: the refusal of a 2 MiB step over mixed bits, MIXED or SIZE_MISMATCH.

    Raises: ValueError for those two; in every method OverflowError for an integer outside
    0 to 2**64 - 1 and TypeError for what is not an integer.
    """

    cdef Region r
    # Long steps run without the GIL and own `lock`. While anyone owns it or waits for it,
    # `users` is above 0 and every step takes its turn; else a short step needs no more
    # exclusion than the GIL, which it keeps from its first look to its last.
    cdef int users
    cdef PyThread_type_lock lock

    def __cinit__(self, max_pages=1 << 28, mixed_2m=MIXED):
        cap, mixed = settings(max_pages, mixed_2m)
        self.r.max_pages = cap
        self.r.mixed_2m = mixed
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.r.words)
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef void hold(self) noexcept:
        self.users += 1
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self.lock, WAIT_LOCK)

    cdef void drop(self) noexcept:
        PyThread_release_lock(self.lock)
        self.users -= 1

    cdef int64_t at_page(self, PageStep call, uint64_t gpa) noexcept:
        cdef int64_t answer
        self.hold()
        answer = call(&self.r, gpa)
        self.drop()
        return answer

    cdef int64_t over_range(self, RangeStep call, uint64_t first, uint64_t stop) noexcept:
        cdef int64_t answer
        if not self.users and stop - first < <uint64_t>64 * LONG_WORDS * PAGE_4K:
            return call(&self.r, first, stop)
        self.hold()
        with nogil:
            answer = call(&self.r, first, stop)
        self.drop()
        return answer

    @property
    def base(self):
        """Byte address of the region's first page; 0 without a region."""
        cdef uint64_t base
        self.hold()
        base = self.r.base
        self.drop()
        return base

    @property
    def pages(self):
        """Number of 4 KiB pages in the region; 0 without a region."""
        cdef uint64_t pages
        self.hold()
        pages = self.r.pages
        self.drop()
        return pages

    @property
    def max_pages(self):
        """Most pages that `create` accepts."""
        return self.r.max_pages

    @property
    def mixed_2m(self):
        """The refusal of a 2 MiB claim or release over mixed bits."""
        return Status(self.r.mixed_2m)

    def __sizeof__(self):
        """Bytes of the object and of the words it owns."""
        return object.__sizeof__(self) + 8 * self.r.n_words

    def create(self, base, pages, claimed):
        """Bytes of the bitmap that now records `pages` pages from `base`, alike in state.

        claimed: 0 for no page, another number for every page.

        Refuses: MISALIGNED, EMPTY, WRAPS (the end is 2**64 or more), ABOVE_LIMIT (the end is
        above 2**52), OVER_CAP; the first that applies.
        Raises: MemoryError, with the old region intact.
        """
        cdef uint64_t start = u64(base), n = u64(pages)
        cdef bint ones = u64(claimed) != 0
        cdef int64_t answer
        self.hold()
        with nogil:
            answer = step_create(&self.r, start, n, ones)
        self.drop()
        if answer == NO_MEMORY:
            raise MemoryError
        return answer

    def fill(self, claimed):
        """0, when every page of the region is claimed, or with `claimed` 0 unclaimed."""
        cdef bint ones = u64(claimed) != 0
        cdef int64_t answer
        if not self.users and self.r.n_words < LONG_WORDS:
            return step_fill(&self.r, ones)
        self.hold()
        with nogil:
            answer = step_fill(&self.r, ones)
        self.drop()
        return answer

    def claim_4k(self, gpa):
        """0, when the unclaimed 4 KiB page at `gpa` is now claimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, ALREADY_CLAIMED; the first that applies.
        """
        cdef uint64_t at = u64(gpa)
        return step_claim_4k(&self.r, at) if not self.users else self.at_page(step_claim_4k, at)

    def release_4k(self, gpa):
        """0, when the claimed 4 KiB page at `gpa` is now unclaimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, NOT_CLAIMED; the first that applies.
        """
        cdef uint64_t at = u64(gpa)
        return step_release_4k(&self.r, at) if not self.users else self.at_page(step_release_4k, at)

    def claim_2m(self, gpa):
        """0, when the 512 unclaimed pages of the 2 MiB page at `gpa` are now claimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, ALREADY_CLAIMED, `mixed_2m`; the first that applies.
        """
        cdef uint64_t at = u64(gpa)
        return step_claim_2m(&self.r, at) if not self.users else self.at_page(step_claim_2m, at)

    def release_2m(self, gpa):
        """0, when the 512 claimed pages of the 2 MiB page at `gpa` are now unclaimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, NOT_CLAIMED, `mixed_2m`; the first that applies.
        """
        cdef uint64_t at = u64(gpa)
        return step_release_2m(&self.r, at) if not self.users else self.at_page(step_release_2m, at)

    def query(self, gpa):
        """1 if the 4 KiB page at `gpa` is claimed, else 0.

        Refuses: MISALIGNED, WRAPS, OUTSIDE; the first that applies.
        """
        cdef uint64_t at = u64(gpa)
        return step_query(&self.r, at) if not self.users else self.at_page(step_query, at)

    def claim_range(self, first, stop):
        """0, when the unclaimed pages from `first` up to `stop` are now claimed.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, ALREADY_CLAIMED, MIXED; the first that
        applies.
        """
        return self.over_range(step_claim_range, u64(first), u64(stop))

    def release_range(self, first, stop):
        """0, when the claimed pages from `first` up to `stop` are now unclaimed.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, NOT_CLAIMED, MIXED; the first that applies.
        """
        return self.over_range(step_release_range, u64(first), u64(stop))

    def test_range(self, first, stop):
        """0 if no page from `first` up to `stop` is claimed, 1 if all are, 2 if some are.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE; the first that applies.
        """
        return self.over_range(step_test_range, u64(first), u64(stop))

    def count(self, first, stop):
        """Number of claimed pages from `first` up to `stop`.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE; the first that applies.
        """
        return self.over_range(step_count, u64(first), u64(stop))

    def first_unclaimed(self, first, stop):
        """Byte address of the lowest unclaimed page from `first` up to `stop`.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, NONE_UNCLAIMED; the first that applies.
        """
        return self.over_range(step_first_unclaimed, u64(first), u64(stop))

    def export_words(self, words):
        """Number of words written into `words`, which then hold the bitmap.

        words: shape (ceil(pages / 64),), uint64, writable.

        Refuses: WRONG_LENGTH.
        Raises: TypeError or ValueError for a buffer of another kind.
        """
        cdef uint64_t[::1] target = checked("words", words)
        cdef uint64_t n = target.shape[0]
        cdef int64_t answer
        self.hold()
        with nogil:
            answer = step_export(&self.r, &target[0], n)
        self.drop()
        return answer

    def import_words(self, words):
        """0, when the bitmap holds exactly the bits of `words`.

        words: shape (ceil(pages / 64),), uint64.

        Refuses: WRONG_LENGTH, then SLACK_SET for a bit beyond the region in the last word.
        Raises: TypeError or ValueError for a buffer of another kind.
        """
        cdef const uint64_t[::1] source = checked("words", words, False)
        cdef uint64_t n = source.shape[0]
        cdef int64_t answer
        self.hold()
        with nogil:
            answer = step_import(&self.r, &source[0], n)
        self.drop()
        return answer

    def words(self):
        """A copy of the packed words, little-endian, 8 * ceil(pages / 64) bytes."""
        self.hold()
        try:
            return (<const char *>self.r.words)[: 8 * self.r.n_words] if self.r.n_words else b""
        finally:
            self.drop()

    def same(self, other):
        """True if `other` records the same region with the same pages claimed.

        Raises: TypeError unless `other` is a bitmap of the same twin.
        """
        cdef ValidationBitmap that
        if not isinstance(other, ValidationBitmap):
            raise TypeError(f"other is {type(other).__name__}, must be ValidationBitmap")
        that = other
        # With the GIL and no lock: to own both locks would need an order between bitmaps.
        while self.users or that.users:
            self.hold()
            self.drop()
            that.hold()
            that.drop()
        if self.r.base != that.r.base or self.r.pages != that.r.pages:
            return False
        return not self.r.n_words or memcmp(self.r.words, that.r.words, 8 * self.r.n_words) == 0

    def load_state(self, base, pages, words):
        """The bitmap is exactly this region and these bits; for test rigs.

        words: contiguous buffer of 8 * ceil(pages / 64) bytes, little-endian uint64; with
        `pages` 0 it is empty and there is no region.

        Raises: ValueError if the parts do not fit together, with the old state intact.
        """
        cdef uint64_t start = u64(base), count = u64(pages)
        cdef uint64_t n = words_for(count)
        cdef uint64_t *fresh = NULL
        cdef Py_buffer buffer
        view = state_view(start, count, self.r.max_pages, words)
        if n:
            PyObject_GetBuffer(view, &buffer, PyBUF_SIMPLE)
            fresh = bitmap_alloc(n)
            if fresh != NULL:
                memcpy(fresh, buffer.buf, 8 * n)
            PyBuffer_Release(&buffer)
            if fresh == NULL:
                raise MemoryError
            if fresh[n - 1] & slack_of(count):
                free(fresh)
                raise ValueError("words has a bit set beyond the region's last page")
        self.hold()
        free(self.r.words)
        self.r.words = fresh
        set_bounds(&self.r, start, count)
        self.drop()

    def run(self, ops, payload, results, snapshots):
        """Number of steps done: each row of `ops` is one call, in order.

        ops: shape (n, 4), uint64: an `Opcode` and its arguments a, b, c. CREATE has base, pages,
            claimed; FILL claimed; page steps gpa; range steps first, stop; EXPORT_WORDS and
            IMPORT_WORDS the offset into `payload` and the length, both in words.
        payload: shape (m,), uint64.
        results: shape (n,), int64: what each call answers.
        snapshots: shape (n, 2 + w), uint64: after each step base, pages and the words, padded
            with zeros; words beyond w are not recorded.

        Raises: ValueError, before anything runs, for a shape, an unknown opcode or an offset and
        length that leave `payload`; MemoryError as `create` does, the steps before it done.
        """
        cdef const uint64_t[:, ::1] view = checked("ops", ops, False)
        cdef uint64_t[::1] data = checked("payload", payload)
        cdef int64_t[::1] answers = checked("results", results)
        cdef uint64_t[:, ::1] rows = checked("snapshots", snapshots)
        cdef uint64_t n = view.shape[0], m = data.shape[0], width = rows.shape[1], i
        cdef uint64_t *program
        cdef int64_t answer = 0
        check_shapes(view.shape[0], view.shape[1], answers.shape[0], rows.shape[0], width)
        if n == 0:
            return 0
        # A copy, so that what was checked is what runs, whoever writes to the buffers meanwhile.
        program = <uint64_t *>malloc(32 * n)
        if program == NULL:
            raise MemoryError
        try:
            memcpy(program, &view[0, 0], 32 * n)
            check_program(program, n, m)
            self.hold()
            with nogil:
                for i in range(n):
                    answer = step(&self.r, program + 4 * i, &data[0])
                    if answer == NO_MEMORY:
                        break
                    answers[i] = answer
                    record(&self.r, &rows[i, 0], width - 2)
            self.drop()
        finally:
            free(program)
        if answer == NO_MEMORY:
            raise MemoryError
        return n


cdef int check_program(const uint64_t *program, uint64_t n, uint64_t m) except -1:
    cdef uint64_t i
    cdef const uint64_t *op
    for i in range(n):
        op = program + 4 * i
        if op[0] > OP_IMPORT_WORDS:
            raise ValueError(f"ops[{i}] has opcode {op[0]}, must be 0 to {OP_IMPORT_WORDS}")
        if op[0] >= OP_EXPORT_WORDS and (op[1] > m or op[2] > m - op[1]):
            end = int(op[1]) + int(op[2])
            raise ValueError(f"ops[{i}] leaves payload: words {op[1]} to {end} of {m}")
    return 0


@cython.final
cdef class RunTracker:
    """The pages of one guest region that are claimed, kept as runs of equal pages.

    The runs are in order and as long as can be; the first is of unclaimed pages and may be
    empty. Bit i % 64 of word i // 64 is page i counted from the region's base; words are
    uint64, and the bits of the last word beyond the region are zero. Addresses are bytes, ranges
    are half-open. Every step answers one signed 64-bit integer: its result, or minus a `Status`,
    and then nothing has changed. A new tracker has no region: every address is OUTSIDE.

    max_pages: most pages that `create` accepts, 1 to 2**40.
    mixed_2m: the refusal of a 2 MiB step over mixed pages, MIXED or SIZE_MISMATCH.
    max_runs: most runs that a step may leave, 2 to 2**40.

    Raises: ValueError for those three; in every method OverflowError for an integer outside
    0 to 2**64 - 1 and TypeError for what is not an integer.
    """

    cdef Tracker t
    # As in the bitmap. What a step costs depends on the number of flips, which are few.
    cdef int users
    cdef PyThread_type_lock lock

    def __cinit__(self, max_pages=1 << 28, mixed_2m=MIXED, max_runs=1 << 17):
        cap, mixed = settings(max_pages, mixed_2m)
        most = operator.index(max_runs)
        if not 2 <= most <= MAX_RUNS:
            raise ValueError(f"max_runs is {most}, must be 2 to {MAX_RUNS}")
        self.t.r.max_pages, self.t.r.mixed_2m = cap, mixed
        self.t.max_flips = most - 1
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.t.f.pool)
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef void hold(self) noexcept:
        self.users += 1
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self.lock, WAIT_LOCK)

    cdef void drop(self) noexcept:
        PyThread_release_lock(self.lock)
        self.users -= 1

    cdef int64_t at_page(self, RunPageStep call, uint64_t gpa) noexcept:
        cdef int64_t answer
        self.hold()
        answer = call(&self.t, gpa)
        self.drop()
        return answer

    cdef int64_t over_range(
        self, RunRangeStep call, uint64_t first, uint64_t stop, bint brief
    ) noexcept:
        cdef int64_t answer
        if not self.users and (brief or self.t.f.flips < LONG_FLIPS):
            return call(&self.t, first, stop)
        self.hold()
        with nogil:
            answer = call(&self.t, first, stop)
        self.drop()
        return answer

    @property
    def base(self):
        """Byte address of the region's first page; 0 without a region."""
        cdef uint64_t base
        self.hold()
        base = self.t.r.base
        self.drop()
        return base

    @property
    def pages(self):
        """Number of 4 KiB pages in the region; 0 without a region."""
        cdef uint64_t pages
        self.hold()
        pages = self.t.r.pages
        self.drop()
        return pages

    @property
    def max_pages(self):
        """Most pages that `create` accepts."""
        return self.t.r.max_pages

    @property
    def mixed_2m(self):
        """The refusal of a 2 MiB claim or release over mixed pages."""
        return Status(self.t.r.mixed_2m)

    @property
    def max_runs(self):
        """Most runs that a step may leave."""
        return self.t.max_flips + 1

    @property
    def runs(self):
        """Number of runs, an empty first one included; 0 without a region."""
        cdef uint64_t runs
        self.hold()
        runs = self.t.f.flips + 1 if self.t.r.pages else 0
        self.drop()
        return runs

    def __sizeof__(self):
        """Bytes of the object and of the memory that it keeps runs in."""
        cdef uint64_t room
        self.hold()
        room = self.t.f.room
        self.drop()
        return object.__sizeof__(self) + (8 * FULL + sizeof(Entry)) * room

    def create(self, base, pages, claimed):
        """Bytes of the words that `pages` pages from `base`, now recorded alike, would fill.

        claimed: 0 for no page, another number for every page.

        Refuses: MISALIGNED, EMPTY, WRAPS (the end is 2**64 or more), ABOVE_LIMIT (the end is
        above 2**52), OVER_CAP; the first that applies.
        Raises: MemoryError, with the old region intact.
        """
        cdef uint64_t start = u64(base), n = u64(pages)
        cdef bint ones = u64(claimed) != 0
        cdef int64_t answer
        self.hold()
        answer = run_create(&self.t, start, n, ones)
        self.drop()
        return told(answer)

    def fill(self, claimed):
        """0, when every page of the region is claimed, or with `claimed` 0 unclaimed."""
        cdef bint ones = u64(claimed) != 0
        self.hold()
        run_fill(&self.t, ones)
        self.drop()
        return 0

    def claim_4k(self, gpa):
        """0, when the unclaimed 4 KiB page at `gpa` is now claimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, ALREADY_CLAIMED, OUT_OF_RUNS; the first that applies.
        Raises: MemoryError, with nothing changed.
        """
        cdef uint64_t at = u64(gpa)
        return told(run_claim_4k(&self.t, at) if not self.users else self.at_page(run_claim_4k, at))

    def release_4k(self, gpa):
        """0, when the claimed 4 KiB page at `gpa` is now unclaimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, NOT_CLAIMED, OUT_OF_RUNS; the first that applies.
        Raises: MemoryError, with nothing changed.
        """
        cdef uint64_t at = u64(gpa)
        return told(run_release_4k(&self.t, at) if not self.users else self.at_page(run_release_4k, at))

    def claim_2m(self, gpa):
        """0, when the 512 unclaimed pages of the 2 MiB page at `gpa` are now claimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, ALREADY_CLAIMED, `mixed_2m`, OUT_OF_RUNS; the first
        that applies.
        Raises: MemoryError, with nothing changed.
        """
        cdef uint64_t at = u64(gpa)
        return told(run_claim_2m(&self.t, at) if not self.users else self.at_page(run_claim_2m, at))

    def release_2m(self, gpa):
        """0, when the 512 claimed pages of the 2 MiB page at `gpa` are now unclaimed.

        Refuses: MISALIGNED, WRAPS, OUTSIDE, NOT_CLAIMED, `mixed_2m`, OUT_OF_RUNS; the first that
        applies.
        Raises: MemoryError, with nothing changed.
        """
        cdef uint64_t at = u64(gpa)
        return told(run_release_2m(&self.t, at) if not self.users else self.at_page(run_release_2m, at))

    def query(self, gpa):
        """1 if the 4 KiB page at `gpa` is claimed, else 0.

        Refuses: MISALIGNED, WRAPS, OUTSIDE; the first that applies.
        """
        cdef uint64_t at = u64(gpa)
        return run_query(&self.t, at) if not self.users else self.at_page(run_query, at)

    def claim_range(self, first, stop):
        """0, when the unclaimed pages from `first` up to `stop` are now claimed.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, ALREADY_CLAIMED, MIXED, OUT_OF_RUNS; the
        first that applies.
        Raises: MemoryError, with nothing changed.
        """
        return told(self.over_range(run_claim_range, u64(first), u64(stop), True))

    def release_range(self, first, stop):
        """0, when the claimed pages from `first` up to `stop` are now unclaimed.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, NOT_CLAIMED, MIXED, OUT_OF_RUNS; the first
        that applies.
        Raises: MemoryError, with nothing changed.
        """
        return told(self.over_range(run_release_range, u64(first), u64(stop), True))

    def test_range(self, first, stop):
        """0 if no page from `first` up to `stop` is claimed, 1 if all are, 2 if some are.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE; the first that applies.
        """
        return told(self.over_range(run_test_range, u64(first), u64(stop), True))

    def count(self, first, stop):
        """Number of claimed pages from `first` up to `stop`.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE; the first that applies.
        """
        return told(self.over_range(run_count, u64(first), u64(stop), False))

    def first_unclaimed(self, first, stop):
        """Byte address of the lowest unclaimed page from `first` up to `stop`.

        Refuses: MISALIGNED, REVERSED, EMPTY, OUTSIDE, NONE_UNCLAIMED; the first that applies.
        """
        return told(self.over_range(run_first_unclaimed, u64(first), u64(stop), True))

    def export_words(self, words):
        """Number of words written into `words`, which then hold the claimed pages as bits.

        words: shape (ceil(pages / 64),), uint64, writable.

        Refuses: WRONG_LENGTH.
        Raises: TypeError or ValueError for a buffer of another kind.
        """
        cdef uint64_t[::1] target = checked("words", words)
        cdef uint64_t n = target.shape[0]
        cdef int64_t answer
        self.hold()
        with nogil:
            answer = run_export(&self.t, &target[0], n)
        self.drop()
        return answer

    def import_words(self, words):
        """0, when exactly the pages whose bits are set in `words` are claimed.

        words: shape (ceil(pages / 64),), uint64.

        Refuses: WRONG_LENGTH, then SLACK_SET for a bit beyond the region in the last word, then
        OUT_OF_RUNS.
        Raises: TypeError or ValueError for a buffer of another kind; MemoryError, with nothing
        changed.
        """
        cdef const uint64_t[::1] source = checked("words", words, False)
        cdef uint64_t n = source.shape[0]
        cdef int64_t answer
        self.hold()
        with nogil:
            answer = run_import(&self.t, &source[0], n)
        self.drop()
        return told(answer)

    def words(self):
        """The claimed pages as packed words, little-endian, 8 * ceil(pages / 64) bytes."""
        cdef bytes words
        self.hold()
        try:
            words = PyBytes_FromStringAndSize(NULL, 8 * self.t.r.n_words)
            # An empty answer is one object for all of Python: nothing is written to it.
            if self.t.r.n_words:
                run_export(&self.t, <uint64_t *>PyBytes_AS_STRING(words), self.t.r.n_words)
            return words
        finally:
            self.drop()

    def same(self, other):
        """True if `other` records the same region with the same pages claimed.

        Raises: TypeError unless `other` is a tracker of the same twin.
        """
        cdef RunTracker that
        if not isinstance(other, RunTracker):
            raise TypeError(f"other is {type(other).__name__}, must be RunTracker")
        that = other
        # With the GIL and no lock: to own both locks would need an order between trackers.
        while self.users or that.users:
            self.hold()
            self.drop()
            that.hold()
            that.drop()
        if self.t.r.base != that.t.r.base or self.t.r.pages != that.t.r.pages:
            return False
        return same_runs(&self.t.f, &that.t.f) != 0

    def to_bitmap(self):
        """A new bitmap of the same twin, with this region, these pages claimed, these settings.

        Raises: MemoryError.
        """
        cdef ValidationBitmap bitmap = ValidationBitmap(self.t.r.max_pages, self.t.r.mixed_2m)
        cdef bint done = True
        # Nobody else has the new bitmap yet, so its lock is not needed.
        self.hold()
        with nogil:
            if self.t.r.pages:
                bitmap.r.words = bitmap_alloc(self.t.r.n_words)
                done = bitmap.r.words != NULL
                if done:
                    set_bounds(&bitmap.r, self.t.r.base, self.t.r.pages)
                    run_export(&self.t, bitmap.r.words, bitmap.r.n_words)
            else:
                set_bounds(&bitmap.r, self.t.r.base, 0)
        self.drop()
        if not done:
            raise MemoryError
        return bitmap

    def load_state(self, base, pages, words):
        """The tracker records exactly this region and these pages; for test rigs.

        words: contiguous buffer of 8 * ceil(pages / 64) bytes, little-endian uint64; with
        `pages` 0 it is empty and there is no region.

        Raises: ValueError if the parts do not fit together or make more than `max_runs` runs,
        MemoryError; with the old state intact.
        """
        cdef uint64_t start = u64(base), count = u64(pages), n = words_for(count), last = 0
        cdef int64_t answer
        cdef Flips fresh
        cdef Py_buffer buffer
        view = state_view(start, count, self.t.r.max_pages, words)
        memset(&fresh, 0, sizeof(Flips))
        if n:
            PyObject_GetBuffer(view, &buffer, PyBUF_SIMPLE)
            memcpy(&last, <const char *>buffer.buf + 8 * (n - 1), 8)
            answer = 0
            if not last & slack_of(count):
                answer = build(
                    &fresh, <const char *>buffer.buf, n, last, count, self.t.max_flips
                )
            PyBuffer_Release(&buffer)
            if answer:
                free(fresh.pool)
            if answer == NO_MEMORY:
                raise MemoryError
            if answer:
                raise ValueError(f"words has more runs than max_runs, {self.t.max_flips + 1}")
            if last & slack_of(count):
                raise ValueError("words has a bit set beyond the region's last page")
        self.hold()
        free(self.t.f.pool)
        self.t.f = fresh
        set_bounds(&self.t.r, start, count)
        self.drop()

    def run(self, ops, payload, results, snapshots):
        """Number of steps done: each row of `ops` is one call, in order.

        ops: shape (n, 4), uint64: an `Opcode` and its arguments a, b, c. CREATE has base, pages,
            claimed; FILL claimed; page steps gpa; range steps first, stop; EXPORT_WORDS and
            IMPORT_WORDS the offset into `payload` and the length, both in words.
        payload: shape (m,), uint64.
        results: shape (n,), int64: what each call answers.
        snapshots: shape (n, 2 + w), uint64: after each step base, pages and the words, padded
            with zeros; words beyond w are not recorded.

        Raises: ValueError, before anything runs, for a shape, an unknown opcode or an offset and
        length that leave `payload`; MemoryError as the steps do, those before it done.
        """
        cdef const uint64_t[:, ::1] view = checked("ops", ops, False)
        cdef uint64_t[::1] data = checked("payload", payload)
        cdef int64_t[::1] answers = checked("results", results)
        cdef uint64_t[:, ::1] rows = checked("snapshots", snapshots)
        cdef uint64_t n = view.shape[0], m = data.shape[0], width = rows.shape[1], i
        cdef uint64_t *program
        cdef int64_t answer = 0
        check_shapes(view.shape[0], view.shape[1], answers.shape[0], rows.shape[0], width)
        if n == 0:
            return 0
        # A copy, so that what was checked is what runs, whoever writes to the buffers meanwhile.
        program = <uint64_t *>malloc(32 * n)
        if program == NULL:
            raise MemoryError
        try:
            memcpy(program, &view[0, 0], 32 * n)
            check_program(program, n, m)
            self.hold()
            with nogil:
                for i in range(n):
                    answer = run_step(&self.t, program + 4 * i, &data[0])
                    if answer == NO_MEMORY:
                        break
                    answers[i] = answer
                    run_record(&self.t, &rows[i, 0], width - 2)
            self.drop()
        finally:
            free(program)
        if answer == NO_MEMORY:
            raise MemoryError
        return n


# The stages of the handoff; `_handoff.pxd` has what they do.


cdef int room(str name, uint64_t have, uint64_t needed) except -1:
    if have < needed:
        raise ValueError(f"{name} has {have} words, must have {needed} or more")
    return 0


def handoff_read(area, limit_page, entries):
    """Number of entries of the map in `area`, now in `entries`.

    area: uint8.
    entries: uint64, room for 3 words for each 24 bytes of the area.

    Refuses: NONZERO_RESERVED, UNKNOWN_TYPE, WRAPS, ABOVE_LIMIT, UNSORTED, OVERLAPS for the first
    entry that is wrong, then NO_MEMORY; the first that applies.
    Raises: ValueError for too little room.
    """
    cdef const uint8_t[::1] source = checked("area", area, False)
    cdef uint64_t[::1] rows = checked("entries", entries)
    cdef uint64_t limit = u64(limit_page), slots = source.shape[0] // SLOT_BYTES
    cdef int64_t answer
    room("entries", rows.shape[0], 3 * slots)
    with nogil:
        answer = read_map(&source[0], slots, limit, <MapEntry *>&rows[0])
    return answer


def handoff_size(entries, cap_pages, track, sizes):
    """0, when `sizes` holds the pages tracked and the pages of their bitmaps.

    entries: uint64, 3 words each.
    sizes: uint64, 2 words.

    Refuses: OVER_CAP.
    Raises: ValueError for too little room.
    """
    cdef const uint64_t[::1] rows = checked("entries", entries, False)
    cdef uint64_t[::1] found = checked("sizes", sizes)
    cdef uint64_t cap = u64(cap_pages), n = rows.shape[0] // 3
    cdef bint tracked = track
    room("sizes", found.shape[0], 2)
    return size_map(<const MapEntry *>&rows[0], n, cap, tracked, &found[0], &found[1])


def handoff_reserve(entries, kernel, excluded, bitmap_pages, limit_page, reserved):
    """0, when `reserved` holds the kernel's range and that of the bitmaps' region.

    entries: uint64, 3 words each.
    kernel: uint64, its base, least size and greatest size.
    excluded: uint64, 2 words each.
    reserved: uint64, 4 words.

    Refuses: BAD_KERNEL_BOUNDS, KERNEL_OUTSIDE, KERNEL_MEETS_EXCLUDED, NO_ROOM; the first that
    applies.
    Raises: ValueError for too little room.
    """
    cdef const uint64_t[::1] rows = checked("entries", entries, False)
    cdef const uint64_t[::1] bounds = checked("kernel", kernel, False)
    cdef const uint64_t[::1] taken = checked("excluded", excluded, False)
    cdef uint64_t[::1] found = checked("reserved", reserved)
    cdef uint64_t bitmap = u64(bitmap_pages), limit = u64(limit_page)
    cdef uint64_t n = rows.shape[0] // 3, m = taken.shape[0] // 2
    cdef const MapEntry *known = <const MapEntry *>&rows[0]
    cdef const Span *ranges = <const Span *>&taken[0]
    cdef Span *spans = <Span *>&found[0]
    cdef int64_t answer
    room("kernel", bounds.shape[0], 3)
    room("reserved", found.shape[0], 4)
    with nogil:
        answer = reserve_map(
            known, n, bounds[0], bounds[1], bounds[2], ranges, m, bitmap, limit, spans, spans + 1
        )
    return answer


def handoff_carve(entries, reserved, low_pages, guest):
    """Number of ranges that are the guest's, now in `guest`.

    entries: uint64, 3 words each.
    reserved: uint64, 4 words, as `handoff_reserve` leaves them.
    guest: uint64, room for 6 words for each entry.

    Refuses: NO_LOW_MEMORY.
    Raises: ValueError for too little room.
    """
    cdef const uint64_t[::1] rows = checked("entries", entries, False)
    cdef const uint64_t[::1] kept = checked("reserved", reserved, False)
    cdef uint64_t[::1] ranges = checked("guest", guest)
    cdef uint64_t low = u64(low_pages), n = rows.shape[0] // 3
    cdef const Span *spans = <const Span *>&kept[0]
    room("reserved", kept.shape[0], 4)
    room("guest", ranges.shape[0], 2 * PARTS * n)
    return carve_map(<const MapEntry *>&rows[0], n, spans[0], spans[1], low, <Span *>&ranges[0])


def handoff_fit(guest, address, size, terminator, written):
    """0 if the ranges in `guest` may be written into the `size` bytes at `address`.

    guest: uint64, 2 words each.

    Refuses: ALREADY_WRITTEN, MISALIGNED, AREA_OUTSIDE, TOO_MANY; the first that applies.
    """
    cdef const uint64_t[::1] ranges = checked("guest", guest, False)
    cdef uint64_t m = ranges.shape[0] // 2
    return fit_map(<const Span *>&ranges[0], m, u64(address), u64(size), terminator, written)


def handoff_put(memory, offset, size, guest, prevalidated):
    """Number of ranges written into the `size` bytes from `offset` of the pages in `memory`.

    memory: uint8, writable; zeroed before, unless `prevalidated`.
    guest: uint64, 2 words each.

    Raises: ValueError, before anything is written, if the area leaves the memory, or the ranges
    the area.
    """
    cdef uint8_t[::1] target = checked("memory", memory)
    cdef const uint64_t[::1] ranges = checked("guest", guest, False)
    cdef uint64_t begin = u64(offset), length = u64(size)
    cdef uint64_t bytes_there = target.shape[0], m = ranges.shape[0] // 2
    cdef bint kept = prevalidated
    if begin > bytes_there or length > bytes_there - begin or m > length // SLOT_BYTES:
        raise ValueError(
            f"{m} entries, {length} bytes at {begin}: memory has {bytes_there} bytes"
        )
    with nogil:
        put_map(&target[0], bytes_there, begin, length, <const Span *>&ranges[0], m, kept)
    return m


def handoff_run(area, plan, excluded, entries, guest, found):
    """Number of entries of the map in `area`, when every stage but the last write is done.

    area: uint8.
    plan: uint64, 11 words: limit_page, cap_pages, track, the kernel's base, least and greatest,
        low_pages, the guest area's address and size, with_terminator, already_written.
    excluded: uint64, 2 words each.
    entries, guest: uint64, room for 3 and 6 words for each 24 bytes of the area.
    found: uint64, 7 words: sizes, the kernel's range, the region's, how many ranges `guest` has.

    Refuses: as `handoff_read`, `handoff_size`, `handoff_reserve`, `handoff_carve` and
    `handoff_fit` do, in this order.
    Raises: ValueError for too little room.
    """
    cdef const uint8_t[::1] source = checked("area", area, False)
    cdef const uint64_t[::1] words = checked("plan", plan, False)
    cdef const uint64_t[::1] taken = checked("excluded", excluded, False)
    cdef uint64_t[::1] rows = checked("entries", entries)
    cdef uint64_t[::1] ranges = checked("guest", guest)
    cdef uint64_t[::1] told = checked("found", found)
    cdef uint64_t slots = source.shape[0] // SLOT_BYTES, m = taken.shape[0] // 2
    cdef int64_t answer
    room("plan", words.shape[0], sizeof(Plan) // 8)
    room("entries", rows.shape[0], 3 * slots)
    room("guest", ranges.shape[0], 2 * PARTS * slots)
    room("found", told.shape[0], sizeof(Found) // 8)
    with nogil:
        answer = hand_over(
            &source[0], slots, <const Plan *>&words[0], <const Span *>&taken[0], m,
            <MapEntry *>&rows[0], <Span *>&ranges[0], <Found *>&told[0],
        )
    return answer


@cython.final
cdef class EmptyCall:
    """The yardstick for a point step: a call that takes an address and does nothing."""

    def call(self, uint64_t gpa):
        """0; costs what it costs to pass one uint64 in and one int64 out."""
        cdef int64_t answer = 0
        return answer


@cython.final
cdef class PlainWords:
    """The yardstick for a whole-region step: as many words, written or read once.

    words: number of uint64 words, 1 or more.
    """

    cdef uint64_t *words
    cdef uint64_t n

    def __cinit__(self, words):
        cdef uint64_t n = words
        if n == 0:
            raise ValueError("words is 0, must be 1 or more")
        if n > UINT64_MAX >> 4:
            raise MemoryError
        self.words = bitmap_alloc(n)
        if self.words == NULL:
            raise MemoryError
        self.n = n
        memset(self.words, 0, 8 * n)

    def __dealloc__(self):
        free(self.words)

    def write(self, uint64_t byte):
        """0, when every byte is the low 8 bits of `byte`: one memset."""
        memset(self.words, <int>(byte & 0xFF), 8 * self.n)
        return 0

    def read(self):
        """The sum of all words modulo 2**64, as an int64: one plain read of memory."""
        return <int64_t>words_sum(self.words, self.n)


# Accessors to device registers: `address` is memory of this process, aligned to the width. They
# have no twin in Python, which has no way to make one access of a width that it is told.


def mmio_read(uint64_t address, size_t length):
    """The `length` bytes that one load at `address` answers; -1 where it is no width."""
    cdef uint8_t data[8]
    if svsm_mmio_read(<const void *>address, data, length):
        return -1
    return PyBytes_FromStringAndSize(<const char *>data, <Py_ssize_t>length)


def mmio_write(uint64_t address, bytes data):
    """0 where one store at `address` wrote `data`; -1 where its length is no width."""
    return svsm_mmio_write(
        <void *>address, PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data)
    )


def mmio_read_u8(uint64_t address):
    """The 8 bits at `address`, by one load."""
    return svsm_mmio_read_u8(<const void *>address)


def mmio_read_u16(uint64_t address):
    """The 16 bits at `address`, by one load."""
    return svsm_mmio_read_u16(<const void *>address)


def mmio_read_u32(uint64_t address):
    """The 32 bits at `address`, by one load."""
    return svsm_mmio_read_u32(<const void *>address)


def mmio_read_u64(uint64_t address):
    """The 64 bits at `address`, by one load."""
    return svsm_mmio_read_u64(<const void *>address)


def mmio_write_u8(uint64_t address, uint8_t value):
    """0, when 8 bits are written at `address` by one store."""
    svsm_mmio_write_u8(<void *>address, value)
    return 0


def mmio_write_u16(uint64_t address, uint16_t value):
    """0, when 16 bits are written at `address` by one store."""
    svsm_mmio_write_u16(<void *>address, value)
    return 0


def mmio_write_u32(uint64_t address, uint32_t value):
    """0, when 32 bits are written at `address` by one store."""
    svsm_mmio_write_u32(<void *>address, value)
    return 0


def mmio_write_u64(uint64_t address, uint64_t value):
    """0, when 64 bits are written at `address` by one store."""
    svsm_mmio_write_u64(<void *>address, value)
    return 0


# By width: 1, 2, 4 and 8 bytes.
MMIO_LOADS = (mmio_read_u8, mmio_read_u16, mmio_read_u32, mmio_read_u64)
MMIO_STORES = (mmio_write_u8, mmio_write_u16, mmio_write_u32, mmio_write_u64)
