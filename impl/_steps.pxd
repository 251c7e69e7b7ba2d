# cython: language_level=3
"""Steps over a region: each checks its arguments in the order its docstring states, then acts.

A method call and a row of a batch run the same step. It answers a result of 0 or more, or
minus a status with nothing changed. The docstrings are on the class in `_fast`.
"""

from libc.stdint cimport INT64_MIN, UINT64_MAX, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from impl._words cimport (
    RANGE_ALL,
    RANGE_NONE,
    bitmap_alloc,
    large_fill,
    large_test,
    point_clear,
    point_set,
    point_test,
    range_count,
    range_fill,
    range_find_clear,
    range_test,
)

cdef enum:
    # `impl.abi` as compile-time constants, which a switch and a fast path need; the tests
    # compare every answer with a definition that uses the numbers there.
    MISALIGNED = 1
    WRAPS = 2
    OUTSIDE = 3
    EMPTY = 4
    REVERSED = 5
    ALREADY_CLAIMED = 6
    NOT_CLAIMED = 7
    MIXED = 8
    NONE_UNCLAIMED = 10
    WRONG_LENGTH = 11
    SLACK_SET = 12
    ABOVE_LIMIT = 13
    OVER_CAP = 14
    OUT_OF_RUNS = 15

    OP_CREATE = 0
    OP_FILL = 1
    OP_CLAIM_4K = 2
    OP_CLAIM_2M = 3
    OP_CLAIM_RANGE = 4
    OP_RELEASE_4K = 5
    OP_RELEASE_2M = 6
    OP_RELEASE_RANGE = 7
    OP_QUERY = 8
    OP_TEST_RANGE = 9
    OP_COUNT = 10
    OP_FIRST_UNCLAIMED = 11
    OP_EXPORT_WORDS = 12
    OP_IMPORT_WORDS = 13

    PAGE_SHIFT = 12
    PAGE_4K = 4096
    PAGE_2M = 2097152
    ADDRESS_SHIFT = 52


cdef struct Region:
    uint64_t base
    uint64_t pages
    uint64_t size           # bytes of guest memory: 4096 * pages
    uint64_t n_words
    uint64_t max_pages
    int64_t mixed_2m
    uint64_t *words         # owned; NULL without a region

ctypedef int64_t (*PageStep)(Region *, uint64_t) noexcept nogil
ctypedef int64_t (*RangeStep)(Region *, uint64_t, uint64_t) noexcept nogil


cdef inline uint64_t slack_of(uint64_t pages) noexcept nogil:
    return UINT64_MAX << (pages & 63) if pages & 63 else 0


cdef inline void fill_all(Region *r, bint ones) noexcept nogil:
    if r.pages:
        range_fill(r.words, 0, r.pages, ones)


cdef inline uint64_t words_for(uint64_t pages) noexcept nogil:
    return (pages >> 6) + ((pages & 63) != 0)


cdef inline int64_t create_refusal(Region *r, uint64_t base, uint64_t pages) noexcept nogil:
    if base & (PAGE_4K - 1):
        return -MISALIGNED
    if pages == 0:
        return -EMPTY
    if pages > (UINT64_MAX - base) >> PAGE_SHIFT:
        return -WRAPS
    if base + (pages << PAGE_SHIFT) > <uint64_t>1 << ADDRESS_SHIFT:
        return -ABOVE_LIMIT
    return -OVER_CAP if pages > r.max_pages else 0


cdef inline void set_bounds(Region *r, uint64_t base, uint64_t pages) noexcept nogil:
    r.base = base
    r.pages = pages
    r.size = pages << PAGE_SHIFT
    r.n_words = words_for(pages)


cdef inline int64_t step_create(
    Region *r, uint64_t base, uint64_t pages, bint claimed
) noexcept nogil:
    cdef int64_t refusal = create_refusal(r, base, pages)
    cdef uint64_t n = words_for(pages)
    cdef uint64_t *fresh
    if refusal:
        return refusal
    if n != r.n_words:
        fresh = bitmap_alloc(n)
        if fresh == NULL:
            return INT64_MIN
        free(r.words)
        r.words = fresh
    set_bounds(r, base, pages)
    r.words[n - 1] = 0
    fill_all(r, claimed)
    return <int64_t>(8 * n)


cdef inline int64_t step_fill(Region *r, bint claimed) noexcept nogil:
    fill_all(r, claimed)
    return 0


cdef inline int64_t page_refusal(Region *r, uint64_t gpa, uint64_t size) noexcept nogil:
    # Below the base the subtraction wraps to more than any size, so one comparison does.
    cdef uint64_t offset = gpa - r.base
    if gpa & (size - 1):
        return -MISALIGNED
    if offset < r.size and size <= r.size - offset:
        return 0
    return -WRAPS if gpa > UINT64_MAX - size else -OUTSIDE


cdef inline int64_t range_refusal(Region *r, uint64_t first, uint64_t stop) noexcept nogil:
    if (first | stop) & (PAGE_4K - 1):
        return -MISALIGNED
    if stop < first:
        return -REVERSED
    if stop == first:
        return -EMPTY
    if first < r.base or stop > r.base + r.size:
        return -OUTSIDE
    return 0


cdef inline uint64_t index_of(Region *r, uint64_t gpa) noexcept nogil:
    return (gpa - r.base) >> PAGE_SHIFT


