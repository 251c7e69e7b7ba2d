# cython: language_level=3
"""The C names that `_fast` and `_run_steps` share: how runs are kept, and the kernels on them.

As in `_words.pxd`, the kernels are declared as if they were foreign and defined in `_fast.pyx`.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from impl._words cimport bitmap_alloc  # KERNEL is defined beside it

cdef extern from * nogil:
    """
    /* A flip is a page that differs from the one before, or page 0 if it is claimed; page i is
       claimed if an odd number of flips is i or less. The flips stand in order in blocks of up to
       64, the blocks in order in `top`. Any two neighbours have more than 48, so that there are at
       most 2 * flips / 49 + 1 blocks. */
    typedef struct {
        uint64_t first;  /* the first flip of the block, unless it is empty */
        uint32_t block;  /* where the block is: at 64 * block of the pool */
        uint16_t n;      /* its flips, 1 to 64; 0 only in an only block */
        uint16_t odd;    /* 1 if the number of flips before the block is odd */
    } runs_entry;

    typedef struct {
        uint64_t flips;
        uint64_t blocks;  /* 1 or more with a region */
        uint64_t room;    /* entries and blocks that there is memory for */
        uint64_t *pool;   /* owned: 64 * room flips, and behind them `top` */
        runs_entry *top;  /* from `blocks` on each entry names a block that is free */
    } runs_flips;

    typedef struct {
        uint64_t entry;
        uint64_t at;
    } runs_place;

    KERNEL runs_place runs_locate(const runs_flips *, uint64_t);
    KERNEL void runs_insert(runs_flips *, uint64_t, uint64_t, const uint64_t *, uint64_t);
    KERNEL void runs_remove(runs_flips *, uint64_t, uint64_t, uint64_t);
    KERNEL void runs_drop(runs_flips *, uint64_t);
    KERNEL void runs_split(runs_flips *, uint64_t, uint64_t);
    KERNEL int runs_join(runs_flips *, uint64_t);
    KERNEL uint64_t runs_count(const runs_flips *, uint64_t, uint64_t);
    KERNEL void runs_write(const runs_flips *, uint64_t *, uint64_t);
    KERNEL int runs_same(const runs_flips *, const runs_flips *);
    """
    ctypedef struct Entry "runs_entry":
        uint64_t first
        uint32_t block
        uint16_t n
        uint16_t odd

    ctypedef struct Flips "runs_flips":
        uint64_t flips
        uint64_t blocks
        uint64_t room
        uint64_t *pool
        Entry *top

    ctypedef struct Place "runs_place":
        uint64_t entry
        uint64_t at

    Place locate "runs_locate"(const Flips *f, uint64_t page)
    void insert_flips "runs_insert"(
        Flips *f, uint64_t entry, uint64_t at, const uint64_t *fresh, uint64_t n
    )
    void remove_flips "runs_remove"(Flips *f, uint64_t entry, uint64_t at, uint64_t n)
    uint64_t count_runs "runs_count"(const Flips *f, uint64_t first, uint64_t stop)
    void write_runs "runs_write"(const Flips *f, uint64_t *words, uint64_t stop)

cdef enum:
    # Flips in a full block: eight cache lines of eight.
    FULL = 64
    # Neighbours with at most as many become one. Were it FULL, the halves of a block that has been
    # split would be joined by the next release and split by the next claim, each time moving
    # what is behind them in `top`.
    JOINED = 48
