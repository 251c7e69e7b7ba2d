# cython: language_level=3
"""Steps over runs: the same checks in the same order as in `_steps`, then what they do to runs.

A step answers a result of 0 or more, or minus a status, or INT64_MIN without memory; below 0
nothing has changed. The docstrings are on the class in `_fast`.
"""

from libc.stdint cimport INT64_MIN, UINT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from impl._runs cimport (
    FULL,
    JOINED,
    Entry,
    Flips,
    Place,
    count_runs,
    insert_flips,
    locate,
    remove_flips,
    write_runs,
)
from impl._steps cimport (
    ALREADY_CLAIMED,
    MIXED,
    NONE_UNCLAIMED,
    NOT_CLAIMED,
    OP_CLAIM_2M,
    OP_CLAIM_4K,
    OP_CLAIM_RANGE,
    OP_COUNT,
    OP_CREATE,
    OP_EXPORT_WORDS,
    OP_FILL,
    OP_FIRST_UNCLAIMED,
    OP_QUERY,
    OP_RELEASE_2M,
    OP_RELEASE_4K,
    OP_RELEASE_RANGE,
    OP_TEST_RANGE,
    OUT_OF_RUNS,
    PAGE_2M,
    PAGE_4K,
    PAGE_SHIFT,
    SLACK_SET,
    WRONG_LENGTH,
    Region,
    create_refusal,
    index_of,
    page_refusal,
    range_refusal,
    set_bounds,
    slack_of,
)
from impl._words cimport RANGE_MIXED, bitmap_alloc, ctz


cdef struct Tracker:
    Region r                # `words` stays NULL: they are made when they are asked for
    Flips f
    uint64_t max_flips      # one less than the runs that they part

ctypedef int64_t (*RunPageStep)(Tracker *, uint64_t) noexcept nogil
ctypedef int64_t (*RunRangeStep)(Tracker *, uint64_t, uint64_t) noexcept nogil


cdef inline bint reserve(Flips *f, uint64_t blocks, uint64_t max_flips) noexcept nogil:
    """True if there is room for `blocks` blocks; else there is no memory, and nothing changed."""
    cdef uint64_t room = 2 * f.room if f.room > 2 else 4, most = max_flips // (JOINED // 2) + 2, i
    cdef uint64_t *pool
    cdef Entry *top
    if blocks <= f.room:
        return True
    # Two neighbours have more than JOINED flips, so more blocks than that are never in use.
    if room > most:
        room = most
    if room < blocks:
        room = blocks
    if room > UINT64_MAX >> 32:
        return False
    # An entry is two words.
    pool = bitmap_alloc((FULL + 2) * room)
    if pool == NULL:
        return False
    top = <Entry *>(pool + FULL * room)
    if f.room:
        memcpy(pool, f.pool, 8 * FULL * f.room)
        memcpy(top, f.top, sizeof(Entry) * f.room)
    for i in range(f.room, room):
        top[i].block = <uint32_t>i
    free(f.pool)
    f.pool, f.top, f.room = pool, top, room
    return True


cdef inline void reset(Flips *f, bint claimed) noexcept nogil:
    f.flips = claimed
    f.blocks = 1
    f.top[0].first = 0
    f.top[0].odd = 0
    f.top[0].n = claimed
    f.pool[FULL * <uint64_t>f.top[0].block] = 0


cdef inline int64_t build(
    Flips *f, const char *source, uint64_t n, uint64_t last, uint64_t pages, uint64_t max_flips
) noexcept nogil:
    """0, when `f`, new and empty, has the flips of `n` words, the last of them `last`.

    Each word is read once, so that what is stored is one set of pages, whoever writes to them.
    """
    cdef uint64_t i, word, edges, before = 0
    cdef Entry *entry
    if not reserve(f, 1, max_flips):
        return INT64_MIN
    reset(f, False)
    for i in range(n):
        word = last
        if i < n - 1:
            memcpy(&word, source + 8 * i, 8)
        edges = word ^ (word << 1 | before)
        before = word >> 63
        if i == n - 1:
            edges &= ~slack_of(pages)
        while edges:
            if f.flips == max_flips:
                return -OUT_OF_RUNS
            entry = f.top + f.blocks - 1
            if entry.n == FULL:
                if not reserve(f, f.blocks + 1, max_flips):
                    return INT64_MIN
                entry = f.top + f.blocks
                f.blocks += 1
                entry.n = 0
                entry.odd = f.flips & 1
            if entry.n == 0:
                entry.first = 64 * i + ctz(edges)
            f.pool[FULL * <uint64_t>entry.block + entry.n] = 64 * i + ctz(edges)
            entry.n += 1
            f.flips += 1
            edges &= edges - 1
    return 0