cdef inline int64_t step_claim_4k(Region *r, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(r, gpa, PAGE_4K)
    if refusal:
        return refusal
    if point_test(r.words, index_of(r, gpa)):
        return -ALREADY_CLAIMED
    point_set(r.words, index_of(r, gpa))
    return 0


cdef inline int64_t step_release_4k(Region *r, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(r, gpa, PAGE_4K)
    if refusal:
        return refusal
    if not point_test(r.words, index_of(r, gpa)):
        return -NOT_CLAIMED
    point_clear(r.words, index_of(r, gpa))
    return 0


cdef inline int64_t step_query(Region *r, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(r, gpa, PAGE_4K)
    return refusal if refusal else point_test(r.words, index_of(r, gpa))


cdef inline int64_t step_claim_2m(Region *r, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(r, gpa, PAGE_2M), state
    if refusal:
        return refusal
    state = large_test(r.words, index_of(r, gpa))
    if state != RANGE_NONE:
        return -ALREADY_CLAIMED if state == RANGE_ALL else -r.mixed_2m
    large_fill(r.words, index_of(r, gpa), True)
    return 0


cdef inline int64_t step_release_2m(Region *r, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(r, gpa, PAGE_2M), state
    if refusal:
        return refusal
    state = large_test(r.words, index_of(r, gpa))
    if state != RANGE_ALL:
        return -NOT_CLAIMED if state == RANGE_NONE else -r.mixed_2m
    large_fill(r.words, index_of(r, gpa), False)
    return 0


cdef inline int64_t step_claim_range(Region *r, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(r, first, stop), state
    if refusal:
        return refusal
    state = range_test(r.words, index_of(r, first), index_of(r, stop))
    if state != RANGE_NONE:
        return -ALREADY_CLAIMED if state == RANGE_ALL else -MIXED
    range_fill(r.words, index_of(r, first), index_of(r, stop), True)
    return 0


cdef inline int64_t step_release_range(Region *r, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(r, first, stop), state
    if refusal:
        return refusal
    state = range_test(r.words, index_of(r, first), index_of(r, stop))
    if state != RANGE_ALL:
        return -NOT_CLAIMED if state == RANGE_NONE else -MIXED
    range_fill(r.words, index_of(r, first), index_of(r, stop), False)
    return 0


cdef inline int64_t step_test_range(Region *r, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(r, first, stop)
    return refusal if refusal else range_test(r.words, index_of(r, first), index_of(r, stop))


cdef inline int64_t step_count(Region *r, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(r, first, stop)
    if refusal:
        return refusal
    return <int64_t>range_count(r.words, index_of(r, first), index_of(r, stop))


cdef inline int64_t step_first_unclaimed(Region *r, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(r, first, stop)
    cdef uint64_t page
    if refusal:
        return refusal
    page = range_find_clear(r.words, index_of(r, first), index_of(r, stop))
    if page == index_of(r, stop):
        return -NONE_UNCLAIMED
    return <int64_t>(r.base + (page << PAGE_SHIFT))


cdef inline int64_t step_export(Region *r, uint64_t *target, uint64_t n) noexcept nogil:
    if n != r.n_words:
        return -WRONG_LENGTH
    if n:
        memcpy(target, r.words, 8 * n)
    return <int64_t>n


cdef inline int64_t step_import(Region *r, const uint64_t *source, uint64_t n) noexcept nogil:
    # The last word is read once: what was checked is what is stored, whoever writes to `source`.
    cdef uint64_t last
    if n != r.n_words:
        return -WRONG_LENGTH
    if n == 0:
        return 0
    last = source[n - 1]
    if last & slack_of(r.pages):
        return -SLACK_SET
    memcpy(r.words, source, 8 * (n - 1))
    r.words[n - 1] = last
    return 0


cdef inline int64_t step(Region *r, const uint64_t *op, uint64_t *payload) noexcept nogil:
    cdef uint64_t a = op[1], b = op[2]
    if op[0] == OP_CREATE:
        return step_create(r, a, b, op[3] != 0)
    elif op[0] == OP_FILL:
        return step_fill(r, a != 0)
    elif op[0] == OP_CLAIM_4K:
        return step_claim_4k(r, a)
    elif op[0] == OP_CLAIM_2M:
        return step_claim_2m(r, a)
    elif op[0] == OP_CLAIM_RANGE:
        return step_claim_range(r, a, b)
    elif op[0] == OP_RELEASE_4K:
        return step_release_4k(r, a)
    elif op[0] == OP_RELEASE_2M:
        return step_release_2m(r, a)
    elif op[0] == OP_RELEASE_RANGE:
        return step_release_range(r, a, b)
    elif op[0] == OP_QUERY:
        return step_query(r, a)
    elif op[0] == OP_TEST_RANGE:
        return step_test_range(r, a, b)
    elif op[0] == OP_COUNT:
        return step_count(r, a, b)
    elif op[0] == OP_FIRST_UNCLAIMED:
        return step_first_unclaimed(r, a, b)
    elif op[0] == OP_EXPORT_WORDS:
        return step_export(r, payload + a, b)
    return step_import(r, payload + a, b)


cdef inline void record(Region *r, uint64_t *row, uint64_t room) noexcept nogil:
    cdef uint64_t kept = r.n_words if r.n_words < room else room
    row[0] = r.base
    row[1] = r.pages
    if kept:
        memcpy(row + 2, r.words, 8 * kept)
    memset(row + 2 + kept, 0, 8 * (room - kept))
