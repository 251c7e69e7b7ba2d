/*
 * A bitmap of one byte a page, slow and obvious, or with WORDS one of a bit a page. What is wrong
 * with a copy is said by macros.
 */
#include <stdlib.h>
#include <string.h>

#include "svsm_conformance.h"

#ifndef MISDEED
#define MISDEED(self, first, stop)
#endif
#ifndef STOP
#define STOP(stop) (stop)
#endif
#ifndef VERSION
#define VERSION SVSM_CONFORMANCE_VERSION
#endif
#ifndef CLAIM_2M
#define CLAIM_2M claim_2m
#endif
#ifndef RUN
#define RUN NULL
#endif
#ifndef ALREADY
#define ALREADY SVSM_ALREADY_CLAIMED
#endif

#define MOST (1u << 28)
#define TOP (1ull << 52)

#ifdef WORDS
#include "flat_words.h"
#else
#include "flat_bytes.h"
#endif

#ifdef RUNS
#define AREA "validation.runs."
#define MOST_RUNS 12
#else
#define AREA "validation.bitmap."
#define MOST_RUNS SVSM_ANY_RUNS
#endif

/* For how many runs there is room; one record is all that a process of the suite's makes. */
static uint64_t most_runs = MOST_RUNS;

static void load(void *self, const struct svsm_state *s)
{
    most_runs = s->most_runs;
    take(self, s);
}

static void observe(void *self, struct svsm_state *s)
{
    show(self, s);
    s->most_runs = most_runs;
}

/* Whether what there is now has no more runs than there is room for. */
static bool fits(struct flat *f)
{
    uint64_t runs = 1;
    if (most_runs == SVSM_ANY_RUNS)
        return true;
    for (uint64_t p = 0; p < f->pages; p++)
        runs += is(f, p) != (p ? is(f, p - 1) : 0);
    return runs <= most_runs;
}

static svsm_status become_bitmap(void *self)
{
    (void)self;
    most_runs = SVSM_ANY_RUNS;
    return SVSM_OK;
}

static void *make(void) { return calloc(1, sizeof(struct flat)); }

static void drop(void *self)
{
    free(((struct flat *)self)->is);
    free(self);
}

static svsm_status create(void *self, uint64_t base, uint64_t pages, bool claimed, uint64_t *bytes)
{
    if (base % 4096)
        return SVSM_MISALIGNED;
    if (pages == 0)
        return SVSM_EMPTY;
    if (pages >= TOP - base / 4096)
        return SVSM_WRAPS;
    if (base / 4096 + pages > (1ull << 40))
        return SVSM_ABOVE_LIMIT;
    if (pages > MOST)
        return SVSM_OVER_CAP;
    track(self, base, pages);
    set(self, 0, pages, claimed);
    *bytes = (pages + 63) / 64 * 8;
    return SVSM_OK;
}

static svsm_status fill(void *self, bool claimed)
{
    struct flat *f = self;
    set(f, 0, f->pages, claimed);
    return SVSM_OK;
}

static svsm_status page(struct flat *f, uint64_t gpa, uint64_t size, uint64_t *first)
{
    if (gpa % size)
        return SVSM_MISALIGNED;
    if (gpa + size < gpa || gpa + size == 0)
        return SVSM_WRAPS;
    if (gpa < f->base || gpa + size > f->base + 4096 * f->pages)
        return SVSM_OUTSIDE;
    *first = (gpa - f->base) / 4096;
    return SVSM_OK;
}

static svsm_status change(struct flat *f, uint64_t first, uint64_t stop, int to, svsm_status mixed)
{
    uint64_t n = held(f, first, stop);
    MISDEED(f, first, stop);
    if (n == (to ? stop - first : 0))
        return to ? ALREADY : SVSM_NOT_CLAIMED;
    if (n != 0 && n != stop - first)
        return mixed;
    set(f, first, STOP(stop), to);
    if (fits(f))
        return SVSM_OK;
    set(f, first, STOP(stop), !to);
    return SVSM_OUT_OF_RUNS;
}

static svsm_status one(void *self, uint64_t gpa, uint64_t size, int to)
{
    uint64_t first;
    svsm_status s = page(self, gpa, size, &first);
    return s ? s : change(self, first, first + size / 4096, to, SVSM_MIXED);
}

static svsm_status claim_4k(void *self, uint64_t gpa) { return one(self, gpa, 4096, 1); }
static svsm_status claim_2m(void *self, uint64_t gpa) { return one(self, gpa, 1 << 21, 1); }
static svsm_status release_4k(void *self, uint64_t gpa) { return one(self, gpa, 4096, 0); }
static svsm_status release_2m(void *self, uint64_t gpa) { return one(self, gpa, 1 << 21, 0); }

