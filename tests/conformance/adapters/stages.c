/* Two stages of the handoff, sizes and the reading of entries; WRONG is put into the second. */
#include <stdlib.h>
#include <string.h>

#include "svsm_conformance.h"

#ifndef WRONG
#define WRONG
#endif

/* This library's own codes. */
enum { RESERVED = -1, TYPE = -2, TOO_LONG = -3, TOO_HIGH = -4, ORDER = -5, TWICE = -6, NONE = -7 };

static svsm_status size(const struct svsm_entry *entries, uint64_t count, uint64_t cap,
                        bool tracks, uint64_t *tracked, uint64_t *bitmaps)
{
    uint64_t all = 0, held = 0, run = 0;

    for (uint64_t i = 0; i <= count; i++) {
        bool is_memory = i < count && entries[i].type == 0;
        bool touches = is_memory && run && entries[i].first == entries[i - 1].stop;
        if (!touches) {
            uint64_t words = (run + 63) / 64;
            held += (words + 511) / 512;
            run = 0;
        }
        if (is_memory) {
            run += entries[i].stop - entries[i].first;
            all += entries[i].stop - entries[i].first;
        }
    }
    if (!tracks)
        all = held = 0;
    if (all > cap)
        return SVSM_HANDOFF_OVER_CAP;
    *tracked = all;
    *bitmaps = held;
    return 0;
}

static svsm_status read(const uint8_t *area, uint64_t bytes, uint64_t limit,
                        struct svsm_entry *entries, uint64_t room, uint64_t *count)
{
    uint64_t n = 0;
    bool any = false;

    (void)room;
    for (uint64_t at = 0; at + 24 <= bytes; at += 24) {
        uint64_t first, pages;
        uint16_t type, flags;
        uint32_t reserved;
        memcpy(&first, area + at, 8);
        memcpy(&pages, area + at + 8, 8);
        memcpy(&type, area + at + 16, 2);
        memcpy(&flags, area + at + 18, 2);
        memcpy(&reserved, area + at + 20, 4);
        if (!pages)
            break;
        WRONG;
        if (flags || reserved)
            return RESERVED;
        if (type > 5)
            return TYPE;
        if (first > 1ull << 52 || pages > (1ull << 52) - first)
            return TOO_LONG;
        if (first + pages > limit)
            return TOO_HIGH;
        if (n && first < entries[n - 1].first)
            return ORDER;
        if (n && first < entries[n - 1].stop)
            return TWICE;
        entries[n++] = (struct svsm_entry){first, first + pages, type};
        any |= type == 0;
    }
    if (!any)
        return NONE;
    *count = n;
    return 0;
}

static const struct svsm_error errors[] = {
    {RESERVED, SVSM_HANDOFF_NONZERO_RESERVED},
    {TYPE, SVSM_HANDOFF_UNKNOWN_TYPE},
    {TOO_LONG, SVSM_HANDOFF_WRAPS},
    {TOO_HIGH, SVSM_HANDOFF_ABOVE_LIMIT},
    {ORDER, SVSM_HANDOFF_UNSORTED},
#ifndef NO_OVERLAPS
    {TWICE, SVSM_HANDOFF_OVERLAPS},
#endif
    {NONE, SVSM_HANDOFF_NO_MEMORY},
    {SVSM_HANDOFF_OVER_CAP, SVSM_HANDOFF_OVER_CAP},
};
static const char *const claims[] = {"handoff.read", "handoff.size", NULL};
static const struct svsm_handoff handoff = {
    .errors = {errors, sizeof errors / sizeof *errors},
    .read = read,
    .size = size,
};
static const struct svsm_library library = {.name = "stages", .claims = claims, .handoff = &handoff};

SVSM_CONFORMANCE_EXPORT(library)
