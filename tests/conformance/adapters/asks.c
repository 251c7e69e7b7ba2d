/*
 * No SVSM, but a library that claims to be one: its call `pvalidate` asks for everything that there
 * is to ask for, and answers the sum of what it was told; the others answer what they were given.
 */
#include <stdlib.h>
#include <string.h>

#include "svsm_conformance.h"

struct it {
    const struct svsm_platform *p;
    struct svsm_range claimed[8];
    uint64_t count, stage;
    bool halted;
};

static void *make(const struct svsm_platform *p)
{
    struct it *it = calloc(1, sizeof *it);
    it->p = p;
    return it;
}

static void drop(void *self) { free(self); }

static void load(void *self, const struct svsm_start *s)
{
    struct it *it = self;
    it->count = s->claimed.count < 8 ? s->claimed.count : 8;
    memcpy(it->claimed, s->claimed.listed, it->count * sizeof *it->claimed);
    it->stage = s->stage;
    it->halted = s->halted;
}

static uint64_t stage(void *self) { return ((struct it *)self)->stage; }
static bool halted(void *self) { return ((struct it *)self)->halted; }

static uint64_t ranges(void *self, uint64_t set, struct svsm_range *to, uint64_t room)
{
    struct it *it = self;
    if (set != SVSM_CLAIMED || room < it->count)
        return 0;
    memcpy(to, it->claimed, it->count * sizeof *to);
    return it->count;
}

#define ASK(call)                                                                                  \
    do {                                                                                           \
        int64_t status = p->call;                                                                  \
        if (status == SVSM_FAULT)                                                                  \
            it->halted = true;                                                                     \
        if (status)                                                                                \
            return 0x80000006;                                                                     \
    } while (0)

static uint64_t pvalidate(void *self, uint64_t vcpu, uint64_t rcx)
{
    struct it *it = self;
    const struct svsm_platform *p = it->p;
    uint64_t code = 0, rights = 0, info = 0, msr = 0, sum;
    uint8_t data[8], header[8];
    bool carry = false, done = false;

    ASK(read(p->host, vcpu, rcx, data, 8));
    ASK(fill(p->host, vcpu, 16, true, SVSM_FILL_STREAM));
    ASK(flush(p->host, vcpu));
    ASK(pvalidate(p->host, vcpu, 17, false, true, &code, &carry));
    ASK(rmpadjust(p->host, vcpu, 18, true, 15, false, &rights));
    ASK(promote(p->host, vcpu, 19, true, &done));
    ASK(demote(p->host, vcpu, 20, 3));
    ASK(page_state(p->host, vcpu, 21, true, &info, header));
    ASK(page_state_msr(p->host, vcpu, 22, false, &msr));
    sum = data[0] + code + carry + rights + done + info + header[7] + msr;
    ASK(write(p->host, vcpu, rcx, (uint8_t *)"12345678", 8));
    return sum;
}

static uint64_t two(void *self, uint64_t vcpu, uint64_t a, uint64_t b)
{
    (void)self, (void)vcpu;
    return a + b;
}

static uint64_t one(void *self, uint64_t vcpu, uint64_t a)
{
    (void)self, (void)vcpu;
    return a;
}

static uint64_t none(void *self, uint64_t vcpu) { return (void)self, vcpu; }
static uint64_t at_once(void *self) { return (void)self, 7; }
static uint64_t record(void *self, uint64_t frame, bool large) { return (void)self, frame + large; }
static uint64_t take(void *self, uint64_t nonce) { return (void)self, nonce; }

static const char *const claims[] = {CLAIMS, NULL};
static const struct svsm_protocol protocol = {
    .make = make,
    .drop = drop,
    .load = load,
    .stage = stage,
    .halted = halted,
    .ranges = ranges,
    .pvalidate = pvalidate,
    .create_vcpu = two,
    .delete_vcpu = one,
    .share = one,
    .unshare = one,
    .launch = one,
    .reboot = none,
    .bring = BRING,
    .record = record,
    .power_on = at_once,
    .start = at_once,
    .export_record = at_once,
    .take = take,
    .complete = at_once,
};
static const struct svsm_library library = {.name = "asks", .claims = claims, .protocol = &protocol};

SVSM_CONFORMANCE_EXPORT(library)
