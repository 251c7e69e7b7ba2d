# cython: language_level=3
"""The C names that `_fast` and `_steps` share: constants, allocator, popcnt and the kernels.

The kernels are defined in `_fast.pyx`. Here they are declared as if they were foreign: else
Cython would look for them, at run time, in a module that is called `_words`.
"""

from libc.stdint cimport int64_t, uint64_t

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

    bint point_test "bitmap_point_test"(const uint64_t *words, uint64_t page)
    void point_set "bitmap_point_set"(uint64_t *words, uint64_t page)
    void point_clear "bitmap_point_clear"(uint64_t *words, uint64_t page)
    int64_t range_test "bitmap_range_test"(const uint64_t *words, uint64_t first, uint64_t stop)
    void range_fill "bitmap_range_fill"(uint64_t *words, uint64_t first, uint64_t stop, bint ones)
    int64_t large_test "bitmap_large_test"(const uint64_t *words, uint64_t page)
    void large_fill "bitmap_large_fill"(uint64_t *words, uint64_t page, bint ones)
    uint64_t range_count "bitmap_range_count"(const uint64_t *words, uint64_t first, uint64_t stop)
    uint64_t range_find_clear "bitmap_range_find_clear"(
        const uint64_t *words, uint64_t first, uint64_t stop
    )

cdef enum:
    # As in `impl.abi`; the tests compare each answer with a definition that uses those.
    RANGE_NONE = 0
    RANGE_ALL = 1
    RANGE_MIXED = 2
    # Words looked at between two early exits: long enough to vectorize, short enough to stop.
    BLOCK = 64
