/* The stages on either side of the handoff's end: the region made ready, and OVMF's reading. */
#include <string.h>

#include "svsm_conformance.h"

#ifndef TURNS
#define TURNS 1
#endif
#ifndef FIRST_ZERO
#define FIRST_ZERO 0
#endif

static svsm_status validate(const struct svsm_range *region, bool shared,
                            const struct svsm_machine *machine)
{
    bool carry;

    for (uint64_t at = region->first; shared && at < region->stop; at += 512)
        if (!machine->make_private(machine->host, at, true))
            return SVSM_HANDOFF_NOT_PRIVATE;
    for (uint64_t at = region->first; at < region->stop; at += 512) {
        int64_t code = 0;
        for (int turn = 0; turn < TURNS; turn++)
            code = machine->pvalidate(machine->host, at, true, &carry);
        if (code == 6) {
            for (uint64_t page = at; page < at + 512; page++) {
                code = machine->pvalidate(machine->host, page, false, &carry);
                if (code || carry)
                    return SVSM_HANDOFF_NOT_VALIDATED;
                machine->zero(machine->host, page, false);
            }
            continue;
        }
        if (code || carry)
            return SVSM_HANDOFF_NOT_VALIDATED;
        machine->zero(machine->host, at, true);
    }
    return SVSM_HANDOFF_OK;
}

static svsm_status view(const uint8_t *page, uint64_t bytes, bool takes_map, bool checks_first,
                        bool low_from_base, uint64_t told, struct svsm_range *ram,
                        uint64_t *ram_count, struct svsm_range *reserved,
                        uint64_t *reserved_count, uint64_t room)
{
    uint64_t low = told, end = 0, n = 0, m = 0, i;
    bool known = false;

    (void)room;
    for (i = 0; 24 * i + 24 <= bytes; i++) {
        uint64_t first, pages;
        uint16_t type;
        uint32_t rest;
        memcpy(&first, page + 24 * i, 8);
        memcpy(&pages, page + 24 * i + 8, 8);
        memcpy(&type, page + 24 * i + 16, 2);
        memcpy(&rest, page + 24 * i + 20, 4);
        if (!pages)
            break;
        if (!i && checks_first && (type >= 16 || rest))
            return SVSM_HANDOFF_NOT_TAKEN;
        if (type == 0 && low_from_base && first == 0)
            low = pages % (1 << 20);
        if (type == 0 && !low_from_base && first + pages < 1 << 20
            && (!known || low < first + pages)) {
            low = first + pages;
            known = true;
        }
    }
    if (!takes_map || !i)
        return SVSM_HANDOFF_NOT_TAKEN;
    end = i;
    ram[n++] = (struct svsm_range){FIRST_ZERO, 160};
    if (low > 256)
        ram[n++] = (struct svsm_range){256, low};
    for (i = 0; i < end; i++) {
        uint64_t first, pages;
        uint16_t type;
        memcpy(&first, page + 24 * i, 8);
        memcpy(&pages, page + 24 * i + 8, 8);
        memcpy(&type, page + 24 * i + 16, 2);
        if (type == 0 && first + pages > low)
            ram[n++] = (struct svsm_range){first, first + pages};
        if (type == 1)
            reserved[m++] = (struct svsm_range){first, first + pages};
    }
    *ram_count = n;
    *reserved_count = m;
    return SVSM_HANDOFF_OK;
}

static const char *const claims[] = {
    "handoff.validate", "handoff.low_memory", "handoff.view", NULL,
};
static const struct svsm_handoff handoff = {.validate = validate, .view = view};
static const struct svsm_library library = {.name = "ready", .claims = claims, .handoff = &handoff};

SVSM_CONFORMANCE_EXPORT(library)
