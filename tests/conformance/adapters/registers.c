/* MMIO by a bus, by GHCB exits and by TDVMCALLs. DEED is done before each access of 4 bytes. */
#include <stdlib.h>
#include <string.h>

#include "svsm_conformance.h"

#ifndef DEED
#define DEED
#endif
#ifndef WIDTH
#define WIDTH(n) (n)
#endif

#define SLOTS 64

struct slot {
    uint64_t number, gpa, size, home, pages;
    bool open, attached;
};

struct machine {
    uint64_t backend, limit;
    const struct svsm_bus *bus;
    struct slot slots[SLOTS];
};

static void *make(uint64_t backend, const struct svsm_bus *bus, uint64_t limit)
{
    struct machine *m = calloc(1, sizeof *m);
    m->backend = backend;
    m->bus = bus;
    m->limit = limit;
    return m;
}

static void drop(void *self) { free(self); }

static uint64_t slots(void *self, struct svsm_slot *to, uint64_t room)
{
    struct machine *m = self;
    uint64_t n = 0;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *s = &m->slots[i];
        if (s->open && n++ < room)
            to[n - 1] = (struct svsm_slot){s->number, s->gpa, s->size, s->attached};
    }
    return n;
}

static struct slot *find(struct machine *m, uint64_t number)
{
    for (int i = 0; i < SLOTS; i++)
        if (m->slots[i].open && m->slots[i].number == number)
            return &m->slots[i];
    return NULL;
}

static svsm_status open(void *self, uint64_t number, uint64_t gpa, uint64_t size, uint64_t *pages)
{
    struct machine *m = self;
    struct slot *s = NULL;
    uint64_t home = 0, count = 0;

    if (find(m, number))
        return SVSM_MMIO_ALREADY_OPEN;
    if (!size)
        return SVSM_MMIO_EMPTY;
    if (gpa > m->limit || size > m->limit - gpa)
        return SVSM_MMIO_ABOVE_LIMIT;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *o = &m->slots[i];
        if (o->open && gpa < o->gpa + o->size && o->gpa < gpa + size)
            return SVSM_MMIO_OVERLAPS;
        if (!o->open)
            s = o;
    }
    if (m->backend == SVSM_BUS) {
        count = (gpa % 4096 + size + 4095) / 4096;
        home = m->bus->map(m->bus->host, gpa / 4096, count);
        if (!home)
            return SVSM_MMIO_NO_MAPPING;
    }
    *s = (struct slot){number, gpa, size, home, count, true, false};
    *pages = count;
    return 0;
}

/* One access; data is the value, little-endian. */
static svsm_status reach(struct machine *m, struct slot *s, uint64_t offset, uint64_t width,
                         bool write, uint64_t *data)
{
    const struct svsm_bus *b = m->bus;
    uint64_t gpa = s->gpa + offset;

    if (width == 4) {
        DEED;
    }
    if (m->backend == SVSM_BUS) {
        uint64_t at = s->home + s->gpa % 4096 + offset;
        if (write)
            b->store(b->host, at, WIDTH(width), *data);
        else
            *data = b->load(b->host, at, WIDTH(width));
        return 0;
    }
    if (m->backend == SVSM_SNP) {
        struct svsm_exit back = {0};
        uint8_t out[8];
        memcpy(out, data, 8);
        if (!b->exit_to_host(b->host, write ? 0x80000002 : 0x80000001, gpa, width, b->buffer_gpa,
                             out, write ? width : 0, &back))
            return SVSM_MMIO_NO_ANSWER;
        if ((uint32_t)back.info1 == 1 || (uint32_t)back.info1 == 2)
            return SVSM_MMIO_HOST_REFUSED;
        if (back.info1)
            return SVSM_MMIO_GARBAGE;
        memcpy(data, back.buffer, 8);
        return 0;
    }
    uint64_t r10 = 0, r11 = 0;
    if (b->tdvmcall(b->host, 48, width, write, gpa | b->shared_bit, write ? *data : 0, &r10, &r11))
        return SVSM_MMIO_NO_ANSWER;
    if (r10 >> 63)
        return SVSM_MMIO_HOST_REFUSED;
    if (r10)
        return SVSM_MMIO_GARBAGE;
    *data = r11;
    return 0;
}

static svsm_status one(void *self, uint64_t number, uint64_t offset, uint64_t width, bool write,
                       uint64_t *data)
{
    struct machine *m = self;
    struct slot *s = find(m, number);
    svsm_status got;

    if (width != 1 && width != 2 && width != 4 && width != 8)
        return SVSM_MMIO_BAD_LENGTH;
    if (!s)
        return SVSM_MMIO_UNMAPPED;
    if (offset > s->size || width > s->size - offset)
        return SVSM_MMIO_OUTSIDE;
    if ((s->gpa + offset) % width)
        return SVSM_MMIO_MISALIGNED;
    got = reach(m, s, offset, width, write, data);
    if (!got && width < 8)
        *data &= (1ull << 8 * width) - 1;
    return got;
}

