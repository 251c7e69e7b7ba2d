/*
 * The stages of the memory map's handoff, written from docs/handoff.md.
 *
 * Numbers are pages of 4 KiB unless they say bytes; no sum here wraps, as each is compared with
 * what is left before it is made.
 */
#include <stddef.h>
#include <string.h>

#include "svsm_conformance.h"

#define PAGE_BYTES 4096u
#define ENTRY_BYTES 24u
#define BLOCK 512u /* pages of 2 MiB */
#define PAGES_OF_64_BITS (UINT64_C(1) << 52)

#define PAGES_OF_4_GIB (UINT64_C(1) << 20)
#define HOLE_FIRST 160u /* 640 KiB */
#define HOLE_STOP 256u /* 1 MiB */

enum { MEMORY = 0, PLATFORM_RESERVED = 1, LAST_TYPE = 5, HIDDEN = 5 };
/* From this type on OVMF takes the first entry to be noise. */
enum { NOISE = 16 };
/* PVALIDATE: 2 MiB are asked for, and the RMP entry is of 4 KiB. */
enum { FAIL_SIZEMISMATCH = 6 };

typedef struct svsm_entry entry;
typedef struct svsm_range range;

static uint64_t little(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

static void put_little(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static bool meet(range a, range b)
{
    return a.first < a.stop && b.first < b.stop && a.first < b.stop && b.first < a.stop;
}

static bool within(range inner, range outer)
{
    return outer.first <= inner.first && inner.stop <= outer.stop;
}

/* The run of memory that begins at entry *i or behind it; *i is then the entry behind the run. */
static bool next_run(const entry *entries, uint64_t count, uint64_t *i, range *run)
{
    while (*i < count && entries[*i].type != MEMORY)
        (*i)++;
    if (*i == count)
        return false;
    *run = (range){entries[*i].first, entries[*i].stop};
    (*i)++;
    while (*i < count && entries[*i].type == MEMORY && entries[*i].first == run->stop) {
        run->stop = entries[*i].stop;
        (*i)++;
    }
    return true;
}

static svsm_status read_map(const uint8_t *area, uint64_t bytes, uint64_t limit, entry *entries,
                            uint64_t room, uint64_t *count)
{
    uint64_t read = 0;
    bool memory = false;

    for (; read < bytes / ENTRY_BYTES && read < room; read++) {
        const uint8_t *at = area + read * ENTRY_BYTES;
        uint64_t first = little(at, 8), pages = little(at + 8, 8);
        uint64_t type = little(at + 16, 2), reserved = little(at + 18, 6);

        if (pages == 0)
            break;
        if (reserved != 0)
            return SVSM_HANDOFF_NONZERO_RESERVED;
        if (type > LAST_TYPE)
            return SVSM_HANDOFF_UNKNOWN_TYPE;
        if (pages > PAGES_OF_64_BITS || first > PAGES_OF_64_BITS - pages)
            return SVSM_HANDOFF_WRAPS;
        if (first + pages > limit)
            return SVSM_HANDOFF_ABOVE_LIMIT;
        if (read > 0 && first < entries[read - 1].first)
            return SVSM_HANDOFF_UNSORTED;
        if (read > 0 && first < entries[read - 1].stop)
            return SVSM_HANDOFF_OVERLAPS;
        entries[read] = (entry){first, first + pages, type};
        memory |= type == MEMORY;
    }
    if (!memory)
        return SVSM_HANDOFF_NO_MEMORY;
    *count = read;
    return SVSM_HANDOFF_OK;
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

/* The pages of the bitmap of so many pages. */
static uint64_t bitmap_pages(uint64_t pages)
{
    uint64_t words = round_up(pages, 64) / 64;

    return round_up(words * 8, PAGE_BYTES) / PAGE_BYTES;
}

static svsm_status size_bitmaps(const entry *entries, uint64_t count, uint64_t cap, bool tracks,
                                uint64_t *tracked, uint64_t *bitmaps)
{
    uint64_t pages = 0, needed = 0;
    range run;

    for (uint64_t i = 0; next_run(entries, count, &i, &run);) {
        pages += run.stop - run.first;
        needed += bitmap_pages(run.stop - run.first);
    }
    if (tracks && pages > cap)
        return SVSM_HANDOFF_OVER_CAP;
    *tracked = tracks ? pages : 0;
    *bitmaps = tracks ? needed : 0;
    return SVSM_HANDOFF_OK;
}

static uint64_t kernel_size(const entry *entries, uint64_t count, uint64_t base, uint64_t least,
                            uint64_t most)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t pages = entries[i].stop - entries[i].first;

        if (entries[i].type != HIDDEN || entries[i].first != base)
            continue;
        if (pages < least)
            return least;
        return pages > most ? most : pages;
    }
    return least;
}

static bool has_home(const entry *entries, uint64_t count, range kernel)
{
    range run;

    for (uint64_t i = 0; i < count; i++) {
        range one = {entries[i].first, entries[i].stop};

        if (entries[i].type == HIDDEN && within(kernel, one))
            return true;
    }
    for (uint64_t i = 0; next_run(entries, count, &i, &run);)
        if (within(kernel, run))
            return true;
    return false;
}

/* The first page of something taken that a place meets; none is as good as the end. */
static bool obstacle(range place, range kernel, const range *excluded, uint64_t count,
                     uint64_t *first)
{
    if (meet(place, kernel)) {
        *first = kernel.first;
        return true;
    }
    for (uint64_t i = 0; i < count; i++)
        if (meet(place, excluded[i])) {
            *first = excluded[i].first;
            return true;
        }
    return false;
}

/* The highest place for so many pages in a run; it is looked for downwards. */
static bool place_in(range run, uint64_t pages, range kernel, const range *excluded,
                     uint64_t count, range *region)
{
    uint64_t ceiling = run.stop;

    while (ceiling >= pages) {
        uint64_t first = (ceiling - pages) / BLOCK * BLOCK;
        range place = {first, first + pages};

        if (first < run.first)
            return false;
        if (!obstacle(place, kernel, excluded, count, &ceiling)) {
            *region = place;
            return true;
        }
    }
    return false;
}

static svsm_status reserve(const entry *entries, uint64_t count, uint64_t base, uint64_t least,
                           uint64_t most, const range *excluded, uint64_t excluded_count,
                           uint64_t bitmaps, uint64_t limit, range *kernel, range *region)
{
    range own, place = {0, 0}, run;
    uint64_t pages;
    bool found = bitmaps == 0;

    if (least == 0 || least > most || most > limit || base > limit - most)
        return SVSM_HANDOFF_BAD_KERNEL_BOUNDS;
    own = (range){base, base + kernel_size(entries, count, base, least, most)};
    if (!has_home(entries, count, own))
        return SVSM_HANDOFF_KERNEL_OUTSIDE;
    for (uint64_t i = 0; i < excluded_count; i++)
        if (meet(own, excluded[i]))
            return SVSM_HANDOFF_KERNEL_MEETS_EXCLUDED;
    if (!found) {
        if (bitmaps > PAGES_OF_64_BITS)
            return SVSM_HANDOFF_NO_ROOM;
        pages = round_up(bitmaps, BLOCK);
        /* Later runs are higher, so the last place that is found is the one. */
        for (uint64_t i = 0; next_run(entries, count, &i, &run);)
            found |= place_in(run, pages, own, excluded, excluded_count, &place);
    }
    if (!found)
        return SVSM_HANDOFF_NO_ROOM;
    *kernel = own;
    *region = place;
    return SVSM_HANDOFF_OK;
}

/* What of a range is not of a cut, behind the ranges that are listed; how many there are then. */
static uint64_t cut_out(range one, range cut, range *listed, uint64_t count)
{
    if (!meet(one, cut)) {
        listed[count++] = one;
        return count;
    }
    if (one.first < cut.first)
        listed[count++] = (range){one.first, cut.first};
    if (cut.stop < one.stop)
        listed[count++] = (range){cut.stop, one.stop};
    return count;
}

static svsm_status carve(const entry *entries, uint64_t count, const range *kernel,
                         const range *region, uint64_t low_pages, range *guest, uint64_t room,
                         uint64_t *guest_count)
{
    uint64_t left = 0;
    range run;

    (void)room; /* always enough */
    for (uint64_t i = 0; next_run(entries, count, &i, &run);) {
        range parts[2];
        uint64_t some = cut_out(run, *kernel, parts, 0);

        for (uint64_t k = 0; k < some; k++)
            left = cut_out(parts[k], *region, guest, left);
    }
    if (low_pages > 0 && (left == 0 || guest[0].first != 0 || guest[0].stop < low_pages))
        return SVSM_HANDOFF_NO_LOW_MEMORY;
    *guest_count = left;
    return SVSM_HANDOFF_OK;
}

static bool is_the_guests(range pages, const range *guest, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (within(pages, guest[i]))
            return true;
    return false;
}

static svsm_status write_map(uint8_t *memory, uint64_t address, uint64_t bytes, bool prevalidated,
                             const range *guest, uint64_t guest_count, bool with_terminator,
                             bool published, range *validated)
{
    uint8_t *area = memory + address % PAGE_BYTES;
    range pages = {address / PAGE_BYTES, 0};

    if (published)
        return SVSM_HANDOFF_ALREADY_WRITTEN;
    if (address % 8 != 0)
        return SVSM_HANDOFF_MISALIGNED;
    if (bytes == 0 || bytes - 1 > UINT64_MAX - address)
        return SVSM_HANDOFF_AREA_OUTSIDE;
    pages.stop = (address + (bytes - 1)) / PAGE_BYTES + 1;
    if (!is_the_guests(pages, guest, guest_count))
        return SVSM_HANDOFF_AREA_OUTSIDE;
    if (guest_count + with_terminator > bytes / ENTRY_BYTES)
        return SVSM_HANDOFF_TOO_MANY;

    if (!prevalidated)
        memset(memory, 0, (pages.stop - pages.first) * PAGE_BYTES);
    memset(area, 0, bytes);
    for (uint64_t i = 0; i < guest_count; i++) {
        put_little(area + i * ENTRY_BYTES, guest[i].first);
        put_little(area + i * ENTRY_BYTES + 8, guest[i].stop - guest[i].first);
    }
    *validated = prevalidated ? (range){0, 0} : pages;
    return SVSM_HANDOFF_OK;
}

/* Validate and zero a block, or page by page where the RMP holds smaller entries. */
static bool bring_in(uint64_t block, const struct svsm_machine *machine)
{
    bool carry = false;
    int64_t code = machine->pvalidate(machine->host, block, true, &carry);

    if (code != FAIL_SIZEMISMATCH) {
        if (code || carry)
            return false;
        machine->zero(machine->host, block, true);
        return true;
    }
    for (uint64_t page = block; page < block + BLOCK; page++) {
        code = machine->pvalidate(machine->host, page, false, &carry);
        if (code || carry)
            return false;
        machine->zero(machine->host, page, false);
    }
    return true;
}

static svsm_status validate(const range *region, bool shared, const struct svsm_machine *machine)
{
    if (shared)
        for (uint64_t block = region->first; block < region->stop; block += BLOCK)
            if (!machine->make_private(machine->host, block, true))
                return SVSM_HANDOFF_NOT_PRIVATE;
    for (uint64_t block = region->first; block < region->stop; block += BLOCK)
        if (!bring_in(block, machine))
            return SVSM_HANDOFF_NOT_VALIDATED;
    return SVSM_HANDOFF_OK;
}

/* An entry as OVMF finds it. */
struct slot {
    uint64_t first, pages, stop;
    unsigned type;
    uint32_t reserved;
};

/* The entry at a place of the page; false where the reader stops. */
static bool slot_at(const uint8_t *page, uint64_t bytes, uint64_t i, struct slot *slot)
{
    const uint8_t *at = page + i * ENTRY_BYTES;

    if (bytes / ENTRY_BYTES <= i)
        return false;
    slot->first = little(at, 8);
    slot->pages = little(at + 8, 8);
    slot->stop = slot->first + slot->pages;
    slot->type = (unsigned)little(at + 16, 2);
    slot->reserved = (uint32_t)little(at + 20, 4);
    return slot->pages != 0;
}

static svsm_status view(const uint8_t *page, uint64_t bytes, bool takes_map, bool checks_first,
                        bool low_from_base, uint64_t told, range *ram, uint64_t *ram_count,
                        range *reserved, uint64_t *reserved_count, uint64_t room)
{
    struct slot slot;
    uint64_t low = told, highest = 0, seen = 0, kept = 0;

    (void)room;
    if (!takes_map || !slot_at(page, bytes, 0, &slot))
        return SVSM_HANDOFF_NOT_TAKEN;
    if (checks_first && (slot.type >= NOISE || slot.reserved))
        return SVSM_HANDOFF_NOT_TAKEN;
    for (uint64_t i = 0; slot_at(page, bytes, i, &slot); i++) {
        if (slot.type != MEMORY)
            continue;
        if (low_from_base && slot.first == 0)
            low = slot.pages % PAGES_OF_4_GIB;
        if (!low_from_base && slot.stop < PAGES_OF_4_GIB && slot.stop > highest)
            low = highest = slot.stop;
    }
    ram[seen++] = (range){0, HOLE_FIRST};
    if (low > HOLE_STOP)
        ram[seen++] = (range){HOLE_STOP, low};
    for (uint64_t i = 0; slot_at(page, bytes, i, &slot); i++) {
        if (slot.type == MEMORY && slot.stop > low)
            ram[seen++] = (range){slot.first, slot.stop};
        if (slot.type == PLATFORM_RESERVED)
            reserved[kept++] = (range){slot.first, slot.stop};
    }
    *ram_count = seen;
    *reserved_count = kept;
    return SVSM_HANDOFF_OK;
}

static const char *const claims[] = {
    "handoff.read", "handoff.size", "handoff.kernel", "handoff.reserve", "handoff.carve",
    "handoff.write", "handoff.validate", "handoff.low_memory", "handoff.view", NULL,
};

static const struct svsm_handoff stages = {
    .read = read_map,
    .size = size_bitmaps,
    .reserve = reserve,
    .carve = carve,
    .write = write_map,
    .validate = validate,
    .view = view,
};

static const struct svsm_library library = {
    .name = "handoff-c",
    .claims = claims,
    .handoff = &stages,
};

SVSM_CONFORMANCE_EXPORT(library)
