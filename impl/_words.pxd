# cython: language_level=3
"""Kernels over packed words: what each does to bits, and nothing about what is allowed.

Bit i % 64 of word i // 64 is page i. `words` covers every index given; a range of pages is
half-open and not empty. Each kernel is a C function of its own: no allocation, no Python.
"""

from libc.stdint cimport UINT64_MAX, int64_t, uint64_t
from libc.string cimport memset

cdef extern from * nogil:
    """
    #include <stdlib.h>
    #include <sys/mman.h>

    /* 64 bytes is a cache line. From 2 MiB on, alignment to 2 MiB and the advice let the kernel
       back the words with huge pages; the size is not rounded up, so no memory is lost. */
    static uint64_t *bitmap_alloc(uint64_t words) {
        const size_t huge = (size_t)1 << 21;
        size_t bytes = 8 * (size_t)words;
        void *memory = NULL;
        if (posix_memalign(&memory, bytes < huge ? 64 : huge, bytes)) return NULL;
    #ifdef MADV_HUGEPAGE
        if (bytes >= huge) (void)madvise(memory, bytes & ~(huge - 1), MADV_HUGEPAGE);
    #endif
        return (uint64_t *)memory;
    }

    /* The instruction by name: __builtin_popcountll would be a library call unless the whole
       file were compiled for processors that have it, as every processor with SEV-SNP or TDX is. */
    #if defined(__x86_64__)
    static int bitmap_has_popcnt(void) {
        return __builtin_cpu_supports("popcnt") != 0;
    }
    static inline uint64_t bitmap_popcnt(uint64_t word) {
        uint64_t bits;
        __asm__("popcntq %1, %0" : "=r"(bits) : "rm"(word) : "cc");
        return bits;
    }
    #else
    static int bitmap_has_popcnt(void) { return 0; }
    #define bitmap_popcnt __builtin_popcountll
    #endif

    /* Each kernel stays a function of its own, so that its machine code can be found by name and
       audited; next to the Python call around it, a call inside costs nothing. */
    #if defined(__clang__)
    #define KERNEL static __attribute__((noinline))
    #else
    #define KERNEL static __attribute__((noipa))
    #pragma GCC diagnostic ignored "-Wattributes"  /* Cython calls them inline all the same. */
    #endif
    KERNEL int bitmap_point_test(const uint64_t *, uint64_t);
    KERNEL void bitmap_point_set(uint64_t *, uint64_t);
    KERNEL void bitmap_point_clear(uint64_t *, uint64_t);
    KERNEL int64_t bitmap_range_test(const uint64_t *, uint64_t, uint64_t);
    KERNEL void bitmap_range_fill(uint64_t *, uint64_t, uint64_t, int);
    KERNEL int64_t bitmap_large_test(const uint64_t *, uint64_t);
    KERNEL void bitmap_large_fill(uint64_t *, uint64_t, int);
    KERNEL uint64_t bitmap_words_count_popcnt(const uint64_t *, uint64_t);
    KERNEL uint64_t bitmap_words_count_plain(const uint64_t *, uint64_t);
    KERNEL uint64_t bitmap_words_count(const uint64_t *, uint64_t);
    KERNEL uint64_t bitmap_range_count(const uint64_t *, uint64_t, uint64_t);
    KERNEL uint64_t bitmap_range_find_clear(const uint64_t *, uint64_t, uint64_t);
    KERNEL uint64_t bitmap_words_sum(const uint64_t *, uint64_t);
    """
    uint64_t *bitmap_alloc(uint64_t words)
    bint bitmap_has_popcnt()
    uint64_t bitmap_popcnt(uint64_t word)
    int popcount "__builtin_popcountll" (uint64_t word)
    int ctz "__builtin_ctzll" (uint64_t word)

cdef enum:
    # As in `impl.abi`; the tests compare each answer with a definition that uses those.
    RANGE_NONE = 0
    RANGE_ALL = 1
    RANGE_MIXED = 2
    # Words looked at between two early exits: long enough to vectorize, short enough to stop.
    BLOCK = 64