cdef inline int64_t run_create(
    Tracker *t, uint64_t base, uint64_t pages, bint claimed
) noexcept nogil:
    cdef int64_t refusal = create_refusal(&t.r, base, pages)
    if refusal:
        return refusal
    if not reserve(&t.f, 1, t.max_flips):
        return INT64_MIN
    set_bounds(&t.r, base, pages)
    reset(&t.f, claimed)
    return <int64_t>(8 * t.r.n_words)


cdef inline int64_t run_fill(Tracker *t, bint claimed) noexcept nogil:
    if t.r.pages:
        reset(&t.f, claimed)
    return 0


cdef inline uint64_t *flip_at(Flips *f, Place place) noexcept nogil:
    return f.pool + FULL * <uint64_t>f.top[place.entry].block + place.at


cdef inline int64_t state_at(Flips *f, Place place) noexcept nogil:
    return (f.top[place.entry].odd + place.at) & 1


cdef inline uint64_t next_flip(Tracker *t, Place place) noexcept nogil:
    """The first flip after the page that `place` is of, or the end of the region."""
    if place.at < t.f.top[place.entry].n:
        return flip_at(&t.f, place)[0]
    if place.entry + 1 < t.f.blocks:
        return t.f.top[place.entry + 1].first
    return t.r.pages


cdef inline void move_flip(Flips *f, uint64_t entry, uint64_t at, uint64_t page) noexcept nogil:
    f.pool[FULL * <uint64_t>f.top[entry].block + at] = page
    if at == 0:
        f.top[entry].first = page


cdef inline int64_t change(
    Tracker *t, uint64_t first, uint64_t stop, bint claimed, int64_t mixed
) noexcept nogil:
    """Pages that are all alike and not `claimed` yet become so: at most two flips come or go."""
    cdef Flips *f = &t.f
    cdef Place place = locate(f, first)
    cdef uint64_t after = next_flip(t, place), n
    cdef uint64_t fresh[2]
    cdef bint begins = place.at and flip_at(f, place)[-1] == first
    if after < stop:
        return -mixed
    if state_at(f, place) == claimed:
        return -ALREADY_CLAIMED if claimed else -NOT_CLAIMED
    if not begins and (after != stop or stop == t.r.pages):
        # A new flip at `first`, and inside the region one at `stop`.
        fresh[0], fresh[1] = first, stop
        n = 1 + (stop < t.r.pages)
        if f.flips + n > t.max_flips:
            return -OUT_OF_RUNS
        if f.top[place.entry].n + n > FULL and not reserve(f, f.blocks + 1, t.max_flips):
            return INT64_MIN
        insert_flips(f, place.entry, place.at, fresh, n)
    elif begins and after == stop:
        # The run is gone: with its first flip the next one, unless the region ends there.
        remove_flips(f, place.entry, place.at - 1, 1 + (stop < t.r.pages))
    elif begins:
        move_flip(f, place.entry, place.at - 1, stop)
    elif place.at < f.top[place.entry].n:
        move_flip(f, place.entry, place.at, first)
    else:
        move_flip(f, place.entry + 1, 0, first)
    return 0