static svsm_status range(struct flat *f, uint64_t *first, uint64_t *stop)
{
    if (*first % 4096 || *stop % 4096)
        return SVSM_MISALIGNED;
    if (*stop < *first)
        return SVSM_REVERSED;
    if (*stop == *first)
        return SVSM_EMPTY;
    if (*first < f->base || *stop > f->base + 4096 * f->pages)
        return SVSM_OUTSIDE;
    *first = (*first - f->base) / 4096;
    *stop = (*stop - f->base) / 4096;
    return SVSM_OK;
}

static svsm_status claim_range(void *self, uint64_t first, uint64_t stop)
{
    svsm_status s = range(self, &first, &stop);
    return s ? s : change(self, first, stop, 1, SVSM_MIXED);
}

static svsm_status release_range(void *self, uint64_t first, uint64_t stop)
{
    svsm_status s = range(self, &first, &stop);
    return s ? s : change(self, first, stop, 0, SVSM_MIXED);
}

static svsm_status query(void *self, uint64_t gpa, uint64_t *claimed)
{
    uint64_t first;
    svsm_status s = page(self, gpa, 4096, &first);
    if (!s)
        *claimed = is(self, first);
    return s;
}

static svsm_status test_range(void *self, uint64_t first, uint64_t stop, uint64_t *extent)
{
    svsm_status s = range(self, &first, &stop);
    if (!s) {
        uint64_t n = held(self, first, stop);
        *extent = n == 0 ? SVSM_EXTENT_NONE : n == stop - first ? SVSM_EXTENT_ALL : SVSM_EXTENT_MIXED;
    }
    return s;
}

static svsm_status count(void *self, uint64_t first, uint64_t stop, uint64_t *pages)
{
    svsm_status s = range(self, &first, &stop);
    if (!s)
        *pages = held(self, first, stop);
    return s;
}

static svsm_status first_unclaimed(void *self, uint64_t first, uint64_t stop, uint64_t *gpa)
{
    struct flat *f = self;
    svsm_status s = range(f, &first, &stop);
    if (s)
        return s;
    for (uint64_t p = first; p < stop; p++)
        if (!is(f, p)) {
            *gpa = f->base + 4096 * p;
            return SVSM_OK;
        }
    return SVSM_NONE_UNCLAIMED;
}

static svsm_status export_words(void *self, uint64_t *words, uint64_t length)
{
    struct flat *f = self;
    struct svsm_state s = {0, 0, 0, words, length};
    if (length != (f->pages + 63) / 64)
        return SVSM_WRONG_LENGTH;
    show(self, &s);
    return SVSM_OK;
}

static svsm_status import_words(void *self, const uint64_t *words, uint64_t length)
{
    struct flat *f = self;
    struct svsm_state s = {f->base, f->pages, 0, (uint64_t *)words, length};
    if (length != (f->pages + 63) / 64)
        return SVSM_WRONG_LENGTH;
    if (f->pages % 64 && words[length - 1] >> f->pages % 64)
        return SVSM_SLACK_SET;
    uint64_t *before = malloc(8 * length + 8);
    struct svsm_state kept = {f->base, f->pages, 0, before, length};
    svsm_status told = SVSM_OK;
    show(self, &kept);
    take(self, &s);
    if (!fits(f)) {
        take(self, &kept);
        told = SVSM_OUT_OF_RUNS;
    }
    free(before);
    return told;
}

static const char *const claims[] = {
#ifdef CLAIMS
    CLAIMS,
#else
    AREA "create",        AREA "fill",           AREA "claim_4k",
    AREA "claim_2m",      AREA "claim_range",    AREA "release_4k",
    AREA "release_2m",    AREA "release_range",  AREA "query",
    AREA "test_range",    AREA "count",          AREA "first_unclaimed",
    AREA "export_words",  AREA "import_words",
#ifdef RUNS
    AREA "switch",
#endif
#endif
    NULL,
};

static const struct svsm_record record = {
    .policy = {MOST, SVSM_MIXED, MOST_RUNS},
    .make = make,
    .drop = drop,
    .load = load,
    .observe = observe,
    .create = create,
    .fill = fill,
    .claim_4k = claim_4k,
    .claim_2m = CLAIM_2M,
    .claim_range = claim_range,
    .release_4k = release_4k,
    .release_2m = release_2m,
    .release_range = release_range,
    .query = query,
    .test_range = test_range,
    .count = count,
    .first_unclaimed = first_unclaimed,
    .export_words = export_words,
    .import_words = import_words,
    .become_bitmap = become_bitmap,
    .run = RUN,
};

static const struct svsm_library library = {
    .name = "flat",
    .claims = claims,
#ifdef RUNS
    .runs = &record,
#else
    .bitmap = &record,
#endif
};

#ifndef NO_SYMBOLS
uint32_t svsm_conformance_version(void) { return VERSION; }
const struct svsm_library *svsm_conformance_library(void) { return &library; }
#endif