static svsm_status attach(void *self, uint64_t number)
{
    struct slot *s = find(self, number);
    if (!s)
        return SVSM_MMIO_UNMAPPED;
    if (s->attached)
        return SVSM_MMIO_ATTACHED;
    if (s->size < 0x100)
        return SVSM_MMIO_OUTSIDE;
    if (s->gpa % 4)
        return SVSM_MMIO_MISALIGNED;
    s->attached = true;
    return 0;
}

static svsm_status detach(void *self, uint64_t number)
{
    struct slot *s = find(self, number);
    uint64_t zero = 0;
    if (!s)
        return SVSM_MMIO_UNMAPPED;
    if (!s->attached)
        return SVSM_MMIO_NOT_ATTACHED;
    s->attached = false;
    return one(self, number, 0x70, 4, true, &zero);
}

static svsm_status close(void *self, uint64_t number)
{
    struct machine *m = self;
    struct slot *s = find(m, number);
    if (!s)
        return SVSM_MMIO_UNMAPPED;
    if (s->attached)
        return SVSM_MMIO_ATTACHED;
    s->open = false;
    if (m->backend == SVSM_BUS)
        m->bus->unmap(m->bus->host, s->home, s->pages);
    return 0;
}

static svsm_status read(void *self, uint64_t slot, uint64_t offset, uint64_t length, uint8_t *data)
{
    uint64_t value = 0;
    svsm_status s = one(self, slot, offset, length, false, &value);
    memcpy(data, &value, 8);
    return s;
}

static svsm_status write(void *self, uint64_t slot, uint64_t offset, const uint8_t *data,
                         uint64_t length)
{
    uint64_t value = 0;
    memcpy(&value, data, length < 8 ? length : 8);
    return one(self, slot, offset, length, true, &value);
}

#define TYPED(n)                                                                                   \
    static svsm_status read_u##n(void *self, uint64_t slot, uint64_t offset, uint##n##_t *value)   \
    {                                                                                              \
        uint64_t got = 0;                                                                          \
        svsm_status s = one(self, slot, offset, n / 8, false, &got);                               \
        *value = (uint##n##_t)got;                                                                 \
        return s;                                                                                  \
    }                                                                                              \
    static svsm_status write_u##n(void *self, uint64_t slot, uint64_t offset, uint##n##_t value)   \
    {                                                                                              \
        uint64_t sent = value;                                                                     \
        return one(self, slot, offset, n / 8, true, &sent);                                        \
    }
TYPED(8) TYPED(16) TYPED(32) TYPED(64)

static svsm_status read_config_u64(void *self, uint64_t slot, uint64_t offset, uint64_t tries,
                                   uint64_t *value)
{
    for (; tries; tries--) {
        uint64_t places[] = {0xfc, 0x100 + offset, 0x104 + offset, 0xfc}, got[4];
        for (int i = 0; i < 4; i++) {
            svsm_status s = one(self, slot, places[i], 4, false, &got[i]);
            if (s)
                return s;
        }
        *value = got[1] | got[2] << 32;
        if (got[0] == got[3])
            return 0;
    }
    return SVSM_MMIO_UNSTABLE;
}

static const char *const claims[] = {
    "mmio.open",     "mmio.attach",    "mmio.detach",    "mmio.close",     "mmio.read",
    "mmio.write",    "mmio.read_u8",   "mmio.read_u16",  "mmio.read_u32",  "mmio.read_u64",
    "mmio.write_u8", "mmio.write_u16", "mmio.write_u32", "mmio.write_u64", "mmio.config_round",
    NULL,
};
static const struct svsm_mmio mmio = {
    .backends = SVSM_BUS | SVSM_SNP | SVSM_TDX,
    .make = make,
    .drop = drop,
    .slots = slots,
    .open = open,
    .attach = attach,
    .detach = detach,
    .close = close,
    .read = read,
    .write = write,
    .read_u8 = read_u8,
    .read_u16 = read_u16,
    .read_u32 = read_u32,
    .read_u64 = read_u64,
    .write_u8 = write_u8,
    .write_u16 = write_u16,
    .write_u32 = write_u32,
    .write_u64 = write_u64,
    .read_config_u64 = read_config_u64,
};
static const struct svsm_library library = {.name = "registers", .claims = claims, .mmio = &mmio};

SVSM_CONFORMANCE_EXPORT(library)