cdef inline int64_t run_claim_4k(Tracker *t, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(&t.r, gpa, PAGE_4K)
    cdef uint64_t page = index_of(&t.r, gpa)
    return refusal if refusal else change(t, page, page + 1, True, MIXED)


cdef inline int64_t run_release_4k(Tracker *t, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(&t.r, gpa, PAGE_4K)
    cdef uint64_t page = index_of(&t.r, gpa)
    return refusal if refusal else change(t, page, page + 1, False, MIXED)


cdef inline int64_t run_claim_2m(Tracker *t, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(&t.r, gpa, PAGE_2M)
    cdef uint64_t page = index_of(&t.r, gpa)
    return refusal if refusal else change(t, page, page + 512, True, t.r.mixed_2m)


cdef inline int64_t run_release_2m(Tracker *t, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(&t.r, gpa, PAGE_2M)
    cdef uint64_t page = index_of(&t.r, gpa)
    return refusal if refusal else change(t, page, page + 512, False, t.r.mixed_2m)


cdef inline int64_t run_claim_range(Tracker *t, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(&t.r, first, stop)
    if refusal:
        return refusal
    return change(t, index_of(&t.r, first), index_of(&t.r, stop), True, MIXED)


cdef inline int64_t run_release_range(Tracker *t, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(&t.r, first, stop)
    if refusal:
        return refusal
    return change(t, index_of(&t.r, first), index_of(&t.r, stop), False, MIXED)


cdef inline int64_t run_query(Tracker *t, uint64_t gpa) noexcept nogil:
    cdef int64_t refusal = page_refusal(&t.r, gpa, PAGE_4K)
    return refusal if refusal else state_at(&t.f, locate(&t.f, index_of(&t.r, gpa)))


cdef inline int64_t run_test_range(Tracker *t, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(&t.r, first, stop)
    cdef Place place
    if refusal:
        return refusal
    place = locate(&t.f, index_of(&t.r, first))
    if next_flip(t, place) < index_of(&t.r, stop):
        return RANGE_MIXED
    return state_at(&t.f, place)


cdef inline int64_t run_count(Tracker *t, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(&t.r, first, stop)
    if refusal:
        return refusal
    return <int64_t>count_runs(&t.f, index_of(&t.r, first), index_of(&t.r, stop))


cdef inline int64_t run_first_unclaimed(Tracker *t, uint64_t first, uint64_t stop) noexcept nogil:
    cdef int64_t refusal = range_refusal(&t.r, first, stop)
    cdef Place place
    cdef uint64_t after
    if refusal:
        return refusal
    place = locate(&t.f, index_of(&t.r, first))
    if not state_at(&t.f, place):
        return <int64_t>first
    after = next_flip(t, place)
    if after >= index_of(&t.r, stop):
        return -NONE_UNCLAIMED
    return <int64_t>(t.r.base + (after << PAGE_SHIFT))


cdef inline int64_t run_export(Tracker *t, uint64_t *target, uint64_t n) noexcept nogil:
    if n != t.r.n_words:
        return -WRONG_LENGTH
    if n:
        target[n - 1] = 0
        write_runs(&t.f, target, t.r.pages)
    return <int64_t>n


cdef inline int64_t run_import(Tracker *t, const uint64_t *source, uint64_t n) noexcept nogil:
    cdef Flips fresh
    cdef uint64_t last
    cdef int64_t refusal
    if n != t.r.n_words:
        return -WRONG_LENGTH
    if n == 0:
        return 0
    last = source[n - 1]
    if last & slack_of(t.r.pages):
        return -SLACK_SET
    memset(&fresh, 0, sizeof(Flips))
    refusal = build(&fresh, <const char *>source, n, last, t.r.pages, t.max_flips)
    if refusal:
        free(fresh.pool)
        return refusal
    free(t.f.pool)
    t.f = fresh
    return 0


cdef inline int64_t run_step(Tracker *t, const uint64_t *op, uint64_t *payload) noexcept nogil:
    cdef uint64_t a = op[1], b = op[2]
    if op[0] == OP_CREATE:
        return run_create(t, a, b, op[3] != 0)
    elif op[0] == OP_FILL:
        return run_fill(t, a != 0)
    elif op[0] == OP_CLAIM_4K:
        return run_claim_4k(t, a)
    elif op[0] == OP_CLAIM_2M:
        return run_claim_2m(t, a)
    elif op[0] == OP_CLAIM_RANGE:
        return run_claim_range(t, a, b)
    elif op[0] == OP_RELEASE_4K:
        return run_release_4k(t, a)
    elif op[0] == OP_RELEASE_2M:
        return run_release_2m(t, a)
    elif op[0] == OP_RELEASE_RANGE:
        return run_release_range(t, a, b)
    elif op[0] == OP_QUERY:
        return run_query(t, a)
    elif op[0] == OP_TEST_RANGE:
        return run_test_range(t, a, b)
    elif op[0] == OP_COUNT:
        return run_count(t, a, b)
    elif op[0] == OP_FIRST_UNCLAIMED:
        return run_first_unclaimed(t, a, b)
    elif op[0] == OP_EXPORT_WORDS:
        return run_export(t, payload + a, b)
    return run_import(t, payload + a, b)


cdef inline void run_record(Tracker *t, uint64_t *row, uint64_t room) noexcept nogil:
    cdef uint64_t kept = t.r.n_words if t.r.n_words < room else room
    row[0] = t.r.base
    row[1] = t.r.pages
    memset(row + 2, 0, 8 * room)
    if kept:
        write_runs(&t.f, row + 2, t.r.pages if t.r.n_words <= room else 64 * room)