cdef inline bint point_test "bitmap_point_test"(
    const uint64_t *words, uint64_t page
) noexcept nogil:
    return (words[page >> 6] >> (page & 63)) & 1


cdef inline void point_set "bitmap_point_set"(uint64_t *words, uint64_t page) noexcept nogil:
    words[page >> 6] |= 1ULL << (page & 63)


cdef inline void point_clear "bitmap_point_clear"(uint64_t *words, uint64_t page) noexcept nogil:
    words[page >> 6] &= ~(1ULL << (page & 63))


cdef inline int64_t range_test "bitmap_range_test"(
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


cdef inline void range_fill "bitmap_range_fill"(
    uint64_t *words, uint64_t first, uint64_t stop, bint ones
) noexcept nogil:
    cdef uint64_t left = first >> 6, last = (stop - 1) >> 6
    cdef uint64_t head = UINT64_MAX << (first & 63), tail = UINT64_MAX >> (63 - ((stop - 1) & 63))
    if left == last:
        head &= tail
        words[left] = words[left] | head if ones else words[left] & ~head
        return
    words[left] = words[left] | head if ones else words[left] & ~head
    memset(words + left + 1, 0xFF if ones else 0, 8 * (last - left - 1))
    words[last] = words[last] | tail if ones else words[last] & ~tail


cdef inline int64_t large_test "bitmap_large_test"(
    const uint64_t *words, uint64_t page
) noexcept nogil:
    # 512 bits are 8 words, or 9 when they start inside a word; the ninth may not exist otherwise.
    cdef const uint64_t *at = words + (page >> 6)
    cdef uint64_t head = UINT64_MAX << (page & 63)
    cdef uint64_t some = at[0] & head, every = at[0] | ~head
    cdef int i
    for i in range(1, 8):
        some |= at[i]
        every &= at[i]
    if page & 63:
        some |= at[8] & ~head
        every &= at[8] | head
    return RANGE_NONE if some == 0 else RANGE_ALL if every == UINT64_MAX else RANGE_MIXED


cdef inline void large_fill "bitmap_large_fill"(
    uint64_t *words, uint64_t page, bint ones
) noexcept nogil:
    cdef uint64_t *at = words + (page >> 6)
    cdef uint64_t head = UINT64_MAX << (page & 63), whole = UINT64_MAX if ones else 0
    cdef int i
    at[0] = (at[0] & ~head) | (whole & head)
    for i in range(1, 8):
        at[i] = whole
    if page & 63:
        at[8] = (at[8] & head) | (whole & ~head)


cdef inline uint64_t words_count_popcnt "bitmap_words_count_popcnt"(
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


cdef inline uint64_t words_count_plain "bitmap_words_count_plain"(
    const uint64_t *words, uint64_t n
) noexcept nogil:
    cdef uint64_t total = 0, i
    for i in range(n):
        total += popcount(words[i])
    return total


cdef inline uint64_t words_count "bitmap_words_count"(
    const uint64_t *words, uint64_t n
) noexcept nogil:
    return words_count_popcnt(words, n) if bitmap_has_popcnt() else words_count_plain(words, n)


cdef inline uint64_t range_count "bitmap_range_count"(
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


cdef inline uint64_t range_find_clear "bitmap_range_find_clear"(
    const uint64_t *words, uint64_t first, uint64_t stop
) noexcept nogil:
    # Index of the lowest clear bit, or `stop`.
    cdef uint64_t at = first >> 6, last = (stop - 1) >> 6
    cdef uint64_t word = words[at] | ~(UINT64_MAX << (first & 63)), page
    cdef uint64_t a, b, c, d
    cdef int i
    while word == UINT64_MAX and at < last:
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
        word = words[at]
    if word == UINT64_MAX:
        return stop
    page = 64 * at + ctz(~word)
    return page if page < stop else stop


cdef inline uint64_t words_sum "bitmap_words_sum"(const uint64_t *words, uint64_t n) noexcept nogil:
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
